"""The stage as a whole: packets in, a table of flows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.packets import PacketBatch, Unreachables
from netpol.flows.connections import ConnectionTable
from netpol.flows.evidence import UNDECIDED, directions, has_port, outcomes
from netpol.flows.limits import Limits
from netpol.flows.pieces import pieces_of, pieces_of_quotes
from netpol.flows.records import LONG_AGO
from netpol.flows.rows import ROW, Rows, RowStore, rows_of
from netpol.flows.table import FlowTable
from netpol.flows.undecided import Servers, Undecided
from netpol.flows.views import data_both_ways, folded, swapped
from netpol.model.flow import Direction, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from netpol.flows.knowledge import Knowledge
    from netpol.flows.records import Records


QUOTES_OF_NOTHING: Final = "unreachables about packets that were not captured"
"""Of the notes of a table."""
Item = PacketBatch | Unreachables | np.ndarray[tuple[int], np.dtype[np.void]]
"""What can be assembled: packets, quoted packets, partial connections (Records), and what is flows already (Rows)."""


def assemble(
    items: Iterable[Item],
    *,
    knowledge: Knowledge | None = None,
    limits: Limits | None = None,
) -> FlowTable:
    """All flows of the packets.

    Every packet is in exactly one row, however the packets were cut into batches. Partial connections that somebody
    else made of packets are joined like those that are made here; rows are added to those that result, their tenants
    looked up anew.

    Args:
        items: Batches in the order of time, as near as the captures allow; rows at any time.
        knowledge: What the cluster knows about addresses and ports; without it only the packets speak.
        limits: Bounds of what is held in memory.
    """
    assembly = Assembly(knowledge, limits or Limits())
    for item in items:
        assembly.take(item)
    return assembly.finish()


class Assembly:
    """Connections that are over go on to outcome, direction and rows while packets still come."""

    def __init__(self, knowledge: Knowledge | None, limits: Limits, *, begin: int = LONG_AGO) -> None:
        """Args: knowledge, limits: as in `assemble`. begin: rows of connections that were counted begin no earlier."""
        self._knowledge = knowledge
        self._begin = begin
        self._table = ConnectionTable(limits, knowledge)
        self._servers = Servers(limits.servers)
        self._undecided = Undecided(limits.undecided, self._servers)
        self._rows = RowStore(limits.rows)
        self._quotes_of_nothing = 0

    def take(self, item: Item) -> None:
        """Takes what comes next."""
        if isinstance(item, np.ndarray) and item.dtype == ROW:
            self._store_rows(item.copy())
            return
        if isinstance(item, PacketBatch):
            item = pieces_of(item)
        elif isinstance(item, Unreachables):
            item = pieces_of_quotes(item)
        for records in self._table.add(item):
            self.close(records)

    def pause(self, time: int) -> Records:
        """Takes all out that may still go on after a time, from which on everything else will be."""
        for records in self._table.until(time):
            self.close(records)
        return self._table.rest()

    def finish(self, *, counted_before: bool = False) -> FlowTable:
        """The flows.

        Args:
            counted_before: Rows may have no connections, but only packets of such as are counted in other tables.
        """
        self.close(self._table.rest())
        self._decide(self._undecided.rest())
        rows, file, count = self._rows.result(fewest=0 if counted_before else 1)
        notes = {
            "connections closed early, too many at once": self._table.closed_early,
            "connections without a handshake decided early, too many at once": self._undecided.decided_early,
            "servers forgotten, too many": self._servers.forgotten,
            QUOTES_OF_NOTHING: self._quotes_of_nothing,
        }
        return FlowTable(rows, file=file, count=count, notes={note: number for note, number in notes.items() if number})

    def close(self, records: Records) -> None:
        """Takes connections that are over, or count as if they were."""
        real = records["packets"] > 0
        self._quotes_of_nothing += int((~real).sum())
        records = folded(self._without_what_was_told(records.compress(real)), self._knowledge)
        if records["told"].any():
            records = records.compress(records["packets"] > 0)
            np.maximum(records["first"], self._begin, out=records["first"], where=records["told"] > 0)
        outcome = outcomes(records)
        direction, swap = directions(records, outcome, self._knowledge)
        records = swapped(records, swap)
        shown = (outcome == Outcome.ESTABLISHED) & (direction == Direction.SYN) & has_port(records["protocol"])
        self._servers.add(records.compress(shown))
        waits = direction == UNDECIDED
        self._store(records.compress(~waits), outcome[~waits], direction[~waits])
        self._decide(self._undecided.add(records.compress(waits)))

    def _without_what_was_told(self, records: Records) -> Records:
        told = records["told"] > 0
        if told.any():
            records = records.copy()
            records["packets"][told] -= 1
        return records

    def _decide(self, records: Records) -> None:
        outcome = outcomes(records)
        records, direction = self._undecided.decide(records)
        self._store(records, outcome, direction)

    def _store(self, records: Records, outcome: NDArray[np.uint8], direction: NDArray[np.uint8]) -> None:
        self._store_rows(rows_of(records, outcome, direction, data_both_ways(records)))

    def _store_rows(self, rows: Rows) -> None:
        if self._knowledge is not None:
            _name_tenants(rows, self._knowledge)
        self._rows.add(rows)


def _name_tenants(rows: Rows, knowledge: Knowledge) -> None:
    for end in ("client", "server"):
        address = np.stack([rows[f"{end}_high"], rows[end]], axis=1)
        rows[f"{end}_tenancy"] = knowledge.tenancies(rows["family"], address, rows["first"], rows["last"])
