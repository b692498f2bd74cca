"""What the cluster's own objects say about who listens where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.cluster.backends import Backends, target_port
from netpol.cluster.services import ALL_PORTS

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory


def declared_ports(inventory: Inventory) -> list[tuple[Address, int, int]]:
    """Every (address, IP protocol number, port) that something is declared to listen on, at whatever time.

    containerPorts at the pod's addresses (the node's, for a hostNetwork pod); a Service's ports at its virtual
    addresses, its nodePorts at every node's, its targetPorts at the pods it selects; endpoint ports at the endpoints.
    """
    found: set[tuple[Address, int, int]] = set()
    for pod in inventory.pods:
        for port in pod.ports:
            found.update((address, port.protocol, port.port) for address in pod.addresses)
    backends = Backends(inventory.pods)
    node_addresses = [address for node in inventory.nodes for address in node.addresses]
    for service in inventory.services:
        pods = backends.of(service)
        for service_port in service.ports:
            protocol = service_port.protocol
            found.update((address, protocol, service_port.port) for address in service.addresses)
            if service_port.node_port:
                found.update((address, protocol, service_port.node_port) for address in node_addresses)
            for pod in pods:
                target = target_port(service_port, pod)
                if target is not None:
                    found.update((address, protocol, target) for address in pod.addresses)
        for endpoint in service.endpoints:
            found.update(
                (endpoint.address, protocol, number) for protocol, _, number in endpoint.ports if number != ALL_PORTS
            )
    return list(found)
