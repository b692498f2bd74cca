"""Who stands behind an address at the time of a flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netpol.model.flow import Address, Flow
    from netpol.model.inventory import Pod


@dataclass(frozen=True, slots=True)
class PodEnd:
    """A pod that is reached at its own address."""

    pod: Pod

    def __str__(self) -> str:
        return str(self.pod.workload)


@dataclass(frozen=True, slots=True)
class NodeEnd:
    """A node's own address: the kubelet, a hostNetwork pod, or traffic that the node rewrote. Never a pod."""

    name: str
    address: Address

    def __str__(self) -> str:
        return f"node/{self.name}"


@dataclass(frozen=True, slots=True)
class ServiceEnd:
    """A Service's virtual address that could not be mapped to a pod."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"service/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ExternalEnd:
    """An address outside the cluster."""

    address: Address

    def __str__(self) -> str:
        return "external"


@dataclass(frozen=True, slots=True)
class AmbiguousEnd:
    """More than one owner held the address while the flow lasted."""

    address: Address
    owners: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "ambiguous"


@dataclass(frozen=True, slots=True)
class UnknownEnd:
    """Inside the pod or service range, or held at another time, but by nobody known at the flow's time."""

    address: Address
    reason: str

    def __str__(self) -> str:
        return "unknown"


End = PodEnd | NodeEnd | ServiceEnd | ExternalEnd | AmbiguousEnd | UnknownEnd


@dataclass(frozen=True, slots=True)
class Destination:
    """An end that serves, and the port where it listens: a Service's port is translated to the pod's own."""

    end: End
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFlow:
    """A flow and who took part in it.

    Attributes:
        source: The end that opened the connection (the lower address when the direction is unknown).
        destinations: Who served it, at least one: more than one only where a Service's virtual address was seen, but
            not which of its pods answered.
        service: `namespace/name` of the Service whose virtual address was seen, empty for a direct connection.
    """

    flow: Flow
    source: End
    destinations: tuple[Destination, ...]
    service: str = ""

    @property
    def source_text(self) -> str:
        """The source as every output names it."""
        return str(self.source)

    @property
    def destination_text(self) -> str:
        """The destination as every output names it: the Service where its pods are of several workloads."""
        names = {str(destination.end) for destination in self.destinations}
        return names.pop() if len(names) == 1 else f"service/{self.service}"
