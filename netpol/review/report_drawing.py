"""The changed connections, and nothing else, as a Mermaid flowchart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.ports import PortMap
from netpol.policy.verdict import Ruling
from netpol.view.drawing import lines_of
from netpol.view.flow_graph import FlowEdge, FlowGraph, FlowNode, Sighting, State
from netpol.view.mermaid import MOST_LINES, mermaid
from netpol.view.nodes import KINDS, OUTSIDE, node_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.review.evidence import Seen
    from netpol.review.report import Change

UNSEEN = "never seen"
WORKED = "it worked"


def drawing(rows: Sequence[Change], *, evidence: bool) -> str:
    """The flowchart; empty where there is nothing to draw or more than anyone can read.

    Args:
        rows: What changes.
        evidence: There were captures: what is not in them was not used.
    """
    if len(rows) > MOST_LINES:  # each has a line at least
        return ""
    edges = tuple(edge for row in rows for edge in _edges(row, UNSEEN if evidence else ""))
    if not edges or len(lines_of(edges)) > MOST_LINES:
        return ""
    nodes = sorted(map(_node, {end for edge in edges for end in (edge.source, edge.destination)}), key=node_key)
    return mermaid(FlowGraph(judged_by="given", compared=True, nodes=tuple(nodes), edges=edges))


def _edges(row: Change, unseen: str) -> Iterator[FlowEdge]:
    """What is opened, and what is closed; of what was wide open, only what stays of it."""
    if row.added:
        yield _edge(row, State.NEW, row.added, row.seen, "" if row.seen else unseen)
    if row.before == PortMap.ALL and row.after:
        state = State.USED if row.seen or not unseen else State.UNUSED
        yield _edge(row, state, row.after, row.seen, "")
    if row.removed and (row.lost or row.before != PortMap.ALL):
        yield _edge(row, State.DENIED, row.removed, row.lost, WORKED if row.lost else unseen)


def _edge(row: Change, state: State, ports: PortMap, seen: Seen | None, reason: str) -> FlowEdge:
    return FlowEdge(
        source=_id(row.source),
        destination=_id(row.destination),
        state=state,
        protocols=tuple(number for number, _ in ports),
        ports=ports,
        reason=reason,
        ruling=Ruling.DENIED if state is State.DENIED else Ruling.ALLOWED,
        sighting=Sighting(evidence=seen.evidence, outcomes=()) if seen else None,
    )


def _id(end: str) -> str:
    return end if end.endswith("]") or end.startswith("node/") else f"{OUTSIDE}{end}"


def _node(end: str) -> FlowNode:
    if end.startswith(OUTSIDE):
        return FlowNode(id=end, kind=KINDS["external"], name=end.removeprefix(OUTSIDE))
    if end.startswith("node/"):
        return FlowNode(id=end, kind=KINDS["node"], name=end.removeprefix("node/"))
    namespace, _, rest = end.partition("/")
    name, _, kind = rest.removesuffix("]").rpartition("[")
    return FlowNode(id=end, kind=kind, name=name, namespace=namespace)
