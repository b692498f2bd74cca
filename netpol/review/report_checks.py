"""What a person should check by hand, the most urgent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.graph.reasons import Reason
from netpol.policy.generate_statements import Topic
from netpol.review.findings import Severity
from netpol.review.report import ToCheck, Urgency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.policy.existing import KeepsOpen
    from netpol.policy.existing_use import RuleUse
    from netpol.policy.generate_statements import Statement
    from netpol.review.findings import Finding
    from netpol.review.report import Blocked, Change, LeftOut

HOSTILE = {reason.identifier for reason in (Reason.THREAT_LIST, Reason.METADATA, Reason.KUBELET, Reason.SCAN)}
"""Reasons that point to an intruder or to a leak."""

_URGENCY = {
    Topic.METADATA: Urgency.HOSTILE,
    Topic.KUBELET: Urgency.HOSTILE,
    Topic.SILENT_PORT: Urgency.SILENCE,
    Topic.SILENT_INGRESS: Urgency.SILENCE,
    Topic.SILENT_EGRESS: Urgency.SILENCE,
    Topic.OUTSIDE_CLIENTS: Urgency.SILENCE,
    Topic.MASKED_CLIENTS: Urgency.SILENCE,
    Topic.PUBLIC: Urgency.UNSEEN,
    Topic.SHARED_SELECTOR: Urgency.UNSEEN,
    Topic.HEALTH_CHECKS: Urgency.UNSEEN,
}
"""Of the generator's statements; all others rest on weak evidence."""

_TOLD = {Reason.METADATA.identifier: Topic.METADATA, Reason.KUBELET.identifier: Topic.KUBELET}
"""Reasons of which the generator speaks itself, with a remedy of its own."""


def from_blocked(rows: Iterable[Blocked]) -> Iterator[ToCheck]:
    """What worked and will not any more; what was not learned on purpose is told by its reason instead."""
    for row in rows:
        if HOSTILE.intersection(row.reasons):
            continue
        policies = ", ".join(row.policies)
        why = f"; it was not learned: {', '.join(row.reasons)}" if row.reasons else ""
        yield ToCheck(
            urgency=Urgency.BREAKS,
            about=f"{row.source} to {row.destination}",
            text=f"{', '.join(row.ports)} worked {_times(row.connections)} in the captures, and is denied: "
            f"{row.blocked_by} by {policies}{why}",
            remedy="Allow it if it is needed",
        )


def from_left_out(rows: Iterable[LeftOut], statements: Iterable[Statement] = ()) -> Iterator[ToCheck]:
    """What points to an intruder, but for what a statement tells already."""
    topics = {item.topic for item in statements}
    for row in rows:
        if row.reason in HOSTILE and _TOLD.get(row.reason) not in topics:
            more = " and others" if row.more_ports else ""
            yield ToCheck(
                urgency=Urgency.HOSTILE,
                about=f"{row.source} to {row.destination}",
                text=f"{', '.join(row.ports)}{more}, {_times(row.connections)}: {row.text}",
                remedy="Find out who did this before you apply anything",
            )


def from_statements(statements: Iterable[Statement]) -> Iterator[ToCheck]:
    """What the generator knows of its policies, in its own order; workloads without a policy in one entry."""
    without: list[str] = []
    for item in statements:
        if item.topic is Topic.NO_POLICY:
            without.append(str(item.workload))
            continue
        urgency = _URGENCY.get(item.topic, Urgency.WEAK)
        yield ToCheck(urgency=urgency, about=str(item.workload), text=item.text, remedy=item.remedy)
    if without:
        yield ToCheck(
            urgency=Urgency.KNOW,
            about=f"{len(without):,} {'workload' if len(without) == 1 else 'workloads'} without a policy",
            text=_listed(without),
        )


def from_keeps_open(policies: Iterable[KeepsOpen]) -> Iterator[ToCheck]:
    """What policies that stay keep open beside the learned ones."""
    for item in policies:
        first = item.connections[0]
        more = f" and {len(item.connections) - 1:,} more" if len(item.connections) > 1 else ""
        rules = ", ".join(f"spec.{rule.way}[{rule.rule}]" for rule in item.rules)
        yield ToCheck(
            urgency=Urgency.UNSEEN,
            about=f"{item.policy} {rules}",
            text=f"keeps open {first.source} to {first.destination}{more}, which was not seen; "
            "learned policies cannot close it",
            remedy="Narrow it by hand",
        )


def from_changes(rows: Iterable[Change], *, evidence: bool) -> Iterator[ToCheck]:
    """What is opened although nobody was seen to use it.

    Args:
        rows: All of them.
        evidence: There were captures in which it could have been seen.
    """
    for row in rows:
        if evidence and row.added and row.seen is None:
            where = f", by {', '.join(map(str, row.rules))}" if row.rules else ""
            yield ToCheck(
                urgency=Urgency.UNSEEN,
                about=f"{row.source} to {row.destination}",
                text=f"{row.added} is opened{where}, and nobody was seen to use it",
                remedy="Leave it closed until somebody needs it",
            )


def from_findings(findings: Iterable[Finding]) -> Iterator[ToCheck]:
    """What is probably not meant, but for what is right in many clusters."""
    for item in sorted(findings, key=lambda found: -found.severity):
        if item.severity > Severity.INFO:
            yield ToCheck(
                urgency=Urgency.WRONG,
                about=f"{item.policy} {item.path}",
                text=f"{item.check.id}: {item.message}",
                remedy=item.remedy,
                finding=item,
            )


def from_uses(uses: Iterable[RuleUse]) -> Iterator[ToCheck]:
    """Rules that nothing exercised."""
    for use in uses:
        if not use.connections:
            tried = f"; it was tried in vain {_times(use.attempts)}" if use.attempts else ""
            yield ToCheck(
                urgency=Urgency.STALE,
                about=str(use.key),
                text=f"nothing that was seen exercised this rule{tried}",
                remedy="Remove it if nobody needs it",
            )


def ordered(checks: Iterable[ToCheck]) -> tuple[ToCheck, ...]:
    """The most urgent first; of equal urgency in the order in which they were found."""
    return tuple(sorted(checks, key=lambda item: item.urgency))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _listed(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
