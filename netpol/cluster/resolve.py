"""Takes flows between addresses; yields the same between pods, nodes, Services and the world outside."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netpol.cluster.backends import Backends, target_port
from netpol.cluster.services import ALL_PORTS
from netpol.cluster.timeline import BEGINNING, FOREVER, SKEW, Outside, Tenancy, Timeline, Virtual
from netpol.model.endpoint import (
    AmbiguousEnd,
    Destination,
    End,
    ExternalEnd,
    NodeEnd,
    PodEnd,
    ResolvedFlow,
    ServiceEnd,
    UnknownEnd,
)
from netpol.model.flow import AMBIGUOUS_TENANCY, NO_TENANCY
from netpol.model.inventory import Pod, Service, ServicePort

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.flow import Address, Flow


@dataclass(frozen=True, slots=True)
class _Span:
    """First and last packet of a flow, nanoseconds since the epoch."""

    first: int
    last: int

    def meets(self, started: int | None, ended: int | None) -> bool:
        """Whether something that lived from `started` to `ended` did so during the span, give or take clock skew."""
        begun = started is None or started <= self.last + SKEW
        return begun and (ended is None or ended > self.first - SKEW)


def resolve(flows: Iterable[Flow], timeline: Timeline) -> Iterator[ResolvedFlow]:
    """Names the ends of flows, one by one and in their order.

    A flow that carries tenancies was attributed packet by packet when it was assembled: they stand. Otherwise its
    addresses are looked up at its own time.

    Args:
        flows: In any order.
        timeline: The one that the flows were assembled with, or any if they carry no tenancies.
    """
    resolver = _Resolver(timeline)
    for flow in flows:
        yield resolver.resolve(flow)


class _Resolver:
    """Looks up ends and the pods behind Services."""

    __slots__ = ("_backends", "_node_ports", "_pods", "_timeline", "_virtual_ports")

    def __init__(self, timeline: Timeline) -> None:
        inventory = timeline.inventory
        self._timeline = timeline
        self._backends = Backends(inventory.pods)
        self._pods: dict[str, list[Pod]] = defaultdict(list)
        for pod in inventory.pods:
            self._pods[f"{pod.namespace}/{pod.name}"].append(pod)
        self._virtual_ports: dict[tuple[Address, int, int], list[tuple[Service, ServicePort]]] = defaultdict(list)
        self._node_ports: dict[tuple[int, int], list[tuple[Service, ServicePort]]] = defaultdict(list)
        for service in inventory.services:
            for port in service.ports:
                for address in service.addresses:
                    self._virtual_ports[address, port.protocol, port.port].append((service, port))
                if port.node_port:
                    self._node_ports[port.protocol, port.node_port].append((service, port))

    def resolve(self, flow: Flow) -> ResolvedFlow:
        span = _Span(flow.first_seen, flow.last_seen)
        source = self._end(flow.client, flow.client_tenancy, span)
        server = self._end(flow.server, flow.server_tenancy, span)
        service, destinations = self._served(flow, server, span)
        if not destinations:
            destinations = (Destination(server, flow.port),)
        return ResolvedFlow(flow=flow, source=source, destinations=destinations, service=service)

    def _served(self, flow: Flow, server: End, span: _Span) -> tuple[str, tuple[Destination, ...]]:
        """The Service whose virtual address or nodePort was seen, and the pods behind it."""
        if flow.port is None:
            return self._name(server), ()
        candidates: list[tuple[Service, ServicePort]] = []
        if isinstance(server, (ServiceEnd, NodeEnd)):
            candidates = self._virtual_ports.get((flow.server, flow.protocol, flow.port), [])
        if isinstance(server, NodeEnd) and not candidates:
            candidates = self._node_ports.get((flow.protocol, flow.port), [])
        living = [(service, port) for service, port in candidates if span.meets(service.started, service.ended)]
        candidates = living or candidates
        if not candidates:
            return self._name(server), ()
        names = sorted({f"{service.namespace}/{service.name}" for service, _ in candidates})
        if len(names) > 1:
            owners = tuple(f"service {name}" for name in names)
            return "", (Destination(AmbiguousEnd(flow.server, owners), flow.port),)
        found = {
            _destination_order(target): target
            for service, port in candidates
            for target in self._targets(service, port, flow.server.version, span)
        }
        if not found:
            end = server if isinstance(server, ServiceEnd) else ServiceEnd(*names[0].split("/", 1))
            return names[0], (Destination(end, flow.port),)
        return names[0], tuple(found[key] for key in sorted(found))

    @staticmethod
    def _name(server: End) -> str:
        return f"{server.namespace}/{server.name}" if isinstance(server, ServiceEnd) else ""

    def _targets(self, service: Service, port: ServicePort, version: int, span: _Span) -> Iterator[Destination]:
        """The endpoints that were there at the time, or else the pods that the selector matches."""
        yield from list(self._endpoints(service, port, version, span)) or self._selected(service, port, version, span)

    def _endpoints(self, service: Service, port: ServicePort, version: int, span: _Span) -> Iterator[Destination]:
        for endpoint in service.endpoints:
            if endpoint.address.version != version:
                continue
            number = _endpoint_port(endpoint.ports, port)
            if number is None:
                continue
            if not endpoint.pod:
                yield Destination(self._end(endpoint.address, NO_TENANCY, span), number)
                continue
            for pod in self._pods.get(endpoint.pod, ()):
                if endpoint.address in pod.addresses and span.meets(pod.started, pod.ended):
                    yield Destination(_pod_end(pod, endpoint.address), number)

    def _selected(self, service: Service, port: ServicePort, version: int, span: _Span) -> Iterator[Destination]:
        for pod in self._backends.of(service):
            number = target_port(port, pod)
            address = next((one for one in pod.addresses if one.version == version), None)
            unheld = pod.finished and pod.ended is None
            if number is not None and address is not None and not unheld and span.meets(pod.started, pod.ended):
                yield Destination(_pod_end(pod, address), number)

    def _end(self, address: Address, tenancy: int, span: _Span) -> End:
        tenancies = self._timeline.tenancies_list
        if 0 <= tenancy < len(tenancies) and tenancies[tenancy].address == address:
            return _owner_end(tenancies[tenancy])
        if tenancy != AMBIGUOUS_TENANCY:
            tenancy = self._timeline.find(address, span.first, span.last)
        if tenancy >= 0:
            return _owner_end(tenancies[tenancy])
        if tenancy == AMBIGUOUS_TENANCY:
            return self._ambiguous(address, span)
        tenants = self._timeline.tenants(address)
        if tenants:
            return UnknownEnd(address, _at_other_times(tenants))
        return self._timeline.unowned.end(address)

    def _ambiguous(self, address: Address, span: _Span) -> AmbiguousEnd:
        met = [self._timeline.tenancies_list[index] for index in self._timeline.meeting(address, span.first, span.last)]
        owners = [f"{one.label} {_period(one)}" for one in met]
        if len(met) == 1:
            owners.append("nobody known before")
        return AmbiguousEnd(address, tuple(owners))


def _endpoint_port(ports: tuple[tuple[int, str, int], ...], port: ServicePort) -> int | None:
    """The endpoint's port for a Service's: of the same protocol and name (EndpointSlice API, EndpointPort.name)."""
    for protocol, name, number in ports:
        if protocol == port.protocol and name == port.name:
            if number != ALL_PORTS:
                return number
            return port.target if isinstance(port.target, int) else port.port
    return None


def _pod_end(pod: Pod, address: Address) -> End:
    return NodeEnd(pod.node, address) if pod.host_network else PodEnd(pod)


def _owner_end(tenancy: Tenancy) -> End:
    owner = tenancy.owner
    if isinstance(owner, Pod):
        return PodEnd(owner)
    if isinstance(owner, Virtual):
        return ServiceEnd(owner.services[0].namespace, owner.services[0].name)
    if isinstance(owner, Outside):
        return ExternalEnd(tenancy.address)
    return NodeEnd(owner.name, tenancy.address)


def _destination_order(destination: Destination) -> tuple[str, str, str, int]:
    end = destination.end
    port = destination.port or 0
    if isinstance(end, PodEnd):
        return (f"{end.pod.namespace}/{end.pod.name}", end.pod.uid, "", port)
    return (str(end), str(getattr(end, "address", "")), "", port)


def _at_other_times(tenants: tuple[Tenancy, ...]) -> str:
    shown = "; ".join(f"{one.label} {_period(one)}" for one in tenants[:3])
    more = f" and {len(tenants) - 3} more" if len(tenants) > 3 else ""
    return f"held at other times only, by {shown}{more}: take a snapshot of the cluster during the capture"


def _period(tenancy: Tenancy) -> str:
    if tenancy.start == BEGINNING and tenancy.end == FOREVER:
        return "always"
    start = "" if tenancy.start == BEGINNING else f"from {_moment(tenancy.start)}"
    end = "" if tenancy.end == FOREVER else f"until {_moment(tenancy.end)}"
    return f"{start} {end}".strip()


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
