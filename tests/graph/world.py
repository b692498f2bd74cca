"""Small clusters and flows for tests, written as one line each."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from netpol.model.endpoint import Destination, End, ExternalEnd, NodeEnd, PodEnd, ResolvedFlow
from netpol.model.flow import TCP, Direction, Flow, Outcome
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Node, Pod, Workload, WorkloadRef
from netpol.model.labels import LabelSelector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SECOND = 1_000_000_000


def pod(
    name: str,
    labels: Mapping[str, str] | None = None,
    *,
    owner: str = "",
    kind: str = "Deployment",
    namespace: str = "shop",
    address: str = "",
    node: str = "n1",
    ports: Sequence[int] = (),
    **more: Any,
) -> Pod:
    """A pod; without an owner it is its own workload."""
    ref = WorkloadRef(namespace=namespace, name=owner or name, kind=kind if owner else "Pod")
    number = int.from_bytes(f"{namespace}/{name}".encode(), "big") % (1 << 24)
    return Pod(
        uid=f"{namespace}/{name}",
        namespace=namespace,
        name=name,
        labels=labels or {},
        workload=ref,
        addresses=(ip_address(address) if address else ip_address((10 << 24) + number),),
        node=node,
        ports=tuple(ContainerPort(protocol=TCP, port=port) for port in ports),
        **more,
    )


def inventory(
    pods: Iterable[Pod], workloads: Iterable[Workload] = (), nodes: Mapping[str, str] | None = None, **more: Any
) -> Inventory:
    pods = tuple(pods)
    names = {item.namespace for item in pods} | {item.ref.namespace for item in workloads}
    return Inventory(
        namespaces={name: Namespace(name=name, labels={"kubernetes.io/metadata.name": name}) for name in sorted(names)},
        pods=pods,
        workloads={item.ref: item for item in workloads},
        nodes=tuple(Node(name=name, addresses=(ip_address(address),)) for name, address in (nodes or {}).items()),
        **more,
    )


def workload(
    name: str,
    template: Mapping[str, str],
    *,
    selector: Mapping[str, str] | None = None,
    namespace: str = "shop",
    **more: Any,
) -> Workload:
    return Workload(
        ref=WorkloadRef(namespace=namespace, name=name, kind=more.pop("kind", "Deployment")),
        selector=LabelSelector(match_labels=selector) if selector is not None else None,
        template_labels=template,
        **more,
    )


def end(thing: Pod | str | End) -> End:
    if isinstance(thing, Pod):
        return PodEnd(thing)
    return ExternalEnd(ip_address(thing)) if isinstance(thing, str) else thing


def flow(
    source: Pod | str | End,
    destination: Pod | str | End | Sequence[Pod],
    port: int | None = 80,
    *,
    protocol: int = TCP,
    outcome: Outcome = Outcome.ESTABLISHED,
    direction: Direction = Direction.SYN,
    at: float = 0,
    connections: int = 1,
    two_way: bool = True,
    service: str = "",
) -> ResolvedFlow:
    """A resolved flow; several destinations stand for a Service whose answering pod was not seen."""
    client = end(source)
    many = isinstance(destination, list | tuple)
    servers = [end(item) for item in destination] if many else [end(destination)]  # type: ignore[union-attr, arg-type]
    return ResolvedFlow(
        flow=Flow(
            client=_address(client),
            server=ip_address("10.96.0.1") if many else _address(servers[0]),
            protocol=protocol,
            port=port,
            outcome=outcome,
            direction=direction,
            connections=connections,
            packets=10 * connections,
            bytes=1000 * connections,
            first_seen=int(at * SECOND),
            last_seen=int((at + 1) * SECOND),
            two_way=two_way,
        ),
        source=client,
        destinations=tuple(Destination(item, port) for item in servers),
        service=service,
    )


def node(name: str, address: str) -> NodeEnd:
    return NodeEnd(name, ip_address(address))


def _address(item: End) -> Any:
    return item.pod.addresses[0] if isinstance(item, PodEnd) else getattr(item, "address", ip_address("10.96.0.9"))
