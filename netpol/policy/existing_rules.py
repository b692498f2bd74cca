"""Which rules of a policy set admit a peer, and on which ports: all of them, where a verdict needs the first alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from netpol.model.inventory import Pod
from netpol.model.policy import BlockPeer
from netpol.model.ports import PortMap
from netpol.policy import matching
from netpol.policy.atoms_addresses import AddressAtoms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.policy.verdict import Way


class RuleKey(NamedTuple):
    """One rule, as it is named everywhere: `namespace/name`, direction, index in spec.ingress or spec.egress."""

    policy: str
    way: Way
    rule: int

    def __str__(self) -> str:
        return f"{self.policy}: spec.{self.way}[{self.rule}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitting:
    """A rule that admits a peer.

    Attributes:
        peers: Indices of the peers that match; none where the rule is for everyone.
        ports: What each item of the rule's `ports` covers at the destination; none where the rule is for every port.
        covered: All of it.
    """

    policy: NetworkPolicy
    key: RuleKey
    peers: tuple[int, ...]
    ports: tuple[PortMap, ...]
    covered: PortMap


class _Shape(NamedTuple):
    """What rules see of an end; pods of one shape are the same to them."""

    pod: tuple[str, frozenset[tuple[str, str]]] | None
    names: tuple[tuple[str, int, int], ...]
    blocks: int


class RuleBook:
    """Looks up the rules of NetworkPolicies that are of effect.

    Args:
        policies: In any order.
        inventory: For the labels of namespaces.
    """

    def __init__(self, policies: Iterable[NetworkPolicy], inventory: Inventory) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: (policy.namespace, policy.name)))
        self._inventory = inventory
        self._in_namespace: defaultdict[str, list[NetworkPolicy]] = defaultdict(list)
        for policy in self.policies:
            self._in_namespace[policy.namespace].append(policy)
        rules = [rule for policy in self.policies for rule in (*policy.ingress, *policy.egress)]
        peers = [peer for rule in rules for peer in rule.peers]
        self._atoms = AddressAtoms(peer.block for peer in peers if isinstance(peer, BlockPeer))
        self._bit = {block: 1 << position for position, block in enumerate(self._atoms.blocks)}
        self._keys = {key for policy in self.policies for key in policy.pod_selector.keys}
        for peer in peers:
            if not isinstance(peer, BlockPeer) and peer.pod_selector is not None:
                self._keys |= peer.pod_selector.keys
        self._names = {port.port for rule in rules for port in rule.ports if isinstance(port.port, str)}
        self._of_pod: dict[str, tuple[Pod, _Shape]] = {}
        self._isolating: dict[tuple[Way, object], tuple[NetworkPolicy, ...]] = {}
        self._ports: dict[tuple[object, object], tuple[PortMap, tuple[PortMap, ...]]] = {}
        self._found: dict[tuple[Way, _Shape, _Shape], tuple[Admitting, ...]] = {}

    def rules(self) -> Iterator[tuple[RuleKey, Rule]]:
        """All rules that are of effect, by policy, direction and index."""
        for policy in self.policies:
            for way, isolates, rules in _sides(policy):
                if isolates:
                    for index, rule in enumerate(rules):
                        yield RuleKey(str(policy), way, index), rule

    def isolating(self, pod: Pod, way: Way) -> tuple[NetworkPolicy, ...]:
        """The policies that isolate the pod in a direction."""
        shape = self._shape(pod)
        key = (way, shape.pod)
        if key not in self._isolating:
            self._isolating[key] = tuple(
                policy
                for policy in self._in_namespace.get(pod.namespace, ())
                if matching.selects(policy, pod) and any(way == one and on for one, on, _ in _sides(policy))
            )
        return self._isolating[key]

    def admitting(self, way: Way, subject: Pod | Address, peer: Pod | Address) -> tuple[Admitting, ...]:
        """The rules of the policies that isolate the subject in this direction that admit the peer on some port."""
        if not isinstance(subject, Pod) or subject.host_network:
            return ()
        key = (way, self._shape(subject), self._shape(peer))
        if key not in self._found:
            self._found[key] = tuple(self._admitting(way, subject, peer))
        return self._found[key]

    def _admitting(self, way: Way, subject: Pod, peer: Pod | Address) -> Iterator[Admitting]:
        destination = subject if way == "ingress" else peer
        for policy in self.isolating(subject, way):
            for index, rule in enumerate(policy.ingress if way == "ingress" else policy.egress):
                matched = tuple(self._matched(rule, policy.namespace, peer))
                if matched or not rule.peers:
                    covered, ports = self._covered(rule, destination)
                    if covered:
                        key = RuleKey(str(policy), way, index)
                        yield Admitting(policy=policy, key=key, peers=matched, ports=ports, covered=covered)

    def _covered(self, rule: Rule, destination: Pod | Address) -> tuple[PortMap, tuple[PortMap, ...]]:
        """What a rule's ports cover at a destination, together and one by one."""
        key = (rule.ports, self._shape(destination).names)
        found = self._ports.get(key)
        if found is None:
            declared = destination.ports if isinstance(destination, Pod) and not destination.host_network else ()
            each = tuple(PortMap.of({port.protocol: matching.covered_ports(port, declared)}) for port in rule.ports)
            found = self._ports[key] = (matching.rule_ports(rule, declared), each)
        return found

    def _matched(self, rule: Rule, namespace: str, end: Pod | Address) -> Iterator[int]:
        shape = self._shape(end)
        for index, peer in enumerate(rule.peers):
            if isinstance(peer, BlockPeer):
                if shape.blocks & self._bit[peer.block]:
                    yield index
            elif isinstance(end, Pod) and matching.peer_selects(
                peer, namespace, end, matching.namespace_labels(self._inventory, end.namespace)
            ):
                yield index

    def _shape(self, end: Pod | Address) -> _Shape:
        if not isinstance(end, Pod):
            return _Shape(None, (), self._atoms.covering([end]))
        known = self._of_pod.get(end.uid)
        if known is None or known[0] is not end:
            known = self._of_pod[end.uid] = (end, self._shape_of_pod(end))
        return known[1]

    def _shape_of_pod(self, pod: Pod) -> _Shape:
        blocks = self._atoms.covering(pod.addresses)
        if pod.host_network:
            return _Shape(None, (), blocks)
        labels = frozenset((key, value) for key, value in pod.labels.items() if key in self._keys)
        names = sorted((port.name, port.protocol, port.port) for port in pod.ports if port.name in self._names)
        return _Shape((pod.namespace, labels), tuple(names), blocks)


def _sides(policy: NetworkPolicy) -> tuple[tuple[Way, bool, tuple[Rule, ...]], tuple[Way, bool, tuple[Rule, ...]]]:
    return (("ingress", policy.isolates_ingress, policy.ingress), ("egress", policy.isolates_egress, policy.egress))
