"""The cluster as the checks ask about it: which pods a selector, a peer or a block means.

Pods that no selector of the policy set can tell apart and that declare the same ports are one group; a set of groups
is the bits of an integer, so that a selector is answered by a few operations on integers, whatever the cluster's size.

Known pods are those that run, those that have finished (a Job's), and what every template would make: what matches one
of them is not misspelt.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.model.labels import EVERYTHING, LabelSelector, Operator, Requirement
from netpol.model.policy import BlockPeer, PodPeer
from netpol.policy.atoms_addresses import bits
from netpol.policy.classes_pods import present_pods, representative
from netpol.policy.matching import namespace_labels
from netpol.policy.policy_set import selected_keys
from netpol.review.findings import Written, WrittenTier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from netpol.model.cidr import AddressSet, IPBlock
    from netpol.model.flow import Address
    from netpol.model.inventory import ContainerPort, Inventory, Pod, WorkloadRef
    from netpol.model.policy import NetworkPolicy, Peer
    from netpol.review.findings import AnyWritten

NAMED: Final = 3
"""A message names this many pods or workloads; of the rest it gives the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pods of one workload that the policy set cannot tell apart.

    Attributes:
        labels: Those whose keys any selector looks at.
    """

    workload: WorkloadRef
    labels: frozenset[tuple[str, str]]
    host_network: bool
    ports: tuple[ContainerPort, ...]


class Scene:
    """Policies and the cluster that they are for.

    Attributes:
        written: By namespace and name.
        tiers: The cluster-wide policies, Admin before Baseline, in the order in which they are asked.
        groups: All known pods.
        host: The groups of hostNetwork pods: no selector means them.

    Args:
        written: In any order.
        inventory: The cluster.
    """

    def __init__(self, written: Iterable[AnyWritten], inventory: Inventory) -> None:
        items = tuple(written)
        namespaced = (item for item in items if isinstance(item, Written))
        tiers = (item for item in items if isinstance(item, WrittenTier))
        self.written = tuple(sorted(namespaced, key=lambda item: (item.policy.namespace, item.policy.name)))
        self.tiers = tuple(sorted(tiers, key=lambda item: (item.policy.tier, item.policy.precedence)))
        self.inventory = inventory
        keys = _keys(item.policy for item in self.written).union(*(selected_keys(item.policy) for item in self.tiers))
        numbers: dict[Group, int] = {}
        held: list[tuple[Address, int, Pod]] = []
        for pod in _known_pods(inventory):
            labels = frozenset((key, value) for key, value in pod.labels.items() if key in keys)
            group = Group(workload=pod.workload, labels=labels, host_network=pod.host_network, ports=pod.ports)
            number = numbers.setdefault(group, len(numbers))
            if not (pod.host_network or pod.finished or pod.ended is not None):
                held += ((address, number, pod) for address in pod.addresses)
        self.groups = tuple(numbers)
        self._index()
        self._held = _Held(held)
        self._selected: dict[LabelSelector, int] = {}
        self._namespaces: dict[LabelSelector, tuple[str, ...]] = {}

    def _index(self) -> None:
        self.everyone = (1 << len(self.groups)) - 1
        self.host = 0
        self._in_namespace: dict[str, int] = dict.fromkeys(self.inventory.namespaces, 0)
        self._with_pair: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._with_key: defaultdict[str, int] = defaultdict(int)
        for number, group in enumerate(self.groups):
            bit = 1 << number
            self.host |= bit if group.host_network else 0
            namespace = group.workload.namespace
            self._in_namespace[namespace] = self._in_namespace.get(namespace, 0) | bit
            for key, value in group.labels:
                self._with_pair[key, value] |= bit
                self._with_key[key] |= bit

    def of(self, groups: int) -> Iterator[Group]:
        """The groups of a set."""
        return (self.groups[number] for number in bits(groups))

    def in_namespace(self, name: str) -> int:
        """All known pods of a namespace, hostNetwork ones included."""
        return self._in_namespace.get(name, 0)

    def knows_namespace(self, name: str) -> bool:
        """Whether the cluster has it."""
        return name in self._in_namespace

    def labelled(self, selector: LabelSelector) -> int:
        """The pods whose labels match, in any namespace, hostNetwork ones included."""
        found = self._selected.get(selector)
        if found is None:
            found = self.everyone
            for requirement in selector.requirements:
                found &= self._meeting(requirement)
            self._selected[selector] = found
        return found

    def _meeting(self, requirement: Requirement) -> int:
        if requirement.operator in {Operator.IN, Operator.NOT_IN}:
            having = 0
            for value in requirement.values:
                having |= self._with_pair.get((requirement.key, value), 0)
        else:
            having = self._with_key.get(requirement.key, 0)
        negated = requirement.operator in {Operator.NOT_IN, Operator.DOES_NOT_EXIST}
        return self.everyone & ~having if negated else having

    def candidates(self, policy: NetworkPolicy) -> int:
        """The pods that a policy's podSelector matches by their labels, hostNetwork ones included."""
        return self.in_namespace(policy.namespace) & self.labelled(policy.pod_selector)

    def subjects(self, policy: NetworkPolicy) -> int:
        """The pods that a policy is for."""
        return self.candidates(policy) & ~self.host

    def namespaces(self, selector: LabelSelector) -> tuple[str, ...]:
        """The known namespaces that a namespaceSelector matches."""
        found = self._namespaces.get(selector)
        if found is None:
            found = self._namespaces[selector] = tuple(
                name for name in self._in_namespace if selector.matches(namespace_labels(self.inventory, name))
            )
        return found

    def peer_candidates(self, policy: NetworkPolicy, peer: PodPeer) -> int:
        """The pods that a peer's selectors match by labels, hostNetwork ones included."""
        if peer.namespace_selector is None:
            found = self.in_namespace(policy.namespace)
        else:
            found = 0
            for name in self.namespaces(peer.namespace_selector):
                found |= self.in_namespace(name)
        return found if peer.pod_selector is None else found & self.labelled(peer.pod_selector)

    def chosen(self, peer: PodPeer) -> int:
        """The pods that a subject or a peer of a cluster-wide policy matches by labels, hostNetwork ones included."""
        found = 0
        for name in self.namespaces(EVERYTHING if peer.namespace_selector is None else peer.namespace_selector):
            found |= self.in_namespace(name)
        return found if peer.pod_selector is None else found & self.labelled(peer.pod_selector)

    def held_in(self, addresses: AddressSet) -> int:
        """The pods that hold one of the addresses, those of the host network left out."""
        found = 0
        for number, _ in self._held.inside(addresses):
            found |= 1 << number
        return found

    def matched(self, policy: NetworkPolicy, peers: Sequence[Peer]) -> int:
        """The pods that the peers of a rule mean, by selectors or by address; without peers every pod."""
        if not peers:
            return self.everyone & ~self.host
        found = 0
        for peer in peers:
            if isinstance(peer, PodPeer):
                found |= self.peer_candidates(policy, peer)
            else:
                found |= self.held_in(peer.block.addresses)
        return found & ~self.host

    def pods_inside(self, block: IPBlock) -> Sequence[tuple[int, Pod]]:
        """The running pods whose addresses a block covers, by address, each with its group; once for each address."""
        return self._held.inside(block.addresses)

    def names(self, groups: int) -> str:
        """The workloads of a set of groups, for a message."""
        return listed(sorted({str(group.workload) for group in self.of(groups)}))


