"""Whose needs are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.inventory import SYSTEM_NAMESPACES

if TYPE_CHECKING:
    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.labels import LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice of workloads.

    Attributes:
        namespaces: These only, system namespaces among them if named; None: all.
        system: Those of system namespaces too.
        workloads: These only; None: all.
    """

    namespaces: frozenset[str] | None = None
    system: bool = False
    workloads: frozenset[WorkloadRef] | None = None

    def takes(self, workload: WorkloadRef) -> bool:
        """Whether this workload's needs are asked for."""
        if self.namespaces is not None:
            return workload.namespace in self.namespaces and self._named(workload)
        return (self.system or workload.namespace not in SYSTEM_NAMESPACES) and self._named(workload)

    def passes_over(self, workload: WorkloadRef) -> bool:
        """Whether they are not, for no other reason than that its namespace is the system's."""
        by_default = self.namespaces is None and not self.system
        return by_default and workload.namespace in SYSTEM_NAMESPACES and self._named(workload)

    def _named(self, workload: WorkloadRef) -> bool:
        return self.workloads is None or workload in self.workloads


BY_DEFAULT = Selection()
"""All but those of system namespaces."""


def workloads_with(selector: LabelSelector, inventory: Inventory) -> frozenset[WorkloadRef]:
    """The workloads of which a pod, or the pod that they would make, has such labels."""
    labelled = [(pod.workload, pod.labels) for pod in inventory.pods]
    labelled += [(ref, workload.template_labels) for ref, workload in inventory.workloads.items()]
    return frozenset(workload for workload, labels in labelled if labels and selector.matches(labels))
