"""A dataset: a folder of Parquet files to which many processes may add windows, and from which anybody may read."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from netpol.dataset import connection_rows, layout, name_rows, window_rows
from netpol.dataset.account import Account
from netpol.dataset.engine import Engine, GoneError, synced
from netpol.dataset.index import Index
from netpol.dataset.layout import CONNECTIONS, MARK, NAMES, WINDOWS, Note
from netpol.dataset.reading import Recorded, batches, in_order
from netpol.dataset.window_rows import WindowRow
from netpol.errors import InputError
from netpol.flows.records import stacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from netpol.capture.packets import Tally
    from netpol.dataset.engine import Columns
    from netpol.dataset.reading import Placed
    from netpol.dataset.window import Window
    from netpol.flows.records import Records
    from netpol.flows.rows import Rows
    from netpol.names.part import NameTaker


class Dataset:
    """One dataset, for one thread at a time; any number of processes may have it open.

    Attributes:
        root: Its folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._engine = Engine()
        self._index = Index(root, self._engine)
        self._recorded = Recorded(root, self._engine)

    @classmethod
    def open(cls, root: Path) -> Dataset:
        """The dataset that the folder is.

        Raises:
            InputError: It is none, or one of a newer version.
        """
        if not layout.read_mark(root):
            raise InputError(f"not a dataset: it has no {MARK}", where=(str(root),))
        return cls(root)

    @classmethod
    def create(cls, root: Path) -> Dataset:
        """The same; where there is none, an empty one is made.

        Raises:
            InputError: It is one of a newer version, or cannot be made.
        """
        try:
            if not layout.read_mark(root):
                root.mkdir(parents=True, exist_ok=True)
                unfinished = root / f".{MARK}.tmp"
                unfinished.write_text(layout.mark(), encoding="utf-8")
                synced(unfinished)
                unfinished.replace(root / MARK)
                synced(root)
        except OSError as error:
            raise InputError(f"a dataset cannot be made here: {error.strerror}", where=(str(root),)) from error
        return cls(root)

    def append(self, windows: Iterable[Window]) -> int:
        """Adds windows; they are on the disk when it returns.

        A window that is there already is not added again, whoever added it: two processes that add the same one at the
        same time leave two, of which readers take one.

        Returns:
            How many were added.

        Raises:
            OSError: They cannot be written. Some of them may have been; to add all again does no harm.
        """
        by_hour: dict[int, dict[str, Window]] = {}
        for window in windows:
            by_hour.setdefault(layout.hour_of(window.begin), {})[window.identity] = window
        return sum(self._append(hour, [*found.values()]) for hour, found in sorted(by_hour.items()))

    def _append(self, hour: int, windows: Sequence[Window]) -> int:
        there = self._index.hour(hour)
        fresh = [window for window in windows if not there.has(WindowRow.of(window))]
        if not fresh:
            return 0
        fresh.sort(key=lambda each: (each.begin, each.observer, each.run, each.number))
        rows = [WindowRow.of(window) for window in fresh]
        name = layout.identifier(row.identity for row in rows)
        note = Note().text()
        place = {
            "windows": [row.identity for row in rows],
            "observers": [row.observer for row in rows],
            "begins": [row.begin for row in rows],
        }
        records = stacked([window.records for window in fresh])
        parts = [name_rows.columns_of(window.names) for window in fresh]
        tables: tuple[tuple[str, Columns, str], ...] = (
            (
                CONNECTIONS,
                _numbered(connection_rows.columns_of(records), [len(window.records) for window in fresh]),
                connection_rows.SELECT,
            ),
            (
                NAMES,
                _numbered(
                    {column: np.concatenate([part[column] for part in parts]) for column in name_rows.COLUMNS},
                    [len(part["kind"]) for part in parts],
                ),
                name_rows.SELECT,
            ),
        )
        for table, columns, select in tables:
            self._engine.write(layout.path(self.root, table, hour, name), columns, f"{_PLACE}, {select}", place, note)
        # This one comes last: until it is there, the others are not.
        self._engine.write(
            layout.path(self.root, WINDOWS, hour, name), window_rows.columns_of(rows), window_rows.SELECT, {}, note
        )
        return len(fresh)

    def read(
        self,
        since: int | None = None,
        until: int | None = None,
        *,
        tally: Tally,
        names: NameTaker | None = None,
        without: Callable[[WindowRow], bool] | None = None,
    ) -> Iterator[Records | Rows]:
        """What was recorded, in the order of time, for `netpol.flows.assemble`.

        Args:
            since: Windows that begin earlier are left out; nanoseconds since the Unix epoch.
            until: The same for those that begin then or later.
            tally: Counts what was read, what is missing, and files that cannot be read; complete when the iterator is
                exhausted.
            names: Takes what the windows say about names.
            without: Says of a window that it is read elsewhere.

        Raises:
            InputError: A newer version of netpol wrote a file.
        """
        tally.captures += 1
        account = Account(tally)

        def wanted(row: WindowRow) -> bool:
            within = (since is None or row.begin >= since) and (until is None or row.begin < until)
            return within and not (without and without(row))

        for hour in layout.hours(self.root, WINDOWS):
            if (since is None or (hour + 1) * layout.HOUR > since) and (until is None or hour * layout.HOUR < until):
                yield from self._read_hour(hour, wanted, names, account)
        account.finish()

    def holds(self, row: WindowRow) -> bool:
        """Whether a window is here, in whatever form."""
        return self._index.hour(layout.hour_of(row.begin)).has(row)

    def _read_hour(
        self, hour: int, wanted: Callable[[WindowRow], bool], names: NameTaker | None, account: Account
    ) -> Iterator[Records]:
        found = self._index.hour(hour)
        account.broken(found.broken)
        left = [each for each in in_order(found.raw) if wanted(each[0])]
        for row, _ in left:
            account.window(row)
        while left:
            batch = next(batches(left))
            try:
                parts = self._batch(hour, batch, names)
            except GoneError:
                found = self._index.hour(hour)
                unread = {row.identity for row, _ in left}
                left = [each for each in in_order(found.raw) if each[0].identity in unread]
                account.vanished(unread - {row.identity for row, _ in left})
                continue
            except InputError:
                for one in _by_file(batch):
                    with contextlib.suppress(GoneError):
                        yield from self._rescued(hour, one, names, account)
            else:
                yield parts
            left = left[len(batch) :]

    def _batch(self, hour: int, batch: Sequence[Placed], names: NameTaker | None) -> Records:
        records, _ = self._recorded.records(hour, batch)
        if names is not None:
            names.take_part(self._recorded.names(hour, batch))
        return records

    def _rescued(
        self, hour: int, batch: Sequence[Placed], names: NameTaker | None, account: Account
    ) -> Iterator[Records]:
        """What can be read of one file of which something cannot."""
        try:
            records, _ = self._recorded.records(hour, batch)
            yield records
        except InputError as error:
            account.damage(error, batch)
        if names is not None:
            try:
                names.take_part(self._recorded.names(hour, batch))
            except InputError as error:
                account.damage(error, batch)

    def identities(self) -> Iterator[str]:
        """Of all windows that are here as recorded, by hour."""
        for hour in layout.hours(self.root, WINDOWS):
            yield from sorted(row.identity for file in self._index.hour(hour).raw for row in file.rows)


_PLACE = ", ".join(f'list_extract(${name}s, w) AS "{name}"' for name in ("window", "observer", "begin"))
"""Of which window a row is."""


def _numbered(columns: Columns, counts: Sequence[int]) -> Columns:
    """With a column that says of which window each row is, from 1."""
    return {**columns, "w": np.repeat(np.arange(1, len(counts) + 1, dtype=np.int64), counts)}


def _by_file(batch: Sequence[Placed]) -> list[list[Placed]]:
    files: dict[str, list[Placed]] = {}
    for each in batch:
        files.setdefault(each[1].name, []).append(each)
    return [*files.values()]
