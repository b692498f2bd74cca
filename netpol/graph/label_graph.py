"""The graph of workloads: who opens connections to whom, on which port, on what evidence."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from netpol.graph.observation import Evidence, LearnedEnd, Observation, end_key
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.inventory import WorkloadRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netpol.graph.admit import Admission
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory, Pod

KEPT_NAMES = 20
"""Pods named per side of an edge; the count tells of the rest."""


@dataclass(frozen=True, slots=True)
class OutsideGroup:
    """Addresses outside the cluster that had the very same edges.

    Attributes:
        addresses: Ascending, IPv4 before IPv6.
    """

    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        more = f" and {len(self.addresses) - 1} more" if len(self.addresses) > 1 else ""
        return f"external {self.addresses[0]}{more}"


Vertex = WorkloadRef | NodeEnd | OutsideGroup
"""A workload, one address of a node, or outside addresses."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """The pods of one side of an edge: up to `KEPT_NAMES` names, the first by name, and how many there were."""

    names: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """All connections from one vertex to another on one port.

    Attributes:
        protocol: IP protocol number: TCP, UDP or SCTP.
        port: Where the destination listens.
        source_pods: Which of the source's pods; none for a vertex that is no workload.
        destination_pods: The same for the destination.
        nodes: The nodes that these pods ran on, sorted.
    """

    source: Vertex
    destination: Vertex
    protocol: int
    port: int
    evidence: Evidence
    source_pods: Replicas = Replicas()
    destination_pods: Replicas = Replicas()
    nodes: tuple[str, ...] = ()


def vertex_key(vertex: Vertex) -> tuple[str, ...]:
    """Sorts vertices: workloads, then nodes, then the outside."""
    if isinstance(vertex, WorkloadRef):
        return ("0workload", vertex.namespace, vertex.name, vertex.kind)
    if isinstance(vertex, NodeEnd):
        return end_key(vertex)
    return end_key(ExternalEnd(vertex.addresses[0]))


class LabelGraph:
    """A networkx MultiDiGraph with typed access.

    Vertices are `Vertex` values with the attributes `kind` (the workload's kind, `Node` or `External`), `namespace`,
    `name`, `labels` (those that all pods seen share), `pods` (`Replicas`) and `addresses`. Edges have the key
    (protocol, port) and the attribute `edge`, an `Edge`. Vertices and edges are added in sorted order, so that
    iteration is deterministic.
    """

    def __init__(self, graph: nx.MultiDiGraph[Vertex]) -> None:
        self.graph = graph

    @classmethod
    def of(cls, admission: Admission, inventory: Inventory) -> LabelGraph:
        """The graph of what was admitted, O(n log n) for n observations."""
        vertices = _vertices(admission.observations)
        members: defaultdict[Vertex, dict[str, Pod]] = defaultdict(dict)
        parts: defaultdict[tuple[Vertex, Vertex, int, int], list[Observation]] = defaultdict(list)
        for observation in admission.observations:
            ends = (observation.source, observation.destination)
            source, destination = (vertices[end_key(end)] for end in ends)
            parts[source, destination, observation.protocol, observation.port].append(observation)
            for vertex, end in zip((source, destination), ends, strict=True):
                if isinstance(end, PodEnd):
                    members[vertex][end.pod.uid] = end.pod
        graph: nx.MultiDiGraph[Vertex] = nx.MultiDiGraph()
        for vertex in sorted(set(vertices.values()), key=vertex_key):
            graph.add_node(vertex, **_attributes(vertex, members[vertex].values(), inventory))
        edges = (_edge(*key, observations) for key, observations in parts.items())
        for edge in sorted(edges, key=_edge_key):
            graph.add_edge(edge.source, edge.destination, key=(edge.protocol, edge.port), edge=edge)
        return cls(graph)

    def edges(self) -> Iterator[Edge]:
        """All edges, by source, destination, protocol and port."""
        triples: Iterable[tuple[Vertex, Vertex, Edge]] = self.graph.edges(data="edge")
        return (edge for _, _, edge in triples)

    def workloads(self) -> tuple[WorkloadRef, ...]:
        """The workloads that were seen, sorted."""
        return tuple(vertex for vertex in self.graph if isinstance(vertex, WorkloadRef))

    def incoming(self, vertex: Vertex) -> list[Edge]:
        """What is opened to the vertex, by source, protocol and port."""
        triples: Iterable[tuple[Vertex, Vertex, Edge]] = self.graph.in_edges(vertex, data="edge")
        return sorted((edge for _, _, edge in triples), key=_edge_key)

    def outgoing(self, vertex: Vertex) -> list[Edge]:
        """What the vertex opens, by destination, protocol and port."""
        triples: Iterable[tuple[Vertex, Vertex, Edge]] = self.graph.out_edges(vertex, data="edge")
        return sorted((edge for _, _, edge in triples), key=_edge_key)

    def __len__(self) -> int:
        return int(self.graph.number_of_edges())


def _edge_key(edge: Edge) -> tuple[tuple[str, ...], tuple[str, ...], int, int]:
    return vertex_key(edge.source), vertex_key(edge.destination), edge.protocol, edge.port


def _vertices(observations: Iterable[Observation]) -> dict[tuple[str, ...], Vertex]:
    """The vertex of every end; outside addresses with equal edges share one."""
    ends: dict[tuple[str, ...], LearnedEnd] = {}
    habits: defaultdict[Address, set[tuple[str, tuple[str, ...], int, int]]] = defaultdict(set)
    for item in observations:
        sides = (("to", item.source, item.destination), ("from", item.destination, item.source))
        for way, end, other in sides:
            ends[end_key(end)] = end
            if isinstance(end, ExternalEnd):
                peer = other.pod.workload if isinstance(other, PodEnd) else None
                key = vertex_key(peer) if peer else end_key(other)
                habits[end.address].add((way, key, item.protocol, item.port))
    groups: defaultdict[frozenset[tuple[str, tuple[str, ...], int, int]], list[Address]] = defaultdict(list)
    for address in sorted(habits, key=lambda address: (address.version, int(address))):
        groups[frozenset(habits[address])].append(address)
    outside = {address: OutsideGroup(tuple(group)) for group in groups.values() for address in group}
    return {key: _vertex(end, outside) for key, end in ends.items()}


def _vertex(end: LearnedEnd, outside: Mapping[Address, OutsideGroup]) -> Vertex:
    if isinstance(end, PodEnd):
        return end.pod.workload
    return end if isinstance(end, NodeEnd) else outside[end.address]


def _edge(source: Vertex, destination: Vertex, protocol: int, port: int, observations: list[Observation]) -> Edge:
    evidence = observations[0].evidence
    for observation in observations[1:]:
        evidence += observation.evidence
    pods = [
        [end.pod for end in ends if isinstance(end, PodEnd)]
        for ends in ([item.source for item in observations], [item.destination for item in observations])
    ]
    return Edge(
        source=source,
        destination=destination,
        protocol=protocol,
        port=port,
        evidence=evidence,
        source_pods=_replicas(pods[0]),
        destination_pods=_replicas(pods[1]),
        nodes=tuple(sorted({pod.node for side in pods for pod in side if pod.node})),
    )


def _replicas(pods: Iterable[Pod]) -> Replicas:
    names = sorted({(pod.name, pod.uid) for pod in pods})
    return Replicas(tuple(name for name, _ in names[:KEPT_NAMES]), len(names))


def _attributes(vertex: Vertex, pods: Iterable[Pod], inventory: Inventory) -> dict[str, object]:
    if isinstance(vertex, WorkloadRef):
        pods = list(pods)
        shared = set.intersection(*(set(pod.labels.items()) for pod in pods)) if pods else set()
        namespace = inventory.namespaces.get(vertex.namespace)
        return {
            "kind": vertex.kind,
            "namespace": vertex.namespace,
            "name": vertex.name,
            "labels": dict(sorted(shared)),
            "namespace_labels": dict(namespace.labels) if namespace else {},
            "pods": _replicas(pods),
            "addresses": (),
        }
    return {
        "kind": "Node" if isinstance(vertex, NodeEnd) else "External",
        "namespace": "",
        "name": vertex.name if isinstance(vertex, NodeEnd) else str(vertex),
        "labels": {},
        "namespace_labels": {},
        "pods": Replicas(),
        "addresses": (vertex.address,) if isinstance(vertex, NodeEnd) else vertex.addresses,
    }
