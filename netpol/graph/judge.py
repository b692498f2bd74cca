"""Whether one flow, looked at alone, may be learned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from netpol.graph.observation import LearnedEnd
from netpol.graph.reasons import Reason, first_reason
from netpol.model.endpoint import AmbiguousEnd, ExternalEnd, NodeEnd, PodEnd, ServiceEnd, UnknownEnd
from netpol.model.flow import PORT_PROTOCOLS, Direction, Outcome
from netpol.model.ports import FIRST_PORT, LAST_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Address, Flow
    from netpol.model.inventory import Inventory, WorkloadRef

FIRST_EPHEMERAL_PORT = 32768
"""Where Linux begins to take clients' ports (`net.ipv4.ip_local_port_range`); IANA's dynamic range begins at 49152."""

KNOWN = frozenset({Direction.SYN, Direction.SYNACK, Direction.TRACKED, Direction.DECLARED, Direction.CONFIRMED})
"""What says well enough who opened a connection that its beginning need not have been seen."""

_NOT_WORKED = {
    Outcome.REFUSED: Reason.REFUSED,
    Outcome.UNANSWERED: Reason.UNANSWERED,
    Outcome.UNKNOWN: Reason.UNKNOWN_OUTCOME,
}

Ends = tuple[tuple[LearnedEnd, int], ...]
"""Who served, and on which port: several where a Service's address was seen and the answering pod was not."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A flow that may be learned as far as it alone can tell."""

    source: LearnedEnd
    destinations: Ends


class Judge:
    """Knows which ports the cluster declares and which workloads can be named.

    Args:
        inventory: Says which ports are declared.
        selectable: Whether a selector can name the pods of a workload.
    """

    def __init__(self, inventory: Inventory, selectable: Callable[[WorkloadRef], bool]) -> None:
        self._selectable = selectable
        self._declared = _declared_ports(inventory)

    def judge(self, flow: ResolvedFlow) -> Accepted | Reason:
        """The ends to learn, or why there is nothing to learn.

        A Service's pods may belong to several workloads (a canary beside the stable release). All of them are
        learned: the Service sends the next connection to any of them, and its owner chose them; the admission names
        such Services.
        """
        row = flow.flow
        if row.protocol not in PORT_PROTOCOLS:
            return Reason.NO_PORTS
        if is_no_peer(row.client) or is_no_peer(row.server):
            return Reason.LOCAL_ADDRESS
        source = grounded(flow.source, row.client)
        destinations = [(grounded(item.end, row.server), item.port) for item in flow.destinations]
        needless = [_needs_no_rule(source, end) for end, _ in destinations]
        kept = [item for item, reason in zip(destinations, needless, strict=True) if reason is None]
        if not kept:
            return first_reason(reason for reason in needless if reason is not None)
        return _did_not_work(row) or self._accept(row, source, kept)

    def _accept(self, flow: Flow, source: End, destinations: list[tuple[End, int | None]]) -> Accepted | Reason:
        ends = (source, *(end for end, _ in destinations))
        unusable = [reason for end in ends if (reason := self._unusable(end)) is not None]
        if unusable:
            return first_reason(unusable)
        learned: list[tuple[LearnedEnd, int]] = []
        for end, port in destinations:
            if port is None or not FIRST_PORT <= port <= LAST_PORT:
                return Reason.NO_PORTS
            if isinstance(end, PodEnd | NodeEnd | ExternalEnd):
                learned.append((end, port))
        if flow.direction not in KNOWN and any(self.is_ephemeral(end, flow.protocol, port) for end, port in learned):
            return Reason.EPHEMERAL_PORT
        if not isinstance(
            source, PodEnd | NodeEnd | ExternalEnd
        ):  # pragma: no cover - _unusable has a reason for these
            return Reason.UNKNOWN_END
        return Accepted(source, tuple(learned))

    def _unusable(self, end: End) -> Reason | None:
        if isinstance(end, AmbiguousEnd):
            return Reason.AMBIGUOUS_END
        if isinstance(end, UnknownEnd):
            return Reason.UNKNOWN_END
        if isinstance(end, ServiceEnd):
            return Reason.UNMAPPED_SERVICE
        if isinstance(end, PodEnd) and not self._selectable(end.pod.workload):
            return Reason.UNLABELLED
        return None

    def is_ephemeral(self, end: LearnedEnd, protocol: int, port: int) -> bool:
        """Whether clients are given such ports and nothing declares this one."""
        if port < FIRST_EPHEMERAL_PORT:
            return False
        owner = end.pod.workload if isinstance(end, PodEnd) else end.address
        return (owner, protocol, port) not in self._declared


@lru_cache(maxsize=65536)
def is_no_peer(address: Address) -> bool:
    """Whether the address is one that an ipBlock or a pod never stands for.

    IPv4 link-local addresses are peers: cloud metadata and node-local DNS live there. IPv6 ones have no meaning off
    their link.
    """
    if isinstance(address, IPv6Address) and (address.is_link_local or address.ipv4_mapped is not None):
        return True
    return address.is_loopback or address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255"


def grounded(end: End, address: Address) -> End:
    """A hostNetwork pod is its node: policies see the node's address (docs, "hostNetwork pods")."""
    return NodeEnd(end.pod.node, address) if isinstance(end, PodEnd) and end.pod.host_network else end


def _needs_no_rule(source: End, destination: End) -> Reason | None:
    """Why no policy could or should speak of this pair, in whichever direction."""
    if isinstance(source, ExternalEnd) and isinstance(destination, ExternalEnd):
        return Reason.BOTH_OUTSIDE
    if isinstance(source, PodEnd) and isinstance(destination, PodEnd):
        return Reason.SELF if source.pod.uid == destination.pod.uid else None
    for one, other in ((source, destination), (destination, source)):
        if isinstance(one, NodeEnd):
            if isinstance(other, NodeEnd | ExternalEnd):
                return Reason.NO_SUBJECT
            if isinstance(other, PodEnd) and one.name and one.name == other.pod.node:
                return Reason.OWN_NODE
    return None


def _did_not_work(flow: Flow) -> Reason | None:
    """Why the connection is no evidence of a need: it failed, or who opened it is not known well enough."""
    if flow.outcome in _NOT_WORKED:
        return _NOT_WORKED[flow.outcome]
    if flow.direction is Direction.UNKNOWN or flow.port is None:
        return Reason.UNKNOWN_DIRECTION
    if flow.outcome is Outcome.MIDSTREAM:
        if flow.direction not in KNOWN:
            return Reason.WEAK_DIRECTION
        return None if flow.two_way else Reason.MIDSTREAM_ONE_WAY
    return None if flow.direction in KNOWN or flow.direction is Direction.REPLY else Reason.WEAK_DIRECTION


def _declared_ports(inventory: Inventory) -> frozenset[tuple[WorkloadRef | Address, int, int]]:
    """(workload or address, protocol, port) of every containerPort and every endpoint."""
    declared: set[tuple[WorkloadRef | Address, int, int]] = set()
    for pod in inventory.pods:
        declared.update((pod.workload, item.protocol, item.port) for item in pod.ports)
    for workload in inventory.workloads.values():
        declared.update((workload.ref, item.protocol, item.port) for item in workload.ports)
    owners = {f"{pod.namespace}/{pod.name}": pod.workload for pod in inventory.pods}
    for service in inventory.services:
        for endpoint in service.endpoints:
            owner = owners.get(endpoint.pod, endpoint.address)
            declared.update((owner, protocol, port) for protocol, _, port in endpoint.ports)
    return frozenset(declared)
