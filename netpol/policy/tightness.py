"""How much a policy set allows beyond what was seen, in pod-pair-ports, and how far an intruder would get.

A pod-pair-port is (source pod, destination pod, protocol, port), with two different pods that policies apply to, on a
port at which the destination can be met: one that its workload declares, or one at which it was seen to serve.
Counting all 65,535 ports of three protocols would make any policy set look a thousand times better than none, and say
nothing.

Pods are those that hold their addresses at the end, and one for each workload that has none but would make more
(`present_pods`). Pods in the host network do not count.

- before: what the policies that were there allowed; without any, everything.
- after: what the policies allow.
- observed: the learned edges, each replica of one workload to each of the other: replicas do the same. What the
  policies deny of that is not counted: policies that somebody else wrote may deny what worked.
- tightness = observed / after, 1 at best. Connections to and from addresses outside are not in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.inventory import WorkloadRef
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
        observed: Pod-pair-ports of the learned edges that are allowed after, in the whole cluster.
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
    after = Connectivity.of(policies, inventory)
    return Tightness(
        before=figures(Connectivity.of(existing, inventory), ports),
        after=figures(after, ports),
        observed=_observed(graph, after),
    )


def _observed(graph: LabelGraph, after: Connectivity) -> int:
    """Pod-pair-ports of the learned edges that are allowed: one question for all that a destination was asked."""
    classes: defaultdict[WorkloadRef, Counter[int]] = defaultdict(Counter)
    for number, member in enumerate(after.partition.members):
        pod = member.pods[after.side]
        if pod is not None and not pod.host_network:
            classes[pod.workload][int(after.partition.class_of[number])] += 1
    asked: defaultdict[WorkloadRef, list[tuple[WorkloadRef, int, int]]] = defaultdict(list)
    for edge in graph.edges():
        source, destination = edge.source, edge.destination
        if isinstance(source, WorkloadRef) and isinstance(destination, WorkloadRef) and source in classes:
            asked[destination].append((source, edge.protocol, edge.port))
    total = 0
    for destination, edges in asked.items():
        into = classes.get(destination, Counter())
        rows = {number: row for row, number in enumerate(sorted({n for edge in edges for n in classes[edge[0]]}))}
        allowed = after.matrix(np.array(list(rows), np.intp), np.array(list(into), np.intp)).tolist()
        for source, protocol, port in edges:
            for (one, pods), (column, (other, others)) in product(classes[source].items(), enumerate(into.items())):
                # A pod does not pair with itself.
                pairs = pods * others - (pods if source == destination and one == other else 0)
                total += pairs * ((protocol, port) in after.numbers[allowed[rows[one]][column]])
    return total


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
