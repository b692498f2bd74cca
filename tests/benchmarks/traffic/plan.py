"""Which connections there are: between whom, when they start, how long they are and how they end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKETS_PER_SECOND: Final = 2_000_000 / 1_800
"""Files of any size have the same rate, so a longer file differs from a shorter one in nothing but its length."""

_OUTSIDE, _WORKLOADS, _REPLICAS = 64, 40, 8
_DNS_SERVERS: Final = 2
_SERVER_PORTS: Final = (80, 443, 3000, 3306, 5432, 5672, 6379, 7000, 8000, 8080, 8443, 9090, 9092, 9200, 27017)
_FIRST_EPHEMERAL, _EPHEMERAL = 32_768, 28_232
_LONGEST_DATA: Final = 3_000
_LONGEST_SECONDS: Final = 60.0


class Kind(IntEnum):
    """How a conversation goes."""

    FINISHED = 0
    """TCP: handshake, data both ways, FIN from both."""
    RESET = 1
    """TCP: the same, ended by the client's RST."""
    OPEN = 2
    """TCP: the same, still open when the capture ends."""
    REFUSED = 3
    """TCP: SYN answered by RST."""
    UNANSWERED = 4
    """TCP: SYN and its retransmissions."""
    MIDSTREAM = 5
    """TCP: open before the capture began; data both ways, FIN from both."""
    LOOKUP = 6
    """UDP: one DNS question and its answer, or two (A and AAAA) from one socket."""
    PING = 7
    """ICMP: echo request and reply."""
    ARP = 8
    """ARP: one request, which no flow tool can use."""


