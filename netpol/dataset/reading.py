"""Windows as recorded, out of files: in the order of time, so many at a time as memory allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.dataset import connection_rows, layout, name_rows
from netpol.dataset.engine import quoted
from netpol.dataset.index import File
from netpol.dataset.window_rows import WindowRow
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from netpol.dataset.engine import Columns, Engine
    from netpol.flows.records import Records
    from netpol.names.part import NamesPart

RECORDS_AT_ONCE: Final = 1 << 17
_WINDOWS_AT_ONCE: Final = 1 << 12

Placed = tuple[WindowRow, File]
"""A window and the file that it is in."""


def in_order(files: Sequence[File]) -> list[Placed]:
    """The windows of the files in the order of time; those of equal times by observer, so that the order is one."""
    placed = [(row, file) for file in files for row in file.rows]
    placed.sort(key=lambda each: (each[0].begin, each[0].observer, each[0].run, each[0].number))
    return placed


def batches(placed: Sequence[Placed], at_once: int = RECORDS_AT_ONCE) -> Iterator[Sequence[Placed]]:
    """Neighbours that are read together: about so many records, at least one window."""
    begin, records = 0, 0
    for at, (row, _) in enumerate(placed):
        if at > begin and (records + row.records > at_once or at - begin >= _WINDOWS_AT_ONCE):
            yield placed[begin:at]
            begin, records = at, 0
        records += row.records
    if begin < len(placed):
        yield placed[begin:]


class Recorded:
    """Reads the tables `connections` and `names` of one hour at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def records(self, hour: int, placed: Sequence[Placed]) -> tuple[Records, NDArray[np.int64]]:
        """The partial connections of some windows, in the order of the windows' times, and those times.

        Raises:
            GoneError: A file was there and is not any more.
            InputError: A file cannot be read.
        """
        columns = self._columns(
            f'SELECT "begin" AS window_begin, {connection_rows.wanted()} FROM', layout.CONNECTIONS, hour, placed
        )
        records: Records = self._valid(connection_rows.records_of, columns, layout.CONNECTIONS, hour, placed)
        begins = columns["window_begin"]
        if (begins[1:] >= begins[:-1]).all():
            return records, begins
        order = np.argsort(begins, kind="stable")
        return records.take(order), begins[order]

    def names(self, hour: int, placed: Sequence[Placed]) -> NamesPart:
        """What some windows say about names.

        Raises:
            GoneError: A file was there and is not any more.
            InputError: A file cannot be read.
        """
        columns = self._columns(f"SELECT {name_rows.SELECT} FROM", layout.NAMES, hour, placed)
        part: NamesPart = self._valid(name_rows.part_of, columns, layout.NAMES, hour, placed)
        return part

    def _columns(self, select: str, table: str, hour: int, placed: Sequence[Placed]) -> Columns:
        """The rows of the windows: in files that also hold windows to be read elsewhere, these are passed over."""
        found = []
        for group in split(placed):
            names = sorted({file.name for _, file in group})
            files = [layout.file(table, hour, name) for name in names]
            found.append(self._engine.read(f"{select} files WHERE {condition(group)}", {}, files))
        if len(found) == 1:
            return found[0]
        return {name: np.ma.concatenate([one[name] for one in found]) for name in found[0]}  # type: ignore[no-untyped-call]

    def _valid(
        self, made: Callable[[Columns], Any], columns: Columns, table: str, hour: int, placed: Sequence[Placed]
    ) -> Any:
        try:
            return made(columns)
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            names = {file.name for _, file in placed}
            file = self._engine.place.where(layout.file(table, hour, min(names)))
            where = (file,) if len(names) == 1 else ()
            raise InputError(f"holds {error}", where=where) from error


def split(placed: Sequence[Placed]) -> list[list[Placed]]:
    """The windows of files that hold nothing else together, those of each other file by themselves."""
    by_file: dict[str, list[Placed]] = {}
    for each in placed:
        by_file.setdefault(each[1].name if each[1].ignored else "", []).append(each)
    return [*by_file.values()]


def condition(placed: Sequence[Placed]) -> str:
    """The rows of these windows, in SQL: the times let whole row groups be passed over."""
    begin, end = placed[0][0].begin, placed[-1][0].begin
    times = f'"begin" BETWEEN {begin} AND {end}'
    files = {file.name: file for _, file in placed}
    there = sum(begin <= row.begin <= end for file in files.values() for row in file.rows)
    if there == len(placed) and not any(file.ignored for file in files.values()):
        return times
    return f'{times} AND "window" IN ({", ".join(quoted(row.identity) for row, _ in placed)})'
