"""Conversations that worked and that no NetworkPolicy can or need say: pings, and what a pod opens to its own node.

Other dialects deny both unless a rule allows them, so they are found here under the conditions that hold for what is
learned: it worked, it is known who began, both ends are known and can be named. A source that scans gets nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.graph.judge import FIRST_EPHEMERAL_PORT, KNOWN, grounded, is_no_peer
from netpol.graph.observation import end_key, family_key
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.flow import ICMP, ICMPV6, PORT_PROTOCOLS, Direction, Outcome
from netpol.model.platform import Kind, platform_of_node
from netpol.model.ports import FIRST_PORT, LAST_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netpol.graph.admit import Admission
    from netpol.graph.observation import LearnedEnd
    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Flow
    from netpol.model.inventory import WorkloadRef

ECHO = frozenset({ICMP, ICMPV6})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Echo requests from one end to another, and the answers.

    Attributes:
        protocol: ICMP or ICMPv6.
    """

    source: LearnedEnd
    destination: LearnedEnd
    protocol: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNode:
    """What a workload's pods open to the node that they run on.

    Attributes:
        protocol: IP protocol number: TCP, UDP, SCTP, or ICMP and ICMPv6 for a ping.
        port: None for a ping.
    """

    pod: WorkloadRef
    protocol: int
    port: int | None


Beyond = Ping | OwnNode


def beyond(
    flows: Iterable[ResolvedFlow],
    admission: Admission,
    *,
    selectable: Callable[[WorkloadRef], bool] = lambda _: True,
) -> tuple[Beyond, ...]:
    """The conversations, each once, sorted.

    The kubelet's ports are left out: a pod that talks to a kubelet is to be looked at, not allowed.

    Args:
        flows: The same that were admitted, in any order.
        admission: Says who scans.
        selectable: Whether a selector can name a workload's pods (`Selectors.selectable`).
    """
    scanning = {name for name, _ in admission.scanners}
    found: dict[tuple[tuple[str, ...], tuple[str, ...], int, int], Beyond] = {}
    for flow in flows:
        row = flow.flow
        if not _worked(row) or is_no_peer(row.client) or is_no_peer(row.server):
            continue
        source = _learnable(grounded(flow.source, row.client), selectable)
        if source is None or _spell(source) in scanning:
            continue
        for item in flow.destinations:
            destination = _learnable(grounded(item.end, row.server), selectable)
            new = None if destination is None else _judge(source, destination, row, item.port)
            if destination is not None and new is not None:
                # All nodes are the own node of some pod of the workload.
                ends = (end_key(source), end_key(destination)) if isinstance(new, Ping) else (family_key(source), ())
                found[*ends, row.protocol, item.port or 0] = new
    return tuple(found[key] for key in sorted(found))


def _worked(flow: Flow) -> bool:
    if flow.outcome is Outcome.ESTABLISHED:
        return flow.direction in KNOWN or flow.direction is Direction.REPLY
    return flow.outcome is Outcome.MIDSTREAM and flow.two_way and flow.direction in KNOWN


def _learnable(end: End, selectable: Callable[[WorkloadRef], bool]) -> LearnedEnd | None:
    if isinstance(end, PodEnd):
        return end if selectable(end.pod.workload) else None
    return end if isinstance(end, NodeEnd | ExternalEnd) else None


def _judge(source: LearnedEnd, destination: LearnedEnd, flow: Flow, port: int | None) -> Beyond | None:
    """The conversation, None where NetworkPolicies say all that there is to say."""
    if isinstance(source, PodEnd) and isinstance(destination, NodeEnd) and source.pod.node == destination.name:
        return _own_node(source, destination, flow, port)
    if flow.protocol not in ECHO or not _needs_a_rule(source, destination):
        return None
    return Ping(source=source, destination=destination, protocol=flow.protocol)


def _own_node(source: PodEnd, node: NodeEnd, flow: Flow, port: int | None) -> OwnNode | None:
    if flow.protocol in ECHO:
        return OwnNode(pod=source.pod.workload, protocol=flow.protocol, port=None)
    if flow.protocol not in PORT_PROTOCOLS or port is None or not FIRST_PORT <= port <= LAST_PORT:
        return None
    if platform_of_node(node.name, flow.protocol, port).kind is Kind.KUBELET:
        return None
    if flow.direction is Direction.REPLY and port >= FIRST_EPHEMERAL_PORT:
        return None
    return OwnNode(pod=source.pod.workload, protocol=flow.protocol, port=port)


def _needs_a_rule(source: LearnedEnd, destination: LearnedEnd) -> bool:
    if isinstance(source, PodEnd) and isinstance(destination, PodEnd):
        return source.pod.uid != destination.pod.uid
    if isinstance(source, NodeEnd) and isinstance(destination, PodEnd):
        return destination.pod.node != source.name
    return isinstance(source, PodEnd) or isinstance(destination, PodEnd)


def _spell(end: LearnedEnd) -> str:
    """As the admission names scanners."""
    if isinstance(end, PodEnd):
        return f"{end.pod.namespace}/{end.pod.name}"
    return f"{end}/{end.address}" if isinstance(end, NodeEnd) else f"{end.address}"
