"""Selectors that were written for one workload and mean others too.

A selector is a workload's own when it equals the controller's spec.selector, or when it lists exactly the lasting
labels that the workload's pods have (its template's, without those that change with a rollout, a replica or a run). A
selector that is some workload's own and selects another workload in the same namespace as well is ambiguous: the
labels that were enough to name the one do not tell it from the other. A selector that is nobody's own, such as `tier:
backend`, is taken to mean all that it selects. Jobs and bare pods own no selector, since several runs of one thing have
the same labels.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from netpol.graph.labels import UNSTABLE_KEYS
from netpol.model.policy import PodPeer
from netpol.policy.verdict import SOURCES
from netpol.review.findings import Check, Severity
from netpol.review.scene import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.labels import LabelSelector
    from netpol.review.findings import FieldPath, Finding, Written
    from netpol.review.scene import Scene

AMBIGUOUS: Final = Check(
    id="ambiguous-selector",
    severity=Severity.WARNING,
    title="A selector that means more than one workload",
    meaning="The selector is the own selector, or all lasting labels, of one workload, and matches pods of another "
    "workload of the same namespace too.",
    remedy="Add a label that tells the workloads apart, to the pod templates and to the selector",
)

_WITHOUT_OWN: Final = frozenset({"Pod", "Job"})


def ambiguous(scene: Scene) -> Iterator[Finding]:
    """AMBIGUOUS for each podSelector, of policies and of peers."""
    own = _Own(scene.inventory)
    for written, path, selector, matched in _selectors(scene):
        by_namespace: defaultdict[str, set[WorkloadRef]] = defaultdict(set)
        for group in scene.of(matched):
            by_namespace[group.workload.namespace].add(group.workload)
        for _, workloads in sorted(by_namespace.items()):
            owners = sorted(ref for ref in workloads if own.has(ref, selector)) if len(workloads) > 1 else []
            if owners:
                others = sorted(str(ref) for ref in workloads - {owners[0]})
                message = f"{selector} is how {owners[0]} is selected, and it matches {listed(others)} too"
                yield AMBIGUOUS.found(written, path, message)


def _selectors(scene: Scene) -> Iterator[tuple[Written, FieldPath, LabelSelector, int]]:
    """Every podSelector with conditions, its path, and the pods that it means."""
    for written in scene.written:
        policy = written.policy
        if not policy.pod_selector.is_empty:
            yield written, ("spec", "podSelector"), policy.pod_selector, scene.subjects(policy)
        for way, path, rule in written.rules():
            for index, peer in enumerate(rule.peers):
                if isinstance(peer, PodPeer) and peer.pod_selector is not None and not peer.pod_selector.is_empty:
                    matched = scene.peer_candidates(policy, peer) & ~scene.host
                    yield written, (*path, SOURCES[way], index, "podSelector"), peer.pod_selector, matched


class _Own:
    """Which selectors are whose own."""

    def __init__(self, inventory: Inventory) -> None:
        self._selectors = {ref: workload.selector for ref, workload in inventory.workloads.items()}
        self._labels: defaultdict[WorkloadRef, set[frozenset[tuple[str, str]]]] = defaultdict(set)
        for ref, workload in inventory.workloads.items():
            if workload.template_labels:
                self._labels[ref].add(_lasting(workload.template_labels))
        for pod in inventory.pods:
            self._labels[pod.workload].add(_lasting(pod.labels))

    def has(self, ref: WorkloadRef, selector: LabelSelector) -> bool:
        if ref.kind in _WITHOUT_OWN:
            return False
        if self._selectors.get(ref) == selector:
            return True
        return not selector.match_expressions and frozenset(selector.match_labels.items()) in self._labels[ref]


def _lasting(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((key, value) for key, value in labels.items() if key not in UNSTABLE_KEYS)
