"""The flow graph in Mermaid, as GitHub and GitLab draw it in Markdown: for graphs that fit on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.errors import UsageError
from netpol.model.text import plain
from netpol.view.drawing import LOOKS, lines_of
from netpol.view.flow_graph import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.view.drawing import Line
    from netpol.view.flow_graph import FlowGraph, FlowNode

MOST_LINES = 60
"""Beyond these nobody can read the drawing."""

_ARROWS = {"solid": "-->", "bold": "==>", "dashed": "-.->", "dotted": "-.->"}
_PLAIN = {"solid": "---", "bold": "===", "dashed": "-.-", "dotted": "-.-"}
_SHAPES = {"External": ("([", "])"), "Node": ("[[", "]]")}
_DASHES = {"dashed": "6 4", "dotted": "2 4"}


def mermaid(graph: FlowGraph, *, everything: bool = False) -> str:
    """A flowchart: a box for each namespace, one line for all ports between two nodes in the same state.

    Args:
        graph: What to draw.
        everything: What no policy can speak of is drawn too.

    Raises:
        UsageError: There are more lines than anyone can read.
    """
    lines = lines_of(graph.edges, everything=everything)
    if len(lines) > MOST_LINES:
        raise UsageError(
            f"{len(lines):,} lines are too many for a Mermaid graph, which can be read up to {MOST_LINES}",
            remedy="Choose fewer edges with -n, -l, --state or --min-connections, or another format with -o",
        )
    return "".join(f"{line}\n" for line in _flowchart(graph.nodes, lines))


def _flowchart(nodes: Sequence[FlowNode], lines: Sequence[Line]) -> Iterator[str]:
    ends = {end for line in lines for end in (line.source, line.destination)}
    shown = [node for node in nodes if node.id in ends]
    numbers = {node.id: f"n{number}" for number, node in enumerate(shown)}
    yield "flowchart LR"
    for number, namespace in enumerate(sorted({node.namespace for node in shown if node.namespace})):
        yield f"  subgraph s{number}[{_text(namespace)}]"
        yield from (f"    {_node(node, numbers)}" for node in shown if node.namespace == namespace)
        yield "  end"
    yield from (f"  {_node(node, numbers)}" for node in shown if not node.namespace)
    for line in lines:
        arrow = (_ARROWS if line.directed else _PLAIN)[LOOKS[line.state].pattern]
        label = _text(" ".join(filter(None, (line.ports, line.words))))
        yield f"  {numbers[line.source]} {arrow}|{label}| {numbers[line.destination]}"
    for state in State:
        those = [str(number) for number, line in enumerate(lines) if line.state is state]
        if those:
            look = LOOKS[state]
            dashes = f",stroke-dasharray:{_DASHES[look.pattern]}" if look.pattern in _DASHES else ""
            yield f"  linkStyle {','.join(those)} stroke:{look.colour}{dashes}"


def _node(node: FlowNode, numbers: dict[str, str]) -> str:
    opening, closing = _SHAPES.get(node.kind, ("[", "]"))
    kind = f" ({node.kind})" if node.id.endswith("]") else ""
    return f"{numbers[node.id]}{opening}{_text(f'{node.name}{kind}')}{closing}"


def _text(text: str) -> str:
    """A quoted label in which every character but the harmless ones is an entity code, as Mermaid spells it.

    Mermaid labels can hold Markdown, HTML and directives, and stand in Markdown that fences and links can end.
    """
    safe = "".join(
        character if character.isalnum() or character in " ./_,:-" else f"#{ord(character)};"
        for character in plain(text)
    )
    return f'"{safe or " "}"'
