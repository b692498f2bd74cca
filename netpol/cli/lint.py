"""`netpol lint`: what is probably not meant in a policy set."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.review.findings import Finding, Severity

FOUND = 1
"""Exit code when there is a finding of at least the severity that was asked for."""


class Format(StrEnum):
    """How the findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"
    MD = "md"


class Gate(StrEnum):
    """The least severity that makes the exit code 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


def lint(
    policies: options.PolicySet,
    cluster: options.ClusterPaths = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the findings are printed.")] = Format.TEXT,
    fail_on: Annotated[
        Gate | None,
        typer.Option(
            "--fail-on",
            help="Exit with 1 when there is a finding of this severity or a higher one. Default: never.",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Find what is probably not meant: selectors that match nothing, rules that allow all, and their like.

    Each finding has a stable id, a severity (error, warning or info), its place and a remedy.
    """
    from netpol.cli.lint_lines import locate
    from netpol.cli.lint_render import Report, render
    from netpol.cli.observe import ClusterChoice, read_inventory, refuse_shared_stdin
    from netpol.cli.policies import read_written
    from netpol.review.findings import Severity
    from netpol.review.review import review
    from netpol.review.scene import Scene

    paths = cluster or []
    refuse_shared_stdin(policies, paths)
    written = read_written(policies)
    inventory = read_inventory(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    findings = review(Scene(written, inventory))
    gate = None if fail_on is None else Severity[fail_on.name]
    report = Report(
        findings=findings,
        lines=locate(findings),
        policies=tuple(sorted((str(item.policy), item.place) for item in written)),
        gate=gate or Severity.WARNING,
    )
    for piece in render(output.value, report):
        sys.stdout.write(piece)
    sys.stderr.write(f"{len(written):,} policies: {counted(findings)}\n")
    if gate is not None and any(finding.severity >= gate for finding in findings):
        raise typer.Exit(FOUND)


def counted(findings: Iterable[Finding]) -> str:
    """`1 error, 2 warnings, 0 infos`."""
    from netpol.review.findings import Severity

    severities = [finding.severity for finding in findings]
    ordered: tuple[Severity, ...] = tuple(sorted(Severity, reverse=True))
    counts = ((severities.count(severity), severity.label) for severity in ordered)
    return ", ".join(f"{count:,} {label}{'' if count == 1 else 's'}" for count, label in counts)
