"""Names that lead to what a threat list names, and elsewhere too: in no format is such a name allowed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netpol.cli.egress import REPORTS, Format
from tests.cli.named_traffic import NamedTraffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: web}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {nodeName: n1, containers: [{name: dns, ports: [{containerPort: 53, protocol: UDP}]}]}
status: {podIP: 10.0.0.53, phase: Running}
"""
WEB = "10.0.0.1"
LISTED, CLEAN, OTHER = "198.51.100.66", "203.0.113.10", "203.0.113.11"
BOTH, FINE = "both.example", "fine.example"
NAMELESS = {Format.CIDRS, Format.NETWORKPOLICY, Format.NFTABLES, Format.IPSET, Format.IPTABLES}
"""Formats that have names in comments only."""
ONLY_NAMES = {Format.DOMAINS, Format.AWS_NETWORK_FIREWALL}


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[str | Path, ...]:
    """A name with a clean and a listed address, of which the pod used the clean one, and a name that is fine."""
    traffic = NamedTraffic()
    traffic.dns(WEB, BOTH, [CLEAN, LISTED])
    traffic.http(WEB, CLEAN, BOTH)
    for index in range(5):
        traffic.dns(WEB, f"n{index}.{FINE}", [OTHER])
        traffic.http(WEB, OTHER, f"n{index}.{FINE}")
    (tmp_path / "pods.yaml").write_text(PODS)
    (tmp_path / "list.txt").write_text(f"# of addresses\n{LISTED}\n")
    capture = traffic.write(tmp_path / "capture.pcap")
    return capture, "--cluster", tmp_path / "pods.yaml", "--threat-list", tmp_path / "list.txt"


def code_of(text: str) -> str:
    """Without comments and descriptions, which may tell of the name."""
    lines = (line.partition(" #")[0] for line in text.splitlines() if not line.startswith("#"))
    return "\n".join(line for line in lines if "Description" not in line)


@pytest.mark.parametrize("output", sorted(set(Format) - REPORTS - NAMELESS))
def test_a_name_that_leads_to_a_listed_address_is_in_no_allowlist(
    netpol: Netpol, inputs: tuple[str | Path, ...], output: Format
) -> None:
    answer = netpol("egress", *inputs, "-o", output.value)
    assert BOTH not in code_of(answer.out)
    assert LISTED not in answer.out
    assert (CLEAN in answer.out) == (output not in ONLY_NAMES)
    assert f"{BOTH} also leads to {LISTED}, which line 2 of" in answer.err


def test_reports_say_why(netpol: Netpol, inputs: tuple[str | Path, ...]) -> None:
    rows = json.loads(netpol("egress", *inputs, "-o", "json").out)
    needs = {row["name"]: row for row in rows if "name" in row}
    assert any("also leads to" in remark for remark in needs[BOTH]["remarks"])
    assert needs[f"n0.{FINE}"]["remarks"] == []


@pytest.mark.parametrize("dialect", ["cilium", "calico"])
def test_learned_policies_allow_its_clean_address_only(
    netpol: Netpol, inputs: tuple[str | Path, ...], tmp_path: Path, dialect: str
) -> None:
    folder = tmp_path / "out"
    netpol("learn", *inputs, "--dialect", dialect, "-d", folder)
    written = "".join(path.read_text() for path in folder.rglob("*.yaml"))
    assert BOTH not in code_of(written)
    assert CLEAN in written
    assert LISTED not in code_of(written)


def test_no_pattern_covers_it(netpol: Netpol, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    for index in range(6):
        traffic.dns(WEB, f"n{index}.{FINE}", [CLEAN, LISTED] if index == 3 else [CLEAN])
        traffic.http(WEB, CLEAN, f"n{index}.{FINE}")
    (tmp_path / "pods.yaml").write_text(PODS)
    (tmp_path / "list.txt").write_text(f"{LISTED}\n")
    capture = traffic.write(tmp_path / "capture.pcap")
    answer = netpol(
        "egress", capture, "--cluster", tmp_path / "pods.yaml", "--threat-list", tmp_path / "list.txt", "--wildcards",
        "-o", "cilium",
    )  # fmt: skip
    assert "matchPattern: '*.fine" not in answer.out
    assert 'matchPattern: "*.fine' not in answer.out
    assert "n0.fine.example" in answer.out
    assert "n3.fine.example" not in code_of(answer.out)


def test_a_match_is_told_by_the_exit_code_unless_it_is_accepted(netpol: Netpol, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.tcp(WEB, LISTED, 443)
    (tmp_path / "pods.yaml").write_text(PODS)
    (tmp_path / "list.txt").write_text(f"{LISTED}\n")
    (tmp_path / "other.txt").write_text(f"{OTHER}\n")
    command = ("egress", traffic.write(tmp_path / "capture.pcap"), "--cluster", tmp_path / "pods.yaml")
    assert netpol(*command, "--threat-list", tmp_path / "list.txt").code == 1
    assert netpol(*command, "--threat-list", tmp_path / "list.txt", "--accept-threats").code == 0
    assert netpol(*command, "--threat-list", tmp_path / "other.txt").code == 0
