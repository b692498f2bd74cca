"""A real control plane for tests: kube-apiserver and etcd, without controllers, schedulers or nodes.

It makes service-account tokens (`Cluster.token`) and reviews them; no controller makes the accounts themselves.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

MERGE, JSON = "application/merge-patch+json", "application/json"
START_SECONDS = 120


def free_port() -> int:
    """A port for a server that cannot say which one it found.

    It is below those that systems lend to clients (Linux from 32768 on, others from 49152 on): until the server binds
    it, and while it is restarted, any connection of this machine could be given one of them.
    """
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            return port


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Has this thread open its sockets in a network namespace of `ip netns`; in its own where there is no name."""
    if not namespace:
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
    with Path("/proc/thread-self/ns/net").open() as before, Path(f"/run/netns/{namespace}").open() as there:
        assert library.setns(there.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert library.setns(before.fileno(), 0) == 0, os.strerror(ctypes.get_errno())


@dataclass
class Cluster:
    """A control plane without controllers, schedulers or nodes: it holds what is put into it."""

    folder: Path
    url: str
    etcd: str
    command: list[str]
    server: subprocess.Popen[bytes] | None = None
    namespace: str = ""

    def start_server(self) -> None:
        """Starts the API server, which knows what etcd holds, and waits until it serves."""
        with (self.folder / "apiserver.log").open("ab") as log:
            self.server = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)
        wait_until_ready(self, self.server)

    def stop_server(self, *, kill: bool = False) -> None:
        """Ends the API server, and waits until it is gone."""
        if self.server is not None:
            stop(self.server, kill=kill)
            self.server = None

    @property
    def authority(self) -> str:
        return str(self.folder / "certificates" / "apiserver.crt")

    def kubeconfig(self, token: str, *, authority: str = "", server: str = "") -> Path:
        """A kubeconfig for a token of `tokens.csv`, or of an account.

        Args:
            token: The token.
            authority: The certificate that is trusted, by default the server's own.
            server: Where to reach it, by default directly.
        """
        cluster = {"server": server or self.url, "certificate-authority": authority or self.authority}
        name = hashlib.sha256(f"{token} {authority} {server}".encode()).hexdigest()[:16]
        path = self.folder / f"kubeconfig-{name}"
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
        with inside(self.namespace), urllib.request.urlopen(request, timeout=START_SECONDS, context=context) as answer:  # noqa: S310
            return json.loads(answer.read())

    def token(self, namespace: str, account: str, audiences: list[str], *, pod: Any = None, seconds: int = 3600) -> str:
        """A projected token of a service account that exists, as the kubelet asks for one (TokenRequest).

        Args:
            namespace: Of the account.
            account: Its name.
            audiences: For whom it is meant.
            pod: The pod, as the server returned it, to bind it to.
            seconds: Until it expires, 600 at least.
        """
        spec: dict[str, Any] = {"audiences": audiences, "expirationSeconds": seconds}
        if pod is not None:
            metadata = pod["metadata"]
            bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
            spec["boundObjectRef"] = bound
        made = self.call(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {"spec": spec})
        return str(made["status"]["token"])

    def allow(self, user: str, rules: list[dict[str, Any]]) -> None:
        """Gives a user of `tokens.csv`, or an account by its full name, rights in the whole cluster; once a user."""
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        name = user.replace(":", "-")
        self.call(f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": rules})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        self.call(f"{rbac}/clusterrolebindings", binding)

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
        with urllib.request.urlopen(f"{self.etcd}/v3/kv/put", put, timeout=START_SECONDS) as answer:  # noqa: S310  # loopback
            revision = json.loads(answer.read())["header"]["revision"]
        compaction = json.dumps({"revision": revision, "physical": True}).encode()
        urllib.request.urlopen(f"{self.etcd}/v3/kv/compaction", compaction, timeout=START_SECONDS).close()  # noqa: S310


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
def control_plane(folder: Path, *, namespace: str = "", address: str = "") -> Iterator[Cluster]:
    """A running API server with nothing in it; skips the test where its programs are missing.

    Args:
        folder: For its data, certificates and logs.
        namespace: The network namespace that it runs in, if not the test's own.
        address: The one at which it serves there; without it on the loopback interface.
    """
    apiserver, etcd = find("kube-apiserver", "NETPOL_TEST_APISERVER"), find("etcd", "NETPOL_TEST_ETCD")
    openssl = find("openssl", "NETPOL_TEST_OPENSSL")
    client, peer, port = free_port(), free_port(), free_port()
    store_url = f"http://127.0.0.1:{client}"
    within = ["ip", "netns", "exec", namespace] if namespace else []
    key = str(folder / "tokens.key")
    subprocess.run([openssl, "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(
        "admin,admin,1,system:masters\nguest,guest,2\nreader,reader,3\nviewer,viewer,4\nwatcher,watcher,5\nchurner,churner,6\nreviewer,reviewer,7\n"
    )
    etcd_command = [
        *within,
        etcd,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={store_url}",
        f"--advertise-client-urls={store_url}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    apiserver_command = [
        *within,
        apiserver,
        f"--etcd-servers={store_url}",
        f"--bind-address={address or '127.0.0.1'}",
        f"--advertise-address={address or '192.0.2.1'}",
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
    url = f"https://{address or '127.0.0.1'}:{port}"
    cluster = Cluster(folder, url, store_url, apiserver_command, namespace=namespace)
    with (folder / "etcd.log").open("wb") as log:
        store = subprocess.Popen(etcd_command, stdout=log, stderr=subprocess.STDOUT)
    try:
        cluster.start_server()
        yield cluster
    finally:
        # By force: in good order it waits for a dozen seconds for watches to end, and there is nothing to be kept.
        cluster.stop_server(kill=True)
        stop(store, kill=True)


def stop(process: subprocess.Popen[bytes], *, kill: bool = False) -> None:
    """Ends a process; by force at once, or where it takes too long."""
    if kill:
        process.kill()
    else:
        process.terminate()
    try:
        process.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
