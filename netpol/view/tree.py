"""The flow graph for a terminal: a tree for each namespace, under each workload who opens what to it and what it opens.

Lines are pieces of text with the name of a style, so that whoever prints them decides about colour.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from netpol.model.text import plain
from netpol.view.drawing import lines_of
from netpol.view.flow_graph import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from netpol.view.drawing import Line
    from netpol.view.flow_graph import FlowGraph, FlowNode

Style = Literal["", "heading", "name", "faint"] | State
Piece = tuple[str, Style]


class Glyphs(NamedTuple):
    """The signs that a tree is drawn with."""

    branch: str
    last: str
    through: str
    to: str
    back: str
    both: str

    @classmethod
    def for_encoding(cls, encoding: str) -> Self:
        """Those that look best among what the encoding has."""
        best = cls("├─ ", "└─ ", "│  ", "→", "←", "—")
        try:
            "".join(best).encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return cls("|- ", "`- ", "|  ", "->", "<-", "--")
        return best


def tree(
    graph: FlowGraph,
    glyphs: Glyphs,
    *,
    shown: Callable[[FlowNode], bool] = lambda _: True,
    everything: bool = False,
) -> Iterator[list[Piece]]:
    """The lines.

    Args:
        graph: What to show.
        glyphs: How to draw it.
        shown: The workloads that get a branch of their own; others are on those of these.
        everything: What no policy can speak of is shown too.
    """
    lines = lines_of(graph.edges, everything=everything)
    ids = {node.id: node for node in graph.nodes}
    names = _short_names(graph.nodes)
    branches: defaultdict[str, list[Line]] = defaultdict(list)
    homeless = []
    for line in lines:
        ends = {line.source, line.destination}
        homes = [end for end in ends if _is_workload(ids[end]) and shown(ids[end])]
        for end in homes:
            branches[end].append(line)
        if not homes:
            homeless.append(line)
    namespaces: defaultdict[str, list[FlowNode]] = defaultdict(list)
    for node in graph.nodes:
        if node.id in branches:
            namespaces[node.namespace].append(node)
    for namespace, nodes in namespaces.items():
        yield [("Namespace ", "heading"), (plain(namespace), "heading")]
        for node in nodes:
            last = node is nodes[-1]
            yield [(glyphs.last if last else glyphs.branch, "faint"), *_heading(node)]
            yield from _branch(node.id, branches[node.id], "   " if last else glyphs.through, glyphs, names)
    if homeless:
        yield [("Between others", "heading")]
        yield from _branch("", homeless, "", glyphs, names)


def _is_workload(node: FlowNode) -> bool:
    return node.id.endswith("]")


def _short_names(nodes: Sequence[FlowNode]) -> dict[str, str]:
    """Workloads without their kind where that leaves no doubt."""
    count = Counter((node.namespace, node.name) for node in nodes)
    return {
        node.id: f"{node.namespace}/{node.name}"
        if _is_workload(node) and count[node.namespace, node.name] == 1
        else node.id
        for node in nodes
    }


def _heading(node: FlowNode) -> Iterator[Piece]:
    yield plain(f"{node.name}[{node.kind}]"), "name"
    where = f" on {', '.join(node.nodes)}" if node.nodes else ""
    remarks = [plain(f"{node.pods.count:,} pod{'s' if node.pods.count != 1 else ''}{where}")]
    remarks += [role.value for role in node.roles]
    if len(node.isolated) < 2:
        remarks.append(f"only {node.isolated[0]} isolated" if node.isolated else "not isolated")
    yield f"  {'; '.join(remarks)}", "faint"


class _Cells(NamedTuple):
    arrow: str
    peer: str
    ports: str
    seen: str
    words: str
    state: State


def _branch(
    home: str, lines: Sequence[Line], lead: str, glyphs: Glyphs, names: Mapping[str, str]
) -> Iterator[list[Piece]]:
    """What is opened to the node first, then what it opens; in each the usual first."""
    rows = [_cells(home, line, glyphs, names) for line in sorted(lines, key=lambda line: _order(home, line))]
    peers = max(len(row.peer) for row in rows)
    ports = max(len(row.ports) for row in rows)
    counts = max(len(row.seen) for row in rows)
    for number, row in enumerate(rows):
        sign = glyphs.last if number == len(rows) - 1 else glyphs.branch
        text = f"{row.peer:<{peers}}  {row.ports:<{ports}}  {row.seen:>{counts}}"
        style: Style = "" if row.state is State.USED else row.state
        yield [
            (f"{lead}{sign}", "faint"),
            (f"{row.arrow} ", row.state),
            (f"{text}  {row.words}".rstrip(), style),
        ]


def _order(home: str, line: Line) -> tuple[object, ...]:
    inward = line.destination == home and line.directed
    return (not inward, list(State).index(line.state), line.reason)


def _cells(home: str, line: Line, glyphs: Glyphs, names: Mapping[str, str]) -> _Cells:
    inward = line.destination == home
    peer = names[line.source if inward and line.source != home else line.destination]
    if not home:
        peer = f"{names[line.source]} {glyphs.to if line.directed else glyphs.both} {peer}"
    arrow = glyphs.both if not line.directed else glyphs.back if inward and line.source != home else glyphs.to
    words = [line.words] if line.words else []
    if line.midstream:
        words.append("midstream" if line.midstream == line.connections else f"{line.midstream:,} midstream")
    seen = f"{line.connections:,}" if line.connections else "-"
    return _Cells(arrow, plain(peer), line.ports, seen, plain(", ".join(words)), line.state)
