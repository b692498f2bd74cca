"""How much a policy set allows beyond what was seen, in pod-pair-ports, and how far an intruder would get.

A pod-pair-port is (source pod, destination pod, protocol, port), with two different pods that policies apply to, on a
port at which the destination can be met: one that its workload declares, or one at which it was seen to serve.
Counting all 65,535 ports of three protocols would make any policy set look a thousand times better than none, and say
nothing.

Pods are those that hold their addresses at the end, and one for each workload that has none but would make more
(`present_pods`). Pods in the host network do not count.

- before: what the policies that were there allowed; without any, everything.
- after: what the policies allow.
- observed: the learned edges, each replica of one workload to each of the other: replicas do the same.
- tightness = observed / after, 1 at best. Connections to and from addresses outside are not in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.inventory import WorkloadRef
from netpol.policy.classes_pods import present_pods
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_figures import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netpol.graph.label_graph import LabelGraph
    from netpol.model.inventory import Inventory
    from netpol.model.tiers import Policy
    from netpol.policy.connectivity_figures import Figures, PortKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightness:
    """The figures of each namespace, those of the whole cluster under the empty name.

    Attributes:
        before: With the policies that were there.
        after: With the policies that are judged.
        observed: Pod-pair-ports of the learned edges, in the whole cluster.
    """

    before: Mapping[str, Figures]
    after: Mapping[str, Figures]
    observed: int

    @property
    def ratio(self) -> float | None:
        """Observed / allowed after, None where nothing is allowed."""
        allowed = self.after[""].pod_pair_ports
        return self.observed / allowed if allowed else None


def tightness(
    graph: LabelGraph,
    inventory: Inventory,
    policies: Sequence[Policy],
    *,
    existing: Sequence[Policy] = (),
) -> Tightness:
    """The figures for `policies`, against those that were there before."""
    ports = meeting_ports(graph, inventory)
    replicas = Counter(pod.workload for pod in present_pods(inventory) if not pod.host_network)
    return Tightness(
        before=figures(Connectivity.of(existing, inventory), ports),
        after=figures(Connectivity.of(policies, inventory), ports),
        observed=sum(
            replicas[edge.source] * (replicas[edge.destination] - (edge.source == edge.destination))
            for edge in graph.edges()
            if isinstance(edge.source, WorkloadRef)
            and isinstance(edge.destination, WorkloadRef)
            and replicas[edge.destination]
        ),
    )


def meeting_ports(graph: LabelGraph, inventory: Inventory) -> Mapping[WorkloadRef, frozenset[PortKey]]:
    """Where each workload can be met: the ports that it declares and those at which it was seen to serve."""
    ports: defaultdict[WorkloadRef, set[PortKey]] = defaultdict(set)
    for pod in inventory.pods:
        ports[pod.workload].update((item.protocol, item.port) for item in pod.ports)
    for workload in inventory.workloads.values():
        ports[workload.ref].update((item.protocol, item.port) for item in workload.ports)
    for edge in graph.edges():
        if isinstance(edge.destination, WorkloadRef):
            ports[edge.destination].add((edge.protocol, edge.port))
    return {workload: frozenset(found) for workload, found in ports.items()}
