"""A real policy controller on the lab's nodes: kube-router's, which needs an API server and no container runtime.

It runs as on a cluster's nodes: one process in the namespace of each, its node's name in the environment, policies
alone switched on. It puts iptables rules and ipsets on the node, where the lab's bridge and tunnel forward the pods'
packets.

For IPv4 only: v2.1.0, the newest that the Go module proxy has, names IPv6 sets in its rules by other names than it gave
them (`KUBE-SRC-...` for `inet6:KUBE-SRC-...`), and ip6tables-restore refuses those rules.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shoplab.description import NODES, all_pods
from shoplab.enforce import place
from shoplab.nftables import ruleset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoplab.description import Pod
    from shoplab.network import Lab
    from shoplab.nftables import Policy

    from tests.lab.live_cluster import LiveCluster

_BUILD_SECONDS = 900
_SYNC_SECONDS = 100
_SOURCE = Path(__file__).resolve().parents[1] / "oracles" / "kuberouter"
_ADDRESS = re.compile(r"10\.244\.\d+\.\d+\b")


def kube_router(folder: Path) -> Path:
    """The program that NETPOL_TEST_KUBE_ROUTER names, or one built from its module; skips where neither can be had."""
    if ready := os.environ.get("NETPOL_TEST_KUBE_ROUTER"):
        return Path(ready)
    go = shutil.which("go")
    if go is None or os.environ.get("NETPOL_TEST_ORACLES") == "0":
        pytest.skip("no Go toolchain to build kube-router with, or NETPOL_TEST_ORACLES=0")
    package = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
    command = ["nice", go, "build", "-buildvcs=false", "-o", str(folder / "kube-router"), package]
    try:
        subprocess.run(command, cwd=_SOURCE, check=True, capture_output=True, text=True, timeout=_BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"kube-router was not built within {_BUILD_SECONDS} s")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"kube-router cannot be built here (no module proxy?): {error.stderr.strip()[-300:]}")
    return folder / "kube-router"


class KubeRouters:
    """One on each node; follows a scenario: waits until the nodes have heard of its pods."""

    def __init__(
        self, lab: Lab, program: Path, kubeconfig: Path, policies: Sequence[Policy], live: LiveCluster
    ) -> None:
        self._lab = lab
        self._policies = policies
        self._live = live
        options = ["--run-firewall=true", "--run-router=false", "--run-service-proxy=false"]
        for node in NODES:
            # It refuses by ICMP, of which the kernel sends one a second to each address: the rest would be silence.
            lab.run(node.name, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
            named = ["env", f"NODE_NAME={node.name}", str(program), f"--kubeconfig={kubeconfig}"]
            lab.start(node.name, [*named, *options])

    def apply(self, pods: Sequence[Pod]) -> None:
        """Tell the API server, and wait for the rules of these pods to be in the kernel, and of no others."""
        self._live.apply(pods)
        places = [place(pod) for pod in pods]
        addresses = {pod.address for pod in pods}
        gone = {pod.address for pod in all_pods()} - addresses
        expected = {
            node.name: set(_ADDRESS.findall(ruleset(self._policies, places, node.name))) & addresses for node in NODES
        }
        deadline = time.monotonic() + _SYNC_SECONDS
        while missing := [
            node for node, names in expected.items() if not names <= (there := self._named(node)) or there & gone
        ]:
            assert time.monotonic() < deadline, f"kube-router did not get to {missing}: {self._lab.folder}"
            time.sleep(0.1)

    def _named(self, node: str) -> set[str]:
        """The pods' addresses that a node's rules and sets speak of."""
        rules = self._lab.run(node, "iptables-save", "-t", "filter") + self._lab.run(node, "ipset", "save")
        return set(_ADDRESS.findall(rules))
