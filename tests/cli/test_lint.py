"""`netpol lint`: every format, the gate, and names that mean to break out of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from netpol.cli.lint_render import Report, render
from netpol.model.policy import NetworkPolicy
from netpol.review.findings import Check, Severity, Written
from netpol.review.review import CHECKS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

CLUSTER = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.5}]}
"""

POLICIES = """\
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: {name: sound, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: {name: flawed, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - ports:
    - {port: 1}
  - ports:
    - port: 40000
  - {}
  - from:
    - ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/25, 203.0.113.128/25]}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    policies, cluster = tmp_path / "policies.yaml", tmp_path / "cluster.yaml"
    policies.write_text(POLICIES)
    cluster.write_text(CLUSTER)
    return policies, cluster


FOUND = [
    ("rule-contained", "info", "spec.ingress[0]", 12),
    ("rule-contained", "info", "spec.ingress[1]", 14),
    ("ephemeral-port", "info", "spec.ingress[1].ports[0].port", 15),
    ("allow-all", "warning", "spec.ingress[2]", 16),
    ("never-matches", "error", "spec.ingress[3].from[0].ipBlock.except", 18),
]


def test_text_has_the_place_as_compilers_write_it(netpol: Netpol, files: tuple[Path, Path]) -> None:
    policies, cluster = files
    answer = netpol("lint", policies, "--cluster", cluster)
    assert answer.code == 0
    heads = [line for line in answer.out.splitlines() if not line.startswith("    ")]
    expected = [
        f"{policies}:{line}: {severity}: {check}: shop/flawed: {path}: " for check, severity, path, line in FOUND
    ]
    assert [head.startswith(start) for head, start in zip(heads, expected, strict=True)] == [True] * len(FOUND)
    assert answer.err == "2 policies: 1 error, 1 warning, 3 infos\n"


def test_json(netpol: Netpol, files: tuple[Path, Path]) -> None:
    policies, cluster = files
    answer = json.loads(netpol("lint", policies, "--cluster", cluster, "-o", "json").out)
    assert answer["policies"] == 2
    found = [(item["id"], item["severity"], item["field"], item["line"]) for item in answer["findings"]]
    assert found == FOUND
    assert answer["findings"][0]["place"] == [str(policies), "document 2"]
    assert set(answer["findings"][0]) == {
        "id", "severity", "policy", "field", "place", "line", "message", "remedy",
    }  # fmt: skip


@pytest.mark.parametrize(("gate", "code"), [("error", 1), ("warning", 1), ("info", 1)])
def test_the_gate(netpol: Netpol, files: tuple[Path, Path], gate: str, code: int) -> None:
    assert netpol("lint", files[0], "--cluster", files[1], "--fail-on", gate).code == code


def test_the_gate_lets_lesser_findings_pass(netpol: Netpol, files: tuple[Path, Path]) -> None:
    files[0].write_text(POLICIES.replace("  - from:", "  #").replace("    - ipBlock:", "    #"))
    assert netpol("lint", files[0], "--cluster", files[1], "--fail-on", "error").code == 0
    assert netpol("lint", files[0], "--cluster", files[1], "--fail-on", "warning").code == 1
    files[0].write_text(POLICIES.partition("---")[0])
    answer = netpol("lint", files[0], "--cluster", files[1], "--fail-on", "info")
    assert (answer.code, answer.out) == (0, "No findings\n")


def test_invalid_input_is_an_error_whatever_the_gate(netpol: Netpol, files: tuple[Path, Path]) -> None:
    files[0].write_text(POLICIES.replace("port: 40000", "port: 70000"))
    answer = netpol("lint", files[0], "--cluster", files[1])
    assert (answer.code, answer.out) == (2, "")
    assert "document 2: spec.ingress[1].ports[0].port: 70000 is above 65535" in answer.err


LEVELS = {"none", "note", "warning", "error"}
URI = re.compile(r"[A-Za-z0-9._~/%:@!$&'()*+,;=-]+")


def sarif_problems(log: dict[str, Any]) -> list[str]:
    """What breaks the rules of SARIF 2.1.0 that matter to its readers (sections 3.13, 3.14, 3.19, 3.27, 3.49)."""
    problems = [] if log["version"] == "2.1.0" and not set(log) - {"$schema", "version", "runs"} else ["log"]
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        if not run["tool"]["driver"]["name"] or len({rule["id"] for rule in rules}) != len(rules):
            problems.append("driver")
        for rule in rules:
            problems += [key for key in ("shortDescription", "fullDescription", "help") if not rule[key]["text"]]
            problems += ["default level"] * (rule["defaultConfiguration"]["level"] not in LEVELS)
        for result in run["results"]:
            problems += ["ruleIndex"] * (rules[result["ruleIndex"]]["id"] != result["ruleId"])
            problems += ["result"] * (result["level"] not in LEVELS or not result["message"]["text"])
            problems += [problem for location in result["locations"] for problem in location_problems(location)]
    return problems


def location_problems(location: dict[str, Any]) -> list[str]:
    physical = location.get("physicalLocation")
    if physical is None:
        return [] if location["logicalLocations"] else ["location"]
    problems = ["startLine"] * (physical["region"]["startLine"] < 1)
    return problems + ["uri"] * (URI.fullmatch(physical["artifactLocation"]["uri"]) is None)


def _parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - what netpol itself has written


def test_sarif(netpol: Netpol, files: tuple[Path, Path]) -> None:
    answer = netpol("lint", files[0], "--cluster", files[1], "-o", "sarif")
    log = json.loads(answer.out)
    assert sarif_problems(log) == []
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [check.id for check in CHECKS]
    levels = {"info": "note", "warning": "warning", "error": "error"}
    assert [
        (result["ruleId"], result["level"], result["locations"][0]["physicalLocation"]["region"]["startLine"])
        for result in run["results"]
    ] == [(check, levels[severity], line) for check, severity, _, line in FOUND]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"file://{files[0]}"


def test_junit(netpol: Netpol, files: tuple[Path, Path]) -> None:
    def failing(*options: str) -> list[str | None]:
        answer = netpol("lint", files[0], "--cluster", files[1], "-o", "junit", *options)
        root = _parsed(answer.out)
        (suite,) = root.iter("testsuite")
        assert (suite.get("name"), suite.get("tests")) == (str(files[0]), "6")
        failures = [failure.get("type") for failure in root.iter("failure")]
        assert suite.get("failures") == root.get("failures") == str(len(failures))
        assert [case.get("name") for case in root.iter("testcase") if case.get("classname") == "shop/sound"] == [
            "no findings"
        ]
        return failures

    assert failing() == ["allow-all", "never-matches"]
    assert failing("--fail-on", "error") == ["never-matches"]
    assert failing("--fail-on", "info") == [check for check, _, _, _ in FOUND]


def test_github(netpol: Netpol, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files[0].parent)
    lines = netpol("lint", "policies.yaml", "--cluster", "cluster.yaml", "-o", "github").out.splitlines()
    assert lines[3] == (
        "::warning file=policies.yaml,line=16,title=allow-all%3A shop/flawed::spec.ingress[2]: the rule allows every "
        "connection into the pods of the policy. Name the peers and ports that are needed; `netpol learn` finds them "
        "in the traffic"
    )
    assert [line.split(" ")[0] for line in lines] == ["::notice", "::notice", "::notice", "::warning", "::error"]


def test_markdown(netpol: Netpol, files: tuple[Path, Path]) -> None:
    lines = netpol("lint", files[0], "--cluster", files[1], "-o", "md").out.splitlines()
    assert lines[0] == "2 policies: 1 error, 1 warning, 3 infos"
    assert [line.split(" | ")[1] for line in lines[4:]] == [check for check, _, _, _ in FOUND]


def test_standard_input_has_no_lines(netpol: Netpol, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sarif", "github", "text", "junit"):
        with files[0].open("rb") as stream:
            monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": stream})())
            answer = netpol("lint", "-", "--cluster", files[1], "-o", name)
        assert answer.code == 0
        if name == "sarif":
            log = json.loads(answer.out)
            assert sarif_problems(log) == []
            assert "physicalLocation" not in log["runs"][0]["results"][0]["locations"][0]
        if name == "github":
            assert answer.out.startswith("::notice title=rule-contained%3A shop/flawed::")
        if name == "text":
            assert answer.out.startswith("standard input: document 2: info: rule-contained: ")


HOSTILE = "x\x1b[2J\r\n::error::x%0A\u202e|<script>`[a](http://b) {0} &amp; \udcff\x00 ]]>, =:"


@pytest.fixture
def hostile() -> Report:
    """A finding in which everything that a person did not choose means harm."""
    check = Check(id="a-check", severity=Severity.WARNING, title="t", meaning="m", remedy="Do it")
    written = Written(policy=NetworkPolicy(namespace="a", name="b"), place=(f"{HOSTILE}.yaml", "document 1"))
    finding = check.found(written, ("spec",), HOSTILE)
    return Report(findings=(finding,), lines={0: 7}, policies=(("a/b", written.place),), gate=Severity.WARNING)


@pytest.mark.parametrize("name", ["text", "json", "junit", "github", "md"])
def test_hostile_names_stay_inert(hostile: Report, name: str) -> None:
    out = "".join(render(name, hostile))
    assert not [character for character in out if not character.isprintable() and character != "\n"]
    if name == "json":
        (item,) = json.loads(out)["findings"]
        assert item["message"] == HOSTILE
    elif name == "junit":
        (failure,) = _parsed(out).iter("failure")
        assert "<script>" in str(failure.get("message"))
    elif name == "github":
        (line,) = out.splitlines()
        properties, _, message = line.removeprefix("::warning ").partition("::")
        assert [part.partition("=")[0] for part in properties.split(",")] == ["file", "line", "title"]
        assert "%250A" in message
        assert "%" not in re.sub("%25|%3A|%2C", "", line)
    elif name == "md":
        row = out.splitlines()[-1]
        assert len(re.findall(r"(?<!\\)\|", row)) == 8
        assert "<script>" not in row
    else:
        assert len(out.splitlines()) == 2


def test_hostile_names_in_sarif(hostile: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netpol.review.review.CHECKS", (hostile.findings[0].check,))
    out = "".join(render("sarif", hostile))
    log = json.loads(out)
    assert out.isascii()
    assert sarif_problems(log) == []
    text = log["runs"][0]["results"][0]["message"]["text"]
    assert text.isprintable()
    assert "{{0}}" in text
    assert "](" not in text


def test_online_boutique_as_published(netpol: Netpol, boutique: Path) -> None:
    """Its policies close ingress well and leave egress open on purpose."""
    folder = boutique / "online-boutique"
    policies = sorted((folder / "kustomize" / "components" / "network-policies").glob("network-policy-*.yaml"))
    cluster = folder / "release"
    answer = json.loads(netpol("lint", *policies, "--cluster", cluster, "-o", "json").out)
    found = [(item["id"], item["policy"], item["field"]) for item in answer["findings"]]
    assert {check for check, _, _ in found} == {"allow-all"}
    assert [policy for _, policy, field in found if field == "spec.ingress[0]"] == ["default/frontend"]
    assert len(found) == answer["policies"]


def test_online_boutique_as_it_ran(netpol: Netpol, boutique: Path) -> None:
    """Nothing but DNS peers, whose pods are not among those that were recorded."""
    folder = boutique / "online-boutique-live"
    answer = json.loads(netpol("lint", folder / "netpols.yaml", "--cluster", folder / "pods.yaml", "-o", "json").out)
    assert {(item["id"], "k8s-app=kube-dns" in item["message"]) for item in answer["findings"]} == {
        ("peer-matches-nothing", True)
    }


def test_what_netpol_writes_itself_has_no_warning(netpol: Netpol, sample: Path) -> None:
    answer = netpol("lint", sample / "expected", "--cluster", sample / "cluster.yaml", "--fail-on", "warning")
    assert answer.code == 0
