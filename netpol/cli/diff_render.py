"""A difference as text, JSON, CSV and Markdown. Nothing from a manifest reaches any of them unescaped."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from netpol.cli.list_render import csv_line, ports_text
from netpol.cli.text import columns, markdown_table, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netpol.policy.difference import Change, Difference

HEADING = ("SOURCE", "DESTINATION", "BEFORE", "AFTER", "FOR EXAMPLE", "NOTE")

_BACKTICKS = re.compile(r"`+")


def render(name: str, found: Difference, unified: str | None) -> Iterator[str]:
    """The difference in a format, in pieces of any size.

    Args:
        name: `text`, `json`, `csv` or `md`.
        found: What differs.
        unified: How the YAML differs, None where it was not asked for.
    """
    formats: dict[str, Callable[[Difference, str | None], Iterator[str]]] = {
        "text": _text,
        "json": _json,
        "csv": _csv,
        "md": _markdown,
    }
    return formats[name](found, unified)


def _sections(found: Difference) -> Iterator[tuple[str, Sequence[Change]]]:
    yield "Added", found.added
    yield "Removed", found.removed
    yield "Changed", found.changed
    yield "Between the replicas of one workload", found.within


def _text(found: Difference, unified: str | None) -> Iterator[str]:
    gap = ""
    for title, changes in _sections(found):
        if changes:
            yield f"{gap}{title}\n"
            for line in columns(HEADING, map(_cells, changes)):
                yield f"  {line}\n"
            gap = "\n"
    if not found:
        yield "No connection differs\n"
    if unified:
        yield f"\n{plain(unified, keep_lines=True)}"


def _markdown(found: Difference, unified: str | None) -> Iterator[str]:
    if not found:
        yield "No connection differs\n"
    else:
        counts = f"{len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} changed"
        yield f"Connections between workloads and with addresses outside: {counts}\n"
    for title, changes in _sections(found):
        if changes:
            yield f"\n### {title}\n\n"
            for line in markdown_table(HEADING, map(_cells, changes)):
                yield f"{line}\n"
    if unified:
        fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(unified)), default=0))
        yield f"\n### Policies\n\n{fence}diff\n{plain(unified, keep_lines=True)}{fence}\n"


def _cells(change: Change) -> tuple[str, ...]:
    from netpol.policy.difference_witness import witness

    between_pods = change.source.members and change.destination.members
    example = witness(change) if between_pods else None
    return (
        change.source.text,
        change.destination.text,
        ports_text(change.before),
        ports_text(change.after),
        f"{'now' if example.allowed else 'no longer'} {example}" if example else "",
        _note(change),
    )


def _note(change: Change) -> str:
    """Why there is a difference where policies are not the reason."""
    from netpol.policy.difference import only_in

    notes = []
    for place in dict.fromkeys((change.source, change.destination)):
        side = only_in(place)
        if side is not None:
            notes.append(f"{place.text} is in {side.upper()} only")
    return ", ".join(notes)


def _csv(found: Difference, _: str | None) -> Iterator[str]:
    """A line for each range of ports that is allowed on one side only."""
    from netpol.model.flow import protocol_name

    yield csv_line(("change", "source", "destination", "protocol", "first_port", "last_port", "only_in"))
    for change in found.changes:
        for word, ports in (("added", change.added), ("removed", change.removed)):
            for protocol, some in ports:
                for first, last in some:
                    ends = (change.source.text, change.destination.text)
                    yield csv_line((word, *ends, protocol_name(protocol), first, last, change.only_in or ""))


def _json(found: Difference, unified: str | None) -> Iterator[str]:
    """One object; each change stands on a line of its own."""
    parts = {
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "within": found.within,
    }
    yield "{"
    lead = ""
    for name, changes in parts.items():
        yield f'{lead}\n  "{name}": ['
        yield ",".join(f"\n    {json.dumps(_item(change))}" for change in changes)
        yield "\n  ]" if changes else "]"
        lead = ","
    yield f',\n  "one_sided": {json.dumps(_one_sided(found))}'
    if unified is not None:
        yield f',\n  "unified": {json.dumps(unified)}'
    yield "\n}\n"


def _item(change: Change) -> dict[str, Any]:
    item: dict[str, Any] = {
        "source": change.source.text,
        "destination": change.destination.text,
        "before": change.before.to_json(),
        "after": change.after.to_json(),
    }
    if change.only_in:
        item["only_in"] = change.only_in
    return item


def _one_sided(found: Difference) -> dict[str, list[str]]:
    """The workloads that one side alone has."""
    from netpol.policy.difference import only_in

    sides: dict[str, list[str]] = {"old": [], "new": []}
    for place in found.one_sided:
        side = only_in(place)
        if side is not None:
            sides[side].append(place.text)
    return sides
