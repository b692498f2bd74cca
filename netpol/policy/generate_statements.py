"""What a person must know about generated policies: what is closed on silence, what is allowed beyond what was seen."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from netpol.graph.selectors import Naming
from netpol.model.endpoint import NodeEnd
from netpol.model.flow import protocol_name
from netpol.model.labels import is_label_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from netpol.graph.label_graph import Edge, LabelGraph, Vertex
    from netpol.graph.selectors import Selectors
    from netpol.model.inventory import Inventory, Pod, Service, WorkloadRef
    from netpol.model.policy import NetworkPolicy


class Topic(IntEnum):
    """What a statement is about, the most important first; the name in lower case with hyphens is its stable id."""

    METADATA = 1
    """It read cloud metadata: closed."""
    KUBELET = 2
    """It spoke to a kubelet: closed, but for that of its own node."""
    PUBLIC = 3
    """It is open to more of the outside than was seen, and why."""
    SILENT_PORT = 4
    """A declared port or Service that nobody used is closed."""
    SHARED_SELECTOR = 5
    """Labels cannot tell workloads apart: what one may do, the other may too."""
    SILENT_INGRESS = 6
    """Nobody connected to it and it declares no port: closed to all."""
    SILENT_EGRESS = 7
    """It was never seen to open a connection: it may open none."""
    HEALTH_CHECKS = 8
    """A load balancer probes it, from more addresses than were seen."""
    MASKED_CLIENTS = 9
    """Nodes stand in for clients from outside: any node may, and only those seen are allowed."""
    OUTSIDE_CLIENTS = 10
    """Of the outside, only the addresses that were seen may connect."""
    MIDSTREAM = 11
    """An edge is known only from connections older than the capture."""
    ANY_BACKEND = 12
    """An edge is known only from a Service's address: which pod answered was not seen."""
    NODE_PEER = 13
    """A peer is a node's address: a hostNetwork pod, or traffic that the node rewrote."""
    PLATFORM_PEER = 14
    """A peer is a part of the platform below the cluster: the API server, node-local DNS."""
    NO_POLICY = 15
    """A workload without a policy, and why."""

    @property
    def identifier(self) -> str:
        """The stable id."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing to know, as data. The text quotes names from the cluster as they are: whoever prints it escapes it.

    Attributes:
        workload: Whom it is about.
        direction: Which of its directions, empty for both.
        ports: (IP protocol number, port) it is about.
        others: The workloads, addresses or Services that it is about, as printed.
        remedy: What a person can do, empty where nothing needs doing.
    """

    topic: Topic
    workload: WorkloadRef
    text: str
    direction: Literal["ingress", "egress", ""] = ""
    ports: tuple[tuple[int, int], ...] = ()
    others: tuple[str, ...] = ()
    remedy: str = ""


def statements_for(
    graph: LabelGraph,
    inventory: Inventory,
    selectors: Selectors,
    written: Mapping[WorkloadRef, NetworkPolicy],
    why_not: Callable[[WorkloadRef], str],
) -> tuple[Statement, ...]:
    """Everything that is worth saying, sorted by topic, workload, direction and text.

    Args:
        graph: What was learned.
        inventory: What is declared.
        selectors: How workloads are named.
        written: Each workload's policy.
        why_not: Why a workload was not to get a policy, empty where it was.
    """
    found: list[Statement] = []
    declared = _Declared(inventory)
    for workload, policy in written.items():
        found += _silence(graph, policy, workload, declared)
        found += _evidence(graph, workload)
    for workload in graph.workloads():
        found += _shared(workload, selectors, inventory, isolated=workload in written)
    found += _without_policy(inventory, selectors, written, why_not)
    return tuple(sorted(found, key=lambda item: (item.topic, item.workload, item.direction, item.ports, item.text)))


class _Declared:
    """Which ports workloads declare: containerPorts, and targetPorts of Services that select them."""

    def __init__(self, inventory: Inventory) -> None:
        self._ports: defaultdict[WorkloadRef, dict[tuple[int, int], str]] = defaultdict(dict)
        services: defaultdict[str, list[Service]] = defaultdict(list)
        for service in inventory.services:
            services[service.namespace].append(service)
        looked: set[tuple[WorkloadRef, frozenset[tuple[str, str]], tuple[object, ...]]] = set()
        for pod in inventory.pods:
            kind = (pod.workload, frozenset(pod.labels.items()), pod.ports)
            if kind not in looked:
                looked.add(kind)
                self._add(pod, services[pod.namespace])

    def _add(self, pod: Pod, services: Iterable[Service]) -> None:
        mine = self._ports[pod.workload]
        for port in pod.ports:
            mine.setdefault((port.protocol, port.port), "")
        for service in services:
            if service.selector and service.selector.items() <= pod.labels.items():
                for item in service.ports:
                    for number in _targets(pod, item.protocol, item.target):
                        known = mine.get((item.protocol, number), "")
                        mine[item.protocol, number] = min(filter(None, (known, f"{service.namespace}/{service.name}")))

    def of(self, workload: WorkloadRef) -> Mapping[tuple[int, int], str]:
        """(protocol, port) to the Service that leads there, empty for a containerPort that no Service targets."""
        return self._ports.get(workload, {})


