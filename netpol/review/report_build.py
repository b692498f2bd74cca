"""The report out of what the stages found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.graph.reasons import NEEDLESS, Reason
from netpol.policy.evaluate import Evaluator
from netpol.review import report_checks as checks
from netpol.review.evidence import Sightings
from netpol.review.report import Observed, Report
from netpol.review.report_changes import changes_of
from netpol.review.report_drawing import drawing
from netpol.review.report_left_out import blocked_of, left_out_of, needless_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.graph.admit import Admission
    from netpol.model.endpoint import ResolvedFlow
    from netpol.policy.classes import Side
    from netpol.policy.existing import KeepsOpen
    from netpol.policy.existing_use import RuleUse
    from netpol.policy.generate_statements import Statement
    from netpol.policy.tightness import Tightness
    from netpol.review.findings import Finding
    from netpol.review.report import Blocked, ToCheck

EXPLAINED = NEEDLESS | {Reason.REFUSED, Reason.UNANSWERED}
"""Connections that were not learned, and about which there is nothing to wonder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What the captures showed.

    Attributes:
        window: First and last packet, nanoseconds since the epoch.
        admission: What was learned and what not.
        flows: All of them, once.
        figures: How tight the new policies are.
    """

    window: tuple[int, int] | None
    admission: Admission
    flows: Iterable[ResolvedFlow]
    figures: Tightness


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What other stages say about the policies after the change.

    Attributes:
        statements: Of the generator about its own.
        keeps_open: What existing policies keep open beside the learned ones.
        findings: Of the checks.
        uses: What was seen of rules that could go.
        remarks: Whatever else there is.
        yaml: How the policies' YAML differs.
    """

    statements: Sequence[Statement] = ()
    keeps_open: Sequence[KeepsOpen] = ()
    findings: Sequence[Finding] = ()
    uses: Sequence[RuleUse] = ()
    remarks: Sequence[ToCheck] = ()
    yaml: str = ""


def report_of(old: Side, new: Side, captured: Captured | None, known: Known, *, rules: bool = True) -> Report:
    """Everything that a reviewer needs.

    Args:
        old: Policies and cluster before the change.
        new: The same after.
        captured: None where there is no evidence.
        known: What is to be checked by hand, and the YAML.
        rules: Find the rules behind every change, for formats that tell them.
    """
    admission = captured.admission if captured else None
    rows, closed = changes_of(old, new, Sightings(admission.observations if admission else ()), rules=rules)
    blocked: tuple[Blocked, ...] = ()
    if captured:
        blocked = blocked_of(captured.flows, Evaluator(new.policies, new.inventory), captured.admission)
    left_out = left_out_of(admission) if admission else ()
    return Report(
        policies=(len(old.policies), len(new.policies)),
        observed=_observed(captured, blocked) if captured else None,
        changes=rows,
        closed=closed,
        drawing=drawing(rows, evidence=captured is not None),
        blocked=blocked,
        left_out=left_out,
        needless=needless_of(admission) if admission else (),
        checks=checks.ordered(
            [
                *checks.from_blocked(blocked),
                *checks.from_left_out(left_out, known.statements),
                *checks.from_statements(known.statements),
                *checks.from_keeps_open(known.keeps_open),
                *checks.from_changes(rows, evidence=captured is not None),
                *checks.from_findings(known.findings),
                *checks.from_uses(known.uses),
                *known.remarks,
            ]
        ),
        yaml=known.yaml,
    )


def _observed(captured: Captured, blocked: Iterable[Blocked]) -> Observed:
    admission, figures = captured.admission, captured.figures
    wondered = sum(count for reason, count in admission.left_out_connections().items() if reason not in EXPLAINED)
    denied = [(row.connections, not row.reasons) for row in blocked]
    return Observed(
        window=captured.window,
        connections=admission.total,
        explained=admission.total - wondered,
        denied=sum(count for count, _ in denied),
        denied_learned=sum(count for count, learned in denied if learned),
        allowed=figures.after[""].pod_pair_ports,
        allowed_before=figures.before[""].pod_pair_ports,
        used=figures.observed,
    )
