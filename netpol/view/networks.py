"""The flow graph as a networkx graph, and in the formats that networkx writes: GraphML, GEXF and Cytoscape JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import networkx as nx

from netpol.model.text import plain
from netpol.view.attributes import edge_attributes, node_attributes

if TYPE_CHECKING:
    from netpol.view.flow_graph import FlowGraph

GEXF_VERSION = "1.2draft"
"""The one that networkx reads back and every Gephi opens."""

_DATE = re.compile(r' lastmodifieddate="[^"]*"')


def network(graph: FlowGraph) -> nx.MultiDiGraph[str]:
    """Nodes by id, edges by the keys `e0`, `e1` and so on, both with flat attributes."""
    found: nx.MultiDiGraph[str] = nx.MultiDiGraph(generator="netpol", judged_by=graph.judged_by)
    for node in graph.nodes:
        found.add_node(plain(node.id), **node_attributes(node))
    for number, edge in enumerate(graph.edges):
        found.add_edge(plain(edge.source), plain(edge.destination), key=f"e{number}", **edge_attributes(edge))
    return found


def graphml(graph: FlowGraph) -> str:
    """GraphML, for yEd, Gephi and Cytoscape."""
    return "".join(f"{line}\n" for line in nx.generate_graphml(network(graph)))


def gexf(graph: FlowGraph) -> str:
    """GEXF, for Gephi. Without the date that networkx notes in its head: the same graph is the same file."""
    drawn = network(graph)
    for _, _, key, attributes in drawn.edges(keys=True, data=True):
        attributes["id"] = key
    text = "".join(f"{line}\n" for line in nx.generate_gexf(drawn, version=GEXF_VERSION))
    return _DATE.sub("", text, count=1)


def cytoscape(graph: FlowGraph) -> str:
    """Cytoscape JSON (.cyjs), for Cytoscape and cytoscape.js."""
    return json.dumps(nx.cytoscape_data(network(graph)), indent=1) + "\n"
