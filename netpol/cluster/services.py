"""Services, their endpoints and what leads to them, read: core/v1, discovery.k8s.io/v1, networking.k8s.io/v1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.cluster.fields import parse_address
from netpol.errors import InputError
from netpol.model.inventory import EndpointAddress, Service, ServicePort

if TYPE_CHECKING:
    from netpol.cluster.fields import Fields, Object
    from netpol.model.flow import Address

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service that it belongs to (KEP-752)."""
ALL_PORTS: Final = 0
"""An endpoint port without a number: every port (EndpointSlice API, EndpointPort.port)."""


@dataclass(frozen=True, slots=True)
class EndpointsSeen:
    """The endpoints of one Service, as one EndpointSlice or Endpoints object has them."""

    namespace: str
    service: str
    addresses: tuple[EndpointAddress, ...]


def read_service(item: Object) -> Service:
    """Reads a Service, without endpoints.

    Raises:
        InputError: A field is malformed.
    """
    spec = item.fields("spec")
    kind = spec.text("type") or "ClusterIP"
    virtual = () if kind == "ExternalName" else _virtual(spec, item.fields("status"))
    external = spec.addresses("externalIPs")
    selector = spec.labels("selector")
    return Service(
        namespace=item.namespace,
        name=item.object_name,
        # core/v1: "If empty or not present, the service is assumed to have an external process managing its endpoints".
        selector=selector if selector and kind != "ExternalName" else None,
        addresses=tuple(dict.fromkeys((*virtual, *external))),
        ports=tuple(_port(port) for port in spec.each("ports")),
        external=kind in {"LoadBalancer", "NodePort"} or bool(external),
        preserves_client=spec.text("externalTrafficPolicy") == "Local",
        started=item.metadata.time("creationTimestamp"),
    )


def _virtual(spec: Fields, status: Fields) -> tuple[Address, ...]:
    first = spec.text("clusterIP")
    texts = [(f"clusterIPs[{index}]", text) for index, text in enumerate(spec.texts("clusterIPs"))]
    found = []
    for name, text in [("clusterIP", first), *texts]:
        if text and text != "None":
            try:
                found.append(parse_address(text))
            except InputError as error:
                raise error.inside(f"spec.{name}") from None
    for ingress in status.fields("loadBalancer").each("ingress"):
        address = ingress.address("ip")
        # KEP-1860: with mode Proxy the balancer is a hop of its own, but its address still leads to this Service.
        if address is not None:
            found.append(address)
    return tuple(found)


def _port(port: Fields) -> ServicePort:
    number = port.port("port")
    if not number:
        raise port.error("port", "is missing", "Give the port's number")
    return ServicePort(
        protocol=port.protocol(),
        port=number,
        target=port.port_or_name("targetPort", number),
        name=port.text("name"),
        node_port=port.port("nodePort"),
    )


def read_endpoint_slice(item: Object) -> EndpointsSeen | None:
    """Reads an EndpointSlice; None for one of names instead of addresses, or one that belongs to no Service.

    Endpoints that are not ready count too: they may have been at the time of a flow, and whether the pod lived then is
    known from the pod.

    Raises:
        InputError: A field is malformed.
    """
    service = item.metadata.labels().get(SERVICE_NAME_LABEL, "")
    if not service or item.text("addressType") == "FQDN":
        return None
    ports = _endpoint_ports(item)
    found: list[EndpointAddress] = []
    for endpoint in item.each("endpoints"):
        pod = _pod(endpoint, item.namespace)
        found.extend(EndpointAddress(address=one, pod=pod, ports=ports) for one in endpoint.addresses("addresses"))
    return EndpointsSeen(item.namespace, service, tuple(found))


def read_endpoints(item: Object) -> EndpointsSeen:
    """Reads an Endpoints object, which has the name of its Service.

    Raises:
        InputError: A field is malformed.
    """
    found = []
    for subset in item.each("subsets"):
        ports = _endpoint_ports(subset)
        for name in ("addresses", "notReadyAddresses"):
            for entry in subset.each(name):
                address = entry.address("ip")
                if address is not None:
                    found.append(EndpointAddress(address=address, pod=_pod(entry, item.namespace), ports=ports))
    return EndpointsSeen(item.namespace, item.object_name, tuple(found))


def read_ingress(item: Object) -> set[str]:
    """The names of the Services that an Ingress leads to (networking.k8s.io/v1, IngressBackend).

    Raises:
        InputError: A field is malformed.
    """
    spec = item.fields("spec")
    backends = [spec.fields("defaultBackend")]
    backends += (path.fields("backend") for rule in spec.each("rules") for path in rule.fields("http").each("paths"))
    return {name for backend in backends if (name := backend.fields("service").text("name"))}


def _endpoint_ports(owner: Fields) -> tuple[tuple[int, str, int], ...]:
    return tuple((port.protocol(), port.text("name"), port.port("port", ALL_PORTS)) for port in owner.each("ports"))


def _pod(endpoint: Fields, namespace: str) -> str:
    target = endpoint.fields("targetRef")
    if target.text("kind") != "Pod":
        return ""
    return f"{target.text('namespace') or namespace}/{target.name()}"
