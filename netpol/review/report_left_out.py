"""What was not learned and why, and what worked although the policies will deny it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.graph.reasons import NEEDLESS, Reason
from netpol.model.endpoint import PodEnd
from netpol.model.flow import protocol_name
from netpol.policy.existing_watch import WORKED
from netpol.policy.replay import Blocked as BlockedFlow
from netpol.policy.replay import judge
from netpol.review.report import Blocked, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.graph.admit import Admission
    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Address
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.verdict import Way


def left_out_of(admission: Admission) -> tuple[LeftOut, ...]:
    """A row for each reason and pair of ends, but for what no policy can or need speak of; what failed comes last."""
    rows = [
        LeftOut(
            reason=reason.identifier,
            text=reason.text,
            source=source,
            destination=destination,
            ports=tuple(_port(*port) for port in tally.ports),
            more_ports=tally.more_ports,
            connections=tally.connections,
            first_seen=tally.first_seen,
            last_seen=tally.last_seen,
        )
        for reason, pairs in admission.left_out.items()
        if reason not in NEEDLESS
        for (source, destination), tally in pairs.items()
    ]
    return tuple(sorted(rows, key=lambda row: row.reason in _FAILED))


def needless_of(admission: Admission) -> tuple[tuple[str, int], ...]:
    """Connections that no policy can or need speak of, by the id of the reason."""
    counts = admission.left_out_connections()
    return tuple((reason.identifier, count) for reason, count in counts.items() if reason in NEEDLESS)


_FAILED = {Reason.REFUSED.identifier, Reason.UNANSWERED.identifier}


@dataclass(slots=True)
class _Tally:
    connections: int = 0
    first: int = 0
    last: int = 0
    ports: set[tuple[int, int | None]] = field(default_factory=set)


def blocked_of(flows: Iterable[ResolvedFlow], evaluator: Evaluator, admission: Admission) -> tuple[Blocked, ...]:
    """What worked and is denied: first what was learned, then by ends.

    Args:
        flows: All of them.
        evaluator: Of the policies after the change.
        admission: Says what was not learned, and why.
    """
    reasons: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for reason, pairs in admission.left_out.items():
        for ends in pairs if reason.identifier not in _FAILED else ():
            reasons[ends].append(reason.identifier)
    tallies: defaultdict[tuple[str, str, Way, tuple[str, ...], tuple[str, ...]], _Tally] = defaultdict(_Tally)
    learned = {
        (_named(item.source, None), _named(item.destination, None), item.protocol, item.port)
        for item in admission.observations
    }
    for flow in flows:
        row = flow.flow
        found = judge(flow, evaluator) if row.outcome in WORKED else None
        if isinstance(found, BlockedFlow):
            source, end = _named(flow.source, row.client), _named(found.destination.end, row.server)
            known = (source, end, row.protocol, found.destination.port) in learned
            ends = (str(flow.source), "/".join(sorted({str(item.end) for item in flow.destinations})))
            why = () if known else tuple(reasons.get(ends, ()))
            key = (source, end, found.blocked_by, tuple(sorted(map(str, found.policies))), why)
            tally = tallies[key]
            tally.first = min(tally.first, row.first_seen) if tally.connections else row.first_seen
            tally.last = max(tally.last, row.last_seen)
            tally.connections += row.connections
            tally.ports.add((row.protocol, found.destination.port))
    rows = [
        Blocked(
            source=source,
            destination=destination,
            ports=tuple(_port(*port) for port in sorted(tally.ports, key=lambda port: (port[0], port[1] or 0))),
            connections=tally.connections,
            first_seen=tally.first,
            last_seen=tally.last,
            blocked_by=way,
            policies=policies,
            reasons=why,
        )
        for (source, destination, way, policies, why), tally in tallies.items()
    ]
    return tuple(
        sorted(rows, key=lambda row: (row.reasons != (), row.source, row.destination, row.ports, row.policies))
    )


def _named(end: End, address: Address | None) -> str:
    """A workload by name, everyone else with the address."""
    if isinstance(end, PodEnd):
        return str(end)
    return f"{end} {getattr(end, 'address', address) or ''}".rstrip()


def _port(protocol: int, port: int | None) -> str:
    return f"{protocol_name(protocol)}/{port}" if port else protocol_name(protocol)
