"""Prints the tree of `netpol graph`, in colour on a terminal, and the account of what it shows."""

from __future__ import annotations

from collections import Counter
from typing import IO, TYPE_CHECKING

from netpol.model.text import plain
from netpol.view.flow_graph import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.view.flow_graph import FlowGraph
    from netpol.view.tree import Piece

STYLES = {
    "": "",
    "heading": "bold",
    "name": "bold cyan",
    "faint": "dim",
    State.USED: "green",
    State.NEW: "bold blue",
    State.DENIED: "red",
    State.UNUSED: "yellow",
    State.QUARANTINED: "magenta",
    State.EXEMPT: "dim",
}
NAMED = 5


def write(lines: Iterable[list[Piece]], stream: IO[str]) -> None:
    """One line each; with colour where the stream is a terminal and NO_COLOR does not forbid it."""
    if not stream.isatty():
        stream.writelines("".join(text for text, _ in line) + "\n" for line in lines)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for line in lines:
        console.print(Text.assemble(*((text, STYLES[style]) for text, style in line)), soft_wrap=True)


def account(graph: FlowGraph, *, drawn_whole: bool) -> Iterator[str]:
    """What is shown and what is not, for stderr."""
    counts = Counter(edge.state for edge in graph.edges)
    shown = ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state])
    hidden = "" if drawn_whole or not counts[State.EXEMPT] else " (not drawn: no policy can speak of them)"
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in graph.left_out.items())
    yield f"{len(graph.edges):,} edges{f': {shown}' if shown else ''}{hidden}"
    yield f"{graph.connections:,} connections in all: {graph.learned:,} learned{f', {left_out}' if left_out else ''}"
    if graph.unseen:
        more = f" and {len(graph.unseen) - NAMED:,} more" if len(graph.unseen) > NAMED else ""
        yield f"never seen: {plain(', '.join(graph.unseen[:NAMED]))}{more}"
