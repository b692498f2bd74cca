"""Each check on a policy that has exactly this flaw, and on its near misses, which have none."""

from __future__ import annotations

from typing import Any

import pytest

from netpol.review.findings import Severity
from netpol.review.review import CHECKS
from netpol.review.tier_checks import DOMAINS_UNDECIDED, DOMAINS_UNSUPPORTED, NO_RULES, OWN_NODE
from netpol.review.tier_order import DENIED_BEFORE, EQUAL_PRIORITY, SHADOWED
from tests.review.scenes import DNS, cluster, findings, found, policy

TIER_CHECKS = (DOMAINS_UNDECIDED, DOMAINS_UNSUPPORTED, NO_RULES, OWN_NODE, DENIED_BEFORE, EQUAL_PRIORITY, SHADOWED)
"""Exercised by tests of their own."""

FROM_DB = {"podSelector": {"matchLabels": {"app": "db"}}}
HTTP = [{"port": 8080}]


def ingress(*rules: dict[str, Any], app: str = "web") -> dict[str, Any]:
    return policy({"app": app, "ingress": list(rules)})


def egress(*rules: dict[str, Any], app: str = "web") -> dict[str, Any]:
    return policy({"app": app, "policyTypes": ["Egress"], "egress": [DNS, *rules]})


def block(cidr: str, *cut: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(cut)} if cut else {})}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    valued = {"values": list(values)} if values else {}
    return {"podSelector": {"matchExpressions": [{"key": key, "operator": operator, **valued}]}}


SOUND = {
    "a rule for a pod's own port": ingress({"from": [FROM_DB], "ports": HTTP}),
    "a closed pod": policy({"app": "db", "policyTypes": ["Ingress", "Egress"]}),
    "an empty selector in a namespace without pods": policy({"podSelector": {}}, namespace="empty"),
    "a job that has finished": policy({"app": "migrate"}),
    "a label that only the pods of a finished job had": policy({"podSelector": {"matchLabels": {"run": "once"}}}),
    "a template without pods": policy({"app": "db"}),
    "a tier of several workloads": policy(
        {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}
    ),
    "an existing namespace without pods as a peer": ingress(
        {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "empty"}}}], "ports": HTTP}
    ),
    "all pods of no matter which namespace": ingress({"from": [{"namespaceSelector": {}}]}),
    "addresses outside": egress({"to": [block("203.0.113.0/24")], "ports": [{"port": 443}]}),
    "everything outside but the cluster": egress({"to": [block("0.0.0.0/0", "10.0.0.0/8")], "ports": [{"port": 443}]}),
    "a node's address": ingress({"from": [block("192.0.2.1/32")], "ports": HTTP}),
    "a named port that the pods have": ingress({"from": [FROM_DB], "ports": [{"port": "http"}]}),
    "a named port that the peer has": egress({"to": [FROM_DB], "ports": [{"port": "sql"}]}),
    "a named port that the template has and the running pod not": ingress(
        {"from": [FROM_DB], "ports": [{"port": "grpc"}]}
    ),
    "everyone on one port": ingress({"ports": HTTP}),
    "everyone on TCP only": ingress({"ports": [{"protocol": "TCP"}]}),
    "a range of a thousand ports": ingress({"from": [FROM_DB], "ports": [{"port": 1000, "endPort": 1999}]}),
    "a high port that a container declares": ingress({"from": [FROM_DB], "ports": [{"port": 50051}]}),
    "the last port before those of clients": ingress({"from": [FROM_DB], "ports": [{"port": 32767}]}),
    "two rules that overlap": ingress(
        {"from": [FROM_DB], "ports": [{"port": 8080}, {"port": 1}]},
        {"from": [FROM_DB], "ports": [{"port": 8080}, {"port": 2}]},
    ),
    "egress rules without ports": policy({"app": "web", "policyTypes": ["Egress"], "egress": [{"to": [FROM_DB]}]}),
    "an empty list of the direction that is isolated": policy({"app": "db", "ingress": []}),
    "an empty list beside policyTypes": policy({"app": "db", "policyTypes": ["Egress"], "egress": []}),
    "values that contradict in part only": policy(
        {
            "podSelector": {
                "matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["web", "db"]},
                    {"key": "app", "operator": "NotIn", "values": ["db"]},
                ]
            }
        }
    ),
}


@pytest.mark.parametrize("manifest", SOUND.values(), ids=SOUND.keys())
def test_near_misses_have_no_finding(manifest: dict[str, Any]) -> None:
    assert [str(finding) for finding in findings(manifest)] == []


