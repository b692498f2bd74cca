"""Every connection put before the judge: the proof that generated policies admit what they were learned from.

The evaluator knows nothing of the generator, so that a defect in one does not hide in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.errors import ProofError
from netpol.graph.judge import grounded
from netpol.model.endpoint import PodEnd
from netpol.model.flow import PORT_PROTOCOLS, Direction, protocol_name
from netpol.policy.verdict import Ruling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.graph.observation import Observation
    from netpol.model.endpoint import Destination, ResolvedFlow
    from netpol.model.tiers import Policy
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.verdict import Verdict, Way

SHOWN = 5
"""Denied connections that the proof's error names."""


@dataclass(frozen=True, slots=True)
class Denied:
    """A learned connection that the policies deny."""

    observation: Observation
    verdict: Verdict

    def __str__(self) -> str:
        item = self.observation
        policies = ", ".join(map(str, self.verdict.blocking))
        return (
            f"{_end(item.source)} to {_end(item.destination)} on {protocol_name(item.protocol)}/{item.port} "
            f"({self.verdict.blocked_by or self.verdict.reason} of {policies})"
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of replaying what was learned.

    Attributes:
        admitted: How many distinct (source, destination, protocol, port) between pods and addresses are allowed.
        denied: The others.
    """

    admitted: int
    denied: tuple[Denied, ...]

    def prove(self) -> None:
        """Raises ProofError if anything that was learned is denied."""
        if self.denied:
            shown = "; ".join(map(str, self.denied[:SHOWN]))
            more = f"; and {len(self.denied) - SHOWN} more" if len(self.denied) > SHOWN else ""
            raise ProofError(
                f"the generated policies deny {len(self.denied)} of {self.admitted + len(self.denied)} learned "
                f"connections: {shown}{more}",
                remedy="Nothing was written. This is a defect in netpol: please report it with the capture's summary",
            )


def replay(observations: Iterable[Observation], evaluator: Evaluator) -> Replay:
    """Asks for the verdict on everything that was learned."""
    admitted, denied = 0, []
    for item in observations:
        verdict = evaluator.verdict(item.source, item.destination, item.protocol, item.port)
        if verdict.allowed:
            admitted += 1
        else:
            denied.append(Denied(item, verdict))
    return Replay(admitted, tuple(denied))


@dataclass(frozen=True, slots=True)
class Blocked:
    """A flow that a policy set denies.

    Attributes:
        destination: Of several that may have answered, the first that is denied.
    """

    flow: ResolvedFlow
    destination: Destination
    blocked_by: Way
    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A flow on which there is no verdict, and why."""

    flow: ResolvedFlow
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """What a policy set would do to observed flows: `connections == admitted + those denied + those unresolved`."""

    connections: int
    admitted: int
    denied: tuple[Blocked, ...]
    unresolved: tuple[Unresolved, ...]


def check(flows: Iterable[ResolvedFlow], evaluator: Evaluator) -> Check:
    """Asks for the verdict on every observed flow, whether or not it worked at the time.

    A flow whose answering pod was not seen is admitted when every candidate is, denied when one is denied: the next
    connection may meet that one. A flow without a verdict (an unknown end, a protocol that policies do not speak of)
    is unresolved.
    """
    connections = admitted = 0
    denied: list[Blocked] = []
    unresolved: list[Unresolved] = []
    for flow in flows:
        connections += flow.flow.connections
        outcome = judge(flow, evaluator)
        if outcome is None:
            admitted += flow.flow.connections
        elif isinstance(outcome, Blocked):
            denied.append(outcome)
        else:
            unresolved.append(outcome)
    return Check(connections, admitted, tuple(denied), tuple(unresolved))


def judge(flow: ResolvedFlow, evaluator: Evaluator) -> Blocked | Unresolved | None:
    """The verdict on one flow, None where it is admitted: see `check`."""
    row = flow.flow
    if row.direction is Direction.UNKNOWN and row.protocol in PORT_PROTOCOLS:
        return Unresolved(flow, "undefined: it is not known who opened the connection")
    source = grounded(flow.source, row.client)
    reason = ""
    for destination in flow.destinations:
        end = grounded(destination.end, row.server)
        verdict = evaluator.verdict(source, end, row.protocol, destination.port)
        if verdict.blocked_by is not None:
            return Blocked(flow, destination, verdict.blocked_by, verdict.blocking)
        if verdict.ruling is Ruling.UNDEFINED:
            reason = reason or verdict.reason
    return Unresolved(flow, reason) if reason else None


def _end(end: object) -> str:
    return f"{end.pod.namespace}/{end.pod.name}" if isinstance(end, PodEnd) else f"{end} {getattr(end, 'address', '')}"
