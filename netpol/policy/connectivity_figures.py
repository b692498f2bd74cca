"""How much a policy set leaves open, counted in pods: allowed pod-pair-ports and blast radius, per namespace.

A pod-pair-port is (source pod, destination pod, protocol, port) with two different pods and a port at which the
destination can be met. The blast radius of a pod is the number of other pods that it may open a
connection to on any port at all: what an intruder in it can touch next. Pods of the host network are not counted on
either side: no policy can hold them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.ports import PortMap, PortSet
from netpol.policy.atoms_ports import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from netpol.model.inventory import WorkloadRef
    from netpol.policy.connectivity import Connectivity

PortKey = tuple[int, int]
"""(IP protocol number, port)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts for the pods of one namespace, or of the whole cluster.

    Attributes:
        pods: How many there are.
        pod_pair_ports: Allowed into these pods, from pods of all namespaces.
        reached: The sum over these pods of how many others each may reach, in all namespaces.
        worst: The most that one of these pods may reach.
    """

    pods: int
    pod_pair_ports: int
    reached: int
    worst: int

    @property
    def mean(self) -> Fraction:
        """Pods reached by one pod on average."""
        return Fraction(self.reached, self.pods) if self.pods else Fraction(0)


def figures(
    connectivity: Connectivity, meeting: Mapping[WorkloadRef, frozenset[PortKey]] | None = None
) -> dict[str, Figures]:
    """The figures of each namespace that has pods, sorted; those of the whole cluster are under the empty name.

    Args:
        connectivity: What is allowed.
        meeting: The ports at which the pods of each workload can be met; by default those that each pod declares.
    """
    counter = _Counter(connectivity, meeting)
    namespaces = sorted({namespace for namespace, _ in counter.weights})
    result = {name: counter.of(name) for name in namespaces}
    found = list(result.values())
    total = Figures(
        pods=sum(item.pods for item in found),
        pod_pair_ports=sum(item.pod_pair_ports for item in found),
        reached=sum(item.reached for item in found),
        worst=max((item.worst for item in found), default=0),
    )
    return {"": total, **result}


class _Counter:
    """Pods that are counted, grouped by namespace, class and the ports at which they can be met."""

    def __init__(self, connectivity: Connectivity, meeting: Mapping[WorkloadRef, frozenset[PortKey]] | None) -> None:
        self._connectivity = connectivity
        partition = connectivity.partition
        self._pods = np.zeros(partition.pod_classes, np.int64)
        self.weights: defaultdict[tuple[str, int], defaultdict[frozenset[PortKey], int]] = defaultdict(
            lambda: defaultdict(int)
        )
        for number, member in enumerate(partition.members):
            pod = member.pods[connectivity.side]
            if pod is not None and not pod.host_network:
                declared = frozenset((item.protocol, item.port) for item in pod.ports)
                ports = declared if meeting is None else meeting.get(pod.workload, frozenset())
                self._pods[partition.class_of[number]] += 1
                self.weights[pod.namespace, int(partition.class_of[number])][ports] += 1
        self._classes = np.arange(partition.pod_classes, dtype=np.intp)
        self._sizes: dict[tuple[int, frozenset[PortKey]], int] = {}

    def of(self, namespace: str) -> Figures:
        pods = pair_ports = reached = worst = 0
        for (name, number), by_ports in self.weights.items():
            if name != namespace:
                continue
            here = sum(by_ports.values())
            pods += here
            pair_ports += self._into(number, by_ports)
            radius = self._radius(number)
            reached += here * radius
            worst = max(worst, radius)
        return Figures(pods=pods, pod_pair_ports=pair_ports, reached=reached, worst=worst)

    def _radius(self, number: int) -> int:
        row = self._connectivity.matrix(np.array([number], np.intp), self._classes)[0]
        return int(self._pods[row != EMPTY].sum()) - int(row[number] != EMPTY)

    def _into(self, number: int, by_ports: Mapping[frozenset[PortKey], int]) -> int:
        column: NDArray[np.int32] = self._connectivity.matrix(self._classes, np.array([number], np.intp))[:, 0]
        total = 0
        for allowed in np.unique(column[column != EMPTY]).tolist():
            # A pod does not pair with itself.
            sources = int(self._pods[column == allowed].sum()) - int(column[number] == allowed)
            total += sources * sum(count * self._size(allowed, ports) for ports, count in by_ports.items())
        return total

    def _size(self, allowed: int, ports: frozenset[PortKey]) -> int:
        key = (allowed, ports)
        if key not in self._sizes:
            by_protocol: defaultdict[int, list[int]] = defaultdict(list)
            for protocol, port in ports:
                by_protocol[protocol].append(port)
            met = PortMap.of({protocol: PortSet.of(*found) for protocol, found in by_protocol.items()})
            self._sizes[key] = len(met & self._connectivity.numbers[allowed])
        return self._sizes[key]
