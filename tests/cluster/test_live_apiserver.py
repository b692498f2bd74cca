"""The live reader against a real API server, where kube-apiserver, etcd and openssl are there."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cluster import live
from netpol.cluster.live import LiveReading, load_live
from netpol.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MERGE, JSON = "application/merge-patch+json", "application/json"
START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Cluster:
    """A control plane without controllers, schedulers or nodes: it holds what is put into it."""

    folder: Path
    url: str
    etcd: str

    @property
    def authority(self) -> str:
        return str(self.folder / "certificates" / "apiserver.crt")

    def kubeconfig(self, token: str, *, authority: str = "") -> Path:
        cluster = {"server": self.url, "certificate-authority": authority or self.authority}
        path = self.folder / f"kubeconfig-{token}-{bool(authority)}"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [{"name": "k", "cluster": cluster}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                }
            )
        )
        return path

    def call(self, path: str, body: Any = None, *, method: str = "POST", kind: str = JSON) -> Any:
        context = ssl.create_default_context(cafile=self.authority)
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, method=method)  # noqa: S310  # https to 127.0.0.1
        request.add_header("Authorization", "Bearer admin")
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310
            return json.loads(answer.read())

    def compact(self) -> None:
        """Makes etcd forget everything but the present, so that the pages of lists under way expire."""
        key = base64.b64encode(b"x").decode()
        put = json.dumps({"key": key, "value": key}).encode()
        with urllib.request.urlopen(f"{self.etcd}/v3/kv/put", put, timeout=30) as answer:  # noqa: S310  # loopback
            revision = json.loads(answer.read())["header"]["revision"]
        compaction = json.dumps({"revision": revision, "physical": True}).encode()
        urllib.request.urlopen(f"{self.etcd}/v3/kv/compaction", compaction, timeout=30).close()  # noqa: S310


def find(name: str, variable: str) -> str:
    path = os.environ.get(variable) or shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not on PATH, and {variable} does not name it")
    return path


def wait_until_ready(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    for _ in range(START_SECONDS * 2):
        assert process.poll() is None, (cluster.folder / "apiserver.log").read_text()[-2000:]
        try:
            cluster.call("/api/v1/namespaces/default", method="GET")
            cluster.call("/api/v1/namespaces/default/services/kubernetes", method="GET")
        except (OSError, ssl.SSLError):
            try:
                process.wait(0.5)  # it ends only if it failed
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    pytest.fail(f"the API server was not ready after {START_SECONDS} s")


@pytest.fixture(name="cluster", scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    apiserver, etcd = find("kube-apiserver", "NETPOL_TEST_APISERVER"), find("etcd", "NETPOL_TEST_ETCD")
    openssl = find("openssl", "NETPOL_TEST_OPENSSL")
    folder = tmp_path_factory.mktemp("cluster")
    client, peer, port = free_port(), free_port(), free_port()
    cluster = Cluster(folder, f"https://127.0.0.1:{port}", f"http://127.0.0.1:{client}")
    key = str(folder / "tokens.key")
    subprocess.run([openssl, "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text("admin,admin,1,system:masters\nguest,guest,2\nreader,reader,3\n")
    etcd_command = [
        etcd,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={cluster.etcd}",
        f"--advertise-client-urls={cluster.etcd}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    apiserver_command = [
        apiserver,
        f"--etcd-servers={cluster.etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=192.0.2.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://netpol.test",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
    ]
    with (folder / "etcd.log").open("wb") as etcd_log, (folder / "apiserver.log").open("wb") as log:
        store = subprocess.Popen(etcd_command, stdout=etcd_log, stderr=subprocess.STDOUT)
        server = subprocess.Popen(apiserver_command, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(cluster, server)
            populate(cluster)
            yield cluster
        finally:
            for process in (server, store):
                process.terminate()
            for process in (server, store):
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


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
    get = live._get

    def compacting_get(connection: Any, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/api/v1/pods" and "continue" in query and not statuses:
            cluster.compact()
        status, body = get(connection, path, query)
        if path == "/api/v1/pods" and query.get("continue"):
            statuses.append(status)
        return status, body

    monkeypatch.setattr(live, "_get", compacting_get)
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
