"""The report as JSON. Keys are stable; additions are allowed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netpol.cli.lint_render import as_json
from netpol.flows.write import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.cli.lint_render import Report as Findings
    from netpol.graph.label_graph import Replicas
    from netpol.review.evidence import Seen
    from netpol.review.report import Blocked, Change, LeftOut, Observed, Report

VERSION = 1


def json_pieces(report: Report, findings: Findings) -> Iterator[str]:
    """One object, in pieces of any size."""
    before, after = report.policies
    found = {
        "generator": "netpol",
        "version": VERSION,
        "policies": {"before": before, "after": after},
        "observed": _observed(report.observed) if report.observed else None,
        "changes": [_change(row) for row in report.changes],
        "closed": report.closed,
        "denied": [_blocked(row) for row in report.blocked],
        "left_out": [_left_out(row) for row in report.left_out],
        "not_for_policies": dict(report.needless),
        "checks": [
            {"urgency": item.urgency.name.lower(), "about": item.about, "text": item.text, "remedy": item.remedy}
            for item in report.checks
        ],
        "findings": [as_json(finding, line) for finding, line in findings.placed()],
        "unified": report.yaml,
    }
    yield json.dumps(found, indent=2, ensure_ascii=True) + "\n"


def seen_json(seen: Seen | None) -> dict[str, Any] | None:
    """The evidence for something; None where nothing was seen."""
    if seen is None:
        return None
    evidence = seen.evidence
    return {
        "connections": evidence.connections,
        "packets": evidence.packets,
        "bytes": evidence.bytes,
        "first_seen": timestamp(evidence.first_seen),
        "last_seen": timestamp(evidence.last_seen),
        "directions": {direction.label: count for direction, count in evidence.directions},
        "midstream": evidence.midstream,
        "services": list(evidence.services),
        "any_backend": evidence.shared,
        "source_pods": _pods(seen.source_pods),
        "destination_pods": _pods(seen.destination_pods),
        "nodes": list(seen.nodes),
    }


def _pods(pods: Replicas) -> dict[str, Any]:
    return {"count": pods.count, "names": list(pods.names)}


def _observed(observed: Observed) -> dict[str, Any]:
    window = observed.window
    return {
        "window": {"first_seen": timestamp(window[0]), "last_seen": timestamp(window[1])} if window else None,
        "connections": observed.connections,
        "explained": observed.explained,
        "denied": observed.denied,
        "denied_learned": observed.denied_learned,
        "pod_pair_ports": {
            "before": observed.allowed_before,
            "after": observed.allowed,
            "observed": observed.used,
        },
    }


def _change(row: Change) -> dict[str, Any]:
    return {
        "change": row.kind,
        "source": row.source,
        "destination": row.destination,
        "before": row.before.to_json(),
        "after": row.after.to_json(),
        "seen": seen_json(row.seen),
        "lost": seen_json(row.lost),
        "rules": [
            {"policy": rule.policy, "rule": f"spec.{rule.way}" + ("" if rule.rule is None else f"[{rule.rule}]")}
            for rule in row.rules
        ],
    }


def _blocked(row: Blocked) -> dict[str, Any]:
    return {
        "source": row.source,
        "destination": row.destination,
        "ports": list(row.ports),
        "connections": row.connections,
        "first_seen": timestamp(row.first_seen),
        "last_seen": timestamp(row.last_seen),
        "blocked_by": row.blocked_by,
        "policies": list(row.policies),
        "not_learned": list(row.reasons),
    }


def _left_out(row: LeftOut) -> dict[str, Any]:
    return {
        "reason": row.reason,
        "source": row.source,
        "destination": row.destination,
        "ports": list(row.ports),
        "more_ports": row.more_ports,
        "connections": row.connections,
        "first_seen": timestamp(row.first_seen),
        "last_seen": timestamp(row.last_seen),
    }