def _targets(pod: Pod, protocol: int, target: int | str) -> list[int]:
    if isinstance(target, int):
        return [target]
    return [port.port for port in pod.ports if port.name == target and port.protocol == protocol]


def _silence(
    graph: LabelGraph, policy: NetworkPolicy, workload: WorkloadRef, declared: _Declared
) -> Iterable[Statement]:
    """What the policy closes on the ground that it was not seen."""
    used = {(edge.protocol, edge.port) for edge in graph.incoming(workload)}
    if policy.isolates_ingress:
        for port, service in sorted(declared.of(workload).items()):
            if port not in used:
                name = f"{protocol_name(port[0])}/{port[1]}"
                yield Statement(
                    topic=Topic.SILENT_PORT,
                    workload=workload,
                    direction="ingress",
                    ports=(port,),
                    others=(service,) if service else (),
                    text=f"{name} is declared{f' and served by Service {service}' if service else ''}, "
                    "but nobody used it during the capture: it is closed",
                    remedy="Capture while it is in use, or allow it by hand if it is needed",
                )
        if not used and not declared.of(workload):
            yield Statement(
                topic=Topic.SILENT_INGRESS,
                workload=workload,
                direction="ingress",
                text="nobody connected to it: nobody may",
            )
    if policy.isolates_egress and not graph.outgoing(workload):
        yield Statement(
            topic=Topic.SILENT_EGRESS,
            workload=workload,
            direction="egress",
            text="it opened no connection: it may open none, not even for DNS",
        )


def _evidence(graph: LabelGraph, workload: WorkloadRef) -> Iterable[Statement]:
    """Edges whose evidence is less than a handshake between two known pods."""
    sides: tuple[tuple[Literal["ingress", "egress"], list[tuple[Vertex, Edge]]], ...] = (
        ("ingress", [(edge.source, edge) for edge in graph.incoming(workload)]),
        ("egress", [(edge.destination, edge) for edge in graph.outgoing(workload)]),
    )
    for direction, edges in sides:
        for peer, edge in edges:
            port = (edge.protocol, edge.port)
            topics: list[tuple[Topic, str]] = []
            if edge.evidence.midstream == edge.evidence.connections:
                topics.append((Topic.MIDSTREAM, "known only from connections that were older than the capture"))
            if edge.evidence.shared == edge.evidence.connections and direction == "egress":
                names = ", ".join(edge.evidence.services)
                topics.append(
                    (Topic.ANY_BACKEND, f"known only from Service {names}: any of its pods may have answered")
                )
            if isinstance(peer, NodeEnd):
                topics.append(
                    (Topic.NODE_PEER, "a node's address: a pod in its host network, or rewritten by the node")
                )
            for topic, text in topics:
                name = f"{peer}/{peer.address}" if isinstance(peer, NodeEnd) else str(peer)
                preposition = "from" if direction == "ingress" else "to"
                yield Statement(
                    topic=topic,
                    workload=workload,
                    direction=direction,
                    ports=(port,),
                    others=(name,),
                    text=f"{protocol_name(port[0])}/{port[1]} {preposition} {name}: {text}",
                )


def _shared(
    workload: WorkloadRef, selectors: Selectors, inventory: Inventory, *, isolated: bool
) -> Iterable[Statement]:
    selection = selectors.of(workload)
    if not selection.hits:
        return
    others = tuple(map(str, selection.hits))
    yield Statement(
        topic=Topic.SHARED_SELECTOR,
        workload=workload,
        others=others,
        text=f"no lasting label tells it from {', '.join(others)}: who may connect to it may connect to them, "
        "whom it may reach they may reach" + (", and its policy is theirs too" if isolated else ""),
        remedy=_suggestion(workload, inventory),
    )


def _suggestion(workload: WorkloadRef, inventory: Inventory) -> str:
    keys: set[str] = set()
    for pod in inventory.pods:
        if pod.workload == workload:
            keys |= pod.labels.keys()
    wanted = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component")
    key = next((key for key in wanted if key not in keys), wanted[-1])
    value = workload.name if is_label_value(workload.name) else "a name of its own"
    return f"Give its pod template the label {key}: {value}"


def _without_policy(
    inventory: Inventory,
    selectors: Selectors,
    covered: Mapping[WorkloadRef, NetworkPolicy],
    why_not: Callable[[WorkloadRef], str],
) -> Iterable[Statement]:
    """The workloads that stay as they are, with the reason."""
    hosts = {pod.workload: pod.host_network for pod in inventory.pods if not pod.finished}
    hosts |= {workload.ref: workload.host_network for workload in inventory.workloads.values() if workload.ref in hosts}
    # A workload that a twin's policy selects is not without one; the statement about the twin says so.
    hit = {twin for workload in covered for twin in selectors.of(workload).hits}
    for workload in sorted(hosts.keys() - covered.keys() - hit):
        remedy = ""
        if hosts[workload]:
            text = "its pods are in the host network, where policies do not apply"
        elif reason := why_not(workload):
            text = reason
        elif selectors.of(workload).naming is Naming.NONE:
            text, remedy = "its pods have no lasting label to select them by", _suggestion(workload, inventory)
        else:
            text = "it was not seen in any connection that was learned"
        yield Statement(topic=Topic.NO_POLICY, workload=workload, text=text, remedy=remedy)
