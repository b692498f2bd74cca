"""`netpol explain`: the answers, the reasons, and what is asked wrongly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Answer, Netpol

CLUSTER = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.0.0.0/24]},
 status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {
 selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: shop, uid: rs1,
 ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]},
 spec: {selector: {matchLabels: {app: web}},
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1-a, namespace: shop, labels: {app: web},
 ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: rs1, controller: true}]},
 spec: {nodeName: n1, containers: [{name: c}]}, status: {phase: Running, podIPs: [{ip: 10.0.0.5}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1-b, namespace: shop, labels: {app: web, quarantine: "yes"},
 ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: rs1, controller: true}]},
 spec: {nodeName: n2, containers: [{name: c}]}, status: {phase: Running, podIPs: [{ip: 10.0.0.6}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}},
 spec: {nodeName: n2, containers: [{name: c, ports: [{containerPort: 5432, name: sql}]}]},
 status: {phase: Running, podIPs: [{ip: 10.0.0.7}]}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: shop}, spec: {
 selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c}]}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: shop, labels: {app: db}},
 spec: {nodeName: n1, hostNetwork: true, containers: [{name: c}]}, status: {phase: Running, podIPs: [{ip: 192.0.2.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: shop, labels: {app: web}},
 spec: {nodeName: n1, containers: [{name: c}]}, status: {phase: Succeeded, podIPs: [{ip: 10.0.0.5}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop},
 spec: {clusterIP: 10.96.0.20, selector: {app: db}, ports: [{port: 80, targetPort: sql}]}}
"""

POLICIES = """\
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {
 podSelector: {matchLabels: {app: db}}, ingress: [
  {from: [{ipBlock: {cidr: 203.0.113.0/24}}, {podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]},
  {from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: quarantine, namespace: shop}, spec: {
 podSelector: {matchLabels: {quarantine: "yes"}}, policyTypes: [Egress]}}
"""


@pytest.fixture
def ask(netpol: Netpol, tmp_path: Path) -> Any:
    (tmp_path / "policies.yaml").write_text(POLICIES)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)

    def answer(source: str, destination: str, port: str, *more: str) -> Answer:
        options = ("--policies", tmp_path / "policies.yaml", "--cluster", tmp_path / "cluster.yaml")
        return netpol("explain", source, destination, port, *options, *more)

    return answer


def test_allowed_names_the_rule(ask: Any, tmp_path: Path) -> None:
    answer = ask("shop/web-1-a", "shop/db[Pod]", "5432")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "shop/web-1-a[Pod] to shop/db[Pod] on TCP/5432: allowed",
        "",
        "Egress: no policy isolates shop/web-1-a, so it may open any connection.",
        f"Ingress: shop/db is isolated by shop/db ({tmp_path}/policies.yaml: document 1).",
        "  shop/db: spec.ingress[0].from[1], ports[0] allows it: podSelector app=web on TCP/sql.",
        "Allowed: both ends let it pass.",
    ]


def test_denied_says_of_each_rule_why(ask: Any, tmp_path: Path) -> None:
    answer = ask("shop/web-1-b", "shop/db[Pod]", "5433")
    assert answer.code == 1
    assert answer.out.splitlines() == [
        "shop/web-1-b[Pod] to shop/db[Pod] on TCP/5433: denied",
        "",
        f"Egress: shop/web-1-b is isolated by shop/quarantine ({tmp_path}/policies.yaml: document 2).",
        "  shop/quarantine: has no egress rule.",
        f"Ingress: shop/db is isolated by shop/db ({tmp_path}/policies.yaml: document 1).",
        "  shop/db: spec.ingress[0]: from[1] matches, but no port of TCP/sql does.",
        "  shop/db: spec.ingress[1]: no peer in `from` matches: ipBlock 198.51.100.0/24.",
        "Denied: neither an egress nor an ingress rule allows it.",
    ]


def test_replicas_that_differ_are_listed(ask: Any) -> None:
    answer = ask("shop/web", "shop/db[Pod]", "TCP/sql")
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0] == "shop/web[Deployment] to shop/db[Pod] on TCP/sql: it depends on the replica"
    assert lines[2:4] == ["On port 5432, allowed:", "  from shop/web-1-a to shop/db"]
    denied = lines.index("On port 5432, denied:")
    assert lines[denied + 1] == "  from shop/web-1-b to shop/db"
    found = json.loads(ask("shop/web", "shop/db[Pod]", "TCP/sql", "-o", "json").out)
    assert found["allowed"] is False
    assert [(case["allowed"], case["replicas"]) for case in found["cases"]] == [
        (True, [{"sources": ["shop/web-1-a"], "destinations": ["shop/db"]}]),
        (False, [{"sources": ["shop/web-1-b"], "destinations": ["shop/db"]}]),
    ]


def test_json_has_paths(ask: Any, tmp_path: Path) -> None:
    found = json.loads(ask("203.0.113.9", "shop/db[Pod]", "tcp/5432", "-o", "json").out)
    (case,) = found["cases"]
    assert (found["source"], found["protocol"], found["port"], found["allowed"]) == ("203.0.113.9", "TCP", 5432, True)
    assert case["ingress"] == {
        "admin": None,
        "baseline": None,
        "isolated_by": [{"policy": "shop/db", "place": [f"{tmp_path}/policies.yaml", "document 1"]}],
        "selected_by": [],
        "ignored_by": [],
        "match": {
            "policy": "shop/db",
            "rule": "spec.ingress[0]",
            "peer": "spec.ingress[0].from[0]",
            "port": "spec.ingress[0].ports[0]",
        },
        "misses": [],
    }
    (case,) = json.loads(ask("203.0.113.9", "shop/db[Pod]", "UDP/5432", "-o", "json").out)["cases"]
    assert case["blocked_by"] == "ingress"
    assert [(miss["rule"], miss["peer"], miss["fails"]) for miss in case["ingress"]["misses"]] == [
        ("spec.ingress[0]", "spec.ingress[0].from[0]", "port"),
        ("spec.ingress[1]", None, "peer"),
    ]


