"""What was seen that no NetworkPolicy can say or need say, for dialects that can say it and need it.

A NetworkPolicy knows no ICMP, and leaves a pod's traffic to its own node open. Cilium and Calico drop both where a
policy of theirs isolates egress, so that learned policies in their words must carry them. Only what demonstrably
worked counts, under the same conditions as for a rule.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.graph.beyond import OwnNode, Ping
from netpol.graph.label_graph import OutsideGroup
from netpol.model.endpoint import ExternalEnd, PodEnd
from netpol.policy.generate_rules import peers_of, policy_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.graph.beyond import Beyond
    from netpol.graph.label_graph import Vertex
    from netpol.graph.observation import LearnedEnd
    from netpol.graph.selectors import Selectors
    from netpol.model.inventory import WorkloadRef
    from netpol.model.policy import Peer, PolicyPort
    from netpol.policy.generate import Generated
    from netpol.policy.verdict import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRule:
    """Echo requests that one direction of a policy is to allow.

    Attributes:
        protocol: ICMP or ICMPv6.
        peers: At least one.
    """

    way: Way
    protocol: int
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What one policy is to allow beyond its NetworkPolicy.

    Attributes:
        pings: Only of directions that the policy isolates; ingress first.
        own_node: Ports of the pod's own node that it opened connections to.
        own_node_pings: ICMP and ICMPv6, as far as it sent echo requests to its own node.
    """

    pings: tuple[PingRule, ...] = ()
    own_node: tuple[PolicyPort, ...] = ()
    own_node_pings: tuple[int, ...] = ()


def extras_for(seen: Iterable[Beyond], generated: Generated, selectors: Selectors) -> dict[str, Extras]:
    """The extras of each policy that has any, by `namespace/name`.

    Args:
        seen: What `beyond` found.
        generated: The learned policies, and for whom each was written.
        selectors: Names the peers.
    """
    seen = tuple(seen)
    found: dict[str, Extras] = {}
    for policy in generated.policies:
        subjects = generated.subjects.get(str(policy), ())
        sides: tuple[tuple[Way, bool], ...] = (("ingress", policy.isolates_ingress), ("egress", policy.isolates_egress))
        pings = [
            PingRule(way=way, protocol=protocol, peers=peers)
            for way, isolated in sides
            if isolated
            for protocol, peers in _pings(policy.namespace, way, subjects, seen, selectors).items()
        ]
        near = [item for item in seen if isinstance(item, OwnNode) and policy.isolates_egress and item.pod in subjects]
        ports = {(item.protocol, item.port) for item in near if item.port is not None}
        echoes = {item.protocol for item in near if item.port is None}
        if pings or near:
            found[str(policy)] = Extras(
                pings=tuple(pings), own_node=policy_ports(ports), own_node_pings=tuple(sorted(echoes))
            )
    return found


def _pings(
    namespace: str, way: Way, subjects: Iterable[WorkloadRef], seen: Iterable[Beyond], selectors: Selectors
) -> Mapping[int, tuple[Peer, ...]]:
    vertices: defaultdict[int, dict[Vertex, None]] = defaultdict(dict)
    subjects = frozenset(subjects)
    for item in seen:
        if isinstance(item, Ping):
            here, there = (item.destination, item.source) if way == "ingress" else (item.source, item.destination)
            if isinstance(here, PodEnd) and here.pod.workload in subjects:
                vertices[item.protocol][_vertex(there)] = None
    return {protocol: peers_of(namespace, vertices[protocol], selectors) for protocol in sorted(vertices)}


def _vertex(end: LearnedEnd) -> Vertex:
    if isinstance(end, PodEnd):
        return end.pod.workload
    return OutsideGroup((end.address,)) if isinstance(end, ExternalEnd) else end
