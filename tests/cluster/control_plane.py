"""A real control plane for tests: kube-apiserver and etcd, without controllers, schedulers or nodes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

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

    def wait_for(self, path: str) -> None:
        """Waits until a kind that was just defined is served."""
        for _ in range(START_SECONDS * 4):
            try:
                self.call(path, method="GET")
            except urllib.error.HTTPError:
                # Nothing tells when it is: the server's own loop has to come round.
                threading.Event().wait(0.25)
            else:
                return
        pytest.fail(f"{path} is not served")

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


@contextmanager
def control_plane(folder: Path) -> Iterator[Cluster]:
    """A running API server with nothing in it; skips the test where its programs are missing.

    Args:
        folder: For its data, certificates and logs.
    """
    apiserver, etcd = find("kube-apiserver", "NETPOL_TEST_APISERVER"), find("etcd", "NETPOL_TEST_ETCD")
    openssl = find("openssl", "NETPOL_TEST_OPENSSL")
    client, peer, port = free_port(), free_port(), free_port()
    cluster = Cluster(folder, f"https://127.0.0.1:{port}", f"http://127.0.0.1:{client}")
    key = str(folder / "tokens.key")
    subprocess.run([openssl, "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(
        "admin,admin,1,system:masters\nguest,guest,2\nreader,reader,3\nviewer,viewer,4\n"
    )
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
