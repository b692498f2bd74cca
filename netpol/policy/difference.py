"""What a change of policies, or of workloads, allows that was not allowed, and forbids that was not forbidden.

Both sides are worked out over one partition of the ends, so that the comparison is one of matrices. Only connections
whose ports differ become rows; own-node traffic, which no policy can change, is in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from netpol.policy.atoms_ports import PortNumbers
from netpol.policy.classes import Partition, Side
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_always import OwnNodes
from netpol.policy.connectivity_places import Places
from netpol.policy.connectivity_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from netpol.model.ports import PortMap
    from netpol.policy.connectivity_places import Group, Place
    from netpol.policy.connectivity_rows import CodedRow

OLD, NEW = 0, 1
"""The sides of the partition."""

SideName = Literal["old", "new"]

_HALF = 32


class Change(NamedTuple):
    """A connection whose ports differ.

    Attributes:
        before: The ports that were allowed.
        after: The ports that are; never the same.
    """

    source: Place
    destination: Place
    before: PortMap
    after: PortMap

    @property
    def added(self) -> PortMap:
        """What is allowed now and was not."""
        return self.after - self.before

    @property
    def removed(self) -> PortMap:
        """What was allowed and is no more."""
        return self.before - self.after

    @property
    def only_in(self) -> SideName | None:
        """The side that alone has the workload at one of its ends, None where both sides have both."""
        return only_in(self.source) or only_in(self.destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All that differs. Each tuple is sorted by the text of source and destination.

    Attributes:
        added: Nothing was allowed before.
        removed: Nothing is allowed any more.
        changed: Some ports were and some are, but not the same.
        within: Between the replicas of one workload, whatever kind of change; source and destination are the workload,
            or two of its pods where not all replicas have it.
        one_sided: Workloads that one side alone has, whether or not that makes a difference.
    """

    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    changed: tuple[Change, ...]
    within: tuple[Change, ...]
    one_sided: tuple[Place, ...]

    @property
    def changes(self) -> Iterator[Change]:
        """All of them."""
        yield from self.added
        yield from self.removed
        yield from self.changed
        yield from self.within

    def __bool__(self) -> bool:
        return next(self.changes, None) is not None

    @property
    def allows_more(self) -> bool:
        """Whether anything is allowed that was not."""
        return any(change.added for change in self.changes)

    @property
    def allows_less(self) -> bool:
        """Whether anything was allowed that is not any more."""
        return any(change.removed for change in self.changes)


def only_in(place: Place) -> SideName | None:
    """The side that alone has any pod of this end; None for addresses too."""
    if not place.members or all(all(member.pods) for member in place.members):
        return None
    there = [any(member.pods[side] is not None for member in place.members) for side in (OLD, NEW)]
    return None if all(there) else "old" if there[OLD] else "new"


def difference(old: Side, new: Side) -> Difference:
    """Compares what two policy sets, each in its cluster, allow."""
    partition = Partition([old, new])
    numbers = PortNumbers()
    places = Places(partition)
    comparer = _Comparer(places, Connectivity(partition, OLD, numbers), Connectivity(partition, NEW, numbers))
    between: list[Change] = []
    within: list[Change] = []
    for position in range(len(places.groups)):
        between += comparer.between(position)
        within += comparer.within(position)
    between.sort(key=_ends)
    within.sort(key=_ends)
    return Difference(
        added=tuple(change for change in between if not change.before),
        removed=tuple(change for change in between if not change.after),
        changed=tuple(change for change in between if change.before and change.after),
        within=tuple(within),
        one_sided=tuple(group.place for group in places.groups if only_in(group.place)),
    )


class _Comparer:
    def __init__(self, places: Places, old: Connectivity, new: Connectivity) -> None:
        self._places = places
        self._numbers = old.numbers
        self._sides = (old, new)

        def codes(sources: NDArray[np.intp], destinations: NDArray[np.intp]) -> NDArray[np.int64]:
            before, after = old.matrix(sources, destinations), new.matrix(sources, destinations)
            result = before.astype(np.int64) << _HALF | after
            result[before == after] = 0
            return result

        self._rows = Rows(places, codes)

    def between(self, position: int) -> Iterator[Change]:
        """From one workload to others, and between it and addresses."""
        group = self._places.groups[position]
        for pair in self._rows.to_workloads(position):
            always = self._always(group, pair.other)
            there = self._places.groups[pair.other].place
            if len(always) < len(group.place.members) * len(there.members):
                yield from self._changes(row for row in pair.rows if (row.source, row.destination) not in always)
        yield from self._changes(self._rows.outside(position))

    def _always(self, group: Group, other: int) -> set[tuple[Place, Place]]:
        """The pairs of their pods that no policy parts on either side."""
        old, new = (set(side.pairs(group).get(other, ())) for side in self._own)
        return {(self._places.pod(one), self._places.pod(two)) for one, two in old & new}

    @cached_property
    def _own(self) -> tuple[OwnNodes, ...]:
        return tuple(OwnNodes(side, self._places) for side in self._sides)

    def within(self, position: int) -> Iterator[Change]:
        """Between the replicas of one workload; a bare pod has none."""
        group = self._places.groups[position]
        if group.place.members[0].pod.workload.kind != "Pod":
            yield from self._changes(self._rows.within(position))

    def _changes(self, rows: Iterable[CodedRow]) -> Iterator[Change]:
        for row in rows:
            before, after = row.code >> _HALF, row.code & ((1 << _HALF) - 1)
            yield Change(row.source, row.destination, self._numbers[before], self._numbers[after])


def _ends(change: Change) -> tuple[str, str]:
    return change.source.text, change.destination.text
