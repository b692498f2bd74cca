"""Whom and what ports a rule means, so that rules of both kinds can be compared: contained, or only overlapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.cidr import AddressSet
from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.labels import EVERYTHING, LabelSelector
from netpol.model.policy import BlockPeer, PodPeer
from netpol.model.ports import PortMap, PortSet
from netpol.model.tier_peers import NetworksPeer, NodesPeer
from netpol.model.tiers import NamedPort
from netpol.policy.matching import node_addresses, rule_ports, tier_ports
from netpol.review.implication import implies

if TYPE_CHECKING:
    from netpol.model.policy import Rule
    from netpol.model.tiers import TierRule
    from netpol.review.findings import Written
    from netpol.review.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Peers and ports of a rule, taken apart once.

    Attributes:
        pods: (namespaceSelector, podSelector) of each peer with selectors.
        names: Of domains.
        every_port: No ports are given: protocols without ports are meant too.
        ports: By number.
        port_names: (protocol, name), the protocol None for any.
    """

    everyone: bool
    pods: tuple[tuple[LabelSelector, LabelSelector], ...]
    addresses: AddressSet
    nodes: tuple[LabelSelector, ...]
    names: frozenset[str]
    every_port: bool
    ports: PortMap
    port_names: frozenset[tuple[int | None, str]]

    def covers(self, other: Reach) -> bool:
        """Whether whatever the other matches, this matches too."""
        return self._has_ports_of(other) and self._has_peers_of(other)

    def _has_ports_of(self, other: Reach) -> bool:
        if self.every_port or other.every_port:
            return self.every_port
        return other.ports <= self.ports and all(self._has_port(*item) for item in other.port_names)

    def _has_port(self, protocol: int | None, name: str) -> bool:
        if {(None, name), (protocol, name)} & self.port_names:
            return True
        return self.ports == PortMap.ALL or (protocol is not None and self.ports[protocol] == PortSet.ALL)

    def _has_peers_of(self, other: Reach) -> bool:
        if self.everyone or self.addresses == AddressSet.ALL:
            return True
        return (
            not other.everyone
            and other.addresses <= self.addresses
            and other.names <= self.names
            and all(any(implies(theirs, ours) for ours in self.nodes) for theirs in other.nodes)
            and all(
                any(implies(theirs[0], ours[0]) and implies(theirs[1], ours[1]) for ours in self.pods)
                for theirs in other.pods
            )
        )


def reach_of_tier_rule(rule: TierRule) -> Reach:
    """What a cluster-wide rule means."""
    pods, nodes, names = [], [], frozenset[str]()
    addresses = AddressSet.EMPTY
    for peer in rule.peers:
        if isinstance(peer, PodPeer):
            pods.append((peer.namespace_selector or EVERYTHING, peer.pod_selector or EVERYTHING))
        elif isinstance(peer, NetworksPeer):
            addresses |= peer.addresses
        elif isinstance(peer, NodesPeer):
            nodes.append(peer.selector)
        else:
            names |= frozenset(peer.names)
    return Reach(
        everyone=False,
        pods=tuple(pods),
        addresses=addresses,
        nodes=tuple(nodes),
        names=names,
        every_port=not rule.ports,
        ports=tier_ports(rule, ()),
        port_names=frozenset((None, port.name) for port in rule.ports if isinstance(port, NamedPort)),
    )


def reach_of_rule(rule: Rule, written: Written) -> Reach:
    """What a NetworkPolicy's rule means; its own namespace by name."""
    own = LabelSelector(match_labels={NAMESPACE_NAME_LABEL: written.policy.namespace})
    addresses = AddressSet.EMPTY
    pods = []
    for peer in rule.peers:
        if isinstance(peer, BlockPeer):
            addresses |= peer.block.addresses
        else:
            namespaces = own if peer.namespace_selector is None else peer.namespace_selector
            pods.append((namespaces, peer.pod_selector or EVERYTHING))
    return Reach(
        everyone=not rule.peers,
        pods=tuple(pods),
        addresses=addresses,
        nodes=(),
        names=frozenset(),
        every_port=not rule.ports,
        ports=rule_ports(rule, ()),
        port_names=frozenset((port.protocol, port.port) for port in rule.ports if isinstance(port.port, str)),
    )


class Parts:
    """Which of the pods and addresses there are rules mean."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        # By identity, which is quick; each value holds what it is about, so that no identity is used twice.
        self._known: dict[int, tuple[Reach, int, AddressSet]] = {}

    def overlap(self, one: Reach, other: Reach) -> bool:
        """Whether both can match one connection. Names of ports may be those of any number."""
        if not (one.port_names or other.port_names or one.ports & other.ports):
            return False
        mine, my_addresses = self._of(one)
        theirs, their_addresses = self._of(other)
        if mine & theirs:
            return True
        names = (one.names and (other.names or their_addresses)) or (other.names and my_addresses)
        return bool(names or my_addresses & their_addresses)

    def _of(self, reach: Reach) -> tuple[int, AddressSet]:
        """The pods, hostNetwork ones left out, and the addresses."""
        known = self._known.get(id(reach))
        if known is None:
            known = self._known[id(reach)] = (reach, self._pods(reach), self._addresses(reach))
        return known[1:]

    def _addresses(self, reach: Reach) -> AddressSet:
        found = AddressSet.ALL if reach.everyone else reach.addresses
        for selector in reach.nodes:
            found |= node_addresses(self._scene.inventory, selector)
        return found

    def _pods(self, reach: Reach) -> int:
        found = self._scene.everyone if reach.everyone else self._scene.held_in(reach.addresses)
        for namespaces, pods in reach.pods:
            found |= self._scene.chosen(PodPeer(namespace_selector=namespaces, pod_selector=pods))
        return found & ~self._scene.host
