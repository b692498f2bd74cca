"""Where the outside comes in: which ports of a workload clients beyond the cluster use, and who they are.

A Service of type LoadBalancer or NodePort, or with external addresses, leads the outside to its pods, and so does one
that an Ingress leads to. With externalTrafficPolicy Local, and where a balancer reaches pods directly, they see the
client's own address; with Cluster a node puts its own in the place of it, and who is behind it is not known
(kubernetes.io, "Source IP"). An Ingress whose controller runs in the cluster brings nobody from outside to the pods
behind it: they see the controller's pods.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from netpol.cluster.backends import Backends, target_port
from netpol.graph.label_graph import OutsideGroup
from netpol.model.endpoint import NodeEnd
from netpol.model.health_checks import prober_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.graph.label_graph import LabelGraph
    from netpol.model.flow import Address
    from netpol.model.health_checks import Prober
    from netpol.model.inventory import Inventory, Service, WorkloadRef

FEW_CLIENTS: Final = 16
"""Distinct outside clients up to which a port that a Service leads the outside to is for them alone."""

Port = tuple[int, int]
"""(IP protocol number, port)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One port of a workload at which the outside comes in, or is meant to.

    Attributes:
        protocol: IP protocol number.
        clients: Outside addresses that were seen, ascending, without those of load balancers' probers.
        probers: Blocks of load balancers' probers, and how many addresses of each were seen.
        nodes: Addresses of nodes that were seen as clients, ascending.
        services: `namespace/name` of Services that lead the outside there, sorted.
        masked: One of them puts the node's address in the place of the client's.
        preserved: One of them keeps the client's address, or is one that an Ingress leads to.
        asked: It was asked for that everybody may come in.
        many: There are so many clients that nobody can know them all beforehand.
    """

    workload: WorkloadRef
    protocol: int
    port: int
    clients: tuple[Address, ...] = ()
    probers: tuple[tuple[Prober, int], ...] = ()
    nodes: tuple[Address, ...] = ()
    services: tuple[str, ...] = ()
    masked: bool = False
    preserved: bool = False
    asked: bool = False
    many: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is opened to more than those who were seen: asked for, or a Service with many clients."""
        return self.asked or (self.many and bool(self.services))

    @property
    def opens_to_world(self) -> bool:
        """Whether it is opened to addresses of the outside: not where only nodes' addresses ever arrive."""
        return self.is_open and (bool(self.clients or self.probers) or self.preserved or not self.services)

    @property
    def opens_to_nodes(self) -> bool:
        """Whether it is opened to all nodes, because any of them may stand in for a client."""
        return self.is_open and self.masked


def doors_of(
    graph: LabelGraph, inventory: Inventory, *, public: frozenset[WorkloadRef], few: int = FEW_CLIENTS
) -> tuple[Door, ...]:
    """All doors, by workload, protocol and port.

    Args:
        graph: What was learned.
        inventory: Its Services.
        public: Workloads that everybody may come in to: at the ports that Services lead the outside to, and those at
            which outside clients were seen.
        few: Up to so many clients are listed one by one.
    """
    fronts = _fronts(inventory)
    found: list[Door] = []
    for workload in graph.workloads():
        outside: defaultdict[Port, set[Address]] = defaultdict(set)
        nodes: defaultdict[Port, set[Address]] = defaultdict(set)
        for edge in graph.incoming(workload):
            if isinstance(edge.source, OutsideGroup):
                outside[edge.protocol, edge.port].update(edge.source.addresses)
            elif isinstance(edge.source, NodeEnd):
                nodes[edge.protocol, edge.port].add(edge.source.address)
        here = fronts.get(workload, {})
        for port in sorted(outside.keys() | here.keys()):
            services = here.get(port, ())
            door = _door(workload, port, outside[port], nodes[port], services)
            found.append(replace(door, asked=workload in public, many=len(door.clients) > few))
    return tuple(found)


def _door(
    workload: WorkloadRef, port: Port, addresses: set[Address], nodes: set[Address], services: Iterable[Service]
) -> Door:
    probers: defaultdict[Prober, int] = defaultdict(int)
    clients: list[Address] = []
    for address in sorted(addresses, key=_order):
        prober = prober_of(address)
        if prober is None:
            clients.append(address)
        else:
            probers[prober] += 1
    services = list(services)
    return Door(
        workload=workload,
        protocol=port[0],
        port=port[1],
        clients=tuple(clients),
        probers=tuple(sorted(probers.items(), key=lambda item: str(item[0].block))),
        nodes=tuple(sorted(nodes, key=_order)),
        services=tuple(sorted({f"{one.namespace}/{one.name}" for one in services})),
        masked=any(one.external and not one.preserves_client for one in services),
        preserved=any(one.preserves_client or not one.external for one in services),
    )


def _fronts(inventory: Inventory) -> Mapping[WorkloadRef, Mapping[Port, tuple[Service, ...]]]:
    """The Services that lead the outside to each workload, by the workload's own ports."""
    backends = Backends(inventory.pods)
    found: defaultdict[WorkloadRef, defaultdict[Port, list[Service]]]
    found = defaultdict(lambda: defaultdict(list))
    for service in inventory.services:
        if not service.external and not service.ingress:
            continue
        for pod in backends.of(service):
            for port in service.ports:
                number = target_port(port, pod)
                if number is not None and service not in found[pod.workload][port.protocol, number]:
                    found[pod.workload][port.protocol, number].append(service)
    return {ref: {port: tuple(services) for port, services in ports.items()} for ref, ports in found.items()}


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)
