"""Partial connections to connections: joins the pieces of one connection, and lets go of what is over.

To which connection a packet belongs is defined on the packets of one 5-tuple in order of time, so it does not depend
on batches:

- A SYN or SYN-ACK names the client's initial sequence number; all with the same number are of one TCP connection,
  and packets without one belong to the latest that was named at or before them.
- Packets before the first SYN or SYN-ACK are a connection that was open before; but when they begin less than 50 ms
  before it and hold no FIN or RST, they were captured out of order and belong to it.
- TCP packets after a silence of more than 120 s that follows the end of a connection (RST, both FINs, or an attempt
  that led nowhere) are another connection, and so are packets after 2 h 4 min of silence.
- An unreachable belongs to the connection of the quoted 5-tuple that began last before it.
- SCTP, UDP: a silence of more than 120 s separates connections. Protocols without ports: never separated.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.flows.limits import EARLY, LONG_IDLE, SILENCE, Limits
from netpol.flows.records import (
    ACK,
    DATA,
    FIN,
    FROM_HIGH,
    LONG_AGO,
    RST,
    Records,
    empty,
    in_order,
    join,
    opened,
    same_ends,
    stacked,
)
from netpol.flows.views import kept_together, repeated
from netpol.model.flow import SCTP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.flows.knowledge import Knowledge

_BATCHES_OF_A_BLOCK: Final = 4
"""Packets and quoted packets, each of two families: of one block, one may begin long after another."""

_ENDING = FIN | RST


def _either(events: int) -> np.uint16:
    return np.uint16(events << FROM_HIGH | events)


def over(records: Records) -> NDArray[np.bool_]:
    """bool[n]: a TCP connection that ended, or an attempt that nobody took further."""
    events = records["events"]
    both_fins = (events & _either(FIN)) == _either(FIN)
    attempt = opened(records) & ((events & _either(ACK | DATA)) == 0)
    result: NDArray[np.bool_] = ((events & _either(RST)) != 0) | both_fins | attempt
    return result


def joined(records: Records) -> Records:
    """Joins records of the same connection. Within a 5-tuple the given order counts where times are equal."""
    if len(records) < 2:
        return records
    quotes = records["packets"] == 0
    if quotes.any():
        return _quotes_attached(_packets_joined(records.compress(~quotes)), records.compress(quotes))
    return _packets_joined(records)


def _packets_joined(records: Records) -> Records:
    if len(records) < 2:
        return records
    records = records.take(in_order(records, np.where(opened(records), records["anchor"], records["first"])))
    group = np.cumsum(~same_ends(records)) - 1
    stream = _streams(records, group, records["protocol"] == TCP)
    if np.any(stream[1:] < stream[:-1]):
        order = np.lexsort((records["first"], stream))
        records, stream = records.take(order), stream[order]
    cuts = np.ones(len(records), np.bool_)
    cuts[1:] = stream[1:] != stream[:-1]
    cuts |= _silences(records, np.cumsum(cuts) - 1)
    return join(records, np.flatnonzero(cuts))


def _quotes_attached(connections: Records, quotes: Records) -> Records:
    """Gives each quoted packet to the connection of its 5-tuple that began last before it, or leaves it."""
    records = stacked([connections, quotes])
    records = records.take(in_order(records, records["first"]))
    same = same_ends(records)
    position = np.arange(len(records))
    group = np.maximum.accumulate(np.where(same, 0, position))
    owner = np.maximum.accumulate(np.where(records["packets"] > 0, position, -1))
    owned = owner >= group
    label = np.where(owned, owner, position)
    return join(records, np.flatnonzero(np.diff(label, prepend=-1)))


def _streams(records: Records, group: NDArray[np.intp], tcp: NDArray[np.bool_]) -> NDArray[np.intp]:
    """intp[n]: records with the same number are of one 5-tuple and of the same latest SYN or SYN-ACK."""
    opening = opened(records) & tcp
    if not opening.any():
        return group
    position = np.arange(len(records))
    latest = np.maximum.accumulate(np.where(opening, position, -1))
    begin_of_group = np.searchsorted(group, group)
    latest = np.where(latest >= begin_of_group, latest, begin_of_group)
    # An opening that was seen before on the 5-tuple is the same connection: its number is that of the first one.
    rows = np.flatnonzero(opening)
    several = np.bincount(group[rows], minlength=group[-1] + 1)[group[rows]] > 1
    again = rows[several]
    if len(again):
        name = records["client_isn"][again].astype(np.uint64) | records["side"][again].astype(np.uint64) << np.uint64(
            32
        )
        order = np.lexsort((again, name, group[again]))
        ordered = again[order]
        new = np.ones(len(ordered), np.bool_)
        new[1:] = (name[order][1:] != name[order][:-1]) | (group[ordered][1:] != group[ordered][:-1])
        representative = np.arange(len(records))
        representative[ordered] = ordered[new][np.cumsum(new) - 1]
        latest = representative[latest]
    return latest


def _silences(records: Records, stream: NDArray[np.intp]) -> NDArray[np.bool_]:
    """bool[n]: a silence that separates connections comes before the record, inside its stream."""
    protocol = records["protocol"]
    latest = _latest(records["last"], stream)
    gap = np.zeros(len(records), np.int64)
    gap[1:] = np.where(stream[1:] == stream[:-1], records["first"][1:] - latest[:-1], 0)
    long = gap > SILENCE
    cuts: NDArray[np.bool_] = long & ((protocol == UDP) | (protocol == SCTP))
    doubtful = long & (protocol == TCP)
    if doubtful.any():
        _cut_after_ends(records, stream, np.where(doubtful, gap, 0), cuts)
    return cuts


def _cut_after_ends(
    records: Records, stream: NDArray[np.intp], gap: NDArray[np.int64], cuts: NDArray[np.bool_]
) -> None:
    """Cuts where a connection was over before a silence.

    That depends on all of it since the last cut, so this rare part goes row by row.

    What comes after a cut is a new connection. It has no opening of its own, so a SYN that comes still later opens
    another.
    """
    concerned = np.flatnonzero(np.isin(stream, stream[gap > 0]))
    previous, seen, opening = -1, 0, False
    for row, of_stream, silence, events, opens in zip(
        concerned.tolist(),
        stream[concerned].tolist(),
        gap[concerned].tolist(),
        records["events"][concerned].tolist(),
        opened(records)[concerned].tolist(),
        strict=True,
    ):
        if of_stream != previous:
            seen, opening = 0, False
        elif silence > LONG_IDLE or (silence and _is_over(seen, opening=opening)) or (opens and not opening):
            cuts[row] = True
            seen, opening = 0, False
        previous = of_stream
        seen |= events
        opening |= opens


def _is_over(events: int, *, opening: bool) -> bool:
    both_fins = FIN << FROM_HIGH | FIN
    attempt = opening and not events & int(_either(ACK | DATA))
    return bool(events & int(_either(RST))) or events & both_fins == both_fins or attempt


def _latest(last: NDArray[np.int64], stream: NDArray[np.intp]) -> NDArray[np.int64]:
    """int64[n]: the latest `last` of a stream up to the record, also where one record lies within another."""
    inside = (stream[1:] == stream[:-1]) & (last[1:] < last[:-1])
    if not inside.any():
        return last
    values, rank = np.unique(last, return_inverse=True)
    highest = np.maximum.accumulate(stream * len(values) + rank)
    result: NDArray[np.int64] = values[highest % len(values)]
    return result


def out_of_order_joined(records: Records) -> Records:
    """Joins a record without an opening to one that opens less than 50 ms later on the same 5-tuple."""
    candidates = (records["protocol"] == TCP) & ~opened(records) & ((records["events"] & _either(_ENDING)) == 0)
    if not candidates.any() or not opened(records).any():
        return records
    order = in_order(records, records["first"])
    records = records.take(order)
    same = same_ends(records)
    before = np.zeros(len(records), np.bool_)
    soon = records["first"][1:] - records["first"][:-1] <= EARLY
    before[:-1] = candidates[order][:-1] & opened(records)[1:] & same[1:] & soon & (records["packets"][:-1] > 0)
    starts = np.ones(len(records), np.bool_)
    starts[1:] = ~before[:-1]
    return join(records, np.flatnonzero(starts))


def _leave_together(table: Records, done: NDArray[np.bool_], silent: NDArray[np.int64]) -> None:
    """Lets the connections of one 5-tuple leave together.

    One that stayed behind would take the packets that come after the last.

    One without an opening gets no more packets once another was opened on its 5-tuple, so it does not keep that one
    back.
    """
    again = np.flatnonzero(repeated(table["hash"]))
    if not len(again):
        return
    rows = table.take(again)
    _, group = np.unique(rows["hash"], return_inverse=True)
    latest = np.full(len(again), LONG_AGO)
    np.maximum.at(latest, group, rows["anchor"])
    superseded = ~opened(rows) & (latest[group] > rows["last"]) & (silent[again] > SILENCE)
    stays = np.zeros(len(again), np.bool_)
    stays[group[~(done[again] | superseded)]] = True
    done[again] = ~stays[group]


class ConnectionTable:
    """The connections that may still go on, in bounded memory.

    Memory does not depend on the length of the input: what is over by more than 120 s of packet time is handed on,
    and beyond the limit the connections that were silent for longest are handed on as well, marked `early`.
    """

    def __init__(self, limits: Limits, knowledge: Knowledge | None) -> None:
        self._limits = limits
        self._knowledge = knowledge
        self._table = empty()
        self._pieces: list[Records] = []
        self._waiting = 0
        self._now = LONG_AGO
        self._begins: deque[int] = deque(maxlen=_BATCHES_OF_A_BLOCK)
        self.closed_early = 0

    def add(self, pieces: Records) -> Iterator[Records]:
        """Takes pieces; yields connections that are over."""
        if not len(pieces):
            return
        self._pieces.append(pieces)
        self._waiting += len(pieces)
        self._begins.append(int(pieces["first"].min()))
        self._now = max(self._now, min(self._begins))
        if self._waiting >= max(self._limits.pieces, len(self._table) // 2):
            self._join()
            yield from self._let_go()

    def until(self, time: int) -> Iterator[Records]:
        """Lets the time go on to a moment before which nothing more will come; yields connections that are over."""
        self._now = max(self._now, time)
        self._join()
        yield from self._let_go()

    def rest(self) -> Records:
        """All that is left, at the end of the input."""
        self._join()
        rest, self._table = self._table, empty()
        return out_of_order_joined(rest)

    def _join(self) -> None:
        self._table = joined(stacked([self._table, *self._pieces]))
        self._pieces.clear()
        self._waiting = 0

    def _let_go(self) -> Iterator[Records]:
        table = self._table
        silent = self._now - table["last"]
        tcp = table["protocol"] == TCP
        done = np.where(tcp, over(table), (table["protocol"] == UDP) | (table["protocol"] == SCTP)) & (silent > SILENCE)
        done |= (tcp & (silent > LONG_IDLE)) | ((table["packets"] == 0) & (silent > SILENCE))
        if done.any():
            _leave_together(table, done, silent)
            done &= ~kept_together(table, ~done, self._knowledge)
        excess = int((~done).sum()) - self._limits.connections
        if excess > 0:
            # A quarter more than needed, so that the next batch does not bring the table to its limit again.
            staying = np.flatnonzero(~done)
            count = min(len(staying), excess + self._limits.connections // 4)
            oldest = staying[np.argpartition(table["last"][staying], count - 1)[:count]]
            table["early"][oldest] = True
            done[oldest] = True
            self.closed_early += count
        if done.any():
            self._table = table.compress(~done)
            yield out_of_order_joined(table.compress(done))
