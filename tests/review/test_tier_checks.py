"""Each check of cluster-wide policies on a set that has exactly this flaw, and on its near misses.

What is said of the order of rules is held to the judge: removing what never decides changes no verdict, and where no
policies are reported to stand in no order, their order does not matter.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from netpol.model.flow import TCP, UDP
from netpol.model.inventory import Pod
from netpol.model.tiers import TierPolicy
from netpol.policy.evaluate import Evaluator
from netpol.review.scene import Scene
from netpol.review.tier_order import tier_order
from tests.policy import clusters, tier_worlds
from tests.review.scenes import DNS, findings, found, policy, tier, written_set
from tests.review.test_checks import TIER_CHECKS

if TYPE_CHECKING:
    from netpol.model.tiers import Policy
    from netpol.policy.evaluate import Party
    from netpol.review.findings import Finding

Manifest = dict[str, Any]

EVERYONE: Manifest = {"namespaces": {}}
SHOP: Manifest = {"namespaces": {"matchLabels": {"team": "red"}}}
WEB: Manifest = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}}
DB: Manifest = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}}
HTTP = [{"portNumber": {"port": 8080}}]


def deny(*peers: Manifest, **more: Any) -> Manifest:
    return {"action": "Deny", "from": list(peers), **more}


def out(action: str, *peers: Manifest, **more: Any) -> Manifest:
    return {"action": action, "to": list(peers), **more}


def from_db(**spec: Any) -> Manifest:
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 8080}]}
    return policy({"app": "web", "ingress": [rule], **spec})


SOUND: dict[str, tuple[Manifest, ...]] = {
    "a rule for everyone": (tier({"ingress": [deny(EVERYONE)]}),),
    "a namespace without pods": (
        tier({"subject": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "empty"}}}, "egress": []}),
        tier({"ingress": [deny(EVERYONE)]}, "other"),
    )[1:],
    "hostNetwork pods among others": (tier({"subject": SHOP, "ingress": [deny(EVERYONE)]}),),
    "narrow before wide": (tier({"ingress": [deny(WEB, ports=HTTP), deny(WEB), deny(EVERYONE)]}),),
    "the same rule in different directions": (tier({"ingress": [deny(WEB)], "egress": [out("Deny", WEB)]}),),
    "wide before narrow, but of another subject": (
        tier({"subject": WEB, "ingress": [deny(EVERYONE)]}),
        tier({"subject": DB, "priority": 11, "ingress": [deny(EVERYONE)]}, "u"),
    ),
    "a passing rule before the baseline": (
        tier({"ingress": [{"action": "Pass", "from": [EVERYONE]}]}),
        tier({"ingress": [deny(EVERYONE)]}, kind="BaselineAdminNetworkPolicy"),
    ),
    "a denied peer that the NetworkPolicy does not name": (tier({"ingress": [deny(WEB)]}), from_db()),
    "a denied port that it does not name": (
        tier({"ingress": [deny(EVERYONE, ports=[{"portNumber": {"port": 80}}])]}),
        from_db(),
    ),
    "denied, but passed on before": (
        tier({"ingress": [{"action": "Pass", "from": [SHOP]}, deny(EVERYONE)]}),
        from_db(),
    ),
    "denied for other pods": (tier({"subject": DB, "ingress": [deny(EVERYONE)]}), from_db()),
    "the same priority, the same action": (
        tier({"ingress": [deny(WEB)]}),
        tier({"ingress": [deny(EVERYONE)]}, "u"),
    ),
    "the same priority, other pods": (
        tier({"subject": WEB, "ingress": [deny(EVERYONE)]}),
        tier({"subject": DB, "ingress": [{"action": "Allow", "from": [EVERYONE]}]}, "u"),
    ),
    "the same priority, other ports": (
        tier({"ingress": [deny(EVERYONE, ports=HTTP)]}),
        tier({"ingress": [{"action": "Allow", "from": [EVERYONE], "ports": [{"portNumber": {"port": 80}}]}]}, "u"),
    ),
    "the same priority in different tiers": (
        tier({"ingress": [deny(EVERYONE)]}, kind="ClusterNetworkPolicy"),
        tier({"ingress": [{"action": "Pass", "from": [WEB]}], "tier": "Baseline"}, "u", kind="ClusterNetworkPolicy"),
    )[:1],
    "a named port that the subject has": (tier({"ingress": [deny(WEB, ports=[{"namedPort": "http"}])]}),),
    "nodes that no pod of the subject runs on": (tier({"subject": DB, "egress": [out("Deny", {"nodes": {}})]}),),
    "nodes that pods may reach": (tier({"egress": [out("Allow", {"nodes": {}})]}),),
    "DNS that the Admin tier allows": (
        tier({"egress": [out("Allow", EVERYONE, ports=[{"portNumber": {"protocol": "UDP", "port": 53}}])]}),
        policy(
            {
                "app": "web",
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 80}]}],
            }
        ),
    ),
}

FLAWED: dict[str, tuple[tuple[Manifest, ...], str, str]] = {
    "no rules": ((tier({}),), "no-rules", "spec"),
    "a subject that no namespace matches": (
        (tier({"subject": {"namespaces": {"matchLabels": {"team": "blue"}}}, "ingress": [deny(EVERYONE)]}),),
        "selects-no-pod",
        "spec.subject",
    ),
    "a subject that no pod matches": (
        (
            tier(
                {
                    "subject": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "none"}}}},
                    "ingress": [deny(EVERYONE)],
                }
            ),
        ),
        "selects-no-pod",
        "spec.subject",
    ),
    "a subject of hostNetwork pods": (
        (
            tier(
                {
                    "subject": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "agent"}}}},
                    "ingress": [deny(EVERYONE)],
                }
            ),
        ),
        "host-network-selected",
        "spec.subject",
    ),
    "a contradiction": (
        (
            tier(
                {
                    "ingress": [
                        deny(
                            {
                                "namespaces": {
                                    "matchLabels": {"a": "b"},
                                    "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}],
                                }
                            }
                        )
                    ]
                }
            ),
        ),
        "never-matches",
        "spec.ingress[0].from[0].namespaces",
    ),
    "a peer that matches nothing": (
        (tier({"ingress": [deny({"namespaces": {"matchLabels": {"team": "blue"}}})]}),),
        "peer-matches-nothing",
        "spec.ingress[0].from[0]",
    ),
    "nodes that are not there": (
        (tier({"egress": [out("Deny", {"nodes": {"matchLabels": {"zone": "x"}}})]}),),
        "peer-matches-nothing",
        "spec.egress[0].to[0].nodes",
    ),
    "a named port that nobody has": (
        (tier({"subject": WEB, "ingress": [deny(EVERYONE, ports=[{"namedPort": "nothing"}])]}),),
        "named-port-unknown",
        "spec.ingress[0].ports[0]",
    ),
    "names of domains": (
        (tier({"egress": [out("Allow", {"domainNames": ["example.com"]})]}),),
        "domain-names-undecided",
        "spec.egress[0].to[0].domainNames",
    ),
    "pods that are denied their node": (
        (tier({"subject": WEB, "egress": [out("Deny", {"nodes": {}})]}),),
        "own-node-denied",
        "spec.egress[0].to[0].nodes",
    ),
    "wide before narrow": (
        (tier({"ingress": [deny(EVERYONE), {"action": "Allow", "from": [WEB], "ports": HTTP}]}),),
        "rule-shadowed",
        "spec.ingress[1]",
    ),
    "wide in an earlier policy": (
        (
            tier({"priority": 9, "egress": [out("Pass", {"networks": ["0.0.0.0/0", "::/0"]})]}),
            tier({"subject": WEB, "egress": [out("Allow", EVERYONE)]}, "u"),
        ),
        "rule-shadowed",
        "spec.egress[0]",
    ),
    "a baseline that is never asked": (
        (
            tier({"ingress": [deny(EVERYONE)]}),
            tier({"ingress": [{"action": "Allow", "from": [WEB]}]}, kind="BaselineAdminNetworkPolicy"),
        ),
        "rule-shadowed",
        "spec.ingress[0]",
    ),
    "a NetworkPolicy that is overruled": (
        (tier({"subject": SHOP, "ingress": [deny(EVERYONE)]}), from_db()),
        "rule-denied-before",
        "spec.ingress[0]",
    ),
    "the same priority": (
        (
            tier({"subject": WEB, "ingress": [deny(EVERYONE)]}),
            tier({"ingress": [{"action": "Allow", "from": [DB], "ports": HTTP}]}, "u"),
        ),
        "equal-priority",
        "spec.priority",
    ),
    "two baselines": (
        (
            tier({"tier": "Baseline", "ingress": [deny(EVERYONE)]}, kind="ClusterNetworkPolicy"),
            tier({"ingress": [{"action": "Allow", "from": [DB]}]}, kind="BaselineAdminNetworkPolicy"),
        ),
        "equal-priority",
        "spec",
    ),
}


@pytest.mark.parametrize("manifests", SOUND.values(), ids=SOUND)
def test_what_is_sound_has_no_finding(manifests: tuple[Manifest, ...]) -> None:
    assert found(*manifests) == []


@pytest.mark.parametrize(("manifests", "check", "path"), FLAWED.values(), ids=FLAWED)
def test_what_is_flawed_has_its_finding_alone(manifests: tuple[Manifest, ...], check: str, path: str) -> None:
    assert found(*manifests) == [(check, path)]


def test_domains_that_are_denied_are_said_to_be_unsupported() -> None:
    manifest = tier({"egress": [out("Deny", {"domainNames": ["example.com"]})]})
    assert [check for check, _ in found(manifest)] == ["domain-names-undecided", "domain-names-unsupported"]


def test_checks_are_complete() -> None:
    exercised = {check for _, check, _ in FLAWED.values()} | {"domain-names-unsupported"}
    assert {check.id for check in TIER_CHECKS} <= exercised


def test_messages_name_the_other_rule() -> None:
    (finding,) = findings(tier({"subject": SHOP, "ingress": [deny(EVERYONE)]}), from_db())
    assert finding.policy == "shop/p"
    assert finding.message == "spec.ingress[0] of AdminNetworkPolicy/t denies all that this rule allows"


INVENTORY = clusters.inventory(tier_worlds.cluster())


def _world(seed: int) -> list[Manifest]:
    """A random policy set without names of domains, of which removing a rule can make more certain than before."""
    policies = tier_worlds.policy_set(Random(seed))
    for manifest in policies:
        for way in ("ingress", "egress"):
            rules = manifest["spec"].get(way) or []
            manifest["spec"][way] = [rule for rule in rules if "domainNames" not in str(rule)]
    return policies


def _verdicts(policies: tuple[Policy, ...]) -> list[bool]:
    judge = Evaluator(policies, INVENTORY)
    ends: list[Party] = [*INVENTORY.pods, *map(ip_address, ("192.0.2.1", "10.9.9.9", "172.16.0.2"))]
    return [
        judge.verdict(source, destination, protocol, port).allowed
        for source in ends
        for destination in ends
        for protocol, port in ((TCP, 80), (TCP, 82), (UDP, 81), (UDP, 400))
        if isinstance(source, Pod) or isinstance(destination, Pod)
    ]


def _order_findings(manifests: list[Manifest]) -> list[Finding]:
    return list(tier_order(Scene(written_set(*manifests), INVENTORY)))


def _without(policies: tuple[Policy, ...], gone: set[tuple[Any, ...]]) -> tuple[Policy, ...]:
    kept: list[Policy] = []
    for one in policies:
        rules: dict[str, Any] = {
            way: tuple(rule for index, rule in enumerate(getattr(one, way)) if (str(one), way, index) not in gone)
            for way in ("ingress", "egress")
        }
        kept.append(replace(one, **rules))
    return tuple(kept)


def test_removing_what_never_decides_changes_no_verdict() -> None:
    removed = 0
    for seed in range(300):
        manifests = _world(seed)
        policies = clusters.read_set(manifests)
        gone: dict[str, set[tuple[Any, ...]]] = {"rule-shadowed": set(), "rule-denied-before": set()}
        for finding in _order_findings(manifests):
            if finding.check.id in gone:
                gone[finding.check.id].add((finding.policy, *finding.field[1:]))
        for places in gone.values():
            if places:
                removed += len(places)
                assert _verdicts(_without(policies, places)) == _verdicts(policies), (seed, places)
    assert removed > 100


def test_where_no_order_is_missing_the_order_does_not_matter() -> None:
    """Policies of one tier and priority in the opposite order: names turned round."""
    checked = 0
    for seed in range(200):
        manifests = _world(seed)
        if any(finding.check.id == "equal-priority" for finding in _order_findings(manifests)):
            continue
        policies = clusters.read_set(manifests)
        turned: tuple[Policy, ...] = tuple(
            replace(
                one, name="".join(chr(ord("a") + ord("z") - ord(char)) if char.isalpha() else char for char in one.name)
            )
            if isinstance(one, TierPolicy) and one.priority is not None
            else one
            for one in policies
        )
        checked += 1
        assert _verdicts(turned) == _verdicts(policies), seed
    assert checked > 20


def test_dns_stays_a_finding_where_the_admin_tier_only_denies() -> None:
    manifests = (
        tier({"egress": [out("Deny", EVERYONE, ports=[{"portNumber": {"protocol": "UDP", "port": 53}}])]}),
        policy({"app": "web", "policyTypes": ["Egress"], "egress": [{"to": DNS["to"], "ports": [{"port": 80}]}]}),
    )
    assert "egress-without-dns" in [check for check, _ in found(*manifests)]
