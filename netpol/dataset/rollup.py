"""Hours added up: the flows of an hour in the place of its windows, and what has to be known of it in the next."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.dataset import connection_rows, flow_rows, layout, name_rows
from netpol.dataset.engine import Part
from netpol.dataset.layout import CARRY, FLOWS, HOUR, MINUTE, NAMES, Note
from netpol.dataset.reading import batches, in_order
from netpol.dataset.window_rows import added_up
from netpol.errors import InputError
from netpol.flows.assemble import assemble
from netpol.flows.limits import Limits
from netpol.flows.records import empty, stacked
from netpol.flows.rolling import FIRST_MINUTE, roll
from netpol.flows.rows import ROW
from netpol.names.table import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netpol.dataset.engine import Engine
    from netpol.dataset.index import File, Hour
    from netpol.dataset.layout import LogNote
    from netpol.dataset.reading import Placed, Recorded
    from netpol.dataset.window_rows import WindowRow
    from netpol.dataset.writing import Writing
    from netpol.flows.knowledge import Knowledge
    from netpol.flows.records import Records
    from netpol.flows.rows import Rows
    from netpol.flows.table import FlowTable
    from netpol.names.part import NamesPart
    from netpol.sources.people import People

Ends = tuple[str | None, str | None]
"""Names of the source and the destination of a flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a cluster where logs are added up; by default nothing.

    Attributes:
        people: Knows pods by their names, for logs without addresses.
        knowledge: Of addresses and ports.
        ends: Names the ends of flows.
    """

    people: People | None = None
    knowledge: Knowledge | None = None
    ends: Callable[[FlowTable], Iterator[Ends]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What flow logs or tables of flows tell of an hour.

    Attributes:
        items: Partial connections and flows.
        names: What is said about names.
        logs: What became of the records of logs.
        known: Of the cluster.
    """

    items: Sequence[Records | Rows]
    names: NamesPart
    logs: tuple[LogNote, ...]
    known: Known


_TOGETHER: Final = """SELECT client, server, protocol, port, sum(connections)::BIGINT AS connections,
    sum(packets)::BIGINT AS packets, sum(bytes)::BIGINT AS bytes, min(first_seen) AS first_seen,
    max(last_seen) AS last_seen, outcome, direction, bool_or(two_way) AS two_way, bit_or(minutes) AS minutes, source,
    destination
FROM files GROUP BY client, server, protocol, port, outcome, direction, source, destination
ORDER BY client, server, protocol, port, outcome, direction, source, destination"""

LIMITS: Final = Limits(connections=1 << 19, pieces=1 << 16, undecided=1 << 18)


