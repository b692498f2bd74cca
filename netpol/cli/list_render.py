"""Allowed connections as text, JSON, CSV, Markdown and DOT. Nothing from a manifest reaches any of them unescaped."""

from __future__ import annotations

import csv
import json
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Literal

from netpol.cli.text import columns, markdown_table, plain
from netpol.model.text import inert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netpol.model.ports import PortMap
    from netpol.policy.connectivity_list import Row

FormatName = Literal["text", "json", "csv", "md", "dot"]

HEADING = ("SOURCE", "DESTINATION", "PORTS")

FOLDED = "A pod and its own node, hostNetwork pods there included, may always connect; such pairs are left out here."


def render(name: str, rows: Sequence[Row]) -> Iterator[str]:
    """The rows in a format, in pieces of any size."""
    formats: dict[str, Callable[[Sequence[Row]], Iterator[str]]] = {
        "text": _text,
        "json": _json,
        "csv": _csv,
        "md": _markdown,
        "dot": _dot,
    }
    return formats[name](rows)


def ports_text(ports: PortMap) -> str:
    """`any`, `TCP` for all ports of a protocol, `TCP/80,8000-8010 UDP/53`; `none` for nothing."""
    from netpol.model.flow import protocol_name
    from netpol.model.ports import PortMap, PortSet

    if ports == PortMap.ALL:
        return "any"
    parts = (
        protocol_name(protocol) if found == PortSet.ALL else f"{protocol_name(protocol)}/{found}"
        for protocol, found in ports
    )
    return " ".join(parts) or "none"


def csv_line(cells: Sequence[str | int]) -> str:
    """One line of RFC 4180; no cell is taken for a formula by a spreadsheet."""
    stream = StringIO()
    safe = [cell if isinstance(cell, int) else inert(plain(cell)) for cell in cells]
    csv.writer(stream, lineterminator="\n").writerow(safe)
    return stream.getvalue()


def _text(rows: Sequence[Row]) -> Iterator[str]:
    for line in columns(HEADING, _cells(rows)):
        yield f"{line}\n"
    if any(row.always for row in rows):
        yield f"\n{FOLDED}\n"


def _markdown(rows: Sequence[Row]) -> Iterator[str]:
    decided = sum(not row.always for row in rows)
    yield f"{decided:,} allowed connections\n\n"
    for line in markdown_table(HEADING, _cells(rows)):
        yield f"{line}\n"
    if decided < len(rows):
        yield f"\n{FOLDED}\n"


def _cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    words = cache(ports_text)
    return [(row.source.text, row.destination.text, words(row.ports)) for row in rows if not row.always]


def _json(rows: Sequence[Row]) -> Iterator[str]:
    """One array, one row a line: a cluster has hundreds of thousands."""
    quoted = cache(json.dumps)
    allowed = cache(lambda ports: json.dumps(ports.to_json()))
    lead = "[\n"
    for row in rows:
        ends = f'"source": {quoted(row.source.text)}, "destination": {quoted(row.destination.text)}'
        yield f'{lead}  {{{ends}, "allowed": {allowed(row.ports)}}}'
        lead = ",\n"
    yield "\n]\n" if rows else "[]\n"


def _csv(rows: Sequence[Row]) -> Iterator[str]:
    from netpol.model.flow import protocol_name

    yield csv_line(("source", "destination", "protocol", "first_port", "last_port"))
    for row in rows:
        for protocol, ports in row.ports:
            for first, last in ports:
                yield csv_line((row.source.text, row.destination.text, protocol_name(protocol), first, last))


def _dot(rows: Sequence[Row]) -> Iterator[str]:
    """A directed graph, workloads boxed by namespace."""
    decided = [row for row in rows if not row.always]
    names: dict[str, set[str]] = {}
    for row in decided:
        for place in (row.source, row.destination):
            names.setdefault(place.namespace, set()).add(place.text)
    yield "digraph allowed {\n  rankdir=LR;\n  node [shape=box];\n"
    for number, namespace in enumerate(sorted(names)):
        if namespace:
            yield f"  subgraph cluster_{number} {{\n    label={_dot_text(namespace)};\n"
            for text in sorted(names[namespace]):
                yield f"    {_dot_text(text)};\n"
            yield "  }\n"
        else:
            for text in sorted(names[namespace]):
                yield f"  {_dot_text(text)} [shape=ellipse];\n"
    words = cache(ports_text)
    for row in decided:
        ends = f"{_dot_text(row.source.text)} -> {_dot_text(row.destination.text)}"
        yield f"  {ends} [label={_dot_text(words(row.ports))}];\n"
    yield "}\n"


def _dot_text(text: str) -> str:
    r"""A double-quoted string; its backslashes stand for themselves, not for escapes such as `\N` or `\l`."""
    escaped = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
