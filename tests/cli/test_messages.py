"""What netpol says when there is little to say: an answer without content still tells why."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
import yaml
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from tests.cli.traffic import Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec: {containers: [{name: api}]}
status: {podIP: 10.0.0.2, phase: Running}
"""

DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(PODS)
    return path


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    traffic = Traffic()
    traffic.tcp("10.0.0.1", "10.0.0.2", 80)
    return traffic.write(tmp_path / "one.pcap")


def test_nothing_to_learn_from_is_said(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.tcp("10.0.0.1", "10.0.0.2", 80, answer="refuse")
    answer = netpol("learn", traffic.write(tmp_path / "refused.pcap"), "--cluster", cluster)
    assert answer.code == 0
    assert list(yaml.safe_load_all(answer.out)) == []
    assert "no policy was written: no connection was learned" in answer.err


def test_a_namespace_without_learned_connections_is_said(netpol: Netpol, cluster: Path, capture: Path) -> None:
    answer = netpol("learn", capture, "--cluster", cluster, "-n", "default")
    assert (answer.code, answer.out) == (0, "")
    assert "no policy was written: no connection of a workload that policies are written for was learned" in answer.err


@pytest.mark.parametrize("command", ["learn", "flows"])
def test_a_namespace_that_the_cluster_does_not_have_is_said(
    netpol: Netpol, cluster: Path, capture: Path, command: str
) -> None:
    answer = netpol(command, capture, "--cluster", cluster, "-n", "shop", "-n", "shpo")
    assert answer.code == 0
    assert "warning: the cluster has no namespace shpo" in answer.err
    assert "namespace shop" not in answer.err


def test_markdown_counts_what_was_not_judged(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.tcp("10.0.0.1", "10.0.0.2", 80)
    traffic.udp("10.0.0.1", "239.1.2.3", 5353, answered=False)
    capture, policies = traffic.write(tmp_path / "two.pcap"), tmp_path / "deny.yaml"
    policies.write_text(DENY)
    answer = netpol("check", capture, "--cluster", cluster, "--policies", policies, "-o", "md")
    assert answer.code == 1
    assert answer.out.startswith("1 of 2 connections denied, 1 not judged\n")
    assert "239.1.2.3" in answer.out


@pytest.mark.parametrize("command", ["flows", "learn", "check"])
def test_what_the_assembly_of_flows_noted_is_said_by_every_command(
    netpol: Netpol, cluster: Path, tmp_path: Path, command: str
) -> None:
    quoted = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=4000, dport=53)
    stray = Ether() / IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(type=3, code=3) / quoted
    wrpcap(str(tmp_path / "stray.pcap"), [stray])
    policies = tmp_path / "deny.yaml"
    policies.write_text(DENY)
    more = ("--policies", policies) if command == "check" else ()
    answer = netpol(command, tmp_path / "stray.pcap", "--cluster", cluster, *more)
    assert answer.code == 0
    assert "warning: unreachables about packets that were not captured: 1" in answer.err


@pytest.mark.parametrize("output", ["json", "parquet"])
def test_the_end_of_a_process_says_nothing_of_its_own(shop: Path, output: str) -> None:
    """What libraries look for when the interpreter ends is nothing to a user."""
    command = [sys.executable, "-m", "netpol", "flows", str(shop), "-o", output]
    answer = subprocess.run(command, capture_output=True, check=True)
    assert answer.stderr.decode().count("\n") == 1


def test_a_tree_that_is_not_installed_has_no_version_and_says_so(
    netpol: Netpol, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert netpol("--version").out == f"netpol {metadata.version('netpol-learn')}\n"
    # Its dependencies are installed beside it: here it is found without them only if nothing is found at all.
    monkeypatch.setattr(metadata.Distribution, "discover", lambda **_: iter(()))
    answer = netpol("--version")
    assert (answer.code, answer.out) == (0, "netpol of a source tree that is not installed: no version\n")
