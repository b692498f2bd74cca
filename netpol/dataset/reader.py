"""A dataset as one sequence in the order of time: hours that are added up, then those that are not."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.dataset import layout
from netpol.dataset.engine import GoneError
from netpol.dataset.layout import CONNECTIONS, FLOWS, NAMES, WINDOWS
from netpol.dataset.plan import recorded_from, states_of
from netpol.dataset.reading import batches, in_order
from netpol.errors import InputError
from netpol.flows.records import empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netpol.dataset.account import Account
    from netpol.dataset.index import File, Hour, Index
    from netpol.dataset.place import Place
    from netpol.dataset.reading import Placed, Recorded
    from netpol.dataset.rollup import Rollups
    from netpol.dataset.window_rows import WindowRow
    from netpol.flows.records import Records
    from netpol.flows.rows import Rows
    from netpol.names.part import NameTaker

_ATTEMPTS: Final = 20


class Reader:
    """One reading.

    Args:
        since: Windows that begin earlier are left out; None: none are.
        until: The same for those that begin then or later.
        names: Takes what the windows say about names.
        account: Takes what was read, and what could not be.
        without: Says of a window that it is read elsewhere.
        records: Whether connections and flows are read, or only who recorded them, what was lost, and names.
    """

    def __init__(  # noqa: PLR0913 - what it reads from and gives to
        self,
        place: Place,
        index: Index,
        recorded: Recorded,
        rollups: Rollups,
        *,
        since: int | None,
        until: int | None,
        names: NameTaker | None,
        account: Account,
        without: Callable[[WindowRow], bool] | None,
        records: bool = True,
    ) -> None:
        self._place = place
        self._index = index
        self._recorded = recorded
        self._rollups = rollups
        self._since = since
        self._until = until
        self._names = names
        self._account = account
        self._without = without
        self._records = records

    def items(self) -> Iterator[Records | Rows]:
        """All of it, for `netpol.flows.assemble`."""
        with layout.looked_up(self._place, WINDOWS, since=self._since, until=self._until):
            yield from self._items(layout.hours(self._place, WINDOWS, self._since, self._until))

    def _items(self, hours: Sequence[int]) -> Iterator[Records | Rows]:
        states = [state for state, _ in states_of(self._index.each(hours))]
        begin = recorded_from(states)
        rolled: Hour | None = None
        for state, following in pairwise((*states, None)):
            assert state is not None  # noqa: S101 - None comes last
            found = self._index.hour(state.hour)
            if following is not None and not self._place.is_local:
                self._expect(following.hour, recorded=begin is not None and following.hour >= begin)
            self._account.broken(found.broken)
            yield from self._added_up(found, found.told)
            if begin is not None and state.hour >= begin:
                if rolled is not None:
                    yield from self._carried(rolled, all_of_them=True)
                    rolled = None
                yield from self._recorded_hour(found, lambda _: True)
                continue
            yield from self._added_up(found, found.rollups)
            rolled = found if found.rollups else rolled
            if state.late:
                late = {row.identity for file in found.raw for row in file.rows if not found.is_covered(row)}
                self._account.late(len(late))
                yield from self._recorded_hour(found, lambda row, late=late: row.identity in late)  # type: ignore[misc]
        if rolled is not None:
            yield from self._carried(rolled, all_of_them=False)

    def _expect(self, hour: int, *, recorded: bool) -> None:
        """While an hour is worked on, the files of the next one come."""
        found = self._index.hour(hour)
        for table, files in (
            (CONNECTIONS, found.raw if recorded else []),
            (FLOWS, found.told if recorded else [*found.told, *found.rollups]),
        ):
            tables = [table, *([NAMES] if self._names is not None else [])]
            self._place.expect([layout.file(each, hour, file.name) for each in tables for file in files])

    def _carried(self, hour: Hour, *, all_of_them: bool) -> Iterator[Records]:
        """Connections that the hour left: at the end only those are of interest that were not counted."""
        if not self._records:
            return
        try:
            records = self._rollups.carried(hour)
        except (GoneError, InputError) as error:
            self._account.damage(error if isinstance(error, InputError) else _gone(self._place, hour), hour.rollups)
            return
        records = records if all_of_them else records.compress(records["told"] == 0)
        if len(records):
            yield records

    def _added_up(self, hour: Hour, files: Sequence[File]) -> Iterator[Rows]:
        for file in files:
            self._account.logs(file.note.logs)
            for row in file.rows:
                self._account.window(row)
            try:
                for rows, wrong in self._rollups.flows(hour.hour, file) if self._records else ():
                    self._account.refuse(wrong)
                    chosen = rows.compress(self._within(rows))
                    if len(chosen):
                        yield chosen
                if self._names is not None:
                    self._names.take_part(self._rollups.names(hour.hour, file))
            except (GoneError, InputError) as error:
                told = error if isinstance(error, InputError) else _gone(self._place, hour)
                self._account.damage(told, [file])

    def _within(self, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        since = np.iinfo(np.int64).min if self._since is None else self._since
        until = np.iinfo(np.int64).max if self._until is None else self._until
        result: np.ndarray[tuple[int], np.dtype[np.bool_]] = (rows["last"] >= since) & (rows["first"] < until)
        return result

    def _wanted(self, row: WindowRow) -> bool:
        within = (self._since is None or row.begin >= self._since) and (self._until is None or row.begin < self._until)
        return within and not (self._without and self._without(row))

    def _recorded_hour(self, hour: Hour, chosen: Callable[[WindowRow], bool]) -> Iterator[Records]:
        left = [each for each in in_order(hour.raw) if self._wanted(each[0]) and chosen(each[0])]
        for row, _ in left:
            self._account.window(row)
        attempts = 0
        if not self._records and self._names is None:
            return
        while left:
            batch = next(batches(left))
            try:
                records = self._batch(hour.hour, batch)
            except GoneError:
                attempts += 1
                left = self._found_again(hour.hour, left, last=attempts == _ATTEMPTS)
                continue
            except InputError:
                for one in _by_file(batch):
                    with suppress(GoneError):
                        yield from self._rescued(hour.hour, one)
            else:
                if len(records):
                    yield records
            left = left[len(batch) :]

    def _found_again(self, hour: int, left: Sequence[Placed], *, last: bool) -> list[Placed]:
        """Where the windows are now that somebody has put their files together with others."""
        unread = {row.identity for row, _ in left}
        found = [] if last else [
            each for each in in_order(self._index.hour(hour).raw) if each[0].identity in unread
        ]  # fmt: skip
        self._account.vanished(len(unread) - len(found))
        return found

    def _batch(self, hour: int, batch: Sequence[Placed]) -> Records:
        records, _ = self._recorded.records(hour, batch) if self._records else (empty(), None)
        if self._names is not None:
            self._names.take_part(self._recorded.names(hour, batch))
        return records

    def _rescued(self, hour: int, batch: Sequence[Placed]) -> Iterator[Records]:
        """What can be read of one file of which something cannot."""
        files = [batch[0][1]]
        try:
            records = self._recorded.records(hour, batch)[0] if self._records else empty()
            if len(records):
                yield records
        except InputError as error:
            self._account.damage(error, files)
        if self._names is not None:
            try:
                self._names.take_part(self._recorded.names(hour, batch))
            except InputError as error:
                self._account.damage(error, files)


def _gone(place: Place, hour: Hour) -> InputError:
    where = place.where(layout.folder(layout.FLOWS, hour.hour))
    return InputError("files were removed, or are missing", where=(where,))


def _by_file(batch: Sequence[Placed]) -> list[list[Placed]]:
    files: dict[str, list[Placed]] = {}
    for each in batch:
        files.setdefault(each[1].name, []).append(each)
    return [*files.values()]
