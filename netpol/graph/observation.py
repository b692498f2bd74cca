"""What was learned: one client, one server, one port, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.flow import Direction, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.flow import Flow

LearnedEnd = PodEnd | NodeEnd | ExternalEnd
"""The ends that a policy can speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why we believe that a connection happened and worked; evidence adds up.

    Attributes:
        connections: How many; one whose answering pod was not seen counts for each pod that may have answered.
        packets: Of both directions.
        bytes: Their original lengths on the wire.
        first_seen: Packet time, nanoseconds since the epoch.
        last_seen: Packet time, nanoseconds since the epoch.
        directions: (what decided who is the client, connections it decided), strongest first.
        midstream: Connections whose handshake was not seen: older than the capture.
        silent: Connections in rows that carried no payload both ways.
        shared: Connections to a Service of which it was not seen which pod answered.
        services: `namespace/name` of the Services whose virtual address the clients used, sorted.
    """

    connections: int
    packets: int
    bytes: int
    first_seen: int
    last_seen: int
    directions: tuple[tuple[Direction, int], ...]
    midstream: int = 0
    silent: int = 0
    shared: int = 0
    services: tuple[str, ...] = ()

    @classmethod
    def of(cls, flow: Flow, *, service: str = "", shared: bool = False) -> Evidence:
        """The evidence that one flow gives."""
        return cls(
            connections=flow.connections,
            packets=flow.packets,
            bytes=flow.bytes,
            first_seen=flow.first_seen,
            last_seen=flow.last_seen,
            directions=((flow.direction, flow.connections),),
            midstream=flow.connections if flow.outcome is Outcome.MIDSTREAM else 0,
            silent=0 if flow.two_way else flow.connections,
            shared=flow.connections if shared else 0,
            services=(service,) if service else (),
        )

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            connections=self.connections + other.connections,
            packets=self.packets + other.packets,
            bytes=self.bytes + other.bytes,
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=max(self.last_seen, other.last_seen),
            directions=_add_counts(dict(self.directions), dict(other.directions)),
            midstream=self.midstream + other.midstream,
            silent=self.silent + other.silent,
            shared=self.shared + other.shared,
            services=tuple(sorted({*self.services, *other.services})),
        )


def _add_counts(left: Mapping[Direction, int], right: Mapping[Direction, int]) -> tuple[tuple[Direction, int], ...]:
    return tuple((kind, left.get(kind, 0) + right.get(kind, 0)) for kind in sorted({*left, *right}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A connection that may become a rule, between the very pods and addresses that were seen.

    Attributes:
        protocol: IP protocol number: TCP, UDP or SCTP.
        port: Where the server listens: a pod's own port, never a Service's.
    """

    source: LearnedEnd
    destination: LearnedEnd
    protocol: int
    port: int
    evidence: Evidence

    def plus(self, evidence: Evidence) -> Observation:
        """The same connection with more evidence."""
        return replace(self, evidence=self.evidence + evidence)


def end_key(end: LearnedEnd) -> tuple[str, ...]:
    """What makes an end itself: sortable, and the same for equal ends of one cluster."""
    if isinstance(end, PodEnd):
        return ("0pod", end.pod.namespace, end.pod.name, end.pod.uid)
    if isinstance(end, NodeEnd):
        return ("1node", end.name, f"{end.address.version}", end.address.packed.hex())
    return ("2outside", f"{end.address.version}", end.address.packed.hex())


def family_key(end: LearnedEnd) -> tuple[str, ...]:
    """The same for all pods of one workload; for nodes and outside addresses what `end_key` gives."""
    if isinstance(end, PodEnd):
        workload = end.pod.workload
        return ("0workload", workload.namespace, workload.name, workload.kind)
    return end_key(end)
