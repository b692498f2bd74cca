"""One batch of packets to partial connections: a sort, then reductions over runs, nothing packet by packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.packets import (
    ICMP_REPLY,
    ICMP_REQUEST,
    SCTP_ABORT,
    SCTP_COOKIE_ECHO,
    SCTP_INIT,
    SCTP_INIT_ACK,
    SCTP_SHUTDOWN,
    PacketBatch,
    Unreachables,
)
from netpol.capture.views import one_of
from netpol.flows.limits import SILENCE
from netpol.flows.records import (
    ACK,
    DATA,
    FIN,
    FROM_HIGH,
    QUOTED,
    RST,
    SEEN,
    SYN,
    SYNACK,
    Records,
    empty,
    mixed,
)
from netpol.flows.views import ANSWERER, ASKER
from netpol.model.flow import ICMP, ICMPV6, PORT_PROTOCOLS, SCTP, TCP

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TCP_FIN, _TCP_SYN, _TCP_RST, _TCP_ACK = 1, 2, 4, 16
_OPENING: Final = np.uint16((SYN | SYNACK) << FROM_HIGH | SYN | SYNACK)


def _tcp_events(flags: int) -> int:
    """A RST is nothing else; a SYN, whatever comes with it, is no plain acknowledgement."""
    if flags & _TCP_RST:
        return SEEN | RST
    if flags & _TCP_SYN:
        return SEEN | (SYNACK if flags & _TCP_ACK else SYN)
    return SEEN | (ACK if flags & _TCP_ACK else 0) | (FIN if flags & _TCP_FIN else 0)


def _sctp_events(flags: int) -> int:
    pairs = (
        (SCTP_INIT, SYN),
        (SCTP_INIT_ACK, SYNACK),
        (SCTP_COOKIE_ECHO, ACK),
        (SCTP_ABORT, RST),
        (SCTP_SHUTDOWN, FIN),
    )
    return SEEN | sum(event for bit, event in pairs if flags & bit)


def _icmp_events(flags: int) -> int:
    return SEEN | (SYN if flags & ICMP_REQUEST else 0) | (SYNACK if flags & ICMP_REPLY else 0)


_EVENTS: Final = {
    protocol: bytes(map(rule, range(256)))
    for protocol, rule in ((TCP, _tcp_events), (SCTP, _sctp_events), (ICMP, _icmp_events), (ICMPV6, _icmp_events))
}
"""By protocol: flags to events. The others' flags say nothing."""


def _events(batch: PacketBatch) -> NDArray[np.uint16]:
    """The events of each packet, in the place of the low end's."""
    events = np.frombuffer(batch.flags.tobytes().translate(_EVENTS[TCP]), np.uint8).astype(np.uint16)
    others = np.flatnonzero(batch.protocol != TCP)
    protocol, flags = batch.protocol[others], batch.flags[others]
    shown = np.full(len(others), SEEN, np.uint16)
    for each in (SCTP, ICMP, ICMPV6):
        its = protocol == each
        shown[its] = np.frombuffer(flags[its].tobytes().translate(_EVENTS[each]), np.uint8)
    events[others] = shown
    events |= (batch.payload > 0).astype(np.uint16) << np.uint16(DATA.bit_length() - 1)
    return events


