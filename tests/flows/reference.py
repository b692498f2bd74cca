"""A slow and obvious assembler of flows: one packet after the other, plain objects, no arrays.

Written from the rules, not from the code under test. It knows no cluster and keeps every packet in memory.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

SECOND = 1_000_000_000
SILENCE = 120 * SECOND
LONG_IDLE = (2 * 3600 + 4 * 60) * SECOND
TCP, UDP = 6, 17
FIN, SYN, RST, ACK = 1, 2, 4, 16

End = tuple[int, int]
"""Address as an integer, port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    time: int
    source: End
    destination: End
    protocol: int = TCP
    flags: int = 0
    sequence: int = 0
    acknowledgement: int = 0
    payload: int = 0
    length: int = 60
    quote: bool = False
    """Not a packet, but an ICMP unreachable's quotation of one."""


@dataclass(slots=True)
class Connection:
    packets: list[Packet] = field(default_factory=list)
    quoted: bool = False
    name: tuple[End, int] | None = None
    """Client and its initial sequence number."""

    def of(self, end: End) -> list[Packet]:
        return [packet for packet in self.packets if packet.source == end]

    @property
    def over(self) -> bool:
        resets = any(packet.flags & RST for packet in self.packets)
        fins = {packet.source for packet in self.packets if is_plain(packet) and packet.flags & FIN}
        progress = any((is_plain(packet) and packet.flags & ACK) or packet.payload for packet in self.packets)
        return resets or len(fins) == 2 or (self.name is not None and not progress)


def is_plain(packet: Packet) -> bool:
    return not packet.flags & (SYN | RST)


def name_of(packet: Packet) -> tuple[End, int] | None:
    if packet.quote or packet.protocol != TCP or packet.flags & RST or not packet.flags & SYN:
        return None
    if packet.flags & ACK:
        return packet.destination, (packet.acknowledgement - 1) % 2**32
    return packet.source, packet.sequence


def connections(packets: list[Packet]) -> list[Connection]:
    """The connections of one 5-tuple; packets in order of time."""
    found: list[Connection] = []
    latest: dict[object, Connection] = {}
    current: object = None
    for packet in packets:
        if packet.quote:
            continue
        name = name_of(packet)
        if name is not None:
            current = name
        connection = latest.get(current)
        if connection is not None:
            gap = packet.time - max(each.time for each in connection.packets)
            if packet.protocol == TCP:
                cut = gap > LONG_IDLE or (gap > SILENCE and connection.over)
                cut = cut or (name is not None and connection.name is None)
            else:
                cut = gap > SILENCE
            if cut:
                connection = None
        if connection is None:
            connection = latest[current] = Connection()
            found.append(connection)
        connection.name = connection.name or name
        connection.packets.append(packet)
    for quote in (packet for packet in packets if packet.quote):
        before = [connection for connection in found if connection.packets[0].time <= quote.time]
        if before:
            max(before, key=lambda connection: connection.packets[0].time).quoted = True
    return early_ones_joined(found)


def early_ones_joined(found: list[Connection]) -> list[Connection]:
    found.sort(key=lambda connection: connection.packets[0].time)
    result: list[Connection] = []
    for connection in found:
        before = result[-1] if result else None
        if (
            before is not None
            and before.packets[0].protocol == TCP
            and before.name is None
            and connection.name is not None
            and connection.packets[0].time - before.packets[0].time <= SECOND // 20
            and not any(packet.flags & (FIN | RST) for packet in before.packets)
        ):
            result[-1] = Connection(
                before.packets + connection.packets, before.quoted | connection.quoted, connection.name
            )
        else:
            result.append(connection)
    return result


def outcome(connection: Connection) -> str:  # noqa: PLR0911 - the rules one after the other
    packets = connection.packets
    if packets[0].protocol == UDP:
        if len({packet.source for packet in packets}) == 2:
            return "established"
        return "refused" if connection.quoted else "unanswered"
    if connection.name is None:
        return "midstream"
    client, _ = connection.name
    syn = any(name_of(packet) and not packet.flags & ACK for packet in packets)
    synack = any(name_of(packet) and packet.flags & ACK for packet in packets)
    answer = any(packet.source == client and is_plain(packet) and packet.flags & ACK for packet in packets)
    if syn and synack and answer:
        return "established"
    server_data = any(packet.source != client and packet.payload for packet in packets)
    if not syn or (not synack and (answer or server_data)):
        return "midstream"
    if connection.quoted or any(packet.flags & RST for packet in packets):
        return "refused"
    return "unanswered"


