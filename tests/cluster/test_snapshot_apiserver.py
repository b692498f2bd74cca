"""Snapshots of a real API server, where kube-apiserver, etcd and openssl are there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.cluster.documents import documents_in
from netpol.cluster.live import LiveReading, read_live_documents
from netpol.cluster.manifests import inventory_of
from netpol.cluster.snapshot import snapshot_objects, snapshot_text
from netpol.dialects.read import read_policies
from tests.cluster.control_plane import MERGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netpol.cluster.documents import Document
    from tests.cluster.control_plane import Cluster

MARK = "leak-5b91"
SYSTEM = "kube-system"


def metadata(name: str) -> dict[str, Any]:
    return {"name": name, "annotations": {"example.com/token": MARK}}


@pytest.fixture(name="cluster", scope="module")
def _cluster(control_plane: Cluster) -> Iterator[Cluster]:
    """One with secrets in every place that people put them."""
    made: list[str] = []

    def create(path: str, body: dict[str, Any]) -> None:
        control_plane.call(path, body)
        made.append(f"{path}/{body['metadata']['name']}?gracePeriodSeconds=0&propagationPolicy=Background")

    control_plane.call("/api/v1/namespaces", {"metadata": metadata("vault")})
    populate(control_plane, create)
    yield control_plane
    for path in made:  # other tests count what is there
        control_plane.call(path, method="DELETE")


def populate(cluster: Cluster, call: Callable[[str, dict[str, Any]], None]) -> None:
    labels = {"app": "vault"}
    container = {
        "name": "c",
        "image": f"registry/{MARK}",
        "command": ["serve", f"--password={MARK}"],
        "env": [{"name": "PASSWORD", "value": MARK}],
        "envFrom": [{"secretRef": {"name": MARK}}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "volumeMounts": [{"name": "v", "mountPath": f"/{MARK}"}],
    }
    volumes = [{"name": "v", "secret": {"secretName": MARK}}]
    spec = {"containers": [container], "volumes": volumes, "imagePullSecrets": [{"name": MARK}]}
    template = {"metadata": {"labels": labels, "annotations": {"example.com/token": MARK}}, "spec": spec}
    selecting = {"selector": {"matchLabels": labels}, "template": template}
    apps = "/apis/apps/v1/namespaces/vault"
    call(f"{apps}/deployments", {"metadata": metadata("vault"), "spec": selecting})
    call(f"{apps}/statefulsets", {"metadata": metadata("vault-db"), "spec": {**selecting, "serviceName": "vault"}})
    call(f"{apps}/daemonsets", {"metadata": metadata("vault-agent"), "spec": selecting})
    run = {"template": {**template, "spec": {**spec, "restartPolicy": "Never"}}}
    call("/apis/batch/v1/namespaces/vault/jobs", {"metadata": metadata("vault-once"), "spec": run})
    cron = {"schedule": "0 0 * * *", "jobTemplate": {"spec": run}}
    call("/apis/batch/v1/namespaces/vault/cronjobs", {"metadata": metadata("vault-nightly"), "spec": cron})
    call("/api/v1/namespaces/vault/pods", {"metadata": {**metadata("vault-0"), "labels": labels}, "spec": spec})
    status = {"podIP": "10.244.9.9", "podIPs": [{"ip": "10.244.9.9"}], "phase": "Running", "message": MARK}
    cluster.call("/api/v1/namespaces/vault/pods/vault-0/status", {"status": status}, method="PATCH", kind=MERGE)
    call("/api/v1/namespaces/vault/secrets", {"metadata": metadata("s"), "stringData": {"token": MARK}})
    call("/api/v1/namespaces/vault/configmaps", {"metadata": metadata("kube-proxy"), "data": {"config.conf": MARK}})
    ports = [{"name": "web", "port": 80, "targetPort": "http"}]
    service = {"selector": labels, "ports": ports}
    call("/api/v1/namespaces/vault/services", {"metadata": metadata("vault"), "spec": service})
    backend = {"service": {"name": "vault", "port": {"number": 80}}}
    paths = [{"path": f"/{MARK}", "pathType": "Prefix", "backend": backend}]
    ingress = {"rules": [{"http": {"paths": paths}}], "tls": [{"secretName": MARK}]}
    call("/apis/networking.k8s.io/v1/namespaces/vault/ingresses", {"metadata": metadata("vault"), "spec": ingress})
    block = {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.8/30"]}}
    rules = [{"from": [block, {"podSelector": {}}], "ports": [{"port": "http"}, {"port": 1, "endPort": 9}]}]
    policy = {"podSelector": {"matchLabels": labels}, "ingress": rules}
    call("/apis/networking.k8s.io/v1/namespaces/vault/networkpolicies", {"metadata": metadata("p"), "spec": policy})
    flags = ["kube-controller-manager", "--cluster-cidr=10.244.0.0/16", f"--token={MARK}"]
    manager = {"containers": [{**container, "command": flags}]}
    bare = {**manager, "containers": [{**manager["containers"][0], "volumeMounts": []}]}
    call(f"/api/v1/namespaces/{SYSTEM}/pods", {"metadata": metadata("kube-controller-manager-a"), "spec": bare})
    kubeadm = f"networking: {{serviceSubnet: 10.96.0.0/16}}\netcd: {{external: {{keyFile: {MARK}}}}}\n"
    config = {"metadata": metadata("kubeadm-config"), "data": {"ClusterConfiguration": kubeadm}}
    call(f"/api/v1/namespaces/{SYSTEM}/configmaps", config)


def taken(cluster: Cluster, namespace: str | None = None) -> tuple[list[Document], LiveReading, str]:
    reading = LiveReading()
    kubeconfig = cluster.kubeconfig("admin")
    found = list(read_live_documents(kubeconfig=kubeconfig, namespace=namespace, reading=reading, policies=True))
    return found, reading, "".join(snapshot_text(snapshot_objects(found), reading.taken, reading.scope))


@pytest.mark.parametrize("namespace", [None, "vault"])
def test_it_reads_as_the_cluster_and_leaks_nothing(cluster: Cluster, namespace: str | None) -> None:
    live, reading, text = taken(cluster, namespace)
    assert MARK in json.dumps([document.data for document in live])
    assert MARK not in text
    assert (reading.warnings, reading.scope) == ([], namespace or "*")
    written = list(documents_in("snapshot", text.encode(), named=True))
    assert inventory_of(written) == inventory_of(live)
    assert {(one.taken, one.scope) for one in written} == {(reading.taken, reading.scope)}
    before, after = ({str(one): one for one in read_policies(found).everything} for found in (live, written))
    assert "vault/p" in after
    assert after == {name: replace(policy, annotations={}) for name, policy in before.items()}
    assert "".join(snapshot_text(snapshot_objects(written), reading.taken, reading.scope)) == text


def test_the_rights_in_the_readme_are_all_that_it_takes(cluster: Cluster) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n([^`]*?name: netpol-snapshot[^`]*)```", readme)
    role = yaml.safe_load(text)
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    cluster.call(f"{rbac}/clusterroles", role)
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]}
    binding = {"metadata": {"name": "snapshot"}, "roleRef": reference, "subjects": [user]}
    cluster.call(f"{rbac}/clusterrolebindings", binding)
    try:
        reading = LiveReading()
        kubeconfig = cluster.kubeconfig("viewer")
        found = list(read_live_documents(kubeconfig=kubeconfig, reading=reading, policies=True))
    finally:
        cluster.call(f"{rbac}/clusterrolebindings/snapshot", method="DELETE")
        cluster.call(f"{rbac}/clusterroles/{role['metadata']['name']}", method="DELETE")
    assert (reading.warnings, reading.scope) == ([], "*")
    assert "ConfigMap" in {document.data["kind"] for document in found}


def test_the_server_takes_back_what_was_kept_of_policies(cluster: Cluster) -> None:
    """A policy in a snapshot is a whole one: it can be applied."""
    objects = snapshot_objects(taken(cluster, "vault")[0])
    (policy,) = [one for one in objects if one["kind"] == "NetworkPolicy"]
    path = "/apis/networking.k8s.io/v1/namespaces/vault/networkpolicies"
    copied = {**policy, "metadata": {"name": "copied"}}
    made = cluster.call(f"{path}?dryRun=All", copied)
    original = cluster.call(f"{path}/p", method="GET")
    assert made["spec"] == original["spec"]
