"""The pods that connectivity is about: those that are there, and one for each template whose pods are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.inventory import Pod

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory, Workload

_TEMPLATE = "template "
_RUNS_ONCE = frozenset({"Job", "Pod"})
"""Workloads that make no new pod once theirs have finished."""


def present_pods(inventory: Inventory) -> tuple[Pod, ...]:
    """The pods that hold their addresses now, then one for each workload that has none, by namespace and name.

    Finished and deleted pods are no party to any connection. A workload without pods stands in the manifests only, or
    is scaled to zero or between two runs: its template tells what its pods will be like, but not their addresses, nor
    the labels that its controller will add (pod-template-hash, for one).
    """
    living = [pod for pod in inventory.pods if not pod.finished and pod.ended is None]
    served = {pod.workload for pod in living}
    known = {pod.workload for pod in inventory.pods}
    to_come = [
        representative(workload)
        for ref, workload in inventory.workloads.items()
        if ref not in served and (ref not in known or (ref.kind not in _RUNS_ONCE and _has_template(workload)))
    ]
    return tuple(sorted((*living, *to_come), key=lambda pod: (pod.namespace, pod.name, pod.uid)))


def representative(workload: Workload) -> Pod:
    """A pod as the workload's template makes it, without an address, under the workload's own name."""
    ref = workload.ref
    return Pod(
        uid=f"{_TEMPLATE}{ref}",
        namespace=ref.namespace,
        name=ref.name,
        labels=workload.template_labels,
        workload=ref,
        host_network=workload.host_network,
        ports=workload.ports,
    )


def is_representative(pod: Pod) -> bool:
    """Whether the pod was made by `representative`; no uid of the API has a blank."""
    return pod.uid.startswith(_TEMPLATE)


def node_names(inventory: Inventory) -> dict[Address, str]:
    """Node addresses to names."""
    return {address: node.name for node in inventory.nodes for address in node.addresses}


def node_of(pod: Pod, names: dict[Address, str]) -> str:
    """The node that a pod runs on, empty where it is not known; a hostNetwork pod's address tells it too."""
    if pod.node or not pod.host_network:
        return pod.node
    return next((names[address] for address in pod.addresses if address in names), "")


def _has_template(workload: Workload) -> bool:
    return bool(workload.template_labels or workload.ports or workload.selector)
