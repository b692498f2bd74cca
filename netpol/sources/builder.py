"""Entries of logs, one by one, to the columns that `netpol.flows.assemble` takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.flows.records import FROM_HIGH, HIGH_CLIENT, LOW_CLIENT, NEVER, NO_CLIENT, Records, empty, hashes
from netpol.flows.rows import NO_PORT, ROW, Rows
from netpol.flows.views import ANSWERER, ASKER
from netpol.model.flow import NO_TENANCY, PORT_PROTOCOLS, Direction, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from netpol.model.flow import Address

AT_ONCE: Final = 1 << 15
"""Entries that are collected before they become columns."""

_HALF: Final = (1 << 64) - 1


class End(NamedTuple):
    """One end of a connection, in the order that records keep their ends in.

    Attributes:
        family: 4 or 6.
        high: High half of the address, 0 for IPv4.
        low: Low half.
        port: 0 where there is none.
    """

    family: int
    high: int
    low: int
    port: int


@lru_cache(maxsize=1 << 14)
def _halves(text: str) -> tuple[int, int, int]:
    address: Address = ip_address(text)
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address) >> 64, int(address) & _HALF


def end_of(address: str, port: int = 0) -> End:
    """The end at an address in text; an IPv4-mapped IPv6 address is the IPv4 one, as on the wire.

    Raises:
        ValueError: It is no address, or no port.
    """
    if not 0 <= port <= 65535:
        raise ValueError("a port beyond 65535")
    if "%" in address:
        raise ValueError("an address with a zone")
    return End(*_halves(address), port)


def identity_of(text: str) -> tuple[int, int]:
    """Two 32-bit words that stand for initial sequence numbers where a log has other names for its connections."""
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one log entry says of a connection.

    Attributes:
        one: The end that `events_of_one` speaks of; the client where `client_known`, else who was seen first.
        other: The end opposite, of the same family.
        protocol: IP protocol number.
        first: Nanoseconds since the Unix epoch.
        last: The same, not before `first`.
        events_of_one: As in `netpol.flows.records`.
        events_of_other: The same.
        opened: `one` opened it, by a SYN or INIT that the log tells of.
        answered: `other` answered that, by a SYN-ACK or INIT ACK that the log tells of.
        tracked: Whoever wrote the log kept track of connections: `one` is the client.
        identity: Two words that no other connection of the same ends has, as `identity_of` makes them.
        packets: At least 1.
        bytes: 0 where the log does not tell.
    """

    one: End
    other: End
    protocol: int
    first: int
    last: int
    events_of_one: int = 0
    events_of_other: int = 0
    opened: bool = False
    answered: bool = False
    tracked: bool = False
    identity: tuple[int, int] = (0, 0)
    packets: int = 1
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a log says of connections as a whole: of who opened them, it was told by somebody who kept track of them.

    Attributes:
        client: Who opened them; the port is told where it is known.
        server: Who was to answer.
        outcome: What came of them, as far as the log tells.
        two_way: Data went both ways, or the log does not tell: a silence that nobody speaks of is none.
        first: Nanoseconds since the Unix epoch, None where the log has no times.
        last: The same.
        connections: How many, at least 1.
        key: What other entries about the same connections have too; None where each entry is about connections of its
            own.
        teller: Who says so, of those whose entries have the same key. What two tellers say is the same told twice, and
            adds nothing but what one knows more; what one teller says twice is of other connections.
    """

    protocol: int
    client: End
    server: End
    outcome: Outcome
    two_way: bool = False
    first: int | None = None
    last: int | None = None
    connections: int = 1
    packets: int = 0
    bytes: int = 0
    key: Hashable | None = None
    teller: str = ""

    def with_(self, other: Whole) -> Whole:
        """What two tellers of the same connections say together: the greater counts, the better outcome."""
        return self._joined(other, max)

    def and_(self, other: Whole) -> Whole:
        """What one teller said of some connections and of others: the counts together, the better outcome."""
        return self._joined(other, _added)

    def _joined(self, other: Whole, both: Callable[[int, int], int]) -> Whole:
        return replace(
            self,
            outcome=min(self.outcome, other.outcome, key=_KNOWS_MOST.index),
            two_way=self.two_way or other.two_way,
            first=min((each for each in (self.first, other.first) if each is not None), default=None),
            last=max((each for each in (self.last, other.last) if each is not None), default=None),
            connections=both(self.connections, other.connections),
            packets=both(self.packets, other.packets),
            bytes=both(self.bytes, other.bytes),
        )


def _added(one: int, other: int) -> int:
    """A sum that a column of the table can hold."""
    return min(one + other, 1 << 50)


_KNOWS_MOST: Final = (Outcome.ESTABLISHED, Outcome.MIDSTREAM, Outcome.REFUSED, Outcome.UNANSWERED, Outcome.UNKNOWN)


def rows_of(found: Sequence[Whole], changed: int) -> Rows:
    """Rows of connections, one each, in their order.

    Args:
        found: At least one.
        changed: Stands for times that logs do not tell, nanoseconds since the Unix epoch.
    """
    rows = np.zeros(len(found), ROW)
    for name, values in (
        ("family", [each.client.family for each in found]),
        ("client_high", [each.client.high for each in found]),
        ("client", [each.client.low for each in found]),
        ("server_high", [each.server.high for each in found]),
        ("server", [each.server.low for each in found]),
        ("protocol", [each.protocol for each in found]),
        ("port", [each.server.port if each.protocol in PORT_PROTOCOLS else NO_PORT for each in found]),
        ("first", [changed if each.first is None else each.first for each in found]),
        ("last", [changed if each.last is None else each.last for each in found]),
        ("outcome", [each.outcome for each in found]),
        ("two_way", [each.two_way for each in found]),
        ("connections", [each.connections for each in found]),
        ("packets", [each.packets for each in found]),
        ("bytes", [each.bytes for each in found]),
    ):
        rows[name] = np.array(values, rows[name].dtype)
    # A clock that was set back between two events puts the end before the beginning.
    first, last = rows["first"].copy(), rows["last"].copy()
    rows["first"], rows["last"] = np.minimum(first, last), np.maximum(first, last)
    rows["direction"] = Direction.TRACKED
    rows["client_tenancy"] = rows["server_tenancy"] = NO_TENANCY
    return rows


def records_of(entries: list[Entry], *, asker_ports: bool = True) -> Records:
    """Partial connections of the entries, in their order.

    Args:
        entries: Of ends of equal families.
        asker_ports: ICMP and ICMPv6 entries have who asked as `one`.
    """
    result = empty(len(entries))
    rows = [_row(entry, asker_ports=asker_ports) for entry in entries]
    for name, column in zip(_COLUMNS, zip(*rows, strict=True), strict=False):
        result[name] = np.array(column, result[name].dtype)
    result["hash"] = hashes(result)
    return result


_COLUMNS: Final = (
    *("family", "low_high", "low", "low_port", "high_high", "high", "high_port", "protocol", "first", "last"),
    *("events", "side", "opened_high", "syn", "synack", "anchor", "client_isn", "server_isn"),
    *("packets", "bytes", "tracked"),
)


def _row(entry: Entry, *, asker_ports: bool) -> tuple[int, ...]:
    one, other = entry.one, entry.other
    if entry.protocol not in PORT_PROTOCOLS:
        ports = (ASKER, ANSWERER) if asker_ports and entry.protocol in {1, 58} else (0, 0)
        one, other = one._replace(port=ports[0]), other._replace(port=ports[1])
    swapped = one[1:] > other[1:]
    low, high = (other, one) if swapped else (one, other)
    mine, theirs = entry.events_of_one, entry.events_of_other
    events = (theirs | mine << FROM_HIGH) if swapped else (mine | theirs << FROM_HIGH)
    shaken = entry.opened or entry.answered
    client = HIGH_CLIENT if swapped else LOW_CLIENT
    return (
        low.family,
        *low[1:],
        *high[1:],
        entry.protocol,
        entry.first,
        entry.last,
        events,
        client if shaken else NO_CLIENT,
        swapped,
        entry.first if entry.opened else NEVER,
        min(entry.first + 1, entry.last) if entry.answered else NEVER,
        entry.first if shaken else _LONG_AGO,
        entry.identity[0] if shaken else 0,
        entry.identity[1] if entry.answered else 0,
        entry.packets,
        entry.bytes,
        entry.tracked,
    )


_LONG_AGO: Final = int(np.iinfo(np.int64).min)
