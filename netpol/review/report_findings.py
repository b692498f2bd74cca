"""A report as findings: what it says about rules, each at the place where the rule was written.

For annotations in a pull request and for code scanning, which show a message beside a line.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from netpol.model.ports import PortMap
from netpol.review.findings import Check, Finding, Severity
from netpol.review.review import CHECKS
from netpol.review.scene import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.policy.existing_use import RuleUse
    from netpol.review.findings import AnyWritten, FieldPath
    from netpol.review.report import Change, Report, RuleRef

DENIES_USED: Final = Check(
    id="denies-what-worked",
    severity=Severity.ERROR,
    title="The change denies connections that worked",
    meaning="The captures hold connections that worked and that the policies deny after the change: whoever needs them "
    "will be without them",
    remedy="Allow them, or make sure that nobody needs them",
)
OPENS_UNSEEN: Final = Check(
    id="opens-what-nobody-used",
    severity=Severity.WARNING,
    title="The change opens connections that nobody was seen to use",
    meaning="A policy should allow what is needed: in the captures nobody needed this",
    remedy="Leave it closed until somebody needs it",
)
OPENS: Final = Check(
    id="opens",
    severity=Severity.INFO,
    title="The change opens connections",
    meaning="What is allowed that was not: the part of a change that a reviewer has to agree with",
    remedy="Make sure that this is meant",
)
CLOSES: Final = Check(
    id="closes",
    severity=Severity.INFO,
    title="The change closes connections",
    meaning="What was allowed and is not any more",
    remedy="Make sure that nobody needs it",
)
UNUSED_RULE: Final = Check(
    id="rule-not-exercised",
    severity=Severity.INFO,
    title="A rule that nothing exercised",
    meaning="No connection in the captures was admitted by this rule",
    remedy="Remove it if nobody needs it",
)
REPORT_CHECKS: Final = (DENIES_USED, OPENS_UNSEEN, OPENS, CLOSES, UNUSED_RULE)
ALL_CHECKS: Final = (*REPORT_CHECKS, *CHECKS)
"""Everything that `netpol review` can find."""


def findings_of(
    report: Report, written: Iterable[AnyWritten], lint: Sequence[Finding] = (), uses: Sequence[RuleUse] = ()
) -> tuple[Finding, ...]:
    """All findings, errors first, then by policy and place.

    Args:
        report: What changes.
        written: The policies after the change, with their places.
        lint: What `netpol lint` finds in them and did not find before.
        uses: Of their rules, where there were captures.
    """
    places = {str(item.policy): item.place for item in written}
    found = [*_blocked(report, places), *_changes(report, places), *lint]
    for use in uses:
        if not use.connections:
            path: FieldPath = ("spec", use.key.way, use.key.rule)
            found.append(_finding(UNUSED_RULE, use.key.policy, path, places, "nothing that was seen exercised it"))
    return tuple(sorted(found, key=lambda item: (-item.severity, item.policy, item.path, item.check.id, item.message)))


def _blocked(report: Report, places: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    for row in report.blocked:
        if not row.reasons:
            connections = f"{row.connections:,} connection{'' if row.connections == 1 else 's'}"
            message = f"{row.source} to {row.destination} {listed(row.ports)} worked ({connections}) and is denied"
            for policy in row.policies:
                yield _finding(DENIES_USED, policy, ("spec", row.blocked_by), places, message)


def _changes(report: Report, places: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    """One finding for all connections of one kind that one rule decides."""
    by_rule: defaultdict[tuple[Check, RuleRef | None], list[str]] = defaultdict(list)
    for row in report.changes:
        check = _check(row, evidence=report.observed is not None)
        if check is not None:
            ports = row.added if check in {OPENS, OPENS_UNSEEN} else row.removed
            words = "any port" if ports == PortMap.ALL else str(ports)
            for rule in row.rules or (None,):
                by_rule[check, rule].append(f"{row.source} to {row.destination} {words}")
    for (check, rule), texts in by_rule.items():
        policy, path = ("", ()) if rule is None else (rule.policy, _path(rule))
        yield _finding(check, policy, path, places, f"{check.title.removeprefix('The change ')}: {listed(texts)}")


def _check(row: Change, *, evidence: bool) -> Check | None:
    """What is narrowed is no finding: of what was wide open, a part stays."""
    if row.added:
        return OPENS_UNSEEN if evidence and row.seen is None else OPENS
    if row.lost:
        return None  # told with its connections
    return CLOSES if row.before != PortMap.ALL else None


def _path(rule: RuleRef) -> FieldPath:
    return ("spec", rule.way) if rule.rule is None else ("spec", rule.way, rule.rule)


def _finding(check: Check, policy: str, path: FieldPath, places: dict[str, tuple[str, ...]], message: str) -> Finding:
    return Finding(
        check=check,
        severity=check.severity,
        policy=policy or "no policy",
        field=path,
        place=places.get(policy, ()),
        message=message,
        remedy=check.remedy,
    )