def test_the_rules_that_no_policy_can_change(ask: Any) -> None:
    own_node = ask("192.0.2.1", "shop/web-1-a", "80")
    assert own_node.code == 0
    assert "the node that it runs on is always allowed" in own_node.out
    assert "A pod cannot be cut off from itself" in ask("shop/db[Pod]", "shop/db[Pod]", "80").out
    host = ask("shop/web-1-a", "shop/agent", "80")
    assert host.code == 0
    host = ask("shop/web-1-b", "shop/agent", "80")
    assert "Ingress: shop/agent is on the host network of its node" in host.out
    assert "shop/db (" in host.out
    assert "has its labels, but policies are not for hostNetwork pods" in host.out
    assert host.code == 1
    node = ask("192.0.2.1", "shop/db[Pod]", "5432")
    assert "Egress: 192.0.2.1 is an address of node n1" in node.out


def test_between_replicas_it_is_about_two_different_ones(ask: Any) -> None:
    answer = ask("shop/web", "shop/web", "80")
    assert answer.code == 1
    assert "from shop/web-1-b to shop/web-1-a" in answer.out
    assert "Note: each pod may always connect to itself" in answer.out


def test_ends_that_are_not_what_they_seem(ask: Any) -> None:
    assert "judged by its template" in ask("shop/db[StatefulSet]", "shop/web", "80").out
    gone = ask("shop/done", "shop/db[Pod]", "5432")
    assert (gone.code, "is gone: judged as it was" in gone.out) == (0, True)
    held = ask("10.0.0.5", "shop/db[Pod]", "5432")
    assert held.code == 0
    assert "shop/web-1-a" in held.out
    unowned = ask("10.0.0.77", "shop/db[Pod]", "5432")
    assert unowned.code == 1
    assert "Note: 10.0.0.77 is inside the range of pods, but no known pod had it" in unowned.out
    assert ask("2001:db8::1", "203.0.113.1", "443").code == 0


@pytest.mark.parametrize(
    ("source", "port", "said"),
    [
        ("shop/db", "80", "'shop/db' is more than one thing. Say which: shop/db[Pod], shop/db[StatefulSet]"),
        ("shop/wbe", "80", "the cluster has no pod and no workload 'shop/wbe'. Near it there are shop/web[Deployment]"),
        ("web", "80", "'web' is not an end. Write namespace/name"),
        ("shop/web[Job]", "80", "no workload 'shop/web[Job]'. Near it there are shop/web[Deployment]"),
        ("other/web", "80", "Near it there are shop/web[Deployment]"),
        ("10.96.0.20", "80", "the virtual address of Service shop/db. Ask about the pods behind it: shop/agent[Pod], "),
        ("a/\x1b[2J", "80", "'a/\\x1b[2J'"),
        ("shop/web", "0", "'0' is not a port"),
        ("shop/web", "65536", "'65536' is not a port"),
        ("shop/web", "9" * 5000, "is not a port"),
        ("shop/web", "ICMP/8", "'ICMP/8' is not a port"),
        ("shop/web", "", "'' is not a port"),
        ("shop/web", "TCP/UDP/1", "is not a port"),
        ("shop/web", "٨٠", "is not a port"),
        ("shop/web", "http", "shop/db[Pod] declares no port TCP/http. It declares sql"),
        ("shop/web", "UDP/sql", "shop/db[Pod] declares no port UDP/sql"),
    ],
)
def test_wrong_questions(ask: Any, source: str, port: str, said: str) -> None:
    answer = ask(source, "shop/db[Pod]", port)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.rstrip("\n").isprintable()


def test_a_name_never_resolves_for_an_address(ask: Any) -> None:
    answer = ask("shop/web", "203.0.113.1", "http")
    assert answer.code == 2
    assert "only a pod's ports have names" in answer.err


def test_the_live_cluster_is_asked_without_files(netpol: Netpol, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(POLICIES)
    options = ("--policies", tmp_path / "policies.yaml", "--kubeconfig", tmp_path / "none")
    assert netpol("explain", "shop/web", "shop/db", "80", *options).code == 3
    assert netpol("lint", tmp_path / "policies.yaml", "--kubeconfig", tmp_path / "none").code == 3


def test_hostile_names_do_not_reach_the_terminal(netpol: Netpol, tmp_path: Path) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x\x1b[2J\u202e", "namespace": "shop", "labels": {"app": "db"}},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.5"}]},
    }
    (tmp_path / "policies.yaml").write_text(POLICIES)
    (tmp_path / "cluster.json").write_text(json.dumps(pod))
    options = ("--policies", tmp_path / "policies.yaml", "--cluster", tmp_path / "cluster.json")
    for form in ("text", "json"):
        answer = netpol("explain", "203.0.113.1", "10.0.0.5", "80", *options, "-o", form)
        printed = (answer.out + answer.err).replace("\n", "")
        assert printed.isprintable()
        assert answer.code in {1, 2}


def test_the_shop(netpol: Netpol, sample: Path) -> None:
    """What the sample's policies were learned from is allowed, and what nobody did is not."""
    options = ("--policies", sample / "expected", "--cluster", sample / "cluster.yaml")
    assert netpol("explain", "shop/web", "shop/api", "3000", *options).code == 0
    assert netpol("explain", "shop/web", "data/postgres", "5432", *options).code == 1
