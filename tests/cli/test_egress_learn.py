"""`netpol learn -d` writes allowlists beside the policies, and only over its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netpol.dialects.allowlists.formats import FORMATS
from tests.cli.named_traffic import NamedTraffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: web}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec: {nodeName: n1, containers: [{name: api, ports: [{containerPort: 80}]}]}
status: {podIP: 10.0.0.2, phase: Running}
"""


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    path = tmp_path / "pods.yaml"
    path.write_text(POD)
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The pod uses something outside."""
    traffic = NamedTraffic()
    traffic.dns("10.0.0.1", "api.partner.example", ["198.51.100.20"])
    traffic.http("10.0.0.1", "198.51.100.20", "api.partner.example")
    return traffic.write(tmp_path / "outside.pcap")


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """It does not."""
    traffic = NamedTraffic()
    traffic.tcp("10.0.0.1", "10.0.0.2", 80)
    return traffic.write(tmp_path / "inside.pcap")


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_egress_prints_is_what_learn_writes(netpol: Netpol, outside: Path, pods: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert netpol("learn", outside, "--cluster", pods, "-d", folder).code == 0
    written = files(folder / "allowlists")
    for name, form in FORMATS.items():
        if form.suffix != ".yaml":
            assert written[f"{name}{form.suffix}"] == netpol("egress", outside, "--cluster", pods, "-o", name).out
    assert "api.partner.example" in written["domains/shop/web.pod.txt"]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["allowlists"] == sorted(f"allowlists/{path}" for path in written)


def test_nothing_that_a_reader_of_manifests_takes_for_one_is_written(
    netpol: Netpol, outside: Path, pods: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert netpol("learn", outside, "--cluster", pods, "-d", folder).code == 0
    assert not list((folder / "allowlists").rglob("*.yaml"))
    assert "allowlists" not in (folder / "kustomization.yaml").read_text()
    answer = netpol("list", folder, "--cluster", pods, "-o", "csv")
    assert answer.code == 0
    # The policy once, and not a second time from an allowlist.
    assert "shop/web[Pod],198.51.100.20/32,TCP,80,80" in answer.out.replace("198.51.100.20,", "198.51.100.20/32,")


def test_a_second_run_writes_the_same_bytes(netpol: Netpol, outside: Path, pods: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert netpol("learn", outside, "--cluster", pods, "-d", folder).code == 0
    before = files(folder)
    assert netpol("learn", outside, "--cluster", pods, "-d", folder).code == 0
    assert files(folder) == before


def test_lists_of_an_earlier_run_do_not_outlive_it(
    netpol: Netpol, outside: Path, inside: Path, pods: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert netpol("learn", outside, "--cluster", pods, "-d", folder).code == 0
    (folder / "allowlists" / "mine.txt").write_text("mine")
    assert netpol("learn", inside, "--cluster", pods, "-d", folder).code == 0
    assert files(folder / "allowlists") == {"mine.txt": "mine"}


def test_a_run_for_some_workloads_leaves_the_lists_of_all_alone(
    netpol: Netpol, outside: Path, pods: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert netpol("learn", outside, "--cluster", pods, "-d", folder).code == 0
    before = files(folder / "allowlists")
    for _ in range(2):
        answer = netpol("learn", outside, "--cluster", pods, "-l", "app=api", "-d", folder)
        assert answer.code == 0
        assert "allowlists: left alone" in answer.err
        assert files(folder / "allowlists") == before
    assert netpol("learn", outside, "--cluster", pods, "-d", folder).code == 0
    assert files(folder / "allowlists") == before


def test_what_others_wrote_is_not_overwritten(netpol: Netpol, outside: Path, pods: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "allowlists").mkdir(parents=True)
    (folder / "allowlists" / "domains.txt").write_text("mine")
    answer = netpol("learn", outside, "--cluster", pods, "-d", folder)
    assert answer.code == 2
    assert "allowlists/domains.txt, which netpol did not write" in answer.err
    assert files(folder) == {"allowlists/domains.txt": "mine"}


@pytest.mark.parametrize("listed", ["../precious", "allowlists/../../precious", "/precious", 7, None])
def test_a_forged_summary_deletes_nothing_elsewhere(
    netpol: Netpol, inside: Path, pods: Path, tmp_path: Path, listed: object
) -> None:
    folder, precious = tmp_path / "out", tmp_path / "precious"
    precious.write_text("mine")
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({"generator": "netpol", "allowlists": [listed]}))
    assert netpol("learn", inside, "--cluster", pods, "-d", folder).code == 0
    assert precious.read_text() == "mine"


def test_those_who_were_asked_for_and_no_others(netpol: Netpol, outside: Path, pods: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert netpol("learn", outside, "--cluster", pods, "-l", "app=api", "-d", folder).code == 0
    assert not (folder / "allowlists").exists()
