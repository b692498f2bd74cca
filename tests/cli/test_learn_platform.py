"""`netpol learn` and the platform below the cluster: cloud metadata, kubelets, the API server, node-local DNS."""

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
spec: {nodeName: n1, containers: [{name: web}]}
status: {podIP: 10.0.0.1, hostIP: 192.168.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec: {nodeName: n2, containers: [{name: api, ports: [{containerPort: 80}]}]}
status: {podIP: 10.0.1.2, hostIP: 192.168.0.2, phase: Running}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.168.0.2]}]
ports: [{port: 6443, protocol: TCP}]
"""
WEB, API = "10.0.0.1", "10.0.1.2"


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER)
    return path


def said(folder: Path, topic: str) -> list[dict[str, Any]]:
    found = json.loads((folder / "summary.json").read_text())["statements"]
    return [item for item in found if item["topic"] == topic]


def test_a_pod_that_reads_cloud_metadata_is_a_finding_and_gets_no_rule(
    netpol: Netpol, cluster: Path, tmp_path: Path
) -> None:
    traffic = Traffic()
    traffic.tcp(WEB, API, 80)
    for address in ("169.254.169.254", "100.100.100.200"):
        traffic.tcp(WEB, address, 80)
    capture = traffic.write(tmp_path / "metadata.pcap")
    answer = netpol("learn", capture, "--cluster", cluster, "-d", tmp_path / "out")
    assert answer.code == 0
    findings = said(tmp_path / "out", "metadata")
    assert sorted((item["workload"], item["others"], item["ports"]) for item in findings) == [
        ("shop/web[Pod]", ["100.100.100.200"], ["TCP/80"]),
        ("shop/web[Pod]", ["169.254.169.254"], ["TCP/80"]),
    ]
    assert "--allow-metadata shop/web" in answer.err
    assert "quarantined     2 (cloud-metadata 2)" in answer.err
    policy = (tmp_path / "out" / "shop" / "web.yaml").read_text()
    assert "169.254" not in policy
    assert "100.100" not in policy
    # Beside findings about the same workload, the most important is said first.
    lines = answer.err.splitlines()
    assert "it read cloud metadata" in lines[lines.index("To know before you apply them, 2 in all:") + 1]


def test_where_it_is_meant_it_is_allowed_and_said(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.tcp(WEB, "169.254.169.254", 80)
    traffic.tcp(API, "169.254.169.254", 80)
    capture = traffic.write(tmp_path / "metadata.pcap")
    options = ("--allow-metadata", "shop/web", "-d", tmp_path / "out")
    assert netpol("learn", capture, "--cluster", cluster, *options).code == 0
    assert "169.254.169.254/32" in (tmp_path / "out" / "shop" / "web.yaml").read_text()
    assert not (tmp_path / "out" / "shop" / "api.yaml").exists()
    assert [item["workload"] for item in said(tmp_path / "out", "metadata")] == ["shop/api[Pod]"]
    (peer,) = said(tmp_path / "out", "platform-peer")
    assert peer["workload"] == "shop/web[Pod]"
    assert "cloud metadata" in peer["text"]


def test_earlier_policies_lose_it_once_it_is_no_longer_meant(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.tcp(WEB, API, 80)
    traffic.tcp(WEB, "169.254.169.254", 80)
    capture, folder = traffic.write(tmp_path / "metadata.pcap"), tmp_path / "out"
    command = ("learn", capture, "--cluster", cluster, "-d", folder)
    assert netpol(*command, "--allow-metadata", "shop/web").code == 0
    assert netpol(*command, "--existing", folder, "--allow-metadata", "shop/web").code == 0
    assert "169.254.169.254/32" in (folder / "shop" / "web.yaml").read_text()
    assert netpol(*command, "--existing", folder).code == 0
    assert "169.254.169.254/32" not in (folder / "shop" / "web.yaml").read_text()


def test_an_attempt_that_failed_keeps_its_reason(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.tcp(WEB, API, 80)
    traffic.tcp(WEB, "169.254.169.254", 80, answer="refuse")
    capture = traffic.write(tmp_path / "refused.pcap")
    netpol("learn", capture, "--cluster", cluster, "-d", tmp_path / "out")
    assert said(tmp_path / "out", "metadata") == []


@pytest.mark.parametrize("port", [10250, 10255])
def test_a_pod_that_speaks_to_a_kubelet_is_a_finding_and_gets_no_rule(
    netpol: Netpol, cluster: Path, tmp_path: Path, port: int
) -> None:
    traffic = Traffic()
    traffic.tcp(WEB, API, 80)
    traffic.tcp(WEB, "192.168.0.2", port)
    traffic.tcp(WEB, "192.168.0.1", port)
    traffic.tcp(WEB, "192.168.0.2", 9100)
    capture = traffic.write(tmp_path / "kubelet.pcap")
    answer = netpol("learn", capture, "--cluster", cluster, "-d", tmp_path / "out")
    assert answer.code == 0
    findings = said(tmp_path / "out", "kubelet")
    assert [item["others"] for item in findings] == [["node/n1/192.168.0.1"], ["node/n2/192.168.0.2"]]
    assert "own node" in findings[0]["text"]
    assert "no rule allows it" in findings[1]["text"]
    policy = (tmp_path / "out" / "shop" / "web.yaml").read_text()
    assert f"port: {port}" not in policy
    # The same node's other ports are what they were.
    assert "port: 9100" in policy


def test_the_api_server_and_node_local_dns_are_named(netpol: Netpol, cluster: Path, tmp_path: Path) -> None:
    traffic = Traffic()
    traffic.tcp(WEB, "192.168.0.2", 6443)
    traffic.udp(WEB, "169.254.20.10", 53)
    capture = traffic.write(tmp_path / "platform.pcap")
    answer = netpol("learn", capture, "--cluster", cluster, "-d", tmp_path / "out")
    assert answer.code == 0
    assert [item["text"] for item in said(tmp_path / "out", "platform-peer")] == [
        "TCP/6443 to node/n2/192.168.0.2: API server",
        "UDP/53 to 169.254.20.10: node-local DNS",
    ]
    assert said(tmp_path / "out", "node-peer") == []
    policy = (tmp_path / "out" / "shop" / "web.yaml").read_text()
    assert "192.168.0.2/32" in policy
    assert "169.254.20.10/32" in policy


@pytest.mark.parametrize("text", ["web", "shop/web/1", "shop/nobody", "shop/web[Deployment]", "[]"])
def test_a_workload_that_is_not_there_is_refused(netpol: Netpol, cluster: Path, tmp_path: Path, text: str) -> None:
    traffic = Traffic()
    traffic.tcp(WEB, API, 80)
    capture = traffic.write(tmp_path / "one.pcap")
    answer = netpol("learn", capture, "--cluster", cluster, "--allow-metadata", text)
    assert answer.code == 2
    assert "workload" in answer.err
    assert "Traceback" not in answer.err
