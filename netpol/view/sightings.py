"""What was seen under one key, added up: the makings of an edge."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from netpol.graph.label_graph import KEPT_NAMES, Replicas
from netpol.graph.observation import Evidence
from netpol.model.endpoint import ExternalEnd
from netpol.model.flow import PORT_PROTOCOLS, Direction, Outcome
from netpol.model.ports import PortMap, PortSet
from netpol.policy.verdict import Ruling
from netpol.view.flow_graph import RuleRef, Sighting
from netpol.view.time_bins import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.graph.reasons import Reason
    from netpol.model.flow import Flow
    from netpol.model.inventory import Pod
    from netpol.policy.verdict import Verdict, Way

Ref = str | ExternalEnd
"""A node's id, or an address outside that is yet to be grouped with its likes."""


class Answer(NamedTuple):
    """What the policies say of something that was left out."""

    ruling: Ruling
    blocked_by: Way | None
    blocking: tuple[str, ...]


class Learned(NamedTuple):
    """What was learned, by protocol and port."""

    protocol: int
    port: int


class LeftOut(NamedTuple):
    """What was not learned, by its reason and by what the policies say of it where they were asked."""

    reason: Reason
    directed: bool
    answer: Answer | None


What = Learned | LeftOut
Key = tuple[Ref, Ref, What]


@dataclass(slots=True)
class Seen:
    """Everything that was seen under one key; adds up in any order.

    Attributes:
        ports: Protocol to the ports as bits, 0 for a protocol without ports or of unknown direction.
        pods: Of the source and of the destination, by uid.
        rulings: What the policies say of its parts, with an answer for those that are denied.
        rules: Those that admit it.
        new: The policies before denied a part of it.
    """

    connections: int = 0
    packets: int = 0
    bytes: int = 0
    first: int = 0
    last: int = 0
    directions: Counter[Direction] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    silent: int = 0
    shared: int = 0
    services: set[str] = field(default_factory=set)
    active: int = 0
    ports: dict[int, int] = field(default_factory=dict)
    pods: tuple[dict[str, Pod], dict[str, Pod]] = field(default_factory=lambda: ({}, {}))
    rulings: set[Answer] = field(default_factory=set)
    rules: set[RuleRef] = field(default_factory=set)
    new: bool = False

    def add(self, flow: Flow, port: int | None, *, service: str, shared: bool, active: int) -> None:
        """Counts one flow."""
        self._span(flow.first_seen, flow.last_seen)
        self.connections += flow.connections
        self.packets += flow.packets
        self.bytes += flow.bytes
        self.directions[flow.direction] += flow.connections
        self.outcomes[flow.outcome] += flow.connections
        self.silent += 0 if flow.two_way else flow.connections
        self.shared += flow.connections if shared else 0
        if service:
            self.services.add(service)
        self.active |= active
        known = port is not None and flow.protocol in PORT_PROTOCOLS and flow.direction is not Direction.UNKNOWN
        self.ports[flow.protocol] = self.ports.get(flow.protocol, 0) | (1 << (port or 0) if known else 0)

    def judge(self, verdict: Verdict) -> None:
        """Notes what the policies say of a part."""
        self.rulings.add(answer_of(verdict))
        self.rules.update(rules_of(verdict))

    def merge(self, other: Seen) -> None:
        """Adds what was seen under another key."""
        self._span(other.first, other.last)
        self.connections += other.connections
        self.packets += other.packets
        self.bytes += other.bytes
        self.directions += other.directions
        self.outcomes += other.outcomes
        self.silent += other.silent
        self.shared += other.shared
        self.services |= other.services
        self.active |= other.active
        for protocol, ports in other.ports.items():
            self.ports[protocol] = self.ports.get(protocol, 0) | ports
        for mine, theirs in zip(self.pods, other.pods, strict=True):
            mine.update(theirs)
        self.rulings |= other.rulings
        self.rules |= other.rules
        self.new = self.new or other.new

    def _span(self, first: int, last: int) -> None:
        empty = not self.outcomes
        self.first = first if empty else min(self.first, first)
        self.last = last if empty else max(self.last, last)

    def port_map(self) -> PortMap:
        """The ports that can be named."""
        return PortMap.of(
            {
                protocol: PortSet(tuple(runs(ports & ~1)))
                for protocol, ports in self.ports.items()
                if protocol in PORT_PROTOCOLS
            }
        )

    def sighting(self) -> Sighting:
        """The same as a value."""
        return Sighting(
            evidence=Evidence(
                connections=self.connections,
                packets=self.packets,
                bytes=self.bytes,
                first_seen=self.first,
                last_seen=self.last,
                directions=tuple(sorted(self.directions.items())),
                midstream=self.outcomes[Outcome.MIDSTREAM],
                silent=self.silent,
                shared=self.shared,
                services=tuple(sorted(self.services)),
            ),
            outcomes=tuple((outcome, count) for outcome, count in sorted(self.outcomes.items()) if count),
            source_pods=replicas(self.pods[0].values()),
            destination_pods=replicas(self.pods[1].values()),
            nodes=nodes_of(pod for side in self.pods for pod in side.values()),
            active=self.active,
        )


def answer_of(verdict: Verdict) -> Answer:
    """What the policies say."""
    return Answer(verdict.ruling, verdict.blocked_by, tuple(sorted({str(policy) for policy in verdict.blocking})))


def rules_of(verdict: Verdict) -> Iterator[RuleRef]:
    """The rules by which a connection is allowed; none for one that is not."""
    if verdict.ruling is not Ruling.ALLOWED:
        return
    for side in (verdict.egress, verdict.ingress):
        match = side.decided_by or side.match
        if match is not None:
            yield RuleRef(policy=str(match.policy), way=side.way, rule=match.rule)


def replicas(pods: Iterable[Pod]) -> Replicas:
    """The first few by name, and how many."""
    names = sorted({(pod.name, pod.uid) for pod in pods})
    return Replicas(tuple(name for name, _ in names[:KEPT_NAMES]), len(names))


def nodes_of(pods: Iterable[Pod]) -> tuple[str, ...]:
    """The nodes that they ran on, sorted."""
    return tuple(sorted({pod.node for pod in pods if pod.node}))
