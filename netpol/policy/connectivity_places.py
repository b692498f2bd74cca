"""The ends of a row as people read them: workloads, single pods where replicas differ, ranges of addresses outside."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.cidr import AddressSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.model.flow import Address
    from netpol.model.inventory import WorkloadRef
    from netpol.policy.classes import Member, Partition


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One end of a row. There is one object per end, so that identity is equality.

    Attributes:
        text: `namespace/name[Kind]`, a CIDR, or `first-last`.
        namespace: Empty for addresses.
        members: The pods that it stands for; empty for addresses.
        first: The first address of a range, None for pods.
    """

    text: str
    namespace: str = ""
    members: tuple[Member, ...] = ()
    first: Address | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A workload and its pods.

    Attributes:
        classes: intp[k]: the classes of its pods, each once, ascending.
        members: Its pods by class, in the order of `classes`: numbers of the partition's members.
    """

    place: Place
    classes: NDArray[np.intp]
    members: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class Places:
    """All ends of a partition.

    Attributes:
        groups: The workloads, by their text.
    """

    partition: Partition
    groups: tuple[Group, ...] = ()
    _pods: dict[int, Place] = field(default_factory=dict)
    _ranges: dict[bytes, tuple[Place, ...]] = field(default_factory=dict)
    _places: dict[tuple[Address, Address], Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        members: defaultdict[WorkloadRef, list[int]] = defaultdict(list)
        for number, member in enumerate(self.partition.members):
            members[member.pod.workload].append(number)
        self.groups = tuple(self._group(ref, members[ref]) for ref in sorted(members, key=str))

    def _group(self, ref: WorkloadRef, numbers: list[int]) -> Group:
        by_class: defaultdict[int, list[int]] = defaultdict(list)
        for number in numbers:
            by_class[int(self.partition.class_of[number])].append(number)
        found = tuple(self.partition.members[number] for number in numbers)
        return Group(
            Place(str(ref), ref.namespace, found),
            np.array(sorted(by_class), np.intp),
            tuple(tuple(by_class[number]) for number in sorted(by_class)),
        )

    def pod(self, number: int) -> Place:
        """One member by itself: `namespace/name[Pod]`."""
        found = self._pods.get(number)
        if found is None:
            member = self.partition.members[number]
            pod = member.pod
            found = self._pods[number] = Place(f"{pod.namespace}/{pod.name}[Pod]", pod.namespace, (member,))
        return found

    def ranges(self, classes: NDArray[np.intp]) -> tuple[Place, ...]:
        """The addresses of these classes of addresses, as few ranges as there can be.

        Args:
            classes: Positions in the partition's `outside`, ascending.
        """
        key = classes.tobytes()
        found = self._ranges.get(key)
        if found is None:
            pairs = (pair for number in classes for pair in self.partition.outside[number].ranges())
            merged = AddressSet.collect(pairs)
            found = self._ranges[key] = tuple(self._range(first, last) for first, last in merged.ranges())
        return found

    def _range(self, first: Address, last: Address) -> Place:
        found = self._places.get((first, last))
        if found is None:
            found = self._places[first, last] = Place(range_text(first, last), first=first)
        return found


def range_text(first: Address, last: Address) -> str:
    """A CIDR where the range is one, `first-last` otherwise."""
    blocks = list(AddressSet.of((first, last)).cidrs())
    return str(blocks[0]) if len(blocks) == 1 else f"{first}-{last}"
