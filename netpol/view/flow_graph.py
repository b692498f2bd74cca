"""The flow graph as values: nodes, and edges each of which is in one state."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from netpol.graph.label_graph import Replicas
from netpol.model.flow import protocol_name
from netpol.model.ports import PortMap, PortSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.graph.observation import Evidence
    from netpol.model.flow import Outcome
    from netpol.policy.verdict import Ruling, Way
    from netpol.view.time_bins import TimeBins


NO_PODS = Replicas()


class State(StrEnum):
    """What an edge is, for the eye; each has exactly one. The values are stable."""

    USED = "allowed-used"
    """It was seen to work, and the policies admit it."""
    NEW = "new"
    """The policies admit it, those before did not; whether it was seen says its sighting."""
    DENIED = "denied"
    """It was seen, and the policies deny it."""
    UNUSED = "allowed-unused"
    """A rule admits it, and it was not seen to work."""
    QUARANTINED = "quarantined"
    """It was seen and not learned; the reason says why."""
    EXEMPT = "not-for-policies"
    """It was seen, and no policy can or need speak of it; the reason says why."""


class Role(StrEnum):
    """What a node is for, by which pictures fold it."""

    DNS = "dns"
    METRICS = "metrics"
    SYSTEM = "system"
    HUB = "hub"
    SCANNER = "scanner"


JudgedBy = Literal["given", "learned"]
"""Whose verdict the states are: of policies that were named, or of those that these flows teach."""

PARTLY_USED = "partly-used"
"""The reason of an unused edge whose rule was used on other ports, or with other addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was seen of an edge.

    Attributes:
        evidence: All of its connections added up.
        outcomes: (what became of them, connections), in the order of `Outcome`.
        source_pods: The source's pods that opened them; none for an end that is no workload.
        destination_pods: The same of the destination.
        nodes: The nodes on which these pods ran, sorted.
        active: Bit n is set when it may have been active in time bin n: flows tell their first and last packet only.
    """

    evidence: Evidence
    outcomes: tuple[tuple[Outcome, int], ...]
    source_pods: Replicas = NO_PODS
    destination_pods: Replicas = NO_PODS
    nodes: tuple[str, ...] = ()
    active: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RuleRef:
    """A rule of a policy.

    Attributes:
        policy: `namespace/name`, or `Kind/name` for one of the whole cluster.
        rule: Index in spec.ingress or spec.egress.
    """

    policy: str
    way: Way
    rule: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEdge:
    """Connections from one node to another that have one state for one reason.

    Attributes:
        source: Id of the node that opens them; where `directed` is false, of either end.
        destination: Id of the node that serves them.
        protocols: IP protocol numbers, ascending; those of `ports`, or one that has no ports.
        ports: Where the destination listens; empty for protocols without ports and where the direction is unknown.
        reason: Why it is quarantined, no policy's business, denied though it never worked, or `PARTLY_USED`; empty
            otherwise. The ids of `netpol.graph.reasons.Reason`.
        sighting: None for what was never seen.
        ruling: What the policies say; None where they were not asked.
        admitted_by: The rules that admit it, sorted; none where no policy isolates either end.
        blocked_by: The side that denies it.
        blocking: The policies that do, sorted.
    """

    source: str
    destination: str
    state: State
    protocols: tuple[int, ...]
    ports: PortMap = PortMap.EMPTY
    reason: str = ""
    directed: bool = True
    sighting: Sighting | None = None
    ruling: Ruling | None = None
    admitted_by: tuple[RuleRef, ...] = ()
    blocked_by: Way | None = None
    blocking: tuple[str, ...] = ()

    @property
    def connections(self) -> int:
        """How many were seen."""
        return self.sighting.evidence.connections if self.sighting else 0

    @property
    def port(self) -> int | None:
        """Its port where it has exactly one."""
        if len(self.ports) != 1:
            return None
        ((_, ports),) = self.ports
        return ports.ranges[0][0]

    @property
    def label(self) -> str:
        """`TCP/8080`, `TCP/80,8000-8010 UDP/53`, `TCP` for all of its ports, `any`, or the protocols alone."""
        if self.ports == PortMap.ALL:
            return "any"
        parts = [
            protocol_name(number) if found == PortSet.ALL else f"{protocol_name(number)}/{found}"
            for number, found in self.ports
        ]
        parts += [protocol_name(number) for number in self.protocols if not self.ports[number]]
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowNode:
    """One end of edges.

    Attributes:
        id: `namespace/name[Kind]`, `node/NAME`, `service/NAMESPACE/NAME`, `external ADDRESS...`, `unknown` or
            `ambiguous`.
        kind: The workload's kind, `Node`, `Service`, `External`, `Unknown` or `Ambiguous`.
        namespace: Empty for what is in none.
        labels: Those that all its pods share.
        pods: Its pods that were seen.
        nodes: Where these ran, sorted.
        addresses: Of what is no workload, ascending, IPv4 before IPv6; the lowest few.
        address_count: How many there are.
        names: Host names that stand for the addresses, sorted.
        roles: Sorted.
        policies: The NetworkPolicies that select its pods, sorted.
        isolated: The directions in which all its pods are isolated by NetworkPolicies.
    """

    id: str
    kind: str
    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    pods: Replicas = NO_PODS
    nodes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    address_count: int = 0
    names: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    policies: tuple[str, ...] = ()
    isolated: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowGraph:
    """All of it.

    Attributes:
        judged_by: Whose policies decided the states.
        compared: Whether there were policies before to compare with: without, no edge is NEW.
        time: The bins of `Sighting.active`; None where nothing was seen.
        window: First and last packet, nanoseconds since the epoch.
        nodes: Sorted: workloads by namespace and name, then nodes, then the rest.
        edges: Sorted by source, destination, state, reason and ports.
        connections: All that were seen, whether or not an edge shows them.
        learned: Those that were learned.
        left_out: Those that were not, per reason.
        unseen: Workloads without any edge, sorted.
        unused_dropped: Unused edges beyond the most that are kept.
    """

    judged_by: JudgedBy
    compared: bool
    nodes: tuple[FlowNode, ...]
    edges: tuple[FlowEdge, ...]
    time: TimeBins | None = None
    window: tuple[int, int] | None = None
    connections: int = 0
    learned: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict, hash=False)
    unseen: tuple[str, ...] = ()
    unused_dropped: int = 0


def edge_key(edge: FlowEdge) -> tuple[object, ...]:
    """Sorts edges that have the same ends in the same order."""
    return (edge.source, edge.destination, list(State).index(edge.state), edge.reason, *_ports_key(edge))


def _ports_key(edge: FlowEdge) -> tuple[object, ...]:
    return (
        edge.protocols,
        tuple((number, ports.ranges) for number, ports in edge.ports),
        edge.directed,
        edge.ruling.value if edge.ruling else "",
        edge.blocked_by or "",
        edge.blocking,
    )
