"""A flow: what one client and one server said to each other on one port, and how we know who was who."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
"""IANA protocol numbers of the transports that netpol follows."""

PORT_PROTOCOLS = frozenset({TCP, UDP, SCTP})
"""The transports that have ports, and the only ones that a NetworkPolicy can name."""

_PROTOCOL_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPV6: "ICMPv6", SCTP: "SCTP"}


def protocol_name(number: int) -> str:
    """`TCP`, `UDP`, `SCTP`, `ICMP`, `ICMPv6`, or the IP protocol number as text."""
    return _PROTOCOL_NAMES.get(number, str(number))


class Outcome(IntEnum):
    """What became of a connection attempt. The numbers are what the columnar store holds."""

    ESTABLISHED = 0
    """TCP: SYN, SYN-ACK and the client's answer. SCTP: INIT, INIT-ACK, COOKIE. UDP and ICMP: answered."""
    REFUSED = 1
    """Answered by a reset, an abort or an ICMP unreachable before it was established."""
    UNANSWERED = 2
    """Nobody answered; one-way UDP too."""
    MIDSTREAM = 3
    """Packets without a complete handshake: the connection was older than the capture, or the handshake was lost."""
    UNKNOWN = 4
    """Somebody tried, and the log that says so does not tell what came of it. No capture has this."""

    @property
    def label(self) -> str:
        """The word used in every output."""
        return self.name.lower()


class Direction(IntEnum):
    """The evidence that decided who is the client, strongest first. The numbers are what the columnar store holds."""

    SYN = 0
    """A TCP SYN or an SCTP INIT."""
    SYNACK = 1
    """A SYN-ACK or INIT-ACK that the other side answered; the opening packet itself was not captured."""
    TRACKED = 2
    """Whoever recorded it kept track of connections, and says who opened it: a flow log, or a table of connections."""
    DECLARED = 3
    """Exactly one side's port is declared by a containerPort, a Service or an EndpointSlice."""
    CONFIRMED = 4
    """Another handshake in this data shows the same (address, port) as a server."""
    FANIN = 5
    """One (address, port) met clearly more distinct peers than the other."""
    REPLY = 6
    """UDP and ICMP: the first sender, whose message was answered."""
    PORT = 7
    """A well-known port broke a tie."""
    UNKNOWN = 8
    """Not known: reported, and never turned into a rule."""

    @property
    def label(self) -> str:
        """The word used in every output."""
        return self.name.lower()


NO_TENANCY = -1
"""No owner is known for the address at that time."""

AMBIGUOUS_TENANCY = -2
"""More than one owner held the address while the flow lasted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One row: all connections of one (client, server, protocol, port, outcome).

    When `direction` is UNKNOWN, client and server stand in address order and `port` is None.

    Attributes:
        protocol: IP protocol number.
        port: The server's port, None for protocols without ports and for an unknown direction.
        connections: TCP: handshakes told apart by initial sequence number, midstream ones by 5-tuple; UDP and SCTP:
            5-tuples, a new one after 120 s of silence; others: address pairs.
        packets: Packets of both directions.
        bytes: Their original lengths on the wire, headers included.
        first_seen: Packet time, nanoseconds since the Unix epoch.
        last_seen: Packet time, nanoseconds since the Unix epoch.
        two_way: Payload went both ways.
        client_tenancy: Index of the client's tenancy in the timeline, NO_TENANCY or AMBIGUOUS_TENANCY.
        server_tenancy: The same for the server.
    """

    client: Address
    server: Address
    protocol: int
    port: int | None
    outcome: Outcome
    direction: Direction
    connections: int
    packets: int
    bytes: int
    first_seen: int
    last_seen: int
    two_way: bool
    client_tenancy: int = NO_TENANCY
    server_tenancy: int = NO_TENANCY