def direction(connection: Connection, kind: str) -> tuple[str | None, End, End]:
    """Evidence that the connection carries by itself, if any; client, server (or first sender, other)."""
    first = connection.packets[0]
    if first.protocol == UDP:
        return ("reply" if kind != "unanswered" else None), first.source, first.destination
    if connection.name is None:
        return None, first.source, first.destination
    client, _ = connection.name
    server = first.destination if first.source == client else first.source
    if any(name_of(packet) and not packet.flags & ACK for packet in connection.packets):
        return "syn", client, server
    answered = any(is_plain(packet) and packet.flags & ACK for packet in connection.packets)
    return ("synack" if answered else None), client, server


def assemble(packets: list[Packet]) -> dict[tuple[object, ...], tuple[int, ...]]:
    """(client, server, protocol, port, outcome) to connections, packets, bytes, times, two-way and evidence."""
    by_tuple: dict[tuple[object, ...], list[Packet]] = defaultdict(list)
    for packet in sorted(packets, key=lambda packet: packet.time):
        by_tuple[packet.protocol, frozenset([packet.source, packet.destination])].append(packet)
    everything = [(each, outcome(each)) for group in by_tuple.values() for each in connections(group)]
    judged = [(each, kind, *direction(each, kind)) for each, kind in everything]
    servers = {
        (each.packets[0].protocol, server)
        for each, kind, evidence, _, server in judged
        if kind == "established" and evidence == "syn"
    }
    met: dict[tuple[int, End], set[End]] = defaultdict(set)
    for each, _, evidence, client, server in judged:
        if evidence is None:
            met[each.packets[0].protocol, client].add(server)
            met[each.packets[0].protocol, server].add(client)
    peers = {end: len(others) for end, others in met.items()}
    rows: dict[tuple[object, ...], tuple[int, ...]] = {}
    strength = ["syn", "synack", "tracked", "declared", "confirmed", "fanin", "reply", "port", "unknown"]
    for each, kind, evidence, one, other in judged:
        protocol = each.packets[0].protocol
        known, client, server = evidence, one, other
        if known is None:
            known, client, server = from_the_rest(protocol, one, other, servers, peers)
        port: int | None = server[1]
        if known == "unknown":
            client, server = sorted([client, server])
            port = None
        times = [packet.time for packet in each.packets]
        two_way = len({packet.source for packet in each.packets if packet.payload}) == 2
        size = sum(packet.length for packet in each.packets)
        key = (client[0], server[0], protocol, port, kind)
        old = rows.get(key, (0, 0, 0, times[0], times[0], 0, len(strength)))
        rows[key] = (
            old[0] + 1,
            old[1] + len(times),
            old[2] + size,
            min(old[3], *times),
            max(old[4], *times),
            old[5] | two_way,
            min(old[6], strength.index(known)),
        )
    return rows


def from_the_rest(
    protocol: int,
    one: End,
    other: End,
    servers: set[tuple[int, End]],
    peers: Counter[object] | dict[tuple[int, End], int],
) -> tuple[str, End, End]:
    ends = [(one, other), (other, one)]
    confirmed = [pair for pair in ends if (protocol, pair[1]) in servers]
    if len(confirmed) == 1:
        return "confirmed", *confirmed[0]
    fans = [
        pair
        for pair in ends
        if peers[protocol, pair[1]] >= 3 and peers[protocol, pair[1]] >= 3 * peers[protocol, pair[0]]
    ]
    if len(fans) == 1:
        return "fanin", *fans[0]
    ports = [pair for pair in ends if pair[1][1] < 32768 <= pair[0][1]]
    if ports and (protocol == TCP or ports[0][0] == one):
        return "port", *ports[0]
    return "unknown", one, other
