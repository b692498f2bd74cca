"""`netpol review` and REVIEW.md on the sample shop, held to what its makers wrote down."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

CLUSTER = "cluster.yaml"


@pytest.fixture
def worked(sample: Path) -> Counter[tuple[str, str, str, int]]:
    """Connections that worked, by the two ends, protocol and port, as the drivers of the traffic count them."""
    found: Counter[tuple[str, str, str, int]] = Counter()
    for row in json.loads((sample / "truth.json").read_text())["connections"]:
        if row["outcome"] in {"established", "midstream"}:
            found[row["source"], row["destination"], row["protocol"], row["port"]] += row["connections"]
    return found


@pytest.fixture
def broken(sample: Path, tmp_path: Path) -> Path:
    """The expected policies, but for the rule that lets the report into the database."""
    folder = tmp_path / "broken"
    shutil.copytree(sample / "expected", folder)
    path = folder / "data" / "postgres.yaml"
    policy = yaml.safe_load(path.read_text())
    for rule in policy["spec"]["ingress"]:
        rule["from"] = [
            peer
            for peer in rule["from"]
            if peer["podSelector"]["matchLabels"].get("app.kubernetes.io/name") != "report"
        ]
    path.write_text(yaml.safe_dump(policy, sort_keys=False))
    return folder


def report(netpol: Netpol, *words: str | Path) -> dict[str, Any]:
    answer = netpol("review", *words, "-o", "json")
    assert answer.code == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


def end_of(text: str) -> str:
    """As the truth spells it: addresses outside without a prefix length, nodes by name."""
    return text.partition(" ")[0] if text.startswith("node/") else text.removesuffix("/32")


def test_each_change_has_the_evidence_that_the_drivers_counted(
    netpol: Netpol, shop: Path, sample: Path, worked: Counter[tuple[str, str, str, int]]
) -> None:
    sides = (sample / "existing.yaml", sample / "expected", shop)
    found = report(netpol, *sides, "--cluster", sample / CLUSTER)
    checked = 0
    for row in found["changes"]:
        ends = [end_of(row[side]) for side in ("source", "destination")]
        expected = sum(
            count
            for (source, destination, protocol, port), count in worked.items()
            if [source, destination] == ends
            and any(first <= port <= last for first, last in row["after"].get(protocol, []))
        )
        seen = row["seen"]["connections"] if row["seen"] else 0
        assert seen == expected, row
        checked += bool(expected)
    assert checked >= 8


def test_what_breaks_comes_first_and_points_at_its_line(
    netpol: Netpol, shop: Path, sample: Path, broken: Path, worked: Counter[tuple[str, str, str, int]]
) -> None:
    words = (sample / "expected", broken, shop, "--cluster", sample / CLUSTER)
    found = report(netpol, *words)
    ends = ("shop/report[CronJob]", "data/postgres[StatefulSet]")
    (first, *_) = found["changes"]
    assert (first["change"], first["source"], first["destination"]) == ("removed", *ends)
    assert first["lost"]["connections"] == worked[*ends, "TCP", 5432] == 2
    assert found["observed"]["denied_learned"] == 2
    assert found["checks"][0]["urgency"] == "breaks"
    assert found["checks"][0]["about"] == " to ".join(ends)
    file = broken / "data" / "postgres.yaml"
    (error,) = [item for item in found["findings"] if item["severity"] == "error"]
    assert error["id"] == "denies-what-worked"
    assert file.read_text().splitlines()[error["line"] - 1].strip() == "ingress:"
    said = netpol("review", *words, "-o", "github").out.splitlines()[0]
    assert said.startswith(f"::error file={file},line={error['line']},title=denies-what-worked%3A data/postgres::")
    denied = json.loads(netpol("check", shop, "--policies", broken, "--cluster", sample / CLUSTER, "-o", "json").out)
    had_worked = [item for item in denied["denied"] if item["outcome"] in {"established", "midstream"}]
    assert sum(item["connections"] for item in had_worked) == found["observed"]["denied"]


def test_what_is_opened_for_nobody_is_told(netpol: Netpol, shop: Path, sample: Path, broken: Path) -> None:
    path = broken / "data" / "redis.yaml"
    policy = yaml.safe_load(path.read_text())
    policy["spec"]["ingress"].append({"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]})
    path.write_text(yaml.safe_dump(policy, sort_keys=False))
    found = report(netpol, sample / "expected", broken, shop, "--cluster", sample / CLUSTER)
    (opened,) = [item for item in found["findings"] if item["id"] == "opens-what-nobody-used"]
    assert (opened["policy"], opened["field"], opened["severity"]) == ("data/redis", "spec.ingress[1]", "warning")
    (added,) = [row for row in found["changes"] if row["change"] == "added"]
    assert (added["source"], added["seen"]) == ("198.51.100.0/24", None)
    assert added["rules"] == [{"policy": "data/redis", "rule": "spec.ingress[1]"}]
    unused = [item["field"] for item in found["findings"] if item["id"] == "rule-not-exercised"]
    assert "spec.ingress[1]" in unused


def test_without_a_capture_nothing_is_said_of_use(netpol: Netpol, sample: Path) -> None:
    words = ("review", sample / "existing.yaml", sample / "expected", "--cluster", sample / CLUSTER)
    answer = netpol(*words)
    assert answer.code == 0
    assert "nothing here has evidence" in answer.out
    assert "seen" not in answer.out.split("## What to check", maxsplit=1)[0]
    found = json.loads(netpol(*words, "-o", "json").out)
    assert found["observed"] is None
    assert {item["id"] for item in found["findings"]}.isdisjoint({"opens-what-nobody-used", "rule-not-exercised"})
    differing = json.loads(netpol("diff", *words[1:], "-o", "json").out)
    listed = [(row["before"], row["after"]) for kind in ("added", "removed") for row in differing[kind]]
    folded: list[Any] = [
        pair for pair in listed if pair == ({"SCTP": [[1, 65535]], "TCP": [[1, 65535]], "UDP": [[1, 65535]]}, {})
    ]
    hosts = [row for kind in ("added", "removed", "changed") for row in differing[kind]
             if "node-exporter" in row["source"] + row["destination"]]  # fmt: skip
    assert 0 < found["closed"] <= len(folded)
    total = sum(len(differing[kind]) for kind in ("added", "removed", "changed", "within"))
    assert len(found["changes"]) + found["closed"] == total - len(hosts)


def test_no_change_is_no_news(netpol: Netpol, sample: Path) -> None:
    answer = netpol("review", sample / "expected", sample / "expected", "--cluster", sample / CLUSTER)
    assert "No connection differs." in answer.out
    assert "No policy's YAML differs." in answer.out
    assert "```" not in answer.out


def test_learn_writes_the_report_beside_the_policies(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, worked: Counter[tuple[str, str, str, int]]
) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    text = (tmp_path / "REVIEW.md").read_text()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    cells = [
        "".join(child.content for child in tokens[at + 1].children or [])
        for at, token in enumerate(tokens)
        if token.type == "td_open"
    ]
    at = cells.index("data/redis[StatefulSet]")
    assert cells[at - 2 : at + 4] == [
        "changed", "shop/api[Deployment]", "data/redis[StatefulSet]", "any", "TCP/6379",
        str(worked["shop/api[Deployment]", "data/redis[StatefulSet]", "TCP", 6379]),
    ]  # fmt: skip
    fences = {token.info: token.content for token in tokens if token.type == "fence"}
    assert fences["mermaid"].startswith("flowchart LR\n")
    assert "+++ new/data/redis.yaml" in fences["diff"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    for item in summary["closed_on_silence"]:
        assert item["text"] in text.replace("\\", "")


def test_the_second_run_keeps_the_report_on_the_change(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    before = (tmp_path / "REVIEW.md").read_text()
    assert netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    assert (tmp_path / "REVIEW.md").read_text() == before
    assert netpol("learn", shop / "node-a.pcap", "--cluster", sample / CLUSTER, "-d", tmp_path).code == 0
    after = (tmp_path / "REVIEW.md").read_text()
    assert after != before
    assert "There was no policy before" not in after


def test_the_figures_before_are_those_of_the_policies_before(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    figures = re.compile(r"of ([0-9]+) allowed pod-pair-ports \(([0-9]+) before\)")
    learn = ("--cluster", sample / CLUSTER, "-d", tmp_path)
    assert netpol("learn", shop, *learn).code == 0
    (first,) = figures.findall((tmp_path / "REVIEW.md").read_text())
    assert netpol("learn", shop / "node-a.pcap", "-n", "shop", *learn).code == 0
    (second,) = figures.findall((tmp_path / "REVIEW.md").read_text())
    assert second[1] == first[0]


def test_a_reviewer_is_told_of_captures_that_were_cut_off(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((shop / "node-a.pcap").read_bytes()[:-5])
    assert netpol("learn", cut, "--cluster", sample / CLUSTER, "-d", tmp_path / "out").code == 0
    assert "cut.pcap" in (tmp_path / "out" / "REVIEW.md").read_text()
    answer = netpol("review", sample / "expected", sample / "expected", cut, "--cluster", sample / CLUSTER)
    assert "not read to its end" in answer.out


def test_a_report_that_others_wrote_is_not_overwritten(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "REVIEW.md").write_text("# How we review\n")
    answer = netpol("learn", shop, "--cluster", sample / CLUSTER, "-d", tmp_path)
    assert answer.code == 2
    assert "REVIEW.md" in answer.err
    assert (tmp_path / "REVIEW.md").read_text() == "# How we review\n"


def test_another_dialect_shows_its_own_yaml(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    words = ("learn", shop, "--cluster", sample / CLUSTER, "--dialect", "cilium", "-d", tmp_path)
    assert netpol(*words).code == 0
    text = (tmp_path / "REVIEW.md").read_text()
    assert "+kind: CiliumNetworkPolicy" in text
    assert "+kind: NetworkPolicy" not in text


def test_bad_words_are_told_without_a_traceback(netpol: Netpol, sample: Path, tmp_path: Path) -> None:
    for words in (
        (tmp_path / "nowhere", sample / "expected"),
        ("-", "-"),
        (sample / "expected", sample / "expected", tmp_path / "no.pcap"),
    ):
        answer = netpol("review", *words, "--cluster", sample / CLUSTER)
        assert answer.code == 2
        assert answer.err.startswith("netpol: ")
        assert "Traceback" not in answer.err
