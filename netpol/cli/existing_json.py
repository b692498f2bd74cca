"""The `existing` object of summary.json: how the result stands to the policies that there were. Keys are stable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netpol.model.flow import protocol_name
from netpol.policy.existing_rules import RuleKey
from netpol.policy.merge_marks import kept_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.cli.existing import ExistingRead
    from netpol.policy.existing import Comparison, Denied, KeepsOpen
    from netpol.policy.existing_open import Open
    from netpol.policy.existing_use import RuleUse
    from netpol.policy.generate_statements import Statement
    from netpol.policy.merge import Merged

LISTED: Final = 5_000
"""Connections that are listed of any kind; the counts tell of all."""
EXAMPLES: Final = 20
"""Of the connections that one policy keeps open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """All that is known of the existing policies.

    Attributes:
        unresolved: Connections on which today's policies say nothing.
        not_closed: What the learned policies alone would close on silence, and something else keeps open.
        named_anew: Learned policies whose own name a policy has that netpol did not write, with that name.
    """

    read: ExistingRead
    merged: Merged
    comparison: Comparison
    unresolved: int
    not_closed: tuple[Statement, ...]
    named_anew: Mapping[str, str]


def existing_of(laid: Laid) -> dict[str, Any]:
    """The object."""
    found, merged, comparison = laid.read.policies, laid.merged, laid.comparison
    managed = {str(policy) for policy in found.managed}
    unseen = comparison.unseen
    return {
        "sources": list(laid.read.sources),
        "policies": {
            "managed": len(found.managed),
            "hand_written": len(found.foreign),
            "cluster_wide": len(found.tiers),
        },
        "denied_today": [_denied(item) for item in comparison.denied if item.key.worked],
        "denied_attempts": [_attempts(item) for item in comparison.denied if not item.key.worked],
        "not_judged": laid.unresolved,
        "keeps_open": [_keeps_open(item) for item in comparison.keeps_open],
        "not_closed": [
            {
                "workload": str(statement.workload),
                "direction": statement.direction,
                "ports": [_port(port) for port in statement.ports],
            }
            for statement in laid.not_closed
        ],
        "unexercised": [_unexercised(use, managed) for use in comparison.uses if not use.connections],
        "partly_exercised": [
            _partly(use, managed)
            for use in comparison.uses
            if use.connections and (use.unused_peers or use.unused_ports)
        ],
        "allowed_not_observed": {"total": len(unseen), "listed": [_open(item) for item in unseen[:LISTED]]},
        "redundant": [str(policy) for policy in comparison.redundant],
        "kept": {
            "rules": [
                _rule(RuleKey(str(policy), way, index))
                for policy in merged.policies
                for way, index in (kept_rules(policy) if str(policy) in merged.kept_rules else ())
            ],
            "policies": [str(policy) for policy in merged.kept_policies],
        },
        "pruned": {
            "rules": {name: len(rules) for name, rules in merged.dropped_rules.items()},
            "policies": [str(policy) for policy in merged.removed],
        },
        "replaced": merged.replaced,
        "renamed": dict(merged.renamed),
        "named_anew": dict(laid.named_anew),
        "not_asked_about": [str(policy) for policy in merged.untouched],
    }


def _denied(item: Denied) -> dict[str, Any]:
    return {
        "source": item.key.source,
        "destination": item.key.destination,
        "connections": item.connections,
        "ports": [_port(port) for port in item.ports],
        "blocked_by": item.key.way,
        "policies": list(item.key.policies),
        "allowed_after": [_port(port) for port in item.opened],
        "denied_after_by": list(item.denied_after),
    }


def _attempts(item: Denied) -> dict[str, Any]:
    return {
        "source": item.key.source,
        "destination": item.key.destination,
        "connections": item.connections,
        "ports": [_port(port) for port in item.ports],
        "more_ports": item.more_ports,
        "blocked_by": item.key.way,
        "policies": list(item.key.policies),
    }


def _keeps_open(item: KeepsOpen) -> dict[str, Any]:
    return {
        "policy": item.policy,
        "rules": [f"spec.{key.way}[{key.rule}]" for key in item.rules],
        "connections": len(item.connections),
        "examples": [
            {"source": one.source, "destination": one.destination, "ports": one.kept_open.to_json()}
            for one in item.connections[:EXAMPLES]
        ],
    }


def _unexercised(use: RuleUse, managed: Iterable[str]) -> dict[str, Any]:
    return {**_rule(use.key), "managed": use.key.policy in managed, "attempts": use.attempts}


def _partly(use: RuleUse, managed: Iterable[str]) -> dict[str, Any]:
    peers = "from" if use.key.way == "ingress" else "to"
    return {
        **_rule(use.key),
        "managed": use.key.policy in managed,
        "connections": use.connections,
        "unused": [
            *(f"{peers}[{index}]" for index in use.unused_peers),
            *(f"ports[{index}]" for index in use.unused_ports),
        ],
    }


def _open(item: Open) -> dict[str, Any]:
    return {
        "source": item.source,
        "destination": item.destination,
        "allowed": item.ports.to_json(),
        "declared": item.declared.to_json(),
        "closed": item.closed.to_json(),
        "kept_open": item.kept_open.to_json(),
        "rules": [_rule(key) for key in item.rules],
    }


def _rule(key: RuleKey) -> dict[str, str]:
    return {"policy": key.policy, "rule": f"spec.{key.way}[{key.rule}]"}


def _port(port: tuple[int, int]) -> str:
    return f"{protocol_name(port[0])}/{port[1]}" if port[1] else protocol_name(port[0])
