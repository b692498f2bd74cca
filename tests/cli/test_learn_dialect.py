"""`netpol learn --dialect` on the sample shop, as its users run it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol


def documents(text: str) -> dict[str, Any]:
    found = {f"{item['metadata']['namespace']}/{item['metadata']['name']}": item for item in yaml.safe_load_all(text)}
    assert found
    return found


def test_cilium_names_what_is_outside_and_the_api_server_and_the_own_node(
    netpol: Netpol, shop: Path, sample: Path
) -> None:
    answer = netpol("learn", shop, "--cluster", sample / "cluster.yaml", "--dialect", "cilium")
    assert answer.code == 0, answer.err
    found = documents(answer.out)
    assert {(item["apiVersion"], item["kind"]) for item in found.values()} == {("cilium.io/v2", "CiliumNetworkPolicy")}
    egress = found["shop/report"]["spec"]["egress"]
    assert {"toFQDNs": [{"matchName": "api.partner.example"}], "toPorts": https(8443)} in egress
    dns = [port for rule in egress for port in rule["toPorts"] if "rules" in port]
    assert [(port["ports"][0]["port"], port["rules"]) for port in dns] == [("53", {"dns": [{"matchPattern": "*"}]})]
    scraped = found["monitoring/prometheus"]["spec"]["egress"][2:]
    assert [rule["toEntities"] for rule in scraped] == [["kube-apiserver"], ["host"]]
    assert found["data/postgres"]["spec"]["egress"] == [{}]


def https(port: int) -> list[dict[str, Any]]:
    return [{"ports": [{"port": str(port), "protocol": "TCP"}]}]


def test_calico_says_what_it_cannot_say(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    run = ("learn", shop, "--cluster", sample / "cluster.yaml", "--default-deny")
    answer = netpol(*run, "--dialect", "calico", "-d", tmp_path)
    assert answer.code == 0, answer.err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["dialect"]["name"] == "calico"
    remarks = {item["id"]: item["policies"] for item in summary["dialect"]["remarks"]}
    assert remarks == {"calico-names": ["shop/report"], "calico-own-node": ["monitoring/prometheus"]}
    assert "What calico says differently, 2 in all:" in answer.err
    deny = yaml.safe_load((tmp_path / "shop" / "default-deny.yaml").read_text())
    assert (deny["apiVersion"], deny["spec"]["selector"]) == ("projectcalico.org/v3", "all()")
    listed = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())["resources"]
    assert "shop/default-deny.yaml" in listed
    assert netpol(*run, "--dialect", "calico-enterprise").out.count("domains:") == 1


def test_another_dialect_takes_the_place_of_the_one_before(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    run = ("learn", shop, "--cluster", sample / "cluster.yaml", "-d", tmp_path, "--dialect")
    written = []
    for dialect in ("kubernetes", "cilium", "calico", "cilium", "kubernetes"):
        answer = netpol(*run, dialect)
        assert answer.code == 0, answer.err
        assert "written by an earlier run" not in answer.err
        written.append({path.name: path.read_text() for path in tmp_path.glob("*/*.yaml")})
    assert written[0] == written[4]
    assert written[1] == written[3]
    assert written[0].keys() == written[1].keys() == written[2].keys()


def test_policies_of_a_namespace_that_was_not_asked_for_stay(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    run = ("learn", shop, "--cluster", sample / "cluster.yaml", "-d", tmp_path, "--dialect", "cilium", "--prune")
    assert netpol(*run).code == 0
    before = (tmp_path / "kustomization.yaml").read_text()
    assert netpol(*run, "-n", "shop").code == 0
    assert (tmp_path / "data" / "redis.yaml").exists()
    assert (tmp_path / "kustomization.yaml").read_text() == before


def test_rules_of_a_dialect_that_nobody_reads_are_not_lost_without_a_word(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path
) -> None:
    base = ("--cluster", sample / "cluster.yaml", "--existing", tmp_path, "-d", tmp_path)
    for dialect, kind in (("cilium", "CiliumNetworkPolicy"), ("calico", "NetworkPolicy.projectcalico.org")):
        assert netpol("learn", shop, *base, "--dialect", dialect).code == 0
        answer = netpol("learn", shop / "node-b.pcapng.gz", *base, "--dialect", dialect)
        assert answer.code == 0
        assert f"not read, and so count for nothing here: 7 {kind}\n" in answer.err
        assert "since they are no policies" not in answer.err
        assert "netpol: 1 policies of an earlier run were written anew from this capture alone" in answer.err
    # Written over by the language that is read: the same.
    answer = netpol("learn", shop, *base)
    assert "netpol: 7 policies of an earlier run were written anew from this capture alone" in answer.err
    # And what was read is kept, whatever it is written as.
    answer = netpol("learn", shop / "node-b.pcapng.gz", *base, "--dialect", "cilium")
    assert "written anew" not in answer.err
    assert "kept            rules 2" in answer.err
