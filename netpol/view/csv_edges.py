"""The edges as CSV (RFC 4180), for spreadsheets and scripts."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

from netpol.model.text import inert, plain
from netpol.view.attributes import edge_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.view.flow_graph import FlowGraph

COLUMNS = (
    "state",  # first, so that no line begins with text from the wire
    "reason",
    "source",
    "destination",
    "protocols",
    "ports",
    "connections",
    "packets",
    "bytes",
    "first_seen",
    "last_seen",
    "outcomes",
    "directions",
    "directed",
    "midstream",
    "silent",
    "shared",
    "services",
    "source_pods",
    "destination_pods",
    "nodes",
    "verdict",
    "admitted_by",
    "blocked_by",
    "blocking_policies",
)


def csv_lines(graph: FlowGraph) -> Iterator[str]:
    """A heading, then one line for each edge; no cell is taken for a formula by a spreadsheet."""
    yield _line(COLUMNS)
    for edge in graph.edges:
        cells = edge_attributes(edge) | {"source": plain(edge.source), "destination": plain(edge.destination)}
        yield _line(tuple(cells[name] for name in COLUMNS))


def _line(cells: tuple[str | int, ...]) -> str:
    stream = StringIO()
    csv.writer(stream).writerow([cell if isinstance(cell, int) else inert(cell) for cell in cells])
    return stream.getvalue()
