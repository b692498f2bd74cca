"""An explanation as JSON: a stable shape, to which fields may be added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netpol.cli.explain_render import name_of

if TYPE_CHECKING:
    from netpol.cli.explain_render import Places
    from netpol.policy.verdict import RuleMatch, RuleMiss, TierMatch, TierStep
    from netpol.review.explanation import Case, Explanation, SideExplained


def as_json(explanation: Explanation, places: Places) -> dict[str, Any]:
    """The stable shape; `replicas` has every pair that an answer holds for, grouped."""
    from netpol.model.flow import protocol_name

    return {
        "source": explanation.source.text,
        "destination": explanation.destination.text,
        "protocol": protocol_name(explanation.port.protocol),
        "port": explanation.port.port,
        "allowed": explanation.allowed,
        "cases": [_case_json(case, places) for case in explanation.cases],
        "notes": list(explanation.notes),
    }


def _case_json(case: Case, places: Places) -> dict[str, Any]:
    item: dict[str, Any] = {
        "allowed": case.verdict.allowed,
        "port": case.port,
        "reason": case.verdict.reason,
        "blocked_by": case.verdict.blocked_by,
        "replicas": [
            {
                "sources": [name_of(party) for party in sources],
                "destinations": [name_of(party) for party in destinations],
            }
            for sources, destinations in case.pairs
        ],
    }
    return item | {side.way: _side_json(side, places) for side in case.sides}


def _step_json(step: TierStep | None, places: Places) -> dict[str, Any] | None:
    """One tier of cluster-wide policies; null where none of them selects the end."""
    if step is None:
        return None
    match = step.match
    rule = "" if match is None else _rule_path(match)
    return {
        "selected_by": [
            {"policy": str(policy), "priority": policy.priority, "place": list(places.get(str(policy), ()))}
            for policy in step.policies
        ],
        "match": None
        if match is None
        else {
            "policy": str(match.policy),
            "rule": rule,
            "action": match.policy.kind.word(match.content.action),
            "peer": f"{rule}.{_peers(match)}[{match.peer}]",
            "port": None if match.port is None else f"{rule}.{match.policy.kind.ports}[{match.port}]",
        },
    }


def _side_json(side: SideExplained, places: Places) -> dict[str, Any]:
    match = side.match
    return {
        "admin": _step_json(side.admin, places),
        "baseline": _step_json(side.baseline, places),
        "isolated_by": [
            {"policy": str(policy), "place": list(places.get(str(policy), ()))} for policy in side.isolated_by
        ],
        "selected_by": [str(policy) for policy in side.others],
        "ignored_by": [str(policy) for policy in side.ignored],
        "match": None
        if match is None
        else {
            "policy": str(match.policy),
            "rule": _rule_path(match),
            "peer": None if match.peer is None else f"{_rule_path(match)}.{_peers(match)}[{match.peer}]",
            "port": None if match.port is None else f"{_rule_path(match)}.ports[{match.port}]",
        },
        "misses": [
            {
                "policy": str(miss.policy),
                "rule": _rule_path(miss),
                "peer": None if miss.peer is None else f"{_rule_path(miss)}.{_peers(miss)}[{miss.peer}]",
                "fails": miss.by,
            }
            for miss in side.misses
        ],
    }


def _rule_path(found: RuleMatch | RuleMiss | TierMatch) -> str:
    return f"spec.{found.way}[{found.rule}]"


def _peers(found: RuleMatch | RuleMiss | TierMatch) -> str:
    from netpol.policy.verdict import SOURCES

    return SOURCES[found.way]
