"""How much a policy set allows beyond what was seen, in pod-pair-ports.

A pod-pair-port is (source pod, destination pod, protocol, port), with two different pods that policies apply to, on a
port at which the destination can be met: one that its workload declares, or one at which it was seen to serve.
Counting all 65,535 ports of three protocols would make any policy set look a thousand times better than none, and say
nothing.

Pods are those that run at the end; a workload of which none does counts with one. Pods in the host network do not
count.

- before: what the policies that were there allowed; without any, everything.
- allowed: what the policies allow.
- observed: the learned edges, each replica of one workload to each of the other: replicas do the same.
- tightness = observed / allowed, 1 at best. Connections to and from addresses outside are not in it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from netpol.model.cidr import AddressSet
from netpol.model.inventory import WorkloadRef
from netpol.model.policy import BlockPeer
from netpol.policy import matching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from netpol.graph.label_graph import LabelGraph
    from netpol.model.cidr import IPBlock
    from netpol.model.inventory import ContainerPort, Inventory, Pod
    from netpol.model.policy import NetworkPolicy, Peer, PolicyPort, Rule

PortKey = tuple[int, int]
"""(IP protocol number, port)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightness:
    """The figures: counts of pod-pair-ports."""

    before: int
    allowed: int
    observed: int

    @property
    def ratio(self) -> float | None:
        """Observed / allowed, None where nothing is allowed."""
        return self.observed / self.allowed if self.allowed else None


def tightness(
    graph: LabelGraph,
    inventory: Inventory,
    policies: Sequence[NetworkPolicy],
    *,
    existing: Sequence[NetworkPolicy] = (),
) -> Tightness:
    """The figures for `policies`, against those that were there before."""
    pods = counted_pods(inventory)
    ports = meeting_ports(graph, inventory)
    replicas: defaultdict[WorkloadRef, int] = defaultdict(int)
    for pod in pods:
        replicas[pod.workload] += 1
    observed = 0
    for edge in graph.edges():
        if isinstance(edge.source, WorkloadRef) and isinstance(edge.destination, WorkloadRef):
            itself = edge.source == edge.destination
            observed += replicas[edge.source] * (replicas[edge.destination] - itself)
    return Tightness(
        before=allowed_pod_pair_ports(existing, inventory, pods, ports),
        allowed=allowed_pod_pair_ports(policies, inventory, pods, ports),
        observed=observed,
    )


def counted_pods(inventory: Inventory) -> tuple[Pod, ...]:
    """The pods that run at the end, and one of each workload of which none does."""
    living: list[Pod] = []
    gone: dict[WorkloadRef, Pod] = {}
    for pod in sorted(inventory.pods, key=lambda pod: (pod.namespace, pod.name, pod.uid)):
        if pod.host_network:
            continue
        if pod.finished or pod.ended is not None:
            gone[pod.workload] = pod
        else:
            living.append(pod)
    present = {pod.workload for pod in living}
    return (*living, *(pod for workload, pod in sorted(gone.items()) if workload not in present))


def meeting_ports(graph: LabelGraph, inventory: Inventory) -> Mapping[WorkloadRef, frozenset[PortKey]]:
    """Where each workload can be met: the ports that it declares and those at which it was seen to serve."""
    ports: defaultdict[WorkloadRef, set[PortKey]] = defaultdict(set)
    for pod in inventory.pods:
        ports[pod.workload].update((item.protocol, item.port) for item in pod.ports)
    for workload in inventory.workloads.values():
        ports[workload.ref].update((item.protocol, item.port) for item in workload.ports)
    for edge in graph.edges():
        if isinstance(edge.destination, WorkloadRef):
            ports[edge.destination].add((edge.protocol, edge.port))
    return {workload: frozenset(found) for workload, found in ports.items()}


def allowed_pod_pair_ports(
    policies: Sequence[NetworkPolicy],
    inventory: Inventory,
    pods: Iterable[Pod],
    ports: Mapping[WorkloadRef, frozenset[PortKey]],
) -> int:
    """How many pod-pair-ports the policies allow, exactly.

    Pods that no policy can tell apart are one class; sets of classes are bit sets. O(selectors * classes) matches,
    then one step per allowed pair of classes and port.
    """
    classes = _classes(policies, pods, ports)
    ingress = _Side(classes, inventory, [policy for policy in policies if policy.isolates_ingress], "ingress")
    egress = _Side(classes, inventory, [policy for policy in policies if policy.isolates_egress], "egress")
    free, openers = _openers(classes, egress)
    everyone = (1 << len(classes)) - 1
    weigh = _weigher([group.count for group in classes])
    total = 0
    for index, target in enumerate(classes):
        rules = ingress.rules(index)
        for port in target.ports:
            admitted = everyone
            if rules is not None:
                admitted = _union(peers for peers, on in rules if _on(on, port, target.example))
            sources = admitted & (free | openers.get((index, port), 0))
            # A pod does not pair with itself.
            total += target.count * weigh(sources) - (target.count if sources >> index & 1 else 0)
    return total


