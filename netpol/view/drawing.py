"""What all pictures share: which edges they show, what they merge, and how each state looks.

Colours are those of Okabe and Ito, which people with any colour vision tell apart ("Color Universal Design", 2008); the
line's pattern says the same once more.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from netpol.graph.reasons import Reason
from netpol.model.flow import protocol_name
from netpol.model.ports import PortMap
from netpol.view.flow_graph import FlowEdge, State

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_PORTS = 22
"""Characters of a list of ports before the rest is only counted."""

FAILED = frozenset({Reason.REFUSED.identifier, Reason.UNANSWERED.identifier})
"""Reasons that say by themselves what is to be said."""


class Look(NamedTuple):
    """How a state is drawn.

    Attributes:
        colour: `#rrggbb`.
        pattern: `solid`, `bold`, `dashed` or `dotted`.
        words: For a legend.
    """

    colour: str
    pattern: str
    words: str


LOOKS = {
    State.USED: Look("#009e73", "solid", "allowed and used"),
    State.NEW: Look("#0072b2", "bold", "new in this change"),
    State.DENIED: Look("#d55e00", "dashed", "denied"),
    State.UNUSED: Look("#777777", "dotted", "allowed but unused"),
    State.QUARANTINED: Look("#cc79a7", "dashed", "quarantined"),
    State.EXEMPT: Look("#bbbbbb", "dotted", "no policy speaks of it"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """All edges between two nodes that look the same: one line with all their ports.

    Attributes:
        connections: Those that were seen.
        ports: As text, cut short.
    """

    source: str
    destination: str
    state: State
    reason: str
    directed: bool
    ports: str
    connections: int
    midstream: int

    @property
    def words(self) -> str:
        """What there is to say beside the ports: the state where it is not the usual one, and why."""
        if self.state in {State.USED, State.EXEMPT} or (self.state is State.QUARANTINED and self.reason in FAILED):
            return self.reason
        return LOOKS[self.state].words + (f": {self.reason}" if self.reason else "")


def lines_of(edges: Iterable[FlowEdge], *, everything: bool = False) -> list[Line]:
    """The lines, in the order of their edges.

    Args:
        edges: In order.
        everything: What no policy can speak of is drawn too.
    """
    merged: defaultdict[tuple[str, str, State, str, bool], list[FlowEdge]] = defaultdict(list)
    for edge in edges:
        if everything or edge.state is not State.EXEMPT:
            merged[edge.source, edge.destination, edge.state, edge.reason, edge.directed].append(edge)
    return [
        Line(
            source=source,
            destination=destination,
            state=state,
            reason=reason,
            directed=directed,
            ports=_ports(some),
            connections=sum(edge.connections for edge in some),
            midstream=sum(edge.sighting.evidence.midstream for edge in some if edge.sighting),
        )
        for (source, destination, state, reason, directed), some in merged.items()
    ]


def _ports(edges: list[FlowEdge]) -> str:
    if len(edges) == 1:
        return short_ports(edges[0].label)
    ports = PortMap.EMPTY
    for edge in edges:
        ports |= edge.ports
    nameless = {protocol for edge in edges for protocol in edge.protocols if not edge.ports[protocol]}
    return short_ports(" ".join([str(ports), *map(protocol_name, sorted(nameless))]).strip())


def short_ports(text: str) -> str:
    """The list of ports where it is short, else its beginning and how many items more there are."""
    if len(text) <= LONGEST_PORTS:
        return text
    items = text.replace(" ", ", ").split(",")
    kept = [items.pop(0)]
    while items and len(",".join([*kept, items[0]])) <= LONGEST_PORTS - 11:
        kept.append(items.pop(0))
    return f"{','.join(kept)} and {len(items)} more"
