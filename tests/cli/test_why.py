"""`netpol why` on the sample shop, held to what its makers wrote down."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

CLUSTER = "cluster.yaml"
POLICIES = (
    "data/postgres", "data/redis", "monitoring/prometheus", "shop/api", "shop/report", "shop/sweep", "shop/web",
)  # fmt: skip


@pytest.fixture
def meant(sample: Path) -> Counter[tuple[str, str, str, int]]:
    """Connections of the shop itself, by ends, protocol and port."""
    found: Counter[tuple[str, str, str, int]] = Counter()
    for row in json.loads((sample / "truth.json").read_text())["connections"]:
        if row["outcome"] in {"established", "midstream"}:
            found[row["source"], row["destination"], row["protocol"], row["port"]] += row["connections"]
    return found


def rules(netpol: Netpol, policy: str, shop: Path, sample: Path, *more: str | Path) -> list[dict[str, Any]]:
    answer = netpol("why", policy, shop, "--cluster", sample / CLUSTER, "-o", "json", *more)
    assert answer.code == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    assert found["policy"] == policy.partition(":")[0]
    listed: list[dict[str, Any]] = found["rules"]
    return listed


@pytest.mark.parametrize("policy", POLICIES)
def test_every_rule_of_every_generated_policy_has_evidence(
    netpol: Netpol, shop: Path, sample: Path, meant: Counter[tuple[str, str, str, int]], policy: str
) -> None:
    found = rules(netpol, policy, shop, sample)
    assert found
    for rule in found:
        assert rule["exercised"]
        for edge in rule["edges"]:
            ends = [end_of(edge[side]) for side in ("source", "destination")]
            assert edge["seen"]["connections"] == meant[*ends, edge["protocol"], edge["port"]], edge


def end_of(text: str) -> str:
    """As the truth spells it: addresses outside by themselves, nodes by name."""
    name, _, address = text.partition(" ")
    return address if name == "external" else name


@pytest.mark.parametrize("policy", POLICIES)
def test_rules_are_those_of_the_document(netpol: Netpol, shop: Path, sample: Path, policy: str) -> None:
    document = yaml.safe_load((sample / "expected" / f"{policy}.yaml").read_text())
    found = rules(netpol, policy, shop, sample, "--policies", sample / "expected")
    written = [f"spec.{way}[{at}]" for way in ("ingress", "egress") for at, _ in enumerate(document["spec"][way])]
    assert [rule["rule"] for rule in found] == written
    for rule in found:
        ports = {item["port"] for item in _rule_at(document, rule["rule"])["ports"]}
        assert {edge["port"] for edge in rule["edges"]} == ports


def _rule_at(document: dict[str, Any], rule: str) -> dict[str, Any]:
    way, _, index = rule.removeprefix("spec.").removesuffix("]").partition("[")
    found: dict[str, Any] = document["spec"][way][int(index)]
    return found


def test_a_rule_that_nothing_exercised_says_so(netpol: Netpol, shop: Path, sample: Path) -> None:
    existing = ("--policies", sample / "existing.yaml")
    (rule,) = rules(netpol, "data/database:ingress[1]", shop, sample, *existing)
    assert (rule["rule"], rule["exercised"], rule["edges"]) == ("spec.ingress[1]", False, [])
    said = netpol("why", "data/database:spec.ingress[1]", shop, "--cluster", sample / CLUSTER, *existing).out
    assert "nothing exercised it" in said


def test_what_was_not_learned_is_counted_by_its_reason(netpol: Netpol, shop: Path, sample: Path) -> None:
    """The scanner is one of the namespace that the hand-written rule lets in."""
    (rule,) = rules(netpol, "data/database:ingress[0]", shop, sample, "--policies", sample / "existing.yaml")
    assert rule["not_learned"]["scan"] == 1
    assert {edge["source"] for edge in rule["edges"]} == {"shop/api[Deployment]", "shop/report[CronJob]"}


def test_one_direction_can_be_asked_about(netpol: Netpol, shop: Path, sample: Path) -> None:
    found = rules(netpol, "shop/api:egress", shop, sample)
    assert [rule["rule"] for rule in found] == ["spec.egress[0]", "spec.egress[1]", "spec.egress[2]"]


def test_others_that_admit_the_same_are_named(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice.yaml"
    document = yaml.safe_load((sample / "expected" / "data" / "redis.yaml").read_text())
    other = {**document, "metadata": {**document["metadata"], "name": "other"}}
    twice.write_text(yaml.safe_dump_all([document, other]))
    (rule, *_) = rules(netpol, "data/redis", shop, sample, "--policies", twice)
    assert rule["also"] == [{"policy": "data/other", "rule": "spec.ingress[0]"}]


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("shop", "names no policy"),
        ("shop/api:ingress[x]", "names no policy"),
        ("shop/ap", "Did you mean shop/api"),
        ("shop/api:egress[7]", "there is no rule spec.egress[7]"),
        ("\x1b[31m/x", "there is no policy"),
    ],
)
def test_what_is_not_there_is_told(netpol: Netpol, shop: Path, sample: Path, policy: str, says: str) -> None:
    answer = netpol("why", policy, shop, "--cluster", sample / CLUSTER)
    assert answer.code == 2
    assert says in answer.err
    assert "\x1b" not in answer.err