def _openers(classes: list[_Class], egress: _Side) -> tuple[int, dict[tuple[int, PortKey], int]]:
    """The classes whose egress nothing isolates, and for each class and port the others that may open it."""
    free = 0
    openers: dict[tuple[int, PortKey], int] = {}
    for index in range(len(classes)):
        rules = egress.rules(index)
        if rules is None:
            free |= 1 << index
        for peers, on in rules or ():
            for target in _bits(peers):
                for port in classes[target].ports:
                    if _on(on, port, classes[target].example):
                        openers[target, port] = openers.get((target, port), 0) | 1 << index
    return free, openers


@dataclass(frozen=True, slots=True)
class _Class:
    example: Pod
    count: int
    ports: frozenset[PortKey]
    blocks: tuple[IPBlock, ...]


def _classes(
    policies: Sequence[NetworkPolicy], pods: Iterable[Pod], ports: Mapping[WorkloadRef, frozenset[PortKey]]
) -> list[_Class]:
    """Groups pods by what selectors, ipBlocks and named ports can see of them."""
    peers = [peer for policy in policies for rule in (*policy.ingress, *policy.egress) for peer in rule.peers]
    keys = {key for policy in policies for key in policy.pod_selector.keys}
    keys |= {
        key for peer in peers if not isinstance(peer, BlockPeer) and peer.pod_selector for key in peer.pod_selector.keys
    }
    blocks = list(dict.fromkeys(peer.block for peer in peers if isinstance(peer, BlockPeer)))
    covered = AddressSet.EMPTY
    if blocks:
        covered = AddressSet.collect(pair for block in blocks for pair in block.addresses.ranges())
    groups: defaultdict[
        tuple[str, frozenset[tuple[str, str]], tuple[ContainerPort, ...], frozenset[PortKey], tuple[IPBlock, ...]],
        list[Pod],
    ] = defaultdict(list)
    for pod in pods:
        inside: tuple[IPBlock, ...] = ()
        if blocks and any(address in covered for address in pod.addresses):
            inside = tuple(block for block in blocks if matching.block_matches(block, pod.addresses))
        labels = frozenset((key, value) for key, value in pod.labels.items() if key in keys)
        groups[pod.namespace, labels, pod.ports, ports.get(pod.workload, frozenset()), inside].append(pod)
    return [
        _Class(found[0], len(found), ports.get(found[0].workload, frozenset()), inside)
        for (*_, inside), found in groups.items()
    ]


class _Side:
    """One direction: whom the policies isolate, and which classes their rules let through."""

    def __init__(
        self, classes: list[_Class], inventory: Inventory, policies: Iterable[NetworkPolicy], way: str
    ) -> None:
        self._classes = classes
        self._way = way
        self._policies: defaultdict[str, list[NetworkPolicy]] = defaultdict(list)
        for policy in policies:
            self._policies[policy.namespace].append(policy)
        self._labels = cache(lambda namespace: matching.namespace_labels(inventory, namespace))
        self._known: dict[tuple[str, Peer], int] = {}
        self._members: defaultdict[str, list[int]] = defaultdict(list)
        self._inside: dict[IPBlock, int] = {}
        for index, group in enumerate(classes):
            self._members[group.example.namespace].append(index)
            for block in group.blocks:
                self._inside[block] = self._inside.get(block, 0) | 1 << index

    def rules(self, index: int) -> list[tuple[int, tuple[PolicyPort, ...]]] | None:
        """(classes of peers, ports) of each rule for a class; None where nothing isolates it."""
        pod = self._classes[index].example
        selecting = [policy for policy in self._policies.get(pod.namespace, ()) if matching.selects(policy, pod)]
        if not selecting:
            return None
        return [
            (self._peers(policy.namespace, rule), rule.ports)
            for policy in selecting
            for rule in (policy.ingress if self._way == "ingress" else policy.egress)
        ]

    def _peers(self, namespace: str, rule: Rule) -> int:
        if not rule.peers:
            return (1 << len(self._classes)) - 1
        found = 0
        for peer in rule.peers:
            # Only a podSelector alone depends on where the policy is.
            where = namespace if not isinstance(peer, BlockPeer) and peer.namespace_selector is None else ""
            if (where, peer) not in self._known:
                self._known[where, peer] = self._find(where, peer)
            found |= self._known[where, peer]
        return found

    def _find(self, namespace: str, peer: Peer) -> int:
        if isinstance(peer, BlockPeer):
            return self._inside.get(peer.block, 0)
        selector = peer.namespace_selector
        return _union(
            1 << index
            for name, members in self._members.items()
            if (name == namespace if selector is None else selector.matches(self._labels(name)))
            for index in members
            if matching.peer_selects(peer, namespace, self._classes[index].example, self._labels(name))
        )


def _on(ports: tuple[PolicyPort, ...], port: PortKey, destination: Pod) -> bool:
    return not ports or any(matching.port_matches(item, *port, destination.ports) for item in ports)


def _weigher(counts: list[int]) -> Callable[[int], int]:
    """The number of pods in a set of classes; the same set is asked for again and again."""
    return cache(lambda classes: sum(counts[index] for index in _bits(classes)))


def _union(masks: Iterable[int]) -> int:
    result = 0
    for mask in masks:
        result |= mask
    return result


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
