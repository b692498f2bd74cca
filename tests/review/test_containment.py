"""Removing every rule that is reported as contained changes no verdict, whatever the cluster holds."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.flow import SCTP, TCP, UDP
from netpol.policy.evaluate import Evaluator
from netpol.review.containment import containment
from netpol.review.implication import is_satisfiable
from netpol.review.impossible import can_match
from netpol.review.scene import Scene
from tests.policy.clusters import OUTSIDE, PORTS, clusters, inventory, policies
from tests.review.scenes import cluster, findings, policy, written

if TYPE_CHECKING:
    import pytest

    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy
    from netpol.review.findings import Finding


def _copies(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The policies, each with a copy for fewer pods, so that something is contained."""
    fewer = {"key": "app", "operator": "Exists"}
    copies = []
    for manifest in manifests:
        selector = manifest["spec"].get("podSelector") or {}
        narrow = {**selector, "matchExpressions": [*(selector.get("matchExpressions") or []), fewer]}
        metadata = {**manifest["metadata"], "name": f"{manifest['metadata']['name']}-fewer"}
        copies.append({**manifest, "metadata": metadata, "spec": {**manifest["spec"], "podSelector": narrow}})
    return manifests + copies


def _without(policies: tuple[NetworkPolicy, ...], contained: list[Finding]) -> tuple[NetworkPolicy, ...]:
    gone = {(finding.policy, finding.field[1], finding.field[2]) for finding in contained}
    return tuple(
        replace(
            policy,
            ingress=tuple(r for n, r in enumerate(policy.ingress) if (str(policy), "ingress", n) not in gone),
            egress=tuple(r for n, r in enumerate(policy.egress) if (str(policy), "egress", n) not in gone),
        )
        for policy in policies
    )


def _verdicts(policies: tuple[NetworkPolicy, ...], there: Inventory) -> list[bool]:
    judge = Evaluator(policies, there)
    ends = [*there.pods, *map(ip_address, OUTSIDE)]
    return [
        judge.verdict(source, destination, protocol, port).allowed
        for source in ends
        for destination in ends
        for protocol in (TCP, UDP, SCTP)
        for port in PORTS
    ]


@settings(deadline=None, max_examples=60)
@given(manifests=policies(), here=clusters(), elsewhere=clusters(), doubled=st.booleans())
def test_removing_what_is_contained_changes_no_verdict(
    *, manifests: list[dict[str, Any]], here: dict[str, Any], elsewhere: dict[str, Any], doubled: bool
) -> None:
    there = inventory(here)
    items = written(*(_copies(manifests) if doubled else manifests))
    contained = list(containment(Scene(items, there)))
    before = tuple(item.policy for item in items)
    after = _without(before, contained)
    assert _verdicts(after, there) == _verdicts(before, there)
    # It does not depend on the pods of today.
    another = inventory(elsewhere)
    assert list(containment(Scene(items, another))) == contained
    assert _verdicts(after, another) == _verdicts(before, another)
    # Nothing is left to remove.
    rest = (replace(item, policy=policy) for item, policy in zip(items, after, strict=True))
    assert not list(containment(Scene(rest, there)))


@settings(deadline=None, max_examples=40)
@given(policies())
def test_a_copy_for_fewer_pods_is_contained_entirely(manifests: list[dict[str, Any]]) -> None:
    items = written(*_copies(manifests))
    contained = {(one.policy, one.field) for one in containment(Scene(items, cluster()))}
    for item in items:
        if item.policy.name.endswith("-fewer"):
            for way, path, rule in item.rules():
                empty = rule.peers and not any(map(can_match, rule.peers))
                contradictory = not is_satisfiable(item.policy.pod_selector)
                assert empty or contradictory or (str(item.policy), path) in contained, (way, rule)


def test_too_many_rules_are_said_to_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netpol.review.containment.MOST_PAIRS", 5)
    rules = [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": n}]} for n in (1, 2, 3)]
    (finding,) = findings(policy({"app": "web", "ingress": rules}))
    assert (finding.check.id, finding.path) == ("rules-not-compared", "spec.ingress[1]")