class _Ends:
    """The 5-tuples of packets with their ends in canonical order, as columns of 64-bit integers."""

    def __init__(
        self, packets: PacketBatch | Unreachables, ports: tuple[NDArray[np.uint16], NDArray[np.uint16]]
    ) -> None:
        self.family = packets.family
        source, destination = packets.source, packets.destination
        protocol = packets.protocol.astype(np.uint64) << np.uint64(48)
        if self.family == 4:
            sender = source.astype(np.uint64) << np.uint64(16) | ports[0]
            receiver = destination.astype(np.uint64) << np.uint64(16) | ports[1]
            self.from_high = sender > receiver
            self.keys = [np.minimum(sender, receiver) | protocol, np.maximum(sender, receiver)]
        else:
            self.from_high = _above(source, ports[0], destination, ports[1])
            swap = self.from_high[:, None]
            low, high = np.where(swap, destination, source), np.where(swap, source, destination)
            low_port, high_port = (np.where(self.from_high, *pair) for pair in (ports[::-1], ports))
            self.keys = [low_port | protocol, high_port.astype(np.uint64), low[:, 0], low[:, 1], high[:, 0], high[:, 1]]

    def hashes(self) -> NDArray[np.uint64]:
        return mixed(self.keys)

    def fill(self, records: Records, rows: NDArray[np.intp]) -> None:
        keys = [key[rows] for key in self.keys]
        records["family"] = self.family
        records["protocol"] = keys[0] >> np.uint64(48)
        records["low_port"] = keys[0] & np.uint64(0xFFFF)
        records["high_port"] = keys[1] & np.uint64(0xFFFF)
        if self.family == 4:
            records["low"] = keys[0] >> np.uint64(16) & np.uint64(0xFFFF_FFFF)
            records["high"] = keys[1] >> np.uint64(16)
        else:
            for name, key in zip(("low_high", "low", "high_high", "high"), keys[2:], strict=True):
                records[name] = key


def _above(
    a: NDArray[np.unsignedinteger],
    a_port: NDArray[np.uint16],
    b: NDArray[np.unsignedinteger],
    b_port: NDArray[np.uint16],
) -> NDArray[np.bool_]:
    same_high, same = a[:, 0] == b[:, 0], a[:, 1] == b[:, 1]
    result: NDArray[np.bool_] = (a[:, 0] > b[:, 0]) | (same_high & ((a[:, 1] > b[:, 1]) | (same & (a_port > b_port))))
    return result


