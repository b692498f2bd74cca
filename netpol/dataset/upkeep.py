"""Keeps a dataset small: few files, none that others replace, nothing that is too old or too much."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.dataset import layout
from netpol.dataset.engine import GoneError
from netpol.dataset.layout import CARRY, CONNECTIONS, FLOWS, HOUR, NAMES, TABLES, WINDOWS, Note
from netpol.dataset.place import UNFINISHED
from netpol.dataset.plan import State
from netpol.dataset.reading import in_order
from netpol.errors import InputError

if TYPE_CHECKING:
    from netpol.dataset.index import Hour, Index
    from netpol.dataset.place import Place
    from netpol.dataset.rollup import Rollups
    from netpol.dataset.writing import Writing

_ABANDONED: Final = 3600.0
"""Seconds after which a file that no other makes count was left by a writer that died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted.

    Attributes:
        hours: Of which nothing is left.
        raw_hours: Of which only what they add up to is left.
        bytes: How much was deleted.
    """

    hours: int = 0
    raw_hours: int = 0
    bytes: int = 0


class Upkeep:
    """Works on whole hours."""

    def __init__(self, place: Place, index: Index, writing: Writing, rollups: Rollups) -> None:
        self._place = place
        self._index = index
        self._writing = writing
        self._rollups = rollups

    def compact(self, hour: int) -> int:
        """Puts the windows of an hour into one file, and what was told of it; returns how many files they were in.

        An hour of which a file cannot be read stays as it is.

        Raises:
            OSError: The result cannot be written.
        """
        if len(layout.files(self._place, WINDOWS, hour)) < 2:
            return 0  # as most hours of a dataset of months: to look into each file again and again would cost more
        found = self._index.hour(hour)
        try:
            count = self._windows_together(found) + self._rollups.together(found)
        except (GoneError, InputError):
            return 0
        self.drop_replaced(hour)
        return count

    def _windows_together(self, hour: Hour) -> int:
        if len(hour.raw) < 2:
            return 0
        placed = in_order(hour.raw)
        gone = {file.name for file in hour.raw} | set(hour.replaced)
        name = layout.identifier(["put together", *gone, *(row.identity for row, _ in placed)])
        self._writing.together(hour.hour, name, placed, Note(replaces=frozenset(gone)))
        return len(hour.raw)

    def drop_replaced(self, hour: int, keep: str = "") -> None:
        """Deletes what other files replace."""
        for name in self._index.hour(hour).replaced:
            if name != keep:
                self._delete(hour, name)

    def _delete(self, hour: int, name: str, tables: tuple[str, ...] = TABLES) -> int:
        """Deletes files of a name, first the one that makes the others count; returns how many bytes they had."""
        return self._place.delete([layout.file(table, hour, name) for table in tables])

    def take_in(self, source: Place, hour: Hour) -> int:
        """Copies the files of an hour of another dataset; what makes them count comes last, as ever.

        Raises:
            InputError: A file is not there any more.
            OSError: A file cannot be written.
        """
        count = 0
        for name in sorted(file.name for file in (*hour.rollups, *hour.told, *hour.raw)):
            order = [layout.file(table, hour.hour, name) for table in (CONNECTIONS, NAMES, CARRY, FLOWS, WINDOWS)]
            missing = self._place.missing(order)
            source.expect(missing)
            there = [file for file in missing if _is_there(source, file)]
            needed = {layout.file(table, hour.hour, name) for table in (WINDOWS, NAMES)}
            for file in missing:
                if file in needed and file not in there:
                    raise _vanished(source, file)
            if there:
                try:
                    self._place.take(dict(zip(there, source.local(there), strict=True)))
                except FileNotFoundError as error:
                    raise _vanished(source, order[-1]) from error
            count += len(there)
        return count

    def sweep(self) -> int:
        """Deletes what writers left that died; returns how many files that were."""
        with layout.looked_up(self._place, *TABLES):
            return self._sweep(time.time() - _ABANDONED)

    def _sweep(self, oldest: float) -> int:
        count = 0
        for table in TABLES:
            for hour in layout.hours(self._place, table):
                folder = layout.folder(table, hour)
                known = set(layout.files(self._place, WINDOWS, hour))
                old = [each.name for each in self._place.entries(folder) if each.modified < oldest]
                for name in old:
                    unfinished = name.startswith(".") and name.endswith(UNFINISHED)
                    orphan = name.endswith(".parquet") and name.removesuffix(".parquet") not in known
                    count += (unfinished or orphan) and self._place.delete([f"{folder}/{name}"]) > 0
        return count

    def prune(self, *, now: int, max_age: int | None, max_raw_age: int | None, max_bytes: int | None) -> Pruned:
        """Deletes what is too old, then what is too much."""
        with layout.looked_up(self._place, *TABLES):
            return self._prune(now=now, max_age=max_age, max_raw_age=max_raw_age, max_bytes=max_bytes)

    def _prune(self, *, now: int, max_age: int | None, max_raw_age: int | None, max_bytes: int | None) -> Pruned:
        deleted = raw_hours = whole_hours = 0
        hours = layout.hours(self._place, WINDOWS)
        sizes = {hour: self._size(hour) for hour in hours}
        left = sum(sizes.values())

        def too_much() -> bool:
            return max_bytes is not None and left - deleted > max_bytes

        for hour in hours:
            age = now - (hour + 1) * HOUR
            if (max_raw_age is not None and age > max_raw_age) or too_much():
                size = self._drop_raw(hour)
                raw_hours += size > 0
                deleted += size
        for hour in hours:
            age = now - (hour + 1) * HOUR
            if (max_age is not None and age > max_age) or too_much():
                deleted += self._drop_hour(hour)
                whole_hours += 1
        return Pruned(hours=whole_hours, raw_hours=raw_hours, bytes=deleted)

    def _size(self, hour: int) -> int:
        return sum(
            each.size
            for table in TABLES
            for each in self._place.entries(layout.folder(table, hour))
            if layout.is_file(each.name)
        )

    def _drop_raw(self, hour: int) -> int:
        """Deletes an hour's windows as recorded if all are added up."""
        found = self._index.hour(hour)
        if not found.rollups or State.of(found, None).late:
            return 0
        return sum(self._delete(hour, file.name, (WINDOWS, CONNECTIONS, NAMES)) for file in found.raw)

    def _drop_hour(self, hour: int) -> int:
        size = 0
        names = {name for table in TABLES for name in layout.files(self._place, table, hour)}
        for name in sorted(names):
            size += self._delete(hour, name)
        for table in TABLES:
            self._place.clear(layout.folder(table, hour))
        return size


def _is_there(source: Place, file: str) -> bool:
    try:
        return source.local([file])[0].exists()
    except FileNotFoundError:
        return False


def _vanished(source: Place, file: str) -> InputError:
    remedy = "Do not merge a dataset while another process compacts it"
    return InputError("vanished while it was read", where=(source.where(file),), remedy=remedy)
