"""A name that no threat list has, and that is another name for one that a list has: `netpol egress` and `learn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import UDP

from tests.cli.named_traffic import RESOLVER, NamedTraffic
from tests.threats.responses import SERVER, response

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: web}]}
status: {podIP: 10.0.0.1, phase: Running}
"""
WEB = "10.0.0.1"


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("chain", "listed"),
    [
        (["x.evil.example"], "x.evil.example"),
        (["cdn.example.org", "x.EVIL.example", "edge.example.net"], ".evil.example"),
        ([f"a{number}.example.org" for number in range(9)] + ["evil.example"], "evil.example"),
    ],
)
def test_what_an_alias_leads_to_is_never_allowed(
    netpol: Netpol, tmp_path: Path, chain: list[str], listed: str, *, backwards: bool
) -> None:
    traffic = NamedTraffic()
    for port, name, its in ((41_000, "fine.example.com", ()), (41_001, "benign.example.com", chain)):
        led = response(name, its, backwards=backwards, addresses=[SERVER] if its else ["198.51.100.1"])
        traffic._add(RESOLVER, WEB, UDP(sport=53, dport=port) / led)
    traffic.http(WEB, "198.51.100.1", "fine.example.com")
    traffic.http(WEB, SERVER, "benign.example.com")
    pods, path = tmp_path / "pods.yaml", tmp_path / "list.txt"
    pods.write_text(POD)
    path.write_text(f"first.example\n{listed}\n")
    capture = traffic.write(tmp_path / "x.pcap")
    answer = netpol("egress", capture, "--cluster", pods, "-o", "feed", "--threat-list", path)
    assert "fine.example.com" in answer.out
    assert "benign.example.com" not in answer.out
    assert SERVER not in answer.out
    assert f"line 2 of {path}" in answer.err
    assert "evil.example" in answer.err
    assert "DNS answers 2," in answer.err
    learned = netpol("learn", capture, "--cluster", pods, "--threat-list", path)
    assert learned.code == 1
    assert SERVER not in learned.out
