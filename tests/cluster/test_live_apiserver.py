"""The live reader against a real API server, where kube-apiserver, etcd and openssl are there."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cluster import asking, live
from netpol.cluster.live import LiveReading, load_live
from netpol.errors import ClusterError
from tests.cluster.control_plane import MERGE, Cluster

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="cluster", scope="module")
def _cluster(control_plane: Cluster) -> Cluster:
    populate(control_plane)
    return control_plane


def populate(cluster: Cluster) -> None:
    cluster.call("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"team": "a"}}})
    cluster.call(
        "/api/v1/nodes",
        {"metadata": {"name": "w1"}, "spec": {"podCIDRs": ["10.244.1.0/24"], "podCIDR": "10.244.1.0/24"}},
    )
    address = {"status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}]}}
    cluster.call("/api/v1/nodes/w1/status", address, method="PATCH", kind=MERGE)
    labels = {"app": "web"}
    container = {"name": "c", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}
    spec = {"containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    selector = {"matchLabels": labels}
    deployment = {"metadata": {"name": "web"}, "spec": {"selector": selector, "template": template}}
    made = cluster.call("/apis/apps/v1/namespaces/shop/deployments", deployment)
    hashed = {**labels, "pod-template-hash": "5d4f"}
    replica_set = {
        "metadata": {"name": "web-5d4f", "labels": hashed, "ownerReferences": [owner("Deployment", made)]},
        "spec": {"selector": {"matchLabels": hashed}, "template": {"metadata": {"labels": hashed}, "spec": spec}},
    }
    made = cluster.call("/apis/apps/v1/namespaces/shop/replicasets", replica_set)
    for number in range(12):
        name = f"web-5d4f-{number:02d}"
        metadata = {"name": name, "labels": hashed, "ownerReferences": [owner("ReplicaSet", made)]}
        cluster.call("/api/v1/namespaces/shop/pods", {"metadata": metadata, "spec": {**spec, "nodeName": "w1"}})
        ip = f"10.244.1.{number + 10}"
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "192.168.0.1"}
        path = f"/api/v1/namespaces/shop/pods/{name}/status"
        cluster.call(path, {"status": {**status, "startTime": "2026-01-01T12:00:00Z"}}, method="PATCH", kind=MERGE)
    ports = [{"name": "web", "port": 80, "targetPort": "http"}]
    cluster.call(
        "/api/v1/namespaces/shop/services",
        {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.80", "selector": labels, "ports": ports}},
    )
    cluster.call(
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
        {
            "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "web", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.244.1.10"], "targetRef": {"kind": "Pod", "name": "web-5d4f-00", "namespace": "shop"}}
            ],
        },
    )
    rules = [
        {"apiGroups": ["", "apps"], "resources": ["pods", "services", "replicasets", "deployments"], "verbs": ["list"]}
    ]
    cluster.call("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "some"}, "rules": rules})
    binding = {
        "metadata": {"name": "some"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "some"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}],
    }
    cluster.call("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)


def owner(kind: str, made: Any) -> dict[str, Any]:
    metadata = made["metadata"]
    return {"apiVersion": "apps/v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"], "controller": True}


def test_a_cluster_is_read_in_pages(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAGE", 5)
    reading = LiveReading()
    inventory = load_live(kubeconfig=cluster.kubeconfig("admin"), reading=reading)
    assert reading.warnings == []
    assert [(pod.name, str(pod.addresses[0])) for pod in inventory.pods] == [
        (f"web-5d4f-{number:02d}", f"10.244.1.{number + 10}") for number in range(12)
    ]
    assert {str(pod.workload) for pod in inventory.pods} == {"shop/web[Deployment]"}
    assert [str(ref) for ref in inventory.workloads] == ["shop/web[Deployment]"]
    assert inventory.namespaces["shop"].labels == {"team": "a", "kubernetes.io/metadata.name": "shop"}
    assert [(node.name, node.pod_cidrs) for node in inventory.nodes] == [("w1", ("10.244.1.0/24",))]
    kubernetes, web = inventory.services
    assert (kubernetes.namespace, kubernetes.name, str(kubernetes.addresses[0])) == (
        "default",
        "kubernetes",
        "10.96.0.1",
    )
    assert [endpoint.pod for endpoint in web.endpoints] == ["shop/web-5d4f-00"]
    assert web.ports[0].target == "http"


def test_pages_that_the_server_has_forgotten(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAGE", 5)
    statuses: list[int] = []
    get = asking.ask

    def compacting_get(connection: Any, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/api/v1/pods" and "continue" in query and not statuses:
            cluster.compact()
        status, body = get(connection, path, query)
        if path == "/api/v1/pods" and query.get("continue"):
            statuses.append(status)
        return status, body

    monkeypatch.setattr(live, "ask", compacting_get)
    assert len(load_live(kubeconfig=cluster.kubeconfig("admin")).pods) == 12
    assert statuses == [410]


def test_one_namespace(cluster: Cluster) -> None:
    inventory = load_live(kubeconfig=cluster.kubeconfig("admin"), namespace="default")
    assert (inventory.pods, [service.name for service in inventory.services]) == ((), ["kubernetes"])


def test_what_may_not_be_listed(cluster: Cluster) -> None:
    reading = LiveReading()
    inventory = load_live(kubeconfig=cluster.kubeconfig("reader"), reading=reading)
    assert len(inventory.pods) == 12
    assert {"namespaces", "nodes", "endpointslices", "cronjobs"} <= set(reading.missed)
    with pytest.raises(ClusterError, match="may not list pods"):
        load_live(kubeconfig=cluster.kubeconfig("guest"))


def test_wrong_token_and_untrusted_certificate(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="does not accept the credentials"):
        load_live(kubeconfig=cluster.kubeconfig("nobody"))
    other = tmp_path / "other.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "1"]
    subprocess.run(
        [*command, "-keyout", str(tmp_path / "other.key"), "-out", str(other)], check=True, capture_output=True
    )
    with pytest.raises(ClusterError, match="no trusted connection"):
        load_live(kubeconfig=cluster.kubeconfig("admin", authority=str(other)))