FLAWED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no such app": (policy({"app": "wbe"}), "selects-no-pod", "spec.podSelector"),
    "no such namespace": (policy({"podSelector": {}}, namespace="shpo"), "selects-no-pod", "metadata.namespace"),
    "hostNetwork pods": (
        policy({"app": "agent"}, namespace="monitoring"),
        "host-network-selected",
        "spec.podSelector",
    ),
    "a hostNetwork workload beside": (
        policy({"app": "probe"}, namespace="monitoring"),
        "host-network-unprotected",
        "metadata.namespace",
    ),
    "a misspelt peer": (
        ingress({"from": [FROM_DB, {"podSelector": {"matchLabels": {"app": "bd"}}}], "ports": HTTP}),
        "peer-matches-nothing",
        "spec.ingress[0].from[1]",
    ),
    "a peer that lives elsewhere": (
        ingress({"from": [{"podSelector": {"matchLabels": {"app": "probe"}}}], "ports": HTTP}),
        "peer-matches-nothing",
        "spec.ingress[0].from[0]",
    ),
    "a peer in a misspelt namespace": (
        egress({"to": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}),
        "peer-matches-nothing",
        "spec.egress[1].to[0]",
    ),
    "a peer that is on the host network": (
        ingress({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "agent"}}}]}),
        "peer-matches-nothing",
        "spec.ingress[0].from[0]",
    ),
    "the address of a pod": (
        egress({"to": [block("10.244.0.5/32")], "ports": HTTP}),
        "ip-block-covers-pods",
        "spec.egress[1].to[0].ipBlock",
    ),
    "the range of pods without a pod": (
        egress({"to": [block("10.244.0.128/25")], "ports": HTTP}),
        "ip-block-covers-pods",
        "spec.egress[1].to[0].ipBlock",
    ),
    "everything on one port": (
        egress({"to": [block("0.0.0.0/0")], "ports": [{"port": 443}]}),
        "ip-block-covers-pods",
        "spec.egress[1].to[0].ipBlock",
    ),
    "the API server's Service": (
        egress({"to": [block("10.96.0.1/32")], "ports": [{"port": 443}]}),
        "ip-block-covers-services",
        "spec.egress[1].to[0].ipBlock",
    ),
    "a Service as a source": (
        ingress({"from": [block("10.96.0.20/32")], "ports": HTTP}),
        "ip-block-covers-services",
        "spec.ingress[0].from[0].ipBlock",
    ),
    "a named port of another workload": (
        ingress({"from": [FROM_DB], "ports": [{"port": "sql"}]}),
        "named-port-unknown",
        "spec.ingress[0].ports[0].port",
    ),
    "a named port of another protocol": (
        ingress({"from": [FROM_DB], "ports": [{"port": "http", "protocol": "UDP"}]}),
        "named-port-unknown",
        "spec.ingress[0].ports[0].port",
    ),
    "a named port that the peer has not": (
        egress({"to": [FROM_DB], "ports": [{"port": "http"}]}),
        "named-port-unknown",
        "spec.egress[1].ports[0].port",
    ),
    "a named port of an address": (
        egress({"to": [block("203.0.113.1/32")], "ports": [{"port": "http"}]}),
        "named-port-unknown",
        "spec.egress[1].ports[0].port",
    ),
    "everyone": (ingress({}), "allow-all", "spec.ingress[0]"),
    "every address of the only family": (ingress({"from": [block("0.0.0.0/0")]}), "allow-all", "spec.ingress[0]"),
    "every address in halves, every port by protocol": (
        ingress(
            {
                "from": [block("0.0.0.0/1"), block("128.0.0.0/1"), FROM_DB],
                "ports": [{"protocol": name} for name in ("TCP", "UDP", "SCTP")],
            }
        ),
        "allow-all",
        "spec.ingress[0]",
    ),
    "an empty egress list by itself": (policy({"app": "db", "egress": []}), "direction-not-isolated", "spec.egress"),
    "an empty ingress list that policyTypes leaves out": (
        policy({"app": "db", "ingress": [], "policyTypes": ["Egress"]}),
        "direction-not-isolated",
        "spec.ingress",
    ),
    "egress rules that policyTypes leaves out": (
        policy({"app": "db", "policyTypes": ["Ingress"], "egress": [{}]}),
        "rules-without-effect",
        "spec.egress",
    ),
    "a contradiction": (
        policy(
            {
                "podSelector": {
                    "matchLabels": {"app": "db"},
                    "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db", "web"]}],
                }
            }
        ),
        "never-matches",
        "spec.podSelector",
    ),
    "present and absent": (
        ingress(
            {
                "from": [
                    {
                        "podSelector": {
                            "matchLabels": {"app": "db"},
                            "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}],
                        }
                    }
                ]
            }
        ),
        "never-matches",
        "spec.ingress[0].from[0].podSelector",
    ),
    "a block cut out entirely": (
        ingress({"from": [block("203.0.113.0/24", "203.0.113.0/25", "203.0.113.128/25")], "ports": HTTP}),
        "never-matches",
        "spec.ingress[0].from[0].ipBlock.except",
    ),
    "a rule twice": (
        ingress({"from": [FROM_DB], "ports": HTTP}, {"from": [FROM_DB], "ports": HTTP}),
        "rule-contained",
        "spec.ingress[1]",
    ),
    "a port of a range": (
        ingress({"from": [FROM_DB], "ports": HTTP}, {"from": [FROM_DB], "ports": [{"port": 8000, "endPort": 8100}]}),
        "rule-contained",
        "spec.ingress[0]",
    ),
    "a template hash": (
        ingress({"from": [expression("pod-template-hash", "Exists")], "ports": HTTP}),
        "cilium-ignored-label",
        "spec.ingress[0].from[0].podSelector",
    ),
    "egress without DNS": (
        policy({"app": "web", "policyTypes": ["Egress"], "egress": [{"to": [FROM_DB], "ports": [{"port": 5432}]}]}),
        "egress-without-dns",
        "spec.egress",
    ),
    "a range of a thousand and one ports": (
        ingress({"from": [FROM_DB], "ports": [{"port": 1000, "endPort": 2000}]}),
        "wide-port-range",
        "spec.ingress[0].ports[0].endPort",
    ),
    "the first port of clients": (
        ingress({"from": [FROM_DB], "ports": [{"port": 32768}]}),
        "ephemeral-port",
        "spec.ingress[0].ports[0].port",
    ),
    "a range that reaches them": (
        ingress({"from": [FROM_DB], "ports": [{"port": 32760, "endPort": 32768}]}),
        "ephemeral-port",
        "spec.ingress[0].ports[0].port",
    ),
}


