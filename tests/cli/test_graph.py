"""`netpol graph` on the sample shop, whose truth was written down by those who made the traffic."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.cli.graph import StateName
from netpol.cli.graph_text import write
from netpol.view import page
from netpol.view.flow_graph import State

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol


@pytest.fixture
def graph(netpol: Netpol, shop: Path, sample: Path) -> dict[str, Any]:
    answer = netpol("graph", shop, "--cluster", sample / "cluster.yaml", "-o", "json")
    assert answer.code == 0
    found: dict[str, Any] = json.loads(answer.out)
    return found


def test_every_connection_that_was_made_is_on_an_edge(graph: dict[str, Any], sample: Path) -> None:
    behind = {node["id"]: node["addresses"] for node in graph["nodes"] if node["kind"] == "External"}
    truth, meant = Counter[tuple[str, ...]](), set()
    for item in json.loads((sample / "truth.json").read_text())["connections"]:
        source, destination = (
            next((name for name, addresses in behind.items() if item[side] in addresses), item[side])
            for side in ("source", "destination")
        )
        key = (source, destination, item["protocol"], str(item["port"]))
        if item["outcome"] in {"established", "midstream"}:
            truth[key] += item["connections"]  # the scan met open doors that others use too
        if item["purpose"] == "shop":
            meant.add(key)
    found = {
        (edge["source"], edge["destination"], *edge["protocols"], str(edge["port"])): edge["seen"]["connections"]
        for edge in graph["edges"]
        if edge["state"] == "allowed-used"
    }
    assert found == {key: truth[key] for key in meant}


def test_what_failed_and_what_scanned_is_there_with_its_reason(graph: dict[str, Any], sample: Path) -> None:
    refused: dict[tuple[str, str], set[int]] = {}
    for item in json.loads((sample / "truth.json").read_text())["connections"]:
        if item["purpose"] == "scan" and item["outcome"] in {"refused", "half-open"}:
            refused.setdefault((item["source"], item["destination"]), set()).add(item["port"])
    assert refused
    found = {
        (edge["source"], edge["destination"]): {
            port for first, last in edge["ports"]["TCP"] for port in range(first, last + 1)
        }
        for edge in graph["edges"]
        if edge["reason"] == "refused" and edge["source"] == "shop/web[Deployment]"
    }
    assert found == refused
    (scan,) = (edge for edge in graph["edges"] if edge["reason"] == "scan")
    assert (scan["source"], scan["destination"], scan["port"]) == (
        "shop/web[Deployment]", "data/postgres[StatefulSet]", 5432,
    )  # fmt: skip
    roles = {node["id"]: node["roles"] for node in graph["nodes"]}
    assert roles["shop/web[Deployment]"] == ["scanner"]
    assert "dns" in roles["kube-system/coredns[Deployment]"]


def test_each_used_edge_names_rules_that_learn_writes(
    netpol: Netpol, graph: dict[str, Any], shop: Path, sample: Path
) -> None:
    learned = netpol("learn", shop, "--cluster", sample / "cluster.yaml").out
    rules = {
        f"{document['metadata']['namespace']}/{document['metadata']['name']}": document["spec"]
        for document in yaml.safe_load_all(learned)
    }
    for edge in graph["edges"]:
        if edge["state"] == "allowed-used":
            assert edge["admitted_by"]
            for rule in edge["admitted_by"]:
                spec = rules[rule["policy"]]
                ports = {item["port"] for item in spec[rule["direction"]][rule["rule"]]["ports"]}
                assert edge["port"] in ports


def test_named_policies_judge(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    """Postgres without its rule for the report, and with one that nobody used."""
    policies = tmp_path / "policies"
    shutil.copytree(sample / "expected", policies)
    path = policies / "data" / "postgres.yaml"
    document = yaml.safe_load(path.read_text())
    (rule,) = document["spec"]["ingress"]
    kept = [peer for peer in rule["from"] if "report" not in json.dumps(peer)]
    assert len(kept) == len(rule["from"]) - 1
    document["spec"]["ingress"] = [{"from": kept, "ports": [{"port": 5432}]}, {"ports": [{"port": 9187}]}]
    path.write_text(yaml.safe_dump(document))
    answer = netpol(
        "graph", shop, "--cluster", sample / "cluster.yaml", "--policies", policies, "--old", sample / "expected",
        "-o", "csv", "--state", "denied", "--state", "new",
    )  # fmt: skip
    assert answer.code == 0
    rows = list(csv.DictReader(io.StringIO(answer.out, newline="")))
    (denied,) = (row for row in rows if row["state"] == "denied" and not row["reason"])
    assert (denied["source"], denied["destination"], denied["blocking_policies"]) == (
        "shop/report[CronJob]", "data/postgres[StatefulSet]", "data/postgres",
    )  # fmt: skip
    new = [row for row in rows if row["state"] == "new"]
    assert {row["destination"] for row in new} == {"data/postgres[StatefulSet]"}
    assert {row["ports"] for row in new} == {"TCP/9187"}
    # Pods of the shop are isolated: they may not leave for it. Whom nothing isolates, and addresses outside, may.
    sources = {row["source"] for row in new}
    assert {"external 0.0.0.0/0", "external ::/0", "kube-system/coredns[Deployment]"} <= sources
    assert "shop/web[Deployment]" not in sources


@pytest.mark.parametrize("output", ["text", "mermaid", "dot", "csv", "graphml", "gexf", "cytoscape"])
def test_every_format_has_the_shop(netpol: Netpol, shop: Path, sample: Path, output: str) -> None:
    arguments = ("graph", shop, "--cluster", sample / "cluster.yaml", "-o", output, "-n", "shop")
    answer = netpol(*arguments)
    assert answer.code == 0
    assert "postgres" in answer.out
    assert "217 connections in all: 100 learned" in answer.err
    assert "\x1b" not in answer.out
    assert netpol(*arguments).out == answer.out


def test_what_lies_outside_is_called_by_its_name(graph: dict[str, Any]) -> None:
    called = {node["id"]: node["names"] for node in graph["nodes"] if node["names"]}
    # The shop's report asks DNS for its partner, and says the name again in the handshake.
    assert called == {"external 198.51.100.20": ["api.partner.example"]}


@pytest.mark.usefixtures("page_is_built")
def test_html_is_a_page_that_holds_what_json_says(
    netpol: Netpol, graph: dict[str, Any], shop: Path, sample: Path
) -> None:
    answer = netpol("graph", shop, "--cluster", sample / "cluster.yaml", "-o", "html")
    assert answer.code == 0
    held = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', answer.out, re.DOTALL)
    assert held
    assert json.loads(held[1]) == graph


def test_an_installation_without_the_page_says_so_before_it_reads_anything(
    netpol: Netpol, sample: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("netpol.view.page._file", lambda: tmp_path / "page.html")
    page._shell.cache_clear()
    answer = netpol("graph", tmp_path / "nowhere.pcap", "--cluster", sample / "cluster.yaml", "-o", "html")
    page._shell.cache_clear()
    assert (answer.code, answer.out) == (2, "")
    assert "no HTML viewer" in answer.err


def test_the_tree_has_branches_for_what_was_asked_for(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("graph", shop, "--cluster", sample / "cluster.yaml", "-l", "app=redis")
    assert answer.out.splitlines() == [
        "Namespace data",
        "└─ redis[StatefulSet]  1 pod on node-a",
        "   ├─ ← shop/api  TCP/6379              2  midstream",
        "   └─ ← shop/web  TCP/22,80 and 6 more  8  refused",
    ]
    assert "never seen: shop/admin[Deployment]" in answer.err


def test_what_no_policy_speaks_of_is_drawn_when_it_is_asked_for(netpol: Netpol, shop: Path, sample: Path) -> None:
    arguments = ("graph", shop, "--cluster", sample / "cluster.yaml")
    assert "ICMP" not in netpol(*arguments).out
    answer = netpol(*arguments, "--state", "not-for-policies")
    assert "no-ports" in answer.out
    assert "Between others" in answer.out


def test_too_much_for_mermaid_is_said(
    netpol: Netpol, shop: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netpol.view.mermaid.MOST_LINES", 3)
    answer = netpol("graph", shop, "--cluster", sample / "cluster.yaml", "-o", "mermaid")
    assert (answer.code, answer.out) == (2, "")
    assert "-o" in answer.err


@pytest.mark.parametrize(
    "wrong",
    [("-o", "pdf"), ("-l", "a b c"), ("--state", "odd"), ("--min-connections", "-1"), ("-n", "shop", "-A")],
    ids=" ".join,
)
def test_wrong_usage(netpol: Netpol, shop: Path, sample: Path, wrong: tuple[str, ...]) -> None:
    answer = netpol("graph", shop, "--cluster", sample / "cluster.yaml", *wrong)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.strip()
    assert "Traceback" not in answer.err


def test_states_on_the_command_line_are_those_of_the_graph() -> None:
    assert [state.value for state in StateName] == [state.value for state in State]


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    line: list[Any] = [("web", "name"), (" [/red] :smile:", State.DENIED)]
    for quiet, codes in ((False, True), (True, False)):
        if quiet:
            monkeypatch.setenv("NO_COLOR", "1")
        stream = Terminal()
        write([line], stream)
        assert ("\x1b[31m" in stream.getvalue()) == codes
        assert "[/red] :smile:" in stream.getvalue()
    piped = io.StringIO()
    write([line], piped)
    assert piped.getvalue() == "web [/red] :smile:\n"


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_draws_the_shop(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("graph", shop, "--cluster", sample / "cluster.yaml", "-o", "dot")
    drawn = subprocess.run(["dot", "-Tplain"], input=answer.out, capture_output=True, text=True, check=True)
    assert "shop/web[Deployment]" in drawn.stdout
