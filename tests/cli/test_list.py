"""`netpol list`: every format, real manifests, and hostile ones."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.cli.list_render import render
from netpol.model.ports import PortMap
from netpol.policy.connectivity_list import Row
from netpol.policy.connectivity_places import Place

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

BOUTIQUE = Path(__file__).parents[2] / ".." / "shared" / "data" / "apps" / "online-boutique"
EVERYTHING = {"TCP": [[1, 65535]], "UDP": [[1, 65535]], "SCTP": [[1, 65535]]}


def pod(name: str, *, app: str = "", namespace: str = "shop", address: str = "", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app or name}},
        "spec": {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 80}]}], **spec},
        "status": {"phase": "Running", **({"podIP": address} if address else {})},
    }


def policy(name: str, *, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, **spec},
    }


def replicas(count: int) -> list[dict[str, Any]]:
    """Pods of one ReplicaSet, each with an address of its own."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "db", "controller": True}
    found = [pod(f"db-{number}", app="db", address=f"10.0.{number}.1") for number in range(count)]
    for item in found:
        item["metadata"]["ownerReferences"] = [owner]
    return found


def write(path: Path, *items: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump_all(items), encoding="utf-8")
    return path


@pytest.fixture
def shop_cluster(tmp_path: Path) -> Path:
    return write(tmp_path / "cluster.yaml", pod("web", address="10.0.9.1"), *replicas(2), pod("job", namespace="other"))


