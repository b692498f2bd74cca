"""Cluster-wide policies through the commands: what is said of them, and what they make of connections."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.test_explain import CLUSTER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Answer, Netpol

TIERS = """\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: guard}
spec:
  tier: Admin
  priority: 5
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}
  ingress:
    - {name: sql, action: Pass, from: [{namespaces: {}}], protocols: [{destinationNamedPort: sql}]}
    - {action: Deny, from: [{namespaces: {}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  egress:
    - {action: Allow, to: [{namespaces: {}}]}
    - {action: Deny, to: [{networks: [0.0.0.0/0]}], ports: [{portNumber: {port: 25}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: names}
spec:
  priority: 7
  subject: {namespaces: {}}
  egress:
    - {action: Allow, to: [{domainNames: [mail.example.com]}]}
"""
POLICY = """\
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {
 podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}}
"""


@pytest.fixture
def run(netpol: Netpol, tmp_path: Path) -> Any:
    (tmp_path / "tiers.yaml").write_text(TIERS)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)

    def answer(*words: str) -> Answer:
        places = {"TIERS": tmp_path / "tiers.yaml", "POLICY": tmp_path / "policy.yaml"}
        return netpol(*(places.get(word, word) for word in words), "--cluster", tmp_path / "cluster.yaml")

    return answer


def _explain(run: Any, *words: str) -> Answer:
    answer: Answer = run("explain", *words, "--policies", "TIERS", "--policies", "POLICY")
    return answer


def test_each_tier_is_a_step(run: Any, tmp_path: Path) -> None:
    answer = _explain(run, "shop/web-1-a", "shop/db[Pod]", "sql")
    assert answer.code == 0
    assert answer.out.replace(f"{tmp_path}/", "").splitlines() == [
        "shop/web-1-a[Pod] to shop/db[Pod] on TCP/sql: allowed",
        "",
        "On port 5432, allowed:",
        (
            "Egress, Admin tier: shop/web-1-a is selected by "
            "AdminNetworkPolicy/names (tiers.yaml: document 3) with priority 7."
        ),
        "  No egress rule of it matches.",
        "Egress: no NetworkPolicy isolates shop/web-1-a.",
        (
            "Egress, Baseline tier: shop/web-1-a is selected by "
            "BaselineAdminNetworkPolicy/default (tiers.yaml: document 2) with no priority."
        ),
        (
            "  BaselineAdminNetworkPolicy/default: spec.egress[0].to[0] allows it, and nothing else is asked: "
            "namespaceSelector {} on every port."
        ),
        (
            "Ingress, Admin tier: shop/db is selected by "
            "ClusterNetworkPolicy/guard (tiers.yaml: document 1) with priority 5."
        ),
        (
            "  ClusterNetworkPolicy/guard: spec.ingress[0].from[0], protocols[0] (sql) leaves it to the next tier: "
            "namespaceSelector {} on port 'sql'."
        ),
        "Ingress: shop/db is isolated by shop/db (policy.yaml: document 1).",
        "  shop/db: spec.ingress[0].from[0] allows it: podSelector app=web on every port.",
        "Allowed: both ends let it pass.",
    ]


def test_a_tier_that_denies_has_the_last_word(run: Any) -> None:
    answer = _explain(run, "shop/web-1-a", "shop/db[Pod]", "22")
    assert answer.code == 1
    assert "  ClusterNetworkPolicy/guard: spec.ingress[1].from[0] denies it, and nothing else is asked" in answer.out
    assert "shop/db is isolated by" not in answer.out
    assert answer.out.endswith("Denied: ClusterNetworkPolicy/guard forbids the ingress.\n")


def test_json_has_the_tiers(run: Any, tmp_path: Path) -> None:
    found = json.loads(_explain(run, "shop/web-1-a", "shop/db[Pod]", "22", "-o", "json").out)
    (case,) = found["cases"]
    assert case["blocked_by"] == "ingress"
    assert case["egress"]["admin"]["match"] is None
    assert case["ingress"]["admin"] == {
        "selected_by": [
            {
                "policy": "ClusterNetworkPolicy/guard",
                "priority": 5,
                "place": [f"{tmp_path}/tiers.yaml", "document 1"],
            }
        ],
        "match": {
            "policy": "ClusterNetworkPolicy/guard",
            "rule": "spec.ingress[1]",
            "action": "Deny",
            "peer": "spec.ingress[1].from[0]",
            "port": None,
        },
    }


def test_what_depends_on_a_name_is_undefined(run: Any) -> None:
    answer = _explain(run, "shop/web-1-a", "203.0.113.9", "25")
    assert answer.code == 1
    assert answer.out.splitlines() == [
        "shop/web-1-a[Pod] to 203.0.113.9 on TCP/25: undefined",
        "",
        (
            "Undefined: whether AdminNetworkPolicy/names: spec.egress[0].to[0] has the address "
            "depends on the answers of DNS to mail.example.com."
        ),
    ]
    assert _explain(run, "shop/web-1-a", "203.0.113.9", "26").code == 0


def test_lists_leave_out_what_is_allowed_by_name_and_say_so(run: Any) -> None:
    answer = run("list", "TIERS", "POLICY", "-o", "json")
    rows = {(row["source"], row["destination"]): row["allowed"] for row in json.loads(answer.out)}
    assert rows["shop/web[Deployment]", "shop/db[Pod]"] == {"TCP": [[5432, 5432]]}
    assert rows["shop/web[Deployment]", "0.0.0.0/0"]["TCP"] == [[1, 24], [26, 65535]]
    assert "what rules that name some (1, of AdminNetworkPolicy/names) allow by that alone is left out" in answer.err


def test_a_difference_says_that_one_side_has_no_tiers(run: Any) -> None:
    answer = run("diff", "POLICY", "TIERS", "-o", "json")
    assert "cluster-wide policies in NEW: 3, in OLD: none. OLD is compared without any" in answer.err
    assert "cluster-wide" not in run("diff", "TIERS", "TIERS").err
    assert run("diff", "TIERS", "TIERS").code == 0


def test_the_yaml_of_a_difference_has_them(run: Any) -> None:
    answer = run("diff", "POLICY", "TIERS", "--unified")
    assert "+++ new/ClusterNetworkPolicy/guard.yaml" in answer.out
    assert "+    - destinationNamedPort: sql" in answer.out


def test_findings_name_them(run: Any, tmp_path: Path) -> None:
    answer = run("lint", "TIERS", "POLICY")
    assert (
        f"{tmp_path}/tiers.yaml:28: info: domain-names-undecided: AdminNetworkPolicy/names: spec.egress[0]"
        in answer.out
    )


def test_errors_of_all_kinds_come_at_once(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiers.yaml"
    path.write_text(TIERS.replace("priority: 5", "priority: 5000").replace("[0.0.0.0/0]", "[0.0.0.0/40]"))
    answer = run("list", "TIERS")
    assert answer.code == 2
    assert f"{path}: document 1: spec.priority: 5000 is above 1000; priorities go from 0 to 1000" in answer.err
    assert f"{path}: document 2: spec.egress[1].to[0].networks[0]: '0.0.0.0/40' is not a CIDR" in answer.err


def test_equal_priorities_are_noted(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiers.yaml"
    ingress = "ingress: [{action: Deny, from: [{namespaces: {}}]}]\n  egress:\n    - {action: Allow, to: [{domain"
    text = TIERS.replace("priority: 7", "priority: 5").replace("name: names", "name: other")
    path.write_text(text.replace("egress:\n    - {action: Allow, to: [{domain", ingress))
    answer = _explain(run, "shop/web-1-a", "shop/db[Pod]", "22")
    assert (
        "Note: nothing says whether AdminNetworkPolicy/other or ClusterNetworkPolicy/guard is asked first" in answer.out
    )


def test_observed_flows_are_checked_against_them(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiers.json"
    data = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}}
    spec = {"priority": 0, "subject": data, "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]}
    head = {"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy"}
    path.write_text(json.dumps({**head, "metadata": {"name": "closed"}, "spec": spec}))
    answer = netpol("check", shop, "--policies", path, "--cluster", sample / "cluster.yaml", "-o", "json")
    denied = json.loads(answer.out)["denied"]
    assert answer.code == 1
    assert {(item["blocked_by"], *item["policies"]) for item in denied} == {("ingress", "AdminNetworkPolicy/closed")}
    assert {item["destination"].partition("/")[0] for item in denied} == {"data"}
