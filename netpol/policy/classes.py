"""Ends that no policy can tell apart, one class each: pods, and addresses outside the cluster.

Connectivity is worked out once per pair of classes instead of once per pair of pods. A class of pods has one namespace,
the same values of all label keys that any selector looks at, the same container ports under the names that any rule
asks for, and addresses in the same ipBlocks. hostNetwork pods are told apart by ipBlocks alone: nothing else ever
matches them.

Several sides (the cluster before and after a change) share one partition, so that their matrices can be compared place
by place: a class is then a pair of classes, one of each side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.policy import BlockPeer
from netpol.policy.atoms_addresses import AddressAtoms
from netpol.policy.classes_pods import present_pods
from netpol.policy.classes_tiers import areas, port_names
from netpol.policy.policy_set import PolicySet, selected_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from netpol.model.cidr import AddressSet
    from netpol.model.inventory import Inventory, Pod
    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.model.tiers import Policy

NamedPorts = tuple[tuple[str, int, int], ...]
"""(name, IP protocol number, port) of container ports, sorted."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Side:
    """A policy set and the cluster that it is for."""

    policies: tuple[Policy, ...]
    inventory: Inventory


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Member:
    """A pod, as each side has it.

    Attributes:
        pods: One for each side; None where that side does not have it.
        pod: As the first side has it that has it.
    """

    pods: tuple[Pod | None, ...]
    pod: Pod


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kind:
    """What policies see of an end on one side.

    Attributes:
        example: A pod of the class; None for addresses, and where the side has no such pod.
        present: Whether the side has it: always true of addresses.
        names: Its container ports under the names that rules ask for; empty for hostNetwork pods, as for addresses.
        blocks: The ipBlocks that it is in, as bits of `AddressAtoms.blocks`.
    """

    example: Pod | None
    present: bool
    names: NamedPorts
    blocks: int


class Partition:
    """All ends in classes.

    Attributes:
        sides: What it was made for.
        members: The pods of all sides, by namespace and name.
        class_of: int32[members]: the class of each.
        pod_classes: How many classes of pods there are; classes of addresses have the numbers from there on.
        outside: The addresses of each class of addresses.
        atoms: All ipBlocks.

    Args:
        sides: One, or several to compare.
    """

    def __init__(self, sides: Sequence[Side]) -> None:
        self.sides = tuple(sides)
        self.members = tuple(_members([present_pods(side.inventory) for side in sides]))
        seen = _Seen(self.sides)
        self.atoms = seen.atoms
        numbers: dict[tuple[object, ...], int] = {}
        kinds: list[tuple[Kind, ...]] = []
        found = np.empty(len(self.members), np.int32)
        for index, member in enumerate(self.members):
            first, *others = member.pods
            key: tuple[object, ...] = (seen.key(first),)
            key += tuple(key[0] if pod is first else seen.key(pod) for pod in others)
            number = numbers.setdefault(key, len(numbers))
            if number == len(kinds):
                kinds.append(tuple(seen.kind(pod) for pod in member.pods))
            found[index] = number
        self.class_of: NDArray[np.int32] = found
        self.pod_classes = len(kinds)
        self.outside: tuple[AddressSet, ...] = tuple(seen.atoms.atoms.values())
        kinds += [
            (Kind(example=None, present=True, names=(), blocks=mask),) * len(self.sides) for mask in seen.atoms.atoms
        ]
        self._kinds = kinds
        self._by_uid = {pod.uid: index for index, member in enumerate(self.members) for pod in member.pods if pod}

    def __len__(self) -> int:
        return len(self._kinds)

    def kinds(self, side: int) -> list[Kind]:
        """What a side's policies see of each class."""
        return [kinds[side] for kinds in self._kinds]

    def member_of(self, pod: Pod) -> int | None:
        """The number of the member that a pod is, None where it is none (it has finished)."""
        return self._by_uid.get(pod.uid)

    def outside_class(self, blocks: int) -> int:
        """The class of the addresses outside that exactly these ipBlocks cover."""
        return self.pod_classes + list(self.atoms.atoms).index(blocks)


class _Seen:
    """What the policies look at, and what each pod shows of it."""

    def __init__(self, sides: tuple[Side, ...]) -> None:
        sets = [(PolicySet.of(side.policies), side.inventory) for side in sides]
        policies = list(chain.from_iterable(one.namespaced for one, _ in sets))
        rules = list(_rules(policies))
        peers = [peer for rule in rules for peer in rule.peers]
        self._keys = {key for policy in policies for key in policy.pod_selector.keys}
        for peer in peers:
            if not isinstance(peer, BlockPeer) and peer.pod_selector is not None:
                self._keys |= peer.pod_selector.keys
        self._names = {port.port for rule in rules for port in rule.ports if isinstance(port.port, str)}
        for policy in chain.from_iterable(one.tiers for one, _ in sets):
            self._keys |= set(selected_keys(policy))
            self._names |= port_names(policy)
        blocks = (peer.block for peer in peers if isinstance(peer, BlockPeer))
        self.atoms = AddressAtoms(chain(blocks, *(areas(one.tiers, inventory) for one, inventory in sets)))

    def key(self, pod: Pod | None) -> tuple[object, ...] | None:
        """Equal for pods that nothing can tell apart."""
        if pod is None:
            return None
        blocks = self.atoms.covering(pod.addresses) if self.atoms.blocks else 0
        if pod.host_network:
            return (blocks,)
        labels = frozenset((key, value) for key, value in pod.labels.items() if key in self._keys)
        return (blocks, pod.namespace, labels, self._named(pod))

    def kind(self, pod: Pod | None) -> Kind:
        if pod is None:
            return Kind(example=None, present=False, names=(), blocks=0)
        names = () if pod.host_network else self._named(pod)
        return Kind(example=pod, present=True, names=names, blocks=self.atoms.covering(pod.addresses))

    def _named(self, pod: Pod) -> NamedPorts:
        if not self._names:
            return ()
        return tuple(sorted((item.name, item.protocol, item.port) for item in pod.ports if item.name in self._names))


def _rules(policies: Iterable[NetworkPolicy]) -> Iterator[Rule]:
    for policy in policies:
        yield from policy.ingress
        yield from policy.egress


def _members(sides: list[tuple[Pod, ...]]) -> list[Member]:
    """The pods of all sides, each with itself on the other sides."""
    if len(sides) == 1:
        return [Member(pods=(pod,), pod=pod) for pod in sides[0]]
    found: dict[str, list[Pod | None]] = {}
    for side, pods in enumerate(sides):
        for pod in pods:
            found.setdefault(pod.uid, [None] * len(sides))[side] = pod
    members = [Member(pods=tuple(pods), pod=next(pod for pod in pods if pod is not None)) for pods in found.values()]
    return sorted(members, key=lambda member: (member.pod.namespace, member.pod.name, member.pod.uid))
