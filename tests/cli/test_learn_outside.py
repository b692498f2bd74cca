"""`netpol learn` and clients from outside, as a user runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.traffic import Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: web, ports: [{containerPort: 8080}]}]}
status: {podIP: 10.0.0.1, hostIP: 192.0.2.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec: {nodeName: n2, containers: [{name: api}]}
status: {podIP: 10.0.1.2, hostIP: 192.0.2.2, phase: Running}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}
---
"""
BALANCER = """
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {type: LoadBalancer, externalTrafficPolicy: POLICY, clusterIP: 10.96.0.9, selector: {app: web},
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
"""
BEHIND_INGRESS = """
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: front, port: {number: 80}}}}]}}]
"""
WEB, API = "10.0.0.1", "10.0.1.2"


@pytest.fixture(params=["load-balancer", "ingress"])
def facing(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A cluster in which clients reach the pod with their own addresses."""
    path = tmp_path / "cluster.yaml"
    front = BALANCER.replace("POLICY", "Local") if request.param == "load-balancer" else BEHIND_INGRESS
    path.write_text(CLUSTER + front)
    return path


def crowd(tmp_path: Path, count: int = 20) -> Path:
    traffic = Traffic()
    for number in range(1, count + 1):
        traffic.tcp(f"198.51.100.{number}", WEB, 8080)
    return traffic.write(tmp_path / "crowd.pcap")


def outside(folder: Path) -> dict[str, Any]:
    (found,) = json.loads((folder / "summary.json").read_text())["outside"]
    return dict(found)


def test_a_crowd_behind_a_service_stands_for_everybody(netpol: Netpol, facing: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    answer = netpol("learn", crowd(tmp_path), "--cluster", facing, "-d", folder)
    assert answer.code == 0
    found = outside(folder)
    assert (found["open"], found["because"], found["services"]) == (True, "many-clients", ["shop/front"])
    assert found["seen"]["addresses"] == 20
    assert 2**31 < found["granted"]["addresses"] < 2**32
    assert "is open to everybody outside: more than 16 outside clients came" in answer.err
    for source, code in (("8.8.8.8", 0), ("198.51.100.77", 0), ("shop/api", 1), ("10.0.7.7", 1)):
        asked = netpol("explain", source, "shop/web", "8080", "--policies", folder, "--cluster", facing)
        assert asked.code == code, source


def test_few_clients_are_let_in_one_by_one(netpol: Netpol, facing: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    answer = netpol("learn", crowd(tmp_path, 3), "--cluster", facing, "-d", folder)
    assert "only the 3 addresses seen may connect" in answer.err
    assert outside(folder)["granted"] == {"addresses": 3, "nodes": 0, "blocks": None}
    for source, code in (("198.51.100.3", 0), ("198.51.100.4", 1)):
        assert netpol("explain", source, "shop/web", "8080", "--policies", folder, "--cluster", facing).code == code


def test_public_is_for_those_that_are_meant(netpol: Netpol, facing: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert netpol("learn", crowd(tmp_path, 1), "--cluster", facing, "-d", folder, "--public", "shop/web").code == 0
    assert outside(folder)["because"] == "asked"
    answer = netpol("learn", crowd(tmp_path, 1), "--cluster", facing, "--public", "shop/wbe")
    assert answer.code == 2
    assert "shop/wbe" in answer.err


def test_everybody_is_everybody_but_the_threats(netpol: Netpol, facing: Path, tmp_path: Path) -> None:
    threats = tmp_path / "list.txt"
    threats.write_text("198.51.100.7\n")
    folder = tmp_path / "out"
    answer = netpol("learn", crowd(tmp_path), "--cluster", facing, "-d", folder, "--threat-list", threats)
    assert answer.code == 1
    for source, code in (("198.51.100.7", 1), ("198.51.100.8", 0)):
        assert netpol("explain", source, "shop/web", "8080", "--policies", folder, "--cluster", facing).code == code


def test_nodes_that_stand_in_for_clients(netpol: Netpol, tmp_path: Path) -> None:
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(CLUSTER + BALANCER.replace("POLICY", "Cluster"))
    traffic = Traffic()
    traffic.tcp("192.0.2.2", WEB, 8080)
    capture = traffic.write(tmp_path / "masked.pcap")
    answer = netpol("learn", capture, "--cluster", cluster)
    assert answer.code == 0
    assert "of 2 addresses of nodes, only the 1 seen may connect" in answer.err
    assert "192.0.2.2/32" in answer.out
    assert "192.0.2.1/32" not in answer.out
    answer = netpol("learn", capture, "--cluster", cluster, "--public", "shop/web")
    assert "192.0.2.1/32" in answer.out
    assert "0.0.0.0/0" not in answer.out
    assert "is open to all nodes: --public asks for it" in answer.err
