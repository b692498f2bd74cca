"""The pods of a namespace as sets of label rows: what selectors are measured against."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.graph.labels import UNSTABLE_KEYS
from netpol.model.labels import Operator, is_label_key, is_label_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.labels import LabelSelector, Requirement

BARE = "Pod"
"""The kind of a workload that is a pod without a controller."""


@dataclass(slots=True)
class Population:
    """Distinct label sets of one namespace; a set of pods is a bit set of rows.

    Pods of one workload with the same lasting labels are one row; so is what its template would make.

    Attributes:
        rows: Labels without the keys that never last.
        members: Each workload's rows, hostNetwork pods left out.
        passing: Rows of hostNetwork pods and of finished bare pods only.
        with_pair: The rows that carry a label pair.
        with_key: The rows that carry a label key.
        varied: Per controller, the keys that had more than one value among its pods.
    """

    rows: list[Mapping[str, str]] = field(default_factory=list)
    members: dict[WorkloadRef, int] = field(default_factory=dict)
    passing: int = 0
    with_pair: dict[tuple[str, str], int] = field(default_factory=dict)
    with_key: dict[str, int] = field(default_factory=dict)
    varied: dict[WorkloadRef, frozenset[str]] = field(default_factory=dict)

    @property
    def everyone(self) -> int:
        """All rows."""
        return (1 << len(self.rows)) - 1

    @property
    def varied_anywhere(self) -> frozenset[str]:
        """The keys that varied inside any controller."""
        return frozenset[str]().union(*self.varied.values())

    def match(self, selector: LabelSelector) -> int:
        """The rows that a selector matches; it must not use keys that never last."""
        matched = self.everyone
        for requirement in selector.requirements:
            matched &= self._meeting(requirement)
        return matched

    def _meeting(self, requirement: Requirement) -> int:
        if requirement.operator in {Operator.IN, Operator.NOT_IN}:
            having = 0
            for value in requirement.values:
                having |= self.with_pair.get((requirement.key, value), 0)
        else:
            having = self.with_key.get(requirement.key, 0)
        negated = requirement.operator in {Operator.NOT_IN, Operator.DOES_NOT_EXIST}
        return self.everyone & ~having if negated else having


def populations(inventory: Inventory, usable: Callable[[str], bool] = lambda _: True) -> dict[str, Population]:
    """Per namespace, all pods of the whole time window and all that templates could make.

    Args:
        inventory: The pods and their templates.
        usable: Whether selectors may use a label key that lasts.
    """
    rows: defaultdict[str, set[tuple[WorkloadRef, frozenset[tuple[str, str]], bool, bool]]] = defaultdict(set)
    for pod in inventory.pods:
        finished = pod.workload.kind == BARE and (pod.finished or pod.ended is not None)
        rows[pod.namespace].add((pod.workload, _lasting(pod.labels, usable), pod.host_network, finished))
    for workload in inventory.workloads.values():
        if workload.template_labels:
            row = (workload.ref, _lasting(workload.template_labels, usable), workload.host_network, False)
            rows[workload.ref.namespace].add(row)
    return {namespace: _population(found) for namespace, found in rows.items()}


def _population(found: set[tuple[WorkloadRef, frozenset[tuple[str, str]], bool, bool]]) -> Population:
    here = Population()
    values: defaultdict[WorkloadRef, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    ordered = sorted(found, key=lambda row: (row[0], sorted(row[1]), row[2], row[3]))
    for index, (workload, labels, host_network, finished) in enumerate(ordered):
        bit = 1 << index
        here.rows.append(dict(labels))
        if not host_network:
            here.members[workload] = here.members.get(workload, 0) | bit
        if host_network or finished:
            here.passing |= bit
        for key, value in labels:
            here.with_pair[key, value] = here.with_pair.get((key, value), 0) | bit
            here.with_key[key] = here.with_key.get(key, 0) | bit
            if workload.kind != BARE:
                values[workload][key].add(value)
    for workload, by_key in values.items():
        varied = frozenset(key for key, seen in by_key.items() if len(seen) > 1)
        if varied:
            here.varied[workload] = varied
    return here


def _lasting(labels: Mapping[str, str], usable: Callable[[str], bool]) -> frozenset[tuple[str, str]]:
    """The labels that can stand in a selector: stable keys in valid syntax."""
    return frozenset(
        (key, value)
        for key, value in labels.items()
        if key not in UNSTABLE_KEYS and usable(key) and is_label_key(key) and is_label_value(value)
    )
