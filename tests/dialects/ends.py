"""The ends of connections as other dialects see them, from an inventory: pods, nodes and addresses outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal

from netpol.model.endpoint import ExternalEnd, NodeEnd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netpol.model.flow import Address
    from netpol.model.inventory import ContainerPort, Inventory, Pod
    from netpol.policy.evaluate import Party

Manifest = dict[str, Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Ending:
    """Who takes part.

    Attributes:
        node: The node that it is, or that it runs on; empty outside.
        party: The same for the judge of NetworkPolicies.
    """

    kind: Literal["pod", "node", "outside"]
    addresses: tuple[Address, ...]
    party: Party
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
    ports: tuple[ContainerPort, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.party}"


def pods(inventory: Inventory) -> Iterator[Ending]:
    """Running pods outside the host network."""
    for pod in inventory.pods:
        if not (pod.finished or pod.host_network):
            yield pod_ending(pod, inventory)


def pod_ending(pod: Pod, inventory: Inventory) -> Ending:
    namespace = inventory.namespaces.get(pod.namespace)
    labels = {**(namespace.labels if namespace else {}), "kubernetes.io/metadata.name": pod.namespace}
    return Ending(
        kind="pod",
        addresses=pod.addresses,
        party=pod,
        namespace=pod.namespace,
        labels=pod.labels,
        namespace_labels=labels,
        node=pod.node,
        ports=pod.ports,
    )


def nodes(inventory: Inventory) -> Iterator[Ending]:
    """Each address of each node."""
    for node in inventory.nodes:
        for address in node.addresses:
            yield Ending(kind="node", addresses=(address,), party=NodeEnd(node.name, address), node=node.name)


def outside(texts: Iterable[str]) -> Iterator[Ending]:
    for text in texts:
        address = ip_address(text)
        yield Ending(kind="outside", addresses=(address,), party=ExternalEnd(address))


def pairs(inventory: Inventory, strangers: Iterable[str]) -> Iterator[tuple[Ending, Ending]]:
    """Everyone who may connect to whom, with a pod on one side at least; nobody to itself."""
    everyone = list(pods(inventory))
    others = [*nodes(inventory), *outside(strangers)]
    for one in everyone:
        yield from ((one, other) for other in [*everyone, *others] if other is not one)
        yield from ((other, one) for other in others)
