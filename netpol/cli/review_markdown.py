"""The report in Markdown that GitHub, GitLab and people with a plain editor can read; no name in it becomes markup.

Raw HTML is in it once: `<details>` and its `<summary>` around the YAML, where nothing from the input stands.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

from netpol.cli.output import REVIEW_MARK
from netpol.cli.review_words import (
    CHANGES_HEADING,
    change_cells,
    changes_line,
    counted,
    left_out_cells,
    needless_line,
    verdict_line,
)
from netpol.cli.text import markdown_table, markdown_text, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.review.report import Report

MOST_ROWS: Final = 200
"""Of a table; what more there is, is counted."""
MOST_CHECKS: Final = 50
MOST_LINES: Final = 5_000
"""Of YAML: GitHub shows no file above half a megabyte."""

_BACKTICKS = re.compile(r"`+")


def markdown(report: Report) -> Iterator[str]:
    """The report, in pieces of any size."""
    yield f"{REVIEW_MARK}\n**{verdict_line(report)}**\n"
    yield from _changes(report)
    yield from _drawing(report)
    yield from _left_out(report)
    yield from _checks(report)
    yield from _yaml(report)


def _changes(report: Report) -> Iterator[str]:
    yield f"\n## What changes\n\n{changes_line(report)}\n"
    if report.changes:
        heading = CHANGES_HEADING if report.observed else CHANGES_HEADING[:5]
        rows = [change_cells(row)[: len(heading)] for row in report.changes[:MOST_ROWS]]
        yield "\n"
        yield from _table(heading, rows)
        yield from _more(len(report.changes))


def _drawing(report: Report) -> Iterator[str]:
    if report.drawing:
        yield f"\n```mermaid\n{report.drawing}```\n"


def _left_out(report: Report) -> Iterator[str]:
    if report.observed is None:
        return
    yield "\n## What was left out, and why\n"
    if report.blocked:
        yield "\nWorked in the captures, and is denied after the change:\n\n"
        heading = ("Source", "Destination", "Ports", "Connections", "Denied by", "Why it was not learned")
        denied = [
            (
                row.source,
                row.destination,
                _short(row.ports),
                f"{row.connections:,}",
                f"{row.blocked_by} of {', '.join(row.policies)}",
                ", ".join(row.reasons) or "it was learned",
            )
            for row in report.blocked[:MOST_ROWS]
        ]
        yield from _table(heading, denied)
        yield from _more(len(report.blocked))
    if report.left_out:
        yield "\nNot learned:\n\n"
        for (reason, text), group in groupby(report.left_out, key=lambda row: (row.reason, row.text)):
            yield f"- **{reason}**, {counted(sum(row.connections for row in group), 'connection')}: {text}\n"
        yield "\n"
        reasons = ("Reason", "Source", "Destination", "Ports", "Connections", "First seen", "Last seen")
        yield from _table(reasons, [left_out_cells(row) for row in report.left_out[:MOST_ROWS]])
        yield from _more(len(report.left_out))
    yield f"\n{needless_line(report)}\n"


def _checks(report: Report) -> Iterator[str]:
    yield "\n## What to check by hand\n\n"
    if not report.checks:
        yield "Nothing that netpol knows of.\n"
    for number, item in enumerate(report.checks[:MOST_CHECKS], start=1):
        remedy = f" *{markdown_text(item.remedy)}.*" if item.remedy else ""
        yield f"{number}. **{markdown_text(item.about)}**: {markdown_text(item.text)}.{remedy}\n"
    if len(report.checks) > MOST_CHECKS:
        yield f"\nAnd {len(report.checks) - MOST_CHECKS:,} more.\n"


def _yaml(report: Report) -> Iterator[str]:
    yield "\n## The policies\n\n"
    if not report.yaml:
        yield "No policy's YAML differs.\n"
        return
    lines = plain(report.yaml, keep_lines=True).splitlines(keepends=True)
    shown = "".join(lines[:MOST_LINES])
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    # The blank lines make what is inside Markdown again (CommonMark, 4.6).
    yield f"<details>\n<summary>How the YAML differs: {counted(len(lines), 'line')}</summary>\n\n{fence}diff\n{shown}"
    yield f"{'' if shown.endswith(chr(10)) else chr(10)}{fence}\n\n</details>\n"
    if len(lines) > MOST_LINES:
        yield f"\nAnd {len(lines) - MOST_LINES:,} lines more.\n"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    return (f"{line}\n" for line in markdown_table(heading, rows))


def _more(count: int) -> Iterator[str]:
    if count > MOST_ROWS:
        yield f"\nAnd {count - MOST_ROWS:,} more.\n"


def _short(ports: Sequence[str], most: int = 8) -> str:
    more = f" and {len(ports) - most:,} more" if len(ports) > most else ""
    return ", ".join(ports[:most]) + more