def _ports(
    packets: PacketBatch | Unreachables, flags: NDArray[np.uint8] | None
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The ports that tell conversations apart: none without a transport that has them; ICMP's tell who asked."""
    source, destination = packets.source_port, packets.destination_port
    rows = np.flatnonzero(~one_of(packets.protocol, PORT_PROTOCOLS))
    if not len(rows):
        return source, destination
    source, destination = source.copy(), destination.copy()
    source[rows] = destination[rows] = 0
    protocol = packets.protocol[rows]
    icmp = (protocol == ICMP) | (protocol == ICMPV6)
    kind = np.full(len(rows), ICMP_REQUEST, np.uint8) if flags is None else flags[rows]
    asked, replied = (rows[icmp & (kind & bit != 0)] for bit in (ICMP_REQUEST, ICMP_REPLY))
    source[asked], destination[asked] = ASKER, ANSWERER
    source[replied], destination[replied] = ANSWERER, ASKER
    return source, destination


def pieces_of(batch: PacketBatch) -> Records:
    """Partial connections of a batch, in no particular order between 5-tuples, in order of time within one.

    A piece never holds two connections: it ends where a SYN or SYN-ACK of another connection comes (a SYN-ACK names
    the client's initial sequence number in its acknowledgement, so it belongs to its SYN even when it was captured
    before it), and at a silence of more than 120 s. It can be less than a connection; joining is done elsewhere.
    """
    if np.any(batch.time[1:] < batch.time[:-1]):
        batch = _by_time(batch)
    ends = _Ends(batch, _ports(batch, batch.flags))
    hashes = ends.hashes()
    order = _grouped(hashes)
    begins = np.zeros(len(batch), np.bool_)
    begins[:1] = True
    for key in ends.keys:
        ordered = key[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    events = _events(batch)
    events <<= ends.from_high.astype(np.uint16) << np.uint16(3)
    events = events[order]
    opening = _Openings(batch, order, events, ends.from_high)
    if len(batch) and batch.time[-1] - batch.time[0] > SILENCE:
        times = batch.time[order]
        begins[1:] |= times[1:] - times[:-1] > SILENCE
    begins[opening.splits(begins)] = True
    starts = np.flatnonzero(begins)
    result = empty(len(starts))
    ends.fill(result, order[starts])
    result["hash"] = hashes[order[starts]]
    result["first"] = batch.time[order[starts]]
    result["last"] = batch.time[order[np.append(starts[1:], len(batch)) - 1]] if len(starts) else 0
    result["opened_high"] = ends.from_high[order[starts]]
    result["packets"] = np.diff(starts, append=len(batch))
    if len(starts):
        result["bytes"] = np.add.reduceat(batch.length[order], starts, dtype=np.int64)
        result["events"] = np.bitwise_or.reduceat(events, starts)
    opening.fill(result, starts)
    return result


def _by_time(batch: PacketBatch) -> PacketBatch:
    order = np.argsort(batch.time, kind="stable")
    columns = {name: getattr(batch, name)[order] for name in PacketBatch.__dataclass_fields__ if name != "family"}
    return PacketBatch(family=batch.family, **columns)


def _grouped(hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """An order in which equal hashes stand together, each in its former order.

    Only the high bits of the hash take part, beside the position. Different 5-tuples that meet there are told apart
    by their keys afterwards; a conversation that is torn apart by one is only two pieces instead of one.
    """
    mask = np.uint64((1 << max(1, len(hashes).bit_length())) - 1)
    packed = (hashes & ~mask) | np.arange(len(hashes), dtype=np.uint64)
    packed.sort()
    order: NDArray[np.intp] = (packed & mask).astype(np.intp)
    return order


class _Openings:
    """The SYN and SYN-ACK (INIT and INIT ACK) of a batch in its grouped order."""

    def __init__(
        self,
        batch: PacketBatch,
        order: NDArray[np.intp],
        events: NDArray[np.uint16],
        from_high: NDArray[np.bool_],
    ) -> None:
        at = np.flatnonzero(events & _OPENING)
        protocol = batch.protocol[order[at]]
        wanted = (protocol == TCP) | (protocol == SCTP)
        at, self._tcp = at[wanted], protocol[wanted] == TCP
        rows = order[at]
        self._at = at
        self._answer = (events[at] & np.uint16(SYNACK << FROM_HIGH | SYNACK)) != 0
        self._sequence = batch.sequence[rows]
        self._time = batch.time[rows]
        self._side = (from_high[rows] ^ self._answer).astype(np.uint8)
        told = batch.acknowledgement[rows] - self._tcp.astype(np.uint32)  # TCP acknowledges the number after the SYN's
        self._isn = np.where(self._answer, told, self._sequence)

    def splits(self, begins: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Positions where another TCP connection begins on a 5-tuple."""
        at = self._at[self._tcp]
        isn, side = self._isn[self._tcp], self._side[self._tcp]
        group = np.searchsorted(np.flatnonzero(begins), at, side="right")
        new = np.ones(len(at), np.bool_)
        new[1:] = (group[1:] != group[:-1]) | (isn[1:] != isn[:-1]) | (side[1:] != side[:-1])
        positions: NDArray[np.intp] = at[new]
        return positions

    def fill(self, pieces: Records, starts: NDArray[np.intp]) -> None:
        """Writes who opened each piece, the initial sequence numbers and the times of the handshake."""
        piece = np.searchsorted(starts, self._at, side="right") - 1
        pieces["anchor"][piece] = self._time  # the last one stays
        everything = np.ones(len(piece), np.bool_)
        for name, chosen, values in (
            ("side", everything, self._side),
            ("client_isn", everything, self._isn),
            ("syn", ~self._answer, self._time),
            ("synack", self._answer, self._time),
            ("server_isn", self._answer, self._sequence),
        ):
            pieces[name][piece[chosen][::-1]] = values[chosen][::-1]


def ends_of(batch: PacketBatch) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """uint64[n], the hash that each packet's record has; and bool[n], the record's high end sent the packet."""
    ends = _Ends(batch, _ports(batch, batch.flags))
    return ends.hashes(), ends.from_high


def pieces_of_quotes(quotes: Unreachables) -> Records:
    """What unreachables quote, as pieces without packets that join the connection they are about."""
    ends = _Ends(quotes, _ports(quotes, None))
    result = empty(len(quotes))
    ends.fill(result, np.arange(len(quotes)))
    result["hash"] = ends.hashes()
    result["first"] = result["last"] = quotes.time
    result["opened_high"] = ends.from_high
    result["events"] = np.uint16(QUOTED) << (ends.from_high.astype(np.uint16) << np.uint16(3))
    return result
