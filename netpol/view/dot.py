"""The flow graph for Graphviz: workloads in a box for each namespace, every edge with its evidence as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.text import plain
from netpol.view.attributes import edge_attributes, node_attributes
from netpol.view.drawing import LOOKS, short_ports
from netpol.view.flow_graph import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.view.flow_graph import FlowEdge, FlowGraph, FlowNode

_SHAPES = {"Node": "box3d", "Service": "component", "External": "ellipse", "Unknown": "note", "Ambiguous": "note"}
_WIDTHS = {"bold": "2.5"}


def dot_pieces(graph: FlowGraph, *, everything: bool = False) -> Iterator[str]:
    """The text, in pieces.

    Args:
        graph: What to draw.
        everything: What no policy can speak of is drawn too.
    """
    edges = [edge for edge in graph.edges if everything or edge.state is not State.EXEMPT]
    ends = {end for edge in edges for end in (edge.source, edge.destination)}
    yield "digraph flows {\n  graph [rankdir=LR, fontname=sans];\n"
    yield "  node [shape=box, style=rounded, fontname=sans];\n  edge [fontname=sans, fontsize=10];\n"
    boxes: dict[str, list[FlowNode]] = {}
    for node in graph.nodes:
        if node.id in ends:
            boxes.setdefault(node.namespace, []).append(node)
    for number, (namespace, nodes) in enumerate(sorted(boxes.items())):
        if namespace:
            yield f"  subgraph cluster_{number} {{\n    label={_text(namespace)};\n"
        yield from (f"    {_node(node)}\n" for node in nodes)
        if namespace:
            yield "  }\n"
    yield from (f"  {_edge(edge)}\n" for edge in edges)
    yield "}\n"


def _node(node: FlowNode) -> str:
    attributes = {name: value for name, value in node_attributes(node).items() if value != ""}
    attributes["label"] = plain(node.name)
    attributes["shape"] = _SHAPES.get(node.kind, "box")
    return f"{_text(node.id)} {_attributes(attributes)};"


def _edge(edge: FlowEdge) -> str:
    look = LOOKS[edge.state]
    attributes = {name: value for name, value in edge_attributes(edge).items() if value != ""}
    words = [edge.reason] if edge.reason else []
    attributes["label"] = "\n".join([short_ports(edge.label), *words])
    attributes |= {"color": look.colour, "fontcolor": look.colour, "style": look.pattern}
    attributes["penwidth"] = _WIDTHS.get(look.pattern, "1")
    if not edge.directed:
        attributes["dir"] = "none"
    return f"{_text(edge.source)} -> {_text(edge.destination)} {_attributes(attributes)};"


def _attributes(values: dict[str, str | int]) -> str:
    return f"[{', '.join(f'{name}={_value(value)}' for name, value in values.items())}]"


def _value(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    lines = r"\n".join(map(_inside, value.split("\n")))
    return f'"{lines}"'


def _text(text: str) -> str:
    return f'"{_inside(text)}"'


def _inside(text: str) -> str:
    r"""What stands between double quotes: backslashes stand for themselves, not for escapes such as `\N` or `\l`.

    Graphviz reads `&lt;` and its like in any text: the ampersand is written as one of those.
    """
    return plain(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
