"""Edges out of what was seen, each in the state that the policies put it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.graph.reasons import NEEDLESS
from netpol.policy.verdict import Ruling
from netpol.view.flow_graph import FlowEdge, State
from netpol.view.sightings import Learned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.view.outside import Grouped
    from netpol.view.sightings import Answer, LeftOut, Seen

_SEVERITY = (Ruling.DENIED, Ruling.UNDEFINED, Ruling.ALLOWED)


def edges_of(grouped: Grouped) -> Iterator[FlowEdge]:
    """One edge for each entry."""
    for (source, destination, what), seen in grouped.items():
        if isinstance(what, Learned):
            yield _learned(source, destination, seen)
        else:
            yield _left_out(source, destination, what, seen)


def _learned(source: str, destination: str, seen: Seen) -> FlowEdge:
    """Denied where any of it is: another replica's connection would be the same to a person."""
    answer = min(seen.rulings, key=_severity)
    denied = answer.ruling is Ruling.DENIED
    return FlowEdge(
        source=source,
        destination=destination,
        state=State.DENIED if denied else State.NEW if seen.new else State.USED,
        protocols=tuple(sorted(seen.ports)),
        ports=seen.port_map(),
        sighting=seen.sighting(),
        ruling=answer.ruling,
        admitted_by=tuple(sorted(seen.rules)),
        blocked_by=answer.blocked_by,
        blocking=_blocking(seen) if denied else (),
    )


def _left_out(source: str, destination: str, what: LeftOut, seen: Seen) -> FlowEdge:
    state = State.EXEMPT if what.reason in NEEDLESS else State.QUARANTINED
    answer = what.answer
    if answer is not None and answer.ruling is Ruling.DENIED:
        state = State.DENIED
    return FlowEdge(
        source=source,
        destination=destination,
        state=state,
        protocols=tuple(sorted(seen.ports)),
        ports=seen.port_map(),
        reason=what.reason.identifier,
        directed=what.directed,
        sighting=seen.sighting(),
        ruling=answer.ruling if answer else None,
        admitted_by=tuple(sorted(seen.rules)),
        blocked_by=answer.blocked_by if answer else None,
        blocking=answer.blocking if answer else (),
    )


def _blocking(seen: Seen) -> tuple[str, ...]:
    return tuple(sorted({policy for answer in seen.rulings for policy in answer.blocking}))


def _severity(answer: Answer) -> tuple[int, str, tuple[str, ...]]:
    return _SEVERITY.index(answer.ruling), answer.blocked_by or "", answer.blocking