@pytest.mark.parametrize(("manifest", "check", "field"), FLAWED.values(), ids=FLAWED.keys())
def test_a_flaw_is_found_alone_and_in_its_place(manifest: dict[str, Any], check: str, field: str) -> None:
    assert found(manifest) == [(check, field)]


CANARY = """
{apiVersion: apps/v1, kind: Deployment, metadata: {name: canary, namespace: shop}, spec: {
  selector: {matchLabels: {app: web, track: canary}},
  template: {metadata: {labels: {app: web, track: canary}}, spec: {containers: [{name: c}]}}}}
"""


def test_a_workloads_own_selector_that_means_another_too() -> None:
    (finding,) = findings(policy({"app": "web"}), more=CANARY)
    assert (finding.check.id, finding.path) == ("ambiguous-selector", "spec.podSelector")
    assert "shop/canary[Deployment]" in finding.message
    (finding,) = findings(
        ingress({"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 1}]}, app="db"),
        more=CANARY,
    )
    assert (finding.check.id, finding.path) == ("ambiguous-selector", "spec.ingress[0].from[0].podSelector")
    both = {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}}
    assert found(policy(both), more=CANARY) == []
    assert found(policy({"podSelector": {"matchLabels": {"app": "web", "track": "canary"}}}), more=CANARY) == []


def test_runs_of_one_job_are_not_ambiguous() -> None:
    job = (
        "{apiVersion: batch/v1, kind: Job, metadata: {name: %s, namespace: shop},"
        " spec: {template: {metadata: {labels: {j: x}}, spec: {containers: [{name: c}]}}}}"
    )
    assert found(policy({"podSelector": {"matchLabels": {"j": "x"}}}), more=f"{job % 'a'}\n---\n{job % 'b'}") == []


def test_every_address_of_one_family_is_not_all_where_the_cluster_has_two() -> None:
    dual = (
        "{apiVersion: v1, kind: Pod, metadata: {name: six, namespace: empty}, spec: {containers: [{name: c}]},"
        " status: {phase: Running, podIPs: [{ip: 'fd00::1'}]}}"
    )
    four, six = block("0.0.0.0/0", "10.0.0.0/8"), block("::/0")
    assert found(ingress({"from": [block("0.0.0.0/0")]}), more=dual) == [
        ("ip-block-covers-pods", "spec.ingress[0].from[0].ipBlock")
    ]
    assert found(ingress({"from": [block("0.0.0.0/0"), six]}), more=dual) == [("allow-all", "spec.ingress[0]")]
    assert found(ingress({"from": [four]}), more=dual) == []


def test_a_policy_for_more_pods_contains_rules_of_one_for_fewer() -> None:
    rule = {"from": [FROM_DB], "ports": HTTP}
    narrow, wide = policy({"app": "web", "ingress": [rule]}, "narrow"), policy({"ingress": [rule]}, "wide")
    assert found(narrow, wide) == [("rule-contained", "spec.ingress[0]")]
    assert findings(narrow, wide)[0].policy == "shop/narrow"
    elsewhere = policy({"ingress": [rule]}, "wide", "monitoring")
    assert "rule-contained" not in [check for check, _ in found(narrow, elsewhere)]
    open_way = policy({"policyTypes": ["Egress"], "ingress": [rule]}, "wide")
    assert found(narrow, open_way) == [("rules-without-effect", "spec.ingress")]


def test_of_equal_rules_the_first_stays() -> None:
    rule = {"from": [FROM_DB], "ports": HTTP}
    same = [policy({"app": "web", "ingress": [rule]}, name) for name in ("c", "a", "b")]
    assert [finding.policy for finding in findings(*same)] == ["shop/b", "shop/c"]


def test_dns_of_another_policy_of_the_same_pods_counts() -> None:
    web = policy({"app": "web", "policyTypes": ["Egress"], "egress": [{"to": [FROM_DB], "ports": [{"port": 5432}]}]})
    dns = policy({"policyTypes": ["Egress"], "egress": [DNS]}, "dns")
    assert found(web, dns) == []


def test_dns_behind_a_service_that_listens_elsewhere() -> None:
    service = (
        "{apiVersion: v1, kind: Service, metadata: {name: dns, namespace: kube-system},"
        " spec: {selector: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP, targetPort: 5353}]}}"
    )
    rule = {"to": [{"namespaceSelector": {}}], "ports": [{"port": 5353, "protocol": "UDP"}]}
    manifest = policy({"app": "web", "policyTypes": ["Egress"], "egress": [rule]})
    assert found(manifest) == [("egress-without-dns", "spec.egress")]
    assert found(manifest, more=service) == []


def test_labels_that_cilium_leaves_out_matter_more_where_it_runs() -> None:
    agent = (
        "{apiVersion: v1, kind: Pod, metadata: {name: cilium-x, namespace: kube-system, labels: {k8s-app: cilium},"
        " ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: cilium, uid: d, controller: true}]},"
        " spec: {hostNetwork: true, containers: [{name: c}]}, status: {phase: Running, podIPs: [{ip: 192.0.2.1}]}}"
    )
    manifest = ingress({"from": [expression("pod-template-hash", "Exists")], "ports": HTTP})
    assert findings(manifest)[0].severity is Severity.INFO
    assert findings(manifest, more=agent)[0].severity is Severity.WARNING
    absent = ingress({"from": [expression("pod-template-hash", "DoesNotExist")], "ports": HTTP})
    assert "always holds" in findings(absent)[0].message


def test_the_api_servers_endpoint_is_what_the_remedy_names() -> None:
    (finding,) = findings(egress({"to": [block("10.96.0.1/32")], "ports": [{"port": 443}]}))
    assert finding.remedy == "Name the endpoints, 192.0.2.10, with port 6443"


def test_ids_are_unique_and_checks_are_complete() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    assert all(check.title and check.meaning and check.remedy for check in CHECKS)
    exercised = {check for _, check, _ in FLAWED.values()} | {"ambiguous-selector", "rules-not-compared"}
    of_tiers = {check.id for check in TIER_CHECKS}
    assert exercised == {check.id for check in CHECKS} - of_tiers


def test_order_of_policies_does_not_matter() -> None:
    manifests = [
        {**one, "metadata": {**one["metadata"], "name": f"p{number}"}}
        for number, (one, _, _) in enumerate(FLAWED.values())
    ]
    there = [(one.policy, one.path, one.message) for one in findings(*manifests)]
    assert there == [(one.policy, one.path, one.message) for one in findings(*reversed(manifests))]
    assert cluster().namespaces
