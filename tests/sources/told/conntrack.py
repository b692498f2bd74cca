"""As conntrack-tools tell it: `conntrack -E -o timestamp` and `conntrack -L`, each node's own.

Source: conntrack(8); libnetfilter_conntrack, src/conntrack/snprintf_default.c (the order of protocol, seconds, state,
original tuple, [UNREPLIED], reply tuple, [ASSURED]); the kernel's nf_conntrack_proto_tcp.c for the states. The node of
the client sees the Service's address in the original tuple, and in the reply's the pod that was put in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sources.told.packets import FIN, TCP, Socket
from tests.sources.told.text import epoch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.sources.told.connections import Connection, Snapshot


def events(found: Iterable[Connection], snapshot: Snapshot, node: str) -> Iterator[str]:
    """`conntrack -E -o timestamp` on one node; what was open before it began has no event but its end."""
    told: list[tuple[int, str]] = []
    for connection in found:
        tuples = _tuples(connection, snapshot, node)
        if tuples is not None:
            told += [(time, f"[{epoch(time)}]\t{text}") for time, text in _events(connection, *tuples)]
    for _, line in sorted(told):
        yield line


def listing(found: Iterable[Connection], snapshot: Snapshot, node: str) -> Iterator[str]:
    """`conntrack -L` on one node at the end: what is still open."""
    count = 0
    for connection in found:
        tuples = _tuples(connection, snapshot, node)
        if tuples is not None and connection.protocol == TCP and not connection.closed:
            there, back = tuples
            if connection.outcome in {"established", "midstream"}:
                count += 1
                yield f"tcp      6 431999 ESTABLISHED {there} {back} [ASSURED] mark=0 use=1"
    yield f"conntrack v1.4.7 (conntrack-tools): {count} flow entries have been shown."


def _tuples(connection: Connection, snapshot: Snapshot, node: str) -> tuple[str, str] | None:
    """Both tuples, as the node knows them; None where it has no part in the connection."""
    client, server = (snapshot.pod(each.address, connection.first) for each in (connection.client, connection.server))
    homes = [client.node if client else snapshot.nodes.get(connection.client.address)]
    homes.append(server.node if server else snapshot.nodes.get(connection.server.address))
    if node not in homes:
        return None
    translates = node == homes[0] or homes[0] is None
    there = connection.client, (connection.asked if translates and connection.asked else connection.server)
    back = connection.server, (connection.hidden if translates and connection.hidden else connection.client)
    return _tuple(*there), _tuple(*back)


def _tuple(source: Socket, destination: Socket) -> str:
    return f"src={source.address} dst={destination.address} sport={source.port} dport={destination.port}"


def _events(connection: Connection, there: str, back: str) -> Iterator[tuple[int, str]]:
    answered = connection.back[0] > 0 and connection.outcome != "unanswered"
    if connection.protocol != TCP:
        yield connection.first, f"    [NEW] udp      17 30 {there} [UNREPLIED] {back}"
        if answered and connection.outcome == "established":
            yield connection.last, f" [UPDATE] udp      17 30 {there} {back}"
        yield connection.last + 30 * 10**9, f"[DESTROY] udp      17 {there}{'' if answered else ' [UNREPLIED]'} {back}"
        return
    if connection.outcome != "midstream":
        yield connection.first, f"    [NEW] tcp      6 120 SYN_SENT {there} [UNREPLIED] {back}"
    if connection.outcome in {"established", "half-open"}:
        yield connection.first + 1000, f" [UPDATE] tcp      6 60 SYN_RECV {there} {back}"
    if connection.outcome == "established":
        yield connection.established, f" [UPDATE] tcp      6 432000 ESTABLISHED {there} {back} [ASSURED]"
    if connection.outcome in {"established", "midstream"} and connection.closed:
        ends = any(packet.flags & FIN for packet in connection.packets)
        state = "120 FIN_WAIT" if ends else "10 CLOSE"
        yield connection.closed, f" [UPDATE] tcp      6 {state} {there} {back} [ASSURED]"
    elif connection.outcome == "half-open":
        yield connection.last, f" [UPDATE] tcp      6 10 CLOSE {there} {back}"
    elif connection.outcome == "refused":  # as a real kernel says it: see test_conntrack.py
        yield connection.last, f"[DESTROY] tcp      6 120 CLOSE {there} [UNREPLIED] {back}"
