"""The cluster as one side of a comparison has it: with the workloads that stand beside its policies.

One cluster is given, but a change may bring workloads, take them away, or change their labels and ports. A side that
has manifests of workloads or pods says what they are like there:

- what it has is there, in the place of what the cluster has under that name: living pods get the labels and ports of
  the side's template, and keep their addresses and what their controller added to their labels;
- what only the other side has is not there, although the cluster may have it still (or already);
- everything else is as the cluster has it. A side without any such manifest (policies alone, or the live cluster) says
  nothing of workloads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netpol.graph.labels import UNSTABLE_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.inventory import Inventory, Pod, Workload, WorkloadRef


def with_workloads(cluster: Inventory, own: Inventory, other: Inventory) -> Inventory:
    """The cluster of one side.

    Args:
        cluster: What both sides share.
        own: What the manifests beside this side's policies hold.
        other: The same of the other side.
    """
    gone = set(other.workloads) - set(own.workloads) if own.workloads else set()
    if not own.workloads and not own.namespaces:
        return cluster
    known = {pod.workload: pod for pod in own.pods if pod.workload.kind == "Pod"}
    pods = []
    for pod in cluster.pods:
        if pod.workload in known:
            pods.append(_as_given(pod, known.pop(pod.workload)))
        elif pod.workload in own.workloads:
            pods.append(_as_templated(pod, own.workloads[pod.workload], cluster.workloads.get(pod.workload)))
        elif pod.workload not in gone:
            pods.append(pod)
    there = {pod.workload for pod in pods}
    pods += [pod for pod in own.pods if pod.workload not in there]
    workloads: Mapping[WorkloadRef, Workload] = {
        **{ref: workload for ref, workload in cluster.workloads.items() if ref not in gone},
        **own.workloads,
    }
    # A namespace that is only named tells nothing of its labels.
    declared = {
        name: item for name, item in own.namespaces.items() if len(item.labels) > 1 or name not in cluster.namespaces
    }
    return replace(
        cluster,
        pods=tuple(pods),
        workloads=dict(sorted(workloads.items())),
        namespaces={**cluster.namespaces, **declared},
    )


def _as_given(pod: Pod, given: Pod) -> Pod:
    """A living bare pod as its manifest has it."""
    changed = replace(pod, labels=given.labels, ports=given.ports, host_network=given.host_network)
    return changed if changed != pod else pod


def _as_templated(pod: Pod, template: Workload, before: Workload | None) -> Pod:
    """A living pod as the next rollout of its workload makes it."""
    if not template.template_labels:
        return pod
    written = before.template_labels if before is not None else {}
    added = {
        key: value
        for key, value in pod.labels.items()
        if (key not in written if written else key in UNSTABLE_KEYS) and key not in template.template_labels
    }
    labels = {**added, **template.template_labels}
    same_network = template.host_network == pod.host_network
    if same_network and labels == dict(pod.labels) and set(pod.ports) == set(template.ports):
        return pod
    return replace(pod, labels=labels, ports=template.ports, host_network=template.host_network)
