"""Which workloads get policies, and which of netpol's earlier policies are theirs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.inventory import SYSTEM_NAMESPACES

if TYPE_CHECKING:
    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy

_LabelSet = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asks for.

    Attributes:
        namespaces: These only, system namespaces among them if named; None: all.
        system: System namespaces too.
        selector: Only workloads of which a pod has such labels; None: all.
    """

    namespaces: frozenset[str] | None = None
    system: bool = False
    selector: LabelSelector | None = None

    def wants(self, namespace: str) -> bool:
        """Whether any workload of a namespace may get policies, or is only a peer of others."""
        if self.namespaces is not None:
            return namespace in self.namespaces
        return self.system or namespace not in SYSTEM_NAMESPACES


class Scope:
    """The choice, applied to a cluster."""

    def __init__(self, wanted: Wanted, inventory: Inventory) -> None:
        self._wanted = wanted
        self._labels: defaultdict[str, set[_LabelSet]] = defaultdict(set)
        self.selected: set[WorkloadRef] = set()
        """The workloads with the labels that were asked for; all that have pods where none were."""
        for pod in inventory.pods:
            if not pod.host_network:
                self._add(pod.workload, frozenset(pod.labels.items()))
        for ref, workload in inventory.workloads.items():
            if workload.template_labels and not workload.host_network:
                self._add(ref, frozenset(workload.template_labels.items()))

    def _add(self, workload: WorkloadRef, labels: _LabelSet) -> None:
        self._labels[workload.namespace].add(labels)
        if self._wanted.selector is None or self._wanted.selector.matches(dict(labels)):
            self.selected.add(workload)

    def why_not(self, workload: WorkloadRef) -> str:
        """Why a workload gets no policy, empty where it may get one."""
        if not self._wanted.wants(workload.namespace):
            return "policies for its namespace were not asked for"
        if self._wanted.selector is not None and workload not in self.selected:
            return "policies for pods with its labels were not asked for"
        return ""

    def asks_about(self, policy: NetworkPolicy) -> bool:
        """Whether an earlier policy is for what was asked for alone, and so may be merged, or removed.

        With a selector that is one that selects pods, all of which have the labels: a policy for other pods too, or
        for pods that are not there, is none of it.
        """
        if not self._wanted.wants(policy.namespace):
            return False
        if self._wanted.selector is None:
            return True
        meant = [
            labels for found in self._labels[policy.namespace] if policy.pod_selector.matches(labels := dict(found))
        ]
        return bool(meant) and all(self._wanted.selector.matches(labels) for labels in meant)
