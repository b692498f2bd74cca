"""The part of a flow graph that was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netpol.model.labels import LabelSelector
    from netpol.view.flow_graph import FlowEdge, FlowGraph, FlowNode, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to keep.

    Attributes:
        namespaces: Edges with an end in one of them; None: all.
        selector: Edges with an end whose pods share labels that match; None: all. The same end as the namespace's.
        states: Edges in one of these; None: all.
        connections: Edges that were seen so often at least; what was never seen is kept at 0 only.
    """

    namespaces: frozenset[str] | None = None
    selector: LabelSelector | None = None
    states: frozenset[State] | None = None
    connections: int = 0

    def node(self, node: FlowNode) -> bool:
        """Whether edges of this node are asked for."""
        if self.namespaces is not None and node.namespace not in self.namespaces:
            return False
        return self.selector is None or (node.id.endswith("]") and self.selector.matches(node.labels))

    def edge(self, edge: FlowEdge) -> bool:
        """Whether the edge is asked for, whatever its ends."""
        return (self.states is None or edge.state in self.states) and edge.connections >= self.connections


def narrowed(graph: FlowGraph, wanted: Wanted) -> FlowGraph:
    """The edges that are wanted, and their ends. What the graph counts remains that of the whole."""
    chosen = {node.id for node in graph.nodes if wanted.node(node)}
    edges = tuple(
        edge for edge in graph.edges if (edge.source in chosen or edge.destination in chosen) and wanted.edge(edge)
    )
    if len(edges) == len(graph.edges):
        return graph
    ends = {end for edge in edges for end in (edge.source, edge.destination)}
    return replace(graph, edges=edges, nodes=tuple(node for node in graph.nodes if node.id in ends))
