"""Findings as text, JSON, Markdown and GitHub annotations. Nothing from a manifest reaches any of them unescaped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from netpol.cli.text import markdown_table, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from netpol.review.findings import Check, Finding, Severity

FormatName = Literal["text", "json", "sarif", "junit", "github", "md"]

HEADING = ("SEVERITY", "FINDING", "POLICY", "FIELD", "PLACE", "MESSAGE", "REMEDY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found.

    Attributes:
        findings: In order.
        lines: Line numbers from 1 by position of the finding, as far as they are known.
        policies: `namespace/name` and place of everything that was looked at, in order.
        gate: From this severity on a finding counts as a failure, where a format knows failures.
        checks: All that could have been found; without any, those of `netpol lint`.
        title: The command.
    """

    findings: tuple[Finding, ...]
    lines: Mapping[int, int]
    policies: tuple[tuple[str, tuple[str, ...]], ...]
    gate: Severity
    checks: tuple[Check, ...] = ()
    title: str = "netpol lint"

    def placed(self) -> Iterator[tuple[Finding, int | None]]:
        """Each finding with its line."""
        return ((finding, self.lines.get(number)) for number, finding in enumerate(self.findings))


def render(name: str, report: Report) -> Iterator[str]:
    """The findings in a format, in pieces of any size."""
    from netpol.cli.lint_machines import junit, sarif

    formats: dict[str, Callable[[Report], Iterator[str]]] = {
        "text": _text,
        "json": _json,
        "sarif": sarif,
        "junit": junit,
        "github": _github,
        "md": _markdown,
    }
    return formats[name](report)


def place_text(place: tuple[str, ...], line: int | None) -> str:
    """`FILE:LINE`, or the file, document and item where the line is not known."""
    if not place:
        return ""
    return ": ".join(place) if line is None else f"{place[0]}:{line}"


def _text(report: Report) -> Iterator[str]:
    """Two lines a finding, the first as compilers write it, so that editors can jump to it."""
    for finding, line in report.placed():
        place = place_text(finding.place, line)
        lead = f"{place}: " if place else ""
        about = f"{finding.policy}: {finding.path}: {finding.message}"
        yield f"{plain(f'{lead}{finding.severity.label}: {finding.check.id}: {about}')}\n"
        yield f"    {plain(finding.remedy)}\n"
    if not report.findings:
        yield "No findings\n"


def _json(report: Report) -> Iterator[str]:
    yield f'{{\n  "policies": {len(report.policies)},\n  "findings": ['
    yield ",".join(f"\n    {json.dumps(as_json(finding, line))}" for finding, line in report.placed())
    yield "\n  ]\n}\n" if report.findings else "]\n}\n"


def as_json(finding: Finding, line: int | None) -> dict[str, Any]:
    """The stable shape of one finding."""
    return {
        "id": finding.check.id,
        "severity": finding.severity.label,
        "policy": finding.policy,
        "field": finding.path,
        "place": list(finding.place),
        "line": line,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def _markdown(report: Report) -> Iterator[str]:
    from netpol.cli.lint import counted

    yield f"{len(report.policies):,} policies: {counted(report.findings)}\n"
    if report.findings:
        rows = [
            (
                finding.severity.label,
                finding.check.id,
                finding.policy,
                finding.path,
                place_text(finding.place, line),
                finding.message,
                finding.remedy,
            )
            for finding, line in report.placed()
        ]
        yield "\n"
        for row in markdown_table(HEADING, rows):
            yield f"{row}\n"


_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def _github(report: Report) -> Iterator[str]:
    """Workflow commands (docs.github.com, "Workflow commands for GitHub Actions"), one line a finding."""
    for finding, line in report.placed():
        properties = {"title": f"{finding.check.id}: {finding.policy}"}
        if line is not None:
            # Without a line there is no file either: standard input is none.
            properties = {"file": finding.file, "line": str(line), **properties}
        listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        message = f"{finding.path}: {finding.message}. {finding.remedy}"
        yield f"::{_COMMANDS[finding.severity.label]} {listed}::{_data(message)}\n"


def _data(text: str) -> str:
    """As actions/toolkit's escapeData: what would end the command or begin another."""
    return plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As actions/toolkit's escapeProperty: also what ends a property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