class Rollups:
    """Makes and reads the tables `flows` and `carry`."""

    def __init__(self, engine: Engine, recorded: Recorded, writing: Writing) -> None:
        self._engine = engine
        self._recorded = recorded
        self._writing = writing

    def make(
        self,
        hour: Hour,
        before: Hour | None,
        *,
        whole: bool,
        knowledge: Knowledge | None,
        ends: Callable[[FlowTable], Iterator[Ends]] | None,
    ) -> str:
        """Adds up windows of an hour that are there as recorded; returns the name of its files.

        Args:
            hour: What there is of it.
            before: The hour before it that has windows; None: there is none.
            whole: All windows; otherwise those that are not added up yet, by themselves, because the others are gone.
            knowledge: What the cluster knows.
            ends: Names the ends of flows.

        Raises:
            GoneError: A file was there and is not any more.
            InputError: A file cannot be read.
            OSError: The result cannot be written.
        """
        placed = [each for each in in_order(hour.raw) if whole or not hour.is_covered(each[0])]
        rows = added_up([row for row, _ in placed])
        behind = frozenset(file.name for file in before.rollups) if before and whole else frozenset[str]()
        name = layout.identifier(
            [f"rolled up after {sorted(behind)}", *(f"{row.run}-{row.number}+{row.windows}" for row in rows)]
        )
        replaced = {file.name for file in hour.rollups} | set(hour.outdone) if whole else set()
        note = Note(rollup=True, replaces=frozenset(replaced - {name}), behind=behind if whole else None)
        names = Names()
        begin = hour.hour * HOUR
        if whole:
            carried = self.carried(before) if before else empty()
            items = self._items(hour.hour, placed, carried, names)
            table, left = roll(items, begin, begin + HOUR, knowledge=knowledge, limits=LIMITS)
        else:
            items = self._items(hour.hour, placed, empty(), names)
            table, left = assemble(items, knowledge=knowledge, limits=LIMITS), empty()
        self._write_carry(hour.hour, name, left, note)
        self._writing.evidence(hour.hour, name, names.part(), note)
        self._writing.table(FLOWS, hour.hour, name, _parts(table, ends), note)
        self._writing.commit(hour.hour, name, rows, note)
        return name

    def take(self, hour: int, row: WindowRow, told: Told) -> None:
        """Adds up what was told of an hour that nobody recorded.

        Args:
            hour: Hours since the Unix epoch.
            row: What stands for it in `windows`.
            told: What was told.

        Raises:
            OSError: It cannot be written.
        """
        name = layout.identifier([f"told {row.identity}"])
        note = Note(rollup=True, told=True, logs=told.logs)
        self._write_carry(hour, name, empty(), note)
        self._writing.evidence(hour, name, told.names, note)
        table = assemble(iter(told.items), knowledge=told.known.knowledge, limits=LIMITS)
        self._writing.table(FLOWS, hour, name, _parts(table, told.known.ends), note)
        self._writing.commit(hour, name, [row], note)

    def together(self, hour: Hour) -> int:
        """Puts what was told of an hour into one file; returns how many it was in.

        Raises:
            GoneError: A file was there and is not any more.
            InputError: A file cannot be read.
            OSError: The result cannot be written.
        """
        apart = hour.told
        if len(apart) < 2:
            return 0
        names = sorted(file.name for file in apart)
        gone = frozenset(names).union(*(each.note.replaces for each in apart))
        note = Note(
            rollup=True, told=True, replaces=gone, logs=layout.summed(log for file in apart for log in file.note.logs)
        )
        name = layout.identifier(["told together", *names])
        for table in (CARRY, NAMES, FLOWS):
            query = _TOGETHER if table == FLOWS else "SELECT * EXCLUDE (file_row_number, filename) FROM files"
            files = [layout.file(table, hour.hour, each) for each in names]
            self._writing.table(table, hour.hour, name, [Part(query=query, files=files)], note)
        self._writing.commit(hour.hour, name, added_up([row for file in apart for row in file.rows]), note)
        return len(apart)

    def _items(self, hour: int, placed: Sequence[Placed], carried: Records, names: Names) -> Iterator[Records]:
        if len(carried):
            yield carried
        for batch in batches(placed):
            records, begins = self._recorded.records(hour, batch)
            records["minutes"] = np.uint64(1) << (begins // MINUTE % 60).astype(np.uint64)
            names.take_part(self._recorded.names(hour, batch))
            if len(records):
                yield records

    def _write_carry(self, hour: int, name: str, left: Records, note: Note) -> None:
        columns = connection_rows.columns_of(left, connection_rows.CARRIED)
        query = f"SELECT {connection_rows.selected(connection_rows.CARRIED)} FROM given"  # noqa: S608 - constants
        self._writing.table(CARRY, hour, name, [Part(query=query, columns=columns)], note)

    def flows(self, hour: int, file: File) -> Iterator[tuple[Rows, int]]:
        """The flows of an hour, and how many rows are none.

        Raises:
            GoneError: The file was there and is not any more.
            InputError: It cannot be read.
        """
        yield from flow_rows.read_flows(self._engine, layout.file(FLOWS, hour, file.name))

    def carried(self, hour: Hour) -> Records:
        """The connections that may go on after an hour.

        Raises:
            GoneError: A file was there and is not any more.
            InputError: It cannot be read.
        """
        return stacked([empty(), *(self._carried(hour.hour, file) for file in hour.rollups)])

    def _carried(self, hour: int, file: File) -> Records:
        name = layout.file(CARRY, hour, file.name)
        query = f"SELECT {connection_rows.wanted(connection_rows.CARRIED)} FROM files"  # noqa: S608 - constants
        try:
            records = connection_rows.records_of(self._engine.read(query, {}, [name]), connection_rows.CARRIED)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"holds {error}", where=(self._engine.place.where(name),)) from error
        records["minutes"] = np.where(records["told"] == 0, FIRST_MINUTE, np.uint64(0))
        return records

    def names(self, hour: int, file: File) -> NamesPart:
        """What is known about names of an hour.

        Raises:
            GoneError: The file was there and is not any more.
            InputError: It cannot be read.
        """
        name = layout.file(NAMES, hour, file.name)
        try:
            return name_rows.part_of(self._engine.read(f"SELECT {name_rows.SELECT} FROM files", {}, [name]))  # noqa: S608
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"holds {error}", where=(self._engine.place.where(name),)) from error


def _parts(table: FlowTable, ends: Callable[[FlowTable], Iterator[Ends]] | None) -> Iterator[Part]:
    named = ends(table) if ends is not None else None
    some = False
    for rows in table.batches():
        some = True
        yield _part(rows, [*islice(named, len(rows))] if named is not None else None)
    if not some:
        yield _part(np.empty(0, ROW), None)


def _part(rows: Rows, ends: Sequence[Ends] | None) -> Part:
    query = f"SELECT {flow_rows.WRITTEN} FROM given"  # noqa: S608 - constants
    return Part(query=query, columns=flow_rows.columns_of(rows, ends), values=flow_rows.VALUES)
