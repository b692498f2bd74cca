"""Policies that could be taken away and nothing would change, exactly, for the pods of today and one more.

The one more stands in every namespace and has no labels: without it a default-deny would seem superfluous as soon as
each pod of today has a policy of its own, and the pods of tomorrow would be open.

Policies are tried one after the other, each without those that were found superfluous before it, so that all that are
named can be taken away together. Taking a policy away touches the rows of the classes that it selects alone: those are
worked out anew and compared, through what the other end admits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.inventory import Pod, WorkloadRef
from netpol.policy.atoms_ports import PortNumbers
from netpol.policy.classes import Partition, Side
from netpol.policy.connectivity_direction import Direction
from netpol.policy.connectivity_index import SelectorIndex
from netpol.policy.policy_set import PolicySet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy
    from netpol.model.tiers import Policy
    from netpol.policy.verdict import Way

WAYS: tuple[Way, Way] = ("egress", "ingress")

_Rows = dict[tuple["Way", int], "NDArray[np.int32]"]
"""The row of a class in one direction: int32[classes]."""


def redundant(
    policies: Sequence[Policy], candidates: Iterable[NetworkPolicy], inventory: Inventory
) -> tuple[NetworkPolicy, ...]:
    """The candidates that can be taken away together without any change.

    Candidates that select no pod are none of them: they are for pods that are not there now.

    Args:
        policies: The whole set.
        candidates: Of the set; they are tried in this order.
        inventory: The cluster.
    """
    whole = _Whole(
        policies, _with_newcomers(inventory, {policy.namespace for policy in PolicySet.of(policies).namespaced})
    )
    return tuple(policy for policy in candidates if whole.selects_pods(policy) and whole.take_away(policy))


def _with_newcomers(inventory: Inventory, namespaces: Iterable[str]) -> Inventory:
    """The cluster with one more pod in each of the namespaces that no label tells anything about."""
    newcomers = (
        Pod(
            uid=f"newcomer {name}",
            namespace=name,
            name="newcomer",
            labels={},
            workload=WorkloadRef(namespace=name, name="newcomer", kind="Newcomer"),
        )
        for name in sorted({*namespaces, *inventory.namespaces})
    )
    return replace(inventory, pods=(*inventory.pods, *newcomers))


class _Whole:
    """A policy set from which policies are taken away."""

    def __init__(self, policies: Sequence[Policy], inventory: Inventory) -> None:
        partition = Partition([Side(policies=tuple(policies), inventory=inventory)])
        self._inventory = inventory
        self._kinds = partition.kinds(0)
        self._index = SelectorIndex(self._kinds, partition.atoms.blocks, inventory)
        self._numbers = PortNumbers()
        self._set = PolicySet.of(policies)
        self._selected = {str(policy): frozenset(self._index.selected(policy)) for policy in self._set.namespaced}
        newcomers = {
            int(partition.class_of[number])
            for number, member in enumerate(partition.members)
            if member.pod.workload.kind == "Newcomer"
        }
        others = {
            int(partition.class_of[number])
            for number, member in enumerate(partition.members)
            if member.pod.workload.kind != "Newcomer"
        }
        self._unreal = newcomers - others
        self._by_class: defaultdict[int, list[NetworkPolicy]] = defaultdict(list)
        for policy in self._set.namespaced:
            for number in self._selected[str(policy)]:
                self._by_class[number].append(policy)
        self._sides = {way: self._direction(way, self._set) for way in WAYS}
        self._changed: _Rows = {}
        self._gone: set[str] = set()

    def _direction(self, way: Way, policies: PolicySet) -> Direction:
        return Direction(way, policies, self._kinds, self._index, self._inventory, self._numbers)

    def selects_pods(self, policy: NetworkPolicy) -> bool:
        """Whether it selects any pod of today."""
        return bool(self._selected[str(policy)] - self._unreal)

    def take_away(self, policy: NetworkPolicy) -> bool:
        """Takes the policy away if that changes nothing; says whether it did."""
        without: _Rows = dict(self._without(policy))
        if any(self._differs(way, number, without) for way, number in without):
            return False
        self._changed |= without
        self._gone.add(str(policy))
        return True

    def _without(self, policy: NetworkPolicy) -> Iterator[tuple[tuple[Way, int], NDArray[np.int32]]]:
        """The rows that are others without the policy."""
        classes = sorted(self._selected[str(policy)])
        near = {
            str(other): other
            for number in classes
            for other in self._by_class[number]
            if str(other) not in self._gone and other is not policy
        }
        rest = replace(self._set, namespaced=tuple(near[name] for name in sorted(near)))
        for way in WAYS:
            if policy.isolates_ingress if way == "ingress" else policy.isolates_egress:
                side = self._direction(way, rest)
                for number in classes:
                    row = side.rows[side.row_of[number]]
                    if not np.array_equal(row, self._row(way, number)):
                        yield (way, number), row

    def _row(self, way: Way, number: int) -> NDArray[np.int32]:
        found = self._changed.get((way, number))
        side = self._sides[way]
        return side.rows[side.row_of[number]] if found is None else found

    def _differs(self, way: Way, number: int, without: _Rows) -> bool:
        """Whether the class may open (accept) anything else than now, once the other ends are asked too."""
        other: Way = "ingress" if way == "egress" else "egress"
        side = self._sides[other]
        admitted = side.rows[side.row_of, number].copy()
        for (one, peer), row in self._changed.items():
            if one == other:
                admitted[peer] = row[number]
        before = self._numbers.meet(self._row(way, number), admitted)
        for (one, peer), row in without.items():
            if one == other:
                admitted[peer] = row[number]
        return not np.array_equal(before, self._numbers.meet(without[way, number], admitted))
