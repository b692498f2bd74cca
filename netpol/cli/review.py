"""`netpol review`: what a reviewer of a change of policies needs to know."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.cli.observe import Cluster, Reading
    from netpol.model.inventory import Inventory
    from netpol.policy.classes import Side
    from netpol.policy.existing_use import RuleUse
    from netpol.review.findings import AnyWritten, Finding
    from netpol.review.report import ToCheck
    from netpol.review.report_build import Captured


class Format(StrEnum):
    """How the report is printed."""

    MD = "md"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


_SIDE = "A file or folder of policies, -, git:REV:PATH, or `live` for what the cluster has now."


def review(
    old: Annotated[str, typer.Argument(metavar="OLD", help=_SIDE, show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=_SIDE, show_default=False)],
    captures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CAPTURE...]",
            help="The evidence: pcap or pcapng files (also .gz, .zst), folders of them, or -.",
            show_default=False,
        ),
    ] = None,
    cluster: options.ClusterPaths = None,
    output: Annotated[
        Format,
        typer.Option(
            "-o",
            "--output",
            help="How the report is printed. sarif, junit and github point at the line of the rule.",
        ),
    ] = Format.MD,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    since: options.Since = None,
    until: options.Until = None,
    strict: options.Strict = False,
    engine: options.Engine = "",
) -> None:
    """Report on a change of policies: which connections differ, on what evidence, and what to check by hand.

    With captures, each connection is shown with what was seen of it, and what worked and would be denied comes first.
    """
    from netpol.cli.diff_inputs import Inputs
    from netpol.cli.diff_unified import unified_diff
    from netpol.cli.lint_lines import locate
    from netpol.cli.lint_render import Report as Findings
    from netpol.cli.lint_render import render
    from netpol.cli.observe import ClusterChoice, cluster_from, cluster_paths, read, refuse_shared_stdin
    from netpol.cli.review_json import json_pieces
    from netpol.cli.review_losses import losses
    from netpol.cli.review_markdown import markdown
    from netpol.cli.tier_notes import warn_of_missing_tiers, warn_of_names
    from netpol.cli.times import span_of
    from netpol.errors import UsageError
    from netpol.review.findings import Severity
    from netpol.review.report_build import Known, report_of
    from netpol.review.report_findings import ALL_CHECKS, findings_of

    if engine and not captures:
        raise UsageError("--engine needs captures", remedy="Name the dataset that it is to add up")
    paths = cluster_paths(cluster, captures or [], context, kubeconfig)
    refuse_shared_stdin([old], [new], paths, captures or [])
    inputs = Inputs(old, new, ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    before, after = inputs.sides()
    warn_of_missing_tiers(before.policies, after.policies)
    warn_of_names((*before.policies, *after.policies))
    written = inputs.written()
    lint = _new_findings(written, (before.inventory, after.inventory))
    captured: Captured | None = None
    uses: tuple[RuleUse, ...] = ()
    exit_code = 0
    remarks: tuple[ToCheck, ...] = ()
    if captures:
        known = cluster_from(inputs.inventory)
        reading = read(captures, known, span=span_of(since, until), strict=strict, engine=engine)
        captured, uses = _captured(reading, known, before, after)
        exit_code = reading.exit_code
        remarks = tuple(losses(reading.tally))
    yaml = unified_diff(before.policies, after.policies)
    report = report_of(before, after, captured, Known(findings=lint, uses=uses, remarks=remarks, yaml=yaml))
    found = findings_of(report, written[1], lint, uses)
    findings = Findings(
        findings=found,
        lines=locate(found),
        policies=tuple(sorted((str(item.policy), item.place) for item in written[1])),
        gate=Severity.WARNING,
        checks=ALL_CHECKS,
        title="netpol review",
    )
    if output is Format.MD:
        sys.stdout.writelines(markdown(report))
    elif output is Format.JSON:
        sys.stdout.writelines(json_pieces(report, findings))
    else:
        sys.stdout.writelines(render(output.value, findings))
    raise typer.Exit(exit_code)


def _new_findings(
    written: tuple[Sequence[AnyWritten], Sequence[AnyWritten]], inventories: tuple[Inventory, Inventory]
) -> tuple[Finding, ...]:
    """What `netpol lint` finds after the change and did not find before, wherever in its policy."""
    from netpol.review.review import review as lint
    from netpol.review.scene import Scene

    old, new = (lint(Scene(items, inventory)) for items, inventory in zip(written, inventories, strict=True))
    known = {(item.check.id, item.policy, item.message) for item in old}
    return tuple(item for item in new if (item.check.id, item.policy, item.message) not in known)


def _captured(reading: Reading, known: Cluster, before: Side, after: Side) -> tuple[Captured, tuple[RuleUse, ...]]:
    """The evidence in the captures, and which rules nothing exercised after the change."""
    from netpol.graph.admit import admit
    from netpol.graph.label_graph import LabelGraph
    from netpol.graph.selectors import Selectors
    from netpol.model.policy import NetworkPolicy
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.existing_rules import RuleBook
    from netpol.policy.existing_use import rule_uses
    from netpol.policy.existing_watch import Watch
    from netpol.policy.tightness import tightness
    from netpol.review.report_build import Captured
    from netpol.threats.guard import Guard
    from netpol.threats.sensitive import Sensitive
    from netpol.view.time_bins import window_of

    inventory = known.inventory
    watch = Watch(Evaluator(after.policies, inventory))
    guard = Guard.of((), None, Sensitive(frozenset()))
    flows = watch.through(reading.resolved(known))
    admission = admit(flows, inventory, selectable=Selectors(inventory).selectable, bar=guard.bar)
    graph = LabelGraph.of(admission, inventory)
    captured = Captured(
        window=window_of(reading.table),
        admission=admission,
        flows=reading.resolved(known),
        figures=tightness(graph, inventory, after.policies, existing=before.policies),
    )
    book = RuleBook([policy for policy in after.policies if isinstance(policy, NetworkPolicy)], inventory)
    return captured, rule_uses(book, watch.contacts)