class _Held:
    """Who holds which address, in order, so that a block is found by bisection."""

    def __init__(self, held: list[tuple[Address, int, Pod]]) -> None:
        held.sort(key=lambda item: (item[0].version, int(item[0]), item[2].namespace, item[2].name))
        self._addresses: Mapping[int, list[int]] = {
            version: [int(address) for address, _, _ in held if address.version == version] for version in (4, 6)
        }
        self._holders: Mapping[int, list[tuple[int, Pod]]] = {
            version: [(number, pod) for address, number, pod in held if address.version == version]
            for version in (4, 6)
        }

    def inside(self, addresses: AddressSet) -> list[tuple[int, Pod]]:
        found: list[tuple[int, Pod]] = []
        for version, ranges in ((4, addresses.v4), (6, addresses.v6)):
            held = self._addresses[version]
            for first, last in ranges:
                found += self._holders[version][bisect_left(held, first) : bisect_right(held, last)]
        return found


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _known_pods(inventory: Inventory) -> Iterator[Pod]:
    present = present_pods(inventory)
    yield from present
    yield from (pod for pod in inventory.pods if pod.finished)
    shown = {pod.uid for pod in present}
    for workload in inventory.workloads.values():
        pod = representative(workload)
        if workload.template_labels and pod.uid not in shown:
            yield pod


def _keys(policies: Iterable[NetworkPolicy]) -> set[str]:
    """The label keys of pods that any selector looks at."""
    keys: set[str] = set()
    for policy in policies:
        keys |= policy.pod_selector.keys
        for rule in (*policy.ingress, *policy.egress):
            for peer in rule.peers:
                if not isinstance(peer, BlockPeer) and peer.pod_selector is not None:
                    keys |= peer.pod_selector.keys
    return keys
