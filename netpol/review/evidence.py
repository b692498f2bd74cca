"""What was seen of the connections that a report speaks of: observations, found by their ends and added up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.graph.label_graph import KEPT_NAMES, Replicas
from netpol.model.cidr import AddressSet
from netpol.model.endpoint import PodEnd
from netpol.view.flow_graph import NO_PODS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.graph.observation import Evidence, LearnedEnd, Observation
    from netpol.model.flow import Address
    from netpol.model.inventory import Pod
    from netpol.model.ports import PortMap
    from netpol.policy.connectivity_places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All evidence for some connections.

    Attributes:
        source_pods: The source's pods that opened them; none for an end that is no pod.
        destination_pods: The same of the destination.
        nodes: The nodes on which these pods ran, sorted.
    """

    evidence: Evidence
    source_pods: Replicas = NO_PODS
    destination_pods: Replicas = NO_PODS
    nodes: tuple[str, ...] = ()


def seen_of(observations: Iterable[Observation]) -> Seen | None:
    """Everything added up; None where there is nothing."""
    evidence: Evidence | None = None
    pods: tuple[dict[str, Pod], dict[str, Pod]] = ({}, {})
    for item in observations:
        evidence = item.evidence if evidence is None else evidence + item.evidence
        for side, end in zip(pods, (item.source, item.destination), strict=True):
            if isinstance(end, PodEnd):
                side[end.pod.uid] = end.pod
    if evidence is None:
        return None
    return Seen(
        evidence=evidence,
        source_pods=_replicas(pods[0].values()),
        destination_pods=_replicas(pods[1].values()),
        nodes=tuple(sorted({pod.node for side in pods for pod in side.values() if pod.node})),
    )


def _replicas(pods: Iterable[Pod]) -> Replicas:
    names = sorted({(pod.name, pod.uid) for pod in pods})
    return Replicas(tuple(name for name, _ in names[:KEPT_NAMES]), len(names))


class Sightings:
    """Observations by the ends of a row.

    Args:
        observations: What was learned.
    """

    def __init__(self, observations: Iterable[Observation]) -> None:
        self._between: defaultdict[tuple[str, str], list[Observation]] = defaultdict(list)
        for item in observations:
            self._between[_family(item.source), _family(item.destination)].append(item)

    def between(self, source: Place, destination: Place, ports: PortMap) -> Seen | None:
        """What was seen from one place to another on some of these ports; None where nothing was."""
        if not ports:
            return None
        found: list[Observation] = []
        sides = (_Side(source), _Side(destination))
        for key in ((one, other) for one in sides[0].families for other in sides[1].families):
            found += (
                item
                for item in self._between.get(key, ())
                if (item.protocol, item.port) in ports
                and sides[0].holds(item.source)
                and sides[1].holds(item.destination)
            )
        return seen_of(found)


_OUTSIDE = ""
"""The family of all ends that are no pods with addresses of their own."""


def _family(end: LearnedEnd) -> str:
    return str(end.pod.workload) if isinstance(end, PodEnd) else _OUTSIDE


class _Side:
    """The ends that a place stands for."""

    def __init__(self, place: Place) -> None:
        pods = [member.pod for member in place.members]
        self._addresses: set[Address] = {address for pod in pods if pod.host_network for address in pod.addresses}
        self._area = _area(place) if place.first is not None else None
        workloads = dict.fromkeys(str(pod.workload) for pod in pods if not pod.host_network)
        self.families = [*workloads, *([_OUTSIDE] if self._addresses or self._area else [])]
        # A row about single pods stands beside others about the rest of their workload.
        self._names = None if place.text in workloads else {pod.name for pod in pods}

    def holds(self, end: LearnedEnd) -> bool:
        if isinstance(end, PodEnd):
            return self._names is None or end.pod.name in self._names
        return end.address in self._addresses or (self._area is not None and end.address in self._area)


def _area(place: Place) -> AddressSet:
    first, _, last = place.text.partition("-")
    if not last:
        return AddressSet.of(first)
    ((low, _),), ((high, _),) = AddressSet.of(first).ranges(), AddressSet.of(last).ranges()
    return AddressSet.of((low, high))