_SHARES: Final = {
    Kind.FINISHED: 0.50,
    Kind.RESET: 0.04,
    Kind.OPEN: 0.02,
    Kind.REFUSED: 0.02,
    Kind.UNANSWERED: 0.02,
    Kind.MIDSTREAM: 0.01,
    Kind.LOOKUP: 0.25,
    Kind.PING: 0.10,
    Kind.ARP: 0.04,
}
HANDSHAKE: Final = np.array([3, 3, 3, 0, 0, 0, 0, 0, 0])
"""By kind: packets before the data."""
_AROUND_DATA: Final = np.array([7, 4, 3, 0, 0, 4, 0, 0, 0])
_FIXED_DATA: Final = {Kind.REFUSED: 2, Kind.PING: 2, Kind.ARP: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Conversations as columns, one entry each, in order of their start.

    Attributes:
        kind: `Kind`.
        start: Nanoseconds since the start of the capture.
        data: Packets between handshake and end; all packets of kinds that have neither.
        client: Index of the host that opens the conversation.
        server: Index of the other host.
        client_port: Ephemeral port; ICMP: the identifier.
        server_port: Server's port, 0 where there is none.
        six: Over IPv6.
        tunnelled: Inside VXLAN.
        pace: Mean seconds between data packets.
        hosts: IPv4 address of each host as an integer.
    """

    kind: NDArray[np.uint8]
    start: NDArray[np.int64]
    data: NDArray[np.int64]
    client: NDArray[np.int64]
    server: NDArray[np.int64]
    client_port: NDArray[np.int64]
    server_port: NDArray[np.int64]
    six: NDArray[np.bool_]
    tunnelled: NDArray[np.bool_]
    pace: NDArray[np.float64]
    hosts: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def packets(self) -> NDArray[np.int64]:
        """Packets of each conversation."""
        return _AROUND_DATA[self.kind] + self.data


def make_plan(packets: int, *, rng: np.random.Generator, vxlan: float = 0.0, arp: bool = True) -> Plan:
    """Plan conversations that have exactly so many packets together.

    Args:
        packets: Packets of the whole file.
        rng: Source of every choice.
        vxlan: Share of the conversations that is inside VXLAN.
        arp: Whether the link can carry ARP.
    """
    kind, data = _lengths(packets, rng, arp=arp)
    count = len(kind)
    start = (rng.random(count) * (packets / PACKETS_PER_SECOND) * 1e9).astype(np.int64)
    before_capture = kind == Kind.MIDSTREAM
    start[before_capture] = rng.integers(0, 10**9, int(before_capture.sum()))
    order = np.argsort(start, kind="stable")
    kind, data, start = kind[order], data[order], start[order]

    hosts, port_of = _hosts(rng)
    six = (rng.random(count) < 0.03) & (kind <= Kind.LOOKUP) & ~before_capture[order]
    client, server = _ends(kind, six, rng)
    server_port = np.where(kind == Kind.LOOKUP, 53, port_of[server])
    server_port[np.isin(kind, (Kind.PING, Kind.ARP))] = 0
    sockets = _occurrence(client) + rng.integers(0, _EPHEMERAL, len(hosts))[client]
    pace = np.minimum(rng.lognormal(np.log(0.003), 2.0, count), _LONGEST_SECONDS / data)
    return Plan(
        kind=kind,
        start=start,
        data=data,
        client=client,
        server=server,
        client_port=_FIRST_EPHEMERAL + sockets % _EPHEMERAL,
        server_port=server_port,
        six=six,
        tunnelled=(rng.random(count) < vxlan) & (kind != Kind.ARP),
        pace=pace,
        hosts=hosts,
    )


def _lengths(packets: int, rng: np.random.Generator, *, arp: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Kinds and data lengths that add up to exactly `packets`; the last conversations are fitted to what is left."""
    shares = np.array([share if arp or kind != Kind.ARP else 0.0 for kind, share in _SHARES.items()])
    count = packets // 8 + 16  # the mean is near 25, so this is always enough
    kind = rng.choice(np.array(list(_SHARES), np.uint8), count, p=shares / shares.sum())
    data = 2 + np.minimum(rng.lognormal(np.log(12), 1.4, count).astype(np.int64), _LONGEST_DATA)
    lookups = kind == Kind.LOOKUP
    data[lookups] = rng.choice([2, 4], int(lookups.sum()))
    unanswered = kind == Kind.UNANSWERED
    data[unanswered] = rng.integers(1, 4, int(unanswered.sum()))
    for fixed, length in _FIXED_DATA.items():
        data[kind == fixed] = length

    total = np.cumsum(_AROUND_DATA[kind] + data)
    kept = int(np.searchsorted(total, packets, side="right"))
    left = packets - (int(total[kept - 1]) if kept else 0)
    filler = []
    if left >= 9:
        filler.append((Kind.FINISHED, left - int(_AROUND_DATA[Kind.FINISHED])))
    else:
        filler.extend((Kind.UNANSWERED, min(3, left - done)) for done in range(0, left, 3))
    kinds = np.array([kind for kind, _ in filler], np.uint8)
    lengths = np.array([length for _, length in filler], np.int64)
    return np.concatenate([kind[:kept], kinds]), np.concatenate([data[:kept], lengths])


def _hosts(rng: np.random.Generator) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Addresses and server ports: clients outside the cluster, the replicas of each workload, the DNS servers last."""
    pods = np.arange(_WORKLOADS * _REPLICAS)
    pod_networks = 0x0AF4_0000 + ((pods % 8 + 1) << 8) + pods // 8 + 2  # 10.244.NODE.x, replicas on different nodes
    outside = 0xC633_6400 + 1 + np.arange(_OUTSIDE)  # 198.51.100.x
    dns = 0x0AF4_0002 + np.arange(_DNS_SERVERS)
    ports = np.repeat(rng.choice(_SERVER_PORTS, _WORKLOADS), _REPLICAS)
    port_of = np.concatenate([np.zeros(_OUTSIDE, np.int64), ports, np.full(_DNS_SERVERS, 53)])
    return np.concatenate([outside, pod_networks, dns]).astype(np.uint32), port_of


def _ends(
    kind: NDArray[np.uint8], six: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clients and servers: workloads call later workloads only, a few edges carry most of the traffic."""
    callers = np.repeat(np.arange(-1, _WORKLOADS - 1), 3)  # -1: outside, which calls the first three workloads
    reach = np.minimum(_WORKLOADS - 1 - callers, 12)
    callees = callers + 1 + (rng.random(len(callers)) * reach).astype(np.int64)
    callees[callers < 0] = np.arange(3)
    weight = 1 / np.arange(1, len(callers) + 1)
    edge = rng.choice(len(callers), len(kind), p=rng.permutation(weight / weight.sum()))
    inside = _OUTSIDE + callers[edge] * _REPLICAS + rng.integers(0, _REPLICAS, len(kind))
    client = np.where(callers[edge] < 0, rng.integers(0, _OUTSIDE, len(kind)), inside)
    server = _OUTSIDE + callees[edge] * _REPLICAS + rng.integers(0, _REPLICAS, len(kind))

    lookups = np.flatnonzero(kind == Kind.LOOKUP)
    client[lookups] = _OUTSIDE + rng.integers(0, _WORKLOADS * _REPLICAS, len(lookups))
    server[lookups] = _OUTSIDE + _WORKLOADS * _REPLICAS + rng.integers(0, _DNS_SERVERS, len(lookups))

    # Whoever was open before the capture talks to a server that is seen to accept a connection later, as pools do.
    opened = np.flatnonzero((kind <= Kind.OPEN) & ~six)
    midstream = np.flatnonzero(kind == Kind.MIDSTREAM)
    if len(opened):
        like = rng.choice(opened, len(midstream))
        client[midstream], server[midstream] = client[like], server[like]
    return client, server


def _occurrence(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each entry's value occurred before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered, side="left")
    occurrence = np.empty(len(values), np.int64)
    occurrence[order] = np.arange(len(values)) - first
    return occurrence
