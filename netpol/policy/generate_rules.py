"""The rules of one workload in one direction, from the edges of the graph."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network
from typing import TYPE_CHECKING

from netpol.graph.label_graph import OutsideGroup
from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.endpoint import NodeEnd
from netpol.model.flow import SCTP, TCP, UDP, Address
from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer, Peer, PodPeer, PolicyPort, Rule
from netpol.model.ports import PortSet
from netpol.policy.minimise import fewest_rectangles
from netpol.policy.outside_world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.graph.label_graph import Edge, Vertex
    from netpol.graph.selectors import Selectors

_Members = tuple[LabelSelector, ...] | tuple[Address, ...] | tuple[IPBlock, ...]

SHORTEST_RANGE = 3
"""Consecutive ports from which on they are written as a range: two read better one by one."""


@dataclass(frozen=True, slots=True, order=True)
class PeerGroup:
    """Who stands in one row of the matrix; sorted as a reader looks for it: own namespace, others, nodes, outside.

    Attributes:
        place: 0 own namespace, 1 another, 2 node, 3 outside.
        namespace: Empty for addresses.
        selectors: As text, to sort by.
    """

    place: int
    namespace: str
    selectors: tuple[str, ...]
    first: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one direction.

    Attributes:
        lower_bound: No set of rules that allows exactly the same has fewer.
    """

    rules: tuple[Rule, ...] = ()
    lower_bound: int = 0


@dataclass(frozen=True, slots=True)
class Opening:
    """A port that a peer is allowed without an edge of its own."""

    protocol: int
    port: int


def rules_for(namespace: str, edges: Iterable[tuple[Vertex | World, Edge | Opening]], selectors: Selectors) -> Rules:
    """The fewest rules that allow exactly these edges.

    Args:
        namespace: The policy's own: its pods need no namespaceSelector.
        edges: (the peer's side, the edge).
        selectors: Names the peers.
    """
    cells: defaultdict[PeerGroup, set[tuple[int, int]]] = defaultdict(set)
    meant: dict[PeerGroup, _Members] = {}
    for vertex, edge in edges:
        group, members = _group(namespace, vertex, selectors)
        meant[group] = members
        cells[group].add((edge.protocol, edge.port))
    columns = sorted({port for ports in cells.values() for port in ports}, key=_port_order)
    cover = fewest_rectangles({group: cells[group] for group in sorted(cells)}, columns)
    ordered = sorted(cover.rectangles, key=lambda item: (item.rows, [_port_order(port) for port in item.columns]))
    return Rules(
        tuple(Rule(peers=_peers(item.rows, meant), ports=policy_ports(item.columns)) for item in ordered),
        cover.lower_bound,
    )


def peers_of(namespace: str, vertices: Iterable[Vertex], selectors: Selectors) -> tuple[Peer, ...]:
    """The peers that stand for these vertices in a policy of this namespace, in the order of `rules_for`."""
    meant = dict(_group(namespace, vertex, selectors) for vertex in vertices)
    return _peers(sorted(meant), meant)


def _group(namespace: str, vertex: Vertex | World, selectors: Selectors) -> tuple[PeerGroup, _Members]:
    if isinstance(vertex, World):
        return PeerGroup(3, "", (), (0, 0)), vertex.blocks
    if isinstance(vertex, NodeEnd):
        return PeerGroup(2, "", (), _address_order(vertex.address)), (vertex.address,)
    if isinstance(vertex, OutsideGroup):
        return PeerGroup(3, "", (), _address_order(vertex.addresses[0])), vertex.addresses
    found = selectors.of(vertex).selectors
    place = 0 if vertex.namespace == namespace else 1
    return PeerGroup(place, vertex.namespace, tuple(str(selector) for selector in found)), found


def _peers(groups: Iterable[PeerGroup], meant: Mapping[PeerGroup, _Members]) -> tuple[Peer, ...]:
    """Pods first; then nodes, each address by itself; then outside addresses, merged without waste."""
    peers: list[Peer] = []
    outside: list[Address] = []
    for group in groups:
        where = _namespace(group.namespace) if group.place == 1 else None
        for member in meant[group]:
            if isinstance(member, LabelSelector):
                peers.append(PodPeer(pod_selector=member, namespace_selector=where))
            elif isinstance(member, IPBlock):
                peers.append(BlockPeer(member))
            elif group.place == 2:
                peers.append(BlockPeer(IPBlock(ip_network(member))))
            else:
                outside.append(member)
    blocks = [BlockPeer(IPBlock(network)) for network in AddressSet.collect(outside).cidrs()]
    return tuple(dict.fromkeys([*peers, *blocks]))


@cache
def _namespace(name: str) -> LabelSelector:
    return LabelSelector(match_labels={NAMESPACE_NAME_LABEL: name})


def policy_ports(ports: Iterable[tuple[int, int]]) -> tuple[PolicyPort, ...]:
    """TCP, UDP, SCTP, ascending; `endPort` only where each port of the range was asked for."""
    wanted: defaultdict[int, list[int]] = defaultdict(list)
    for protocol, port in ports:
        wanted[protocol].append(port)
    found: list[PolicyPort] = []
    for protocol in (TCP, UDP, SCTP):
        for first, last in PortSet.of(*wanted[protocol]):
            if last - first + 1 >= SHORTEST_RANGE:
                found.append(PolicyPort(protocol=protocol, port=first, end_port=last))
            else:
                found += (PolicyPort(protocol=protocol, port=port) for port in range(first, last + 1))
    return tuple(found)


def _port_order(port: tuple[int, int]) -> tuple[int, int]:
    return (TCP, UDP, SCTP).index(port[0]), port[1]


def _address_order(address: Address) -> tuple[int, int]:
    return address.version, int(address)