@pytest.fixture
def one_replica(tmp_path: Path) -> Path:
    """Only web may go anywhere, and only to one replica of the database."""
    block = {"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"port": 5432}]}
    return write(
        tmp_path / "policies.yaml",
        policy("deny", policyTypes=["Egress"]),
        policy("web", podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"], egress=[block]),
    )


def test_json_is_the_contract(netpol: Netpol, shop_cluster: Path, one_replica: Path) -> None:
    answer = netpol("list", one_replica, "--cluster", shop_cluster, "-o", "json")
    assert answer.code == 0
    rows = json.loads(answer.out)
    outside = ["0.0.0.0/0", "::/0"]
    expected = [
        *((address, end, EVERYTHING) for address in outside for end in ("other/job[Pod]", "shop/db[ReplicaSet]")),
        *((address, "shop/web[Pod]", EVERYTHING) for address in outside),
        *(("other/job[Pod]", end, EVERYTHING) for end in (*outside, "shop/db[ReplicaSet]", "shop/web[Pod]")),
        ("shop/web[Pod]", "10.0.0.0/24", {"TCP": [[5432, 5432]]}),
        ("shop/web[Pod]", "shop/db-0[Pod]", {"TCP": [[5432, 5432]]}),
    ]
    assert rows == [
        {"source": source, "destination": destination, "allowed": allowed}
        for source, destination, allowed in sorted(expected, key=lambda row: row[:2])
    ]
    assert "warning: replicas of shop/db[ReplicaSet] are not allowed the same" in answer.err


def test_text_is_a_table(netpol: Netpol, shop_cluster: Path, one_replica: Path) -> None:
    answer = netpol("list", one_replica, "--cluster", shop_cluster)
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["SOURCE", "DESTINATION", "PORTS"]
    assert ["shop/web[Pod]", "shop/db-0[Pod]", "TCP/5432"] in lines
    assert ["other/job[Pod]", "0.0.0.0/0", "any"] in lines


def test_csv_has_a_line_for_each_range(netpol: Netpol, shop_cluster: Path, one_replica: Path) -> None:
    answer = netpol("list", one_replica, "--cluster", shop_cluster, "-o", "csv", "-n", "shop")
    rows = list(csv.DictReader(answer.out.splitlines()))
    assert {row["protocol"] for row in rows} == {"TCP", "UDP", "SCTP"}
    (one,) = (row for row in rows if row["destination"] == "shop/db-0[Pod]")
    assert (one["source"], one["protocol"], one["first_port"], one["last_port"]) == (
        "shop/web[Pod]", "TCP", "5432", "5432",
    )  # fmt: skip


def test_a_namespace_keeps_the_rows_that_touch_it(netpol: Netpol, shop_cluster: Path, one_replica: Path) -> None:
    answer = netpol("list", one_replica, "--cluster", shop_cluster, "-o", "json", "-n", "other")
    rows = json.loads(answer.out)
    assert rows
    assert all("other/job[Pod]" in {row["source"], row["destination"]} for row in rows)
    assert "warning" not in answer.err


def test_a_namespace_that_is_not_there_is_said(netpol: Netpol, shop_cluster: Path, one_replica: Path) -> None:
    answer = netpol("list", one_replica, "--cluster", shop_cluster, "-o", "json", "-n", "shpo")
    assert (answer.code, json.loads(answer.out)) == (0, [])
    assert "the cluster has no namespace shpo" in answer.err


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_reads_dot(netpol: Netpol, shop_cluster: Path, one_replica: Path) -> None:
    answer = netpol("list", one_replica, "--cluster", shop_cluster, "-o", "dot")
    drawn = subprocess.run(["dot", "-Tplain"], input=answer.out, capture_output=True, text=True, check=True)
    assert "shop/web[Pod]" in drawn.stdout


def test_own_node_rows_are_data_but_no_reading_matter(netpol: Netpol, tmp_path: Path) -> None:
    cluster = write(
        tmp_path / "c.yaml", pod("web", nodeName="n1"), pod("agent", nodeName="n1", hostNetwork=True, namespace="other")
    )
    deny = write(tmp_path / "p.yaml", policy("deny", policyTypes=["Ingress", "Egress"]))
    rows = json.loads(netpol("list", deny, "--cluster", cluster, "-o", "json", "-n", "shop").out)
    assert [(row["source"], row["destination"]) for row in rows] == [
        ("other/agent[Pod]", "shop/web[Pod]"),
        ("shop/web[Pod]", "other/agent[Pod]"),
    ]
    answer = netpol("list", deny, "--cluster", cluster, "-n", "shop")
    assert answer.out.splitlines()[0] == "SOURCE   DESTINATION   PORTS"
    assert "shop/web[Pod]" not in answer.out
    assert "its own node" in answer.out
    assert "2 rows are between pods and hostNetwork pods of their own node" in answer.err


EVIL = 'x"];evil->y[label="\x1b[31m|<script>`\u202e\\'


def test_a_name_that_cannot_be_one_is_not_let_in(netpol: Netpol, tmp_path: Path) -> None:
    cluster = write(tmp_path / "c.yaml", pod(EVIL), pod("web"))
    answer = netpol("list", write(tmp_path / "p.yaml", policy("p")), "--cluster", cluster)
    assert answer.code == 2
    assert "\x1b" not in answer.err
    assert "\u202e" not in answer.err


@pytest.mark.parametrize("output", ["text", "json", "csv", "md", "dot"])
def test_no_format_trusts_a_name(output: str) -> None:
    """Even if one came through."""
    rows = [Row(Place(EVIL, "a", (), None), Place("=1+1", "b", (), None), PortMap.ALL)]
    printed = "".join(render(output, rows))
    for raw in ("\x1b", "\u202e"):
        assert raw not in printed
    if output == "md":
        assert "<script>" not in printed
        assert "|\\<" not in printed.replace("\\|", "")
    if output == "csv":
        source, destination = next(csv.reader(printed.splitlines()[1:]))[:2]
        assert destination == "'=1+1"
        assert source.startswith('x"]')
    if output == "json":
        assert json.loads(printed)[0]["source"] == EVIL


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_takes_a_hostile_name_for_one_node() -> None:
    rows = [Row(Place(EVIL, "a", (), None), Place("web", "b", (), None), PortMap.ALL)]
    drawn = subprocess.run(
        ["dot", "-Tplain"], input="".join(render("dot", rows)), capture_output=True, text=True, check=True
    )
    kinds = [line.split()[0] for line in drawn.stdout.splitlines()]
    assert (kinds.count("node"), kinds.count("edge")) == (2, 1)


@pytest.mark.skipif(not BOUTIQUE.is_dir(), reason="the third-party manifests are not beside the repository")
def test_online_boutique_allows_what_its_authors_say(netpol: Netpol) -> None:
    """Against connections.csv, written from the Services, the environment of the pods, and the policies.

    The policies let everyone reach the frontend on any port (`ingress: - {}`) and everyone but the load generator's
    callers out to anywhere (`egress: - {}`), so that beyond the connections listed there: every workload may open any
    port of the frontend, and addresses outside may be reached by all and may reach the frontend.
    """
    policies = BOUTIQUE / "kustomize" / "components" / "network-policies"
    answer = netpol("list", policies, "--cluster", BOUTIQUE / "kubernetes-manifests", "-o", "json")
    assert "12 workloads have no pods and were judged by their templates" in answer.err
    found = {(row["source"], row["destination"]): row["allowed"] for row in json.loads(answer.out)}
    with (BOUTIQUE / "connections.csv").open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    names = {row["src"] for row in listed} | {row["dst"] for row in listed} - {"(external)"}
    names -= {"(external)"}

    def end(name: str) -> str:
        return f"default/{name}[Deployment]"

    expected: dict[tuple[str, str], dict[str, list[list[int]]]] = {}
    for row in listed:
        if row["src"] != "(external)":
            pair = (end(row["src"]), end(row["dst"]))
            expected.setdefault(pair, {}).setdefault(row["protocol"], []).append([int(row["pod_port"])] * 2)
    for name in names:
        if name != "frontend":
            expected[end(name), end("frontend")] = EVERYTHING
        for outside in ("0.0.0.0/0", "::/0"):
            expected[end(name), outside] = EVERYTHING
            expected[outside, end("frontend")] = EVERYTHING
    assert found == expected


def test_an_invalid_policy_is_told_with_its_place(netpol: Netpol, tmp_path: Path, shop_cluster: Path) -> None:
    broken = write(tmp_path / "p.yaml", policy("p", ingress=[{"ports": [{"port": 70000}]}, {"form": []}]))
    answer = netpol("list", broken, "--cluster", shop_cluster)
    assert (answer.code, answer.out) == (2, "")
    assert "spec.ingress[0].ports[0].port" in answer.err
    assert "unknown field 'form'" in answer.err


def test_standard_input_is_for_one_thing(netpol: Netpol) -> None:
    answer = netpol("list", "-", "--cluster", "-")
    assert answer.code == 2
    assert "standard input" in answer.err.lower()
