"""A hub beside a real API server: tokens of service accounts, the cluster's history, and readers that come through it.

All of it is in a network namespace: the API server leads to no Service on loopback, so the hub has another address.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from netpol.agent.hub.callers import AUDIENCE
from netpol.cluster.rights import hub_rules
from tests.agent.hub import processes
from tests.agent.hub.test_tls import certificate
from tests.agent.hub.windows import body, this_minute
from tests.cluster.control_plane import MERGE, Cluster, control_plane
from tests.cluster.watching import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agent.hub.processes import Hub

ADDRESS = "198.51.100.7"
NEW_NETWORK = 0x40000000
ACCOUNTS = "/api/v1/namespaces/netpol/serviceaccounts"
pytestmark = pytest.mark.namespaces


@contextmanager
def own_network() -> Iterator[None]:
    """A network of this thread's own, which what it starts has too."""
    library = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if library.unshare(NEW_NETWORK):
            pytest.skip("needs the right to make a network namespace")
        for words in (["link", "set", "lo", "up"], ["address", "add", f"{ADDRESS}/32", "dev", "lo"]):
            subprocess.run(["ip", *words], check=True)
        yield
    finally:
        library.setns(before, NEW_NETWORK)
        os.close(before)


@pytest.fixture(name="cluster", scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with own_network(), control_plane(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.call("/api/v1/namespaces", {"metadata": {"name": "netpol"}})
        for name in ("netpol-agent", "netpol-hub", "netpol-reader", "stranger"):
            cluster.call(ACCOUNTS, {"metadata": {"name": name}})
        cluster.allow("system:serviceaccount:netpol:netpol-hub", hub_rules())
        yield cluster


def pod(cluster: Cluster, name: str, account: str, address: str) -> Any:
    """A pod that runs on node w1."""
    spec = {"containers": [{"name": "c", "image": "x"}], "nodeName": "w1", "serviceAccountName": account}
    made = cluster.call("/api/v1/namespaces/netpol/pods", {"metadata": {"name": name}, "spec": spec})
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "192.0.2.1"}
    path = f"/api/v1/namespaces/netpol/pods/{name}/status"
    cluster.call(path, {"status": {**status, "startTime": "2026-01-01T12:00:00Z"}}, method="PATCH", kind=MERGE)
    return made


@pytest.fixture(name="agent", scope="module")
def _agent(cluster: Cluster) -> Any:
    """A pod that records on a node."""
    for name in ("w1", "w9"):
        cluster.call("/api/v1/nodes", {"metadata": {"name": name}})
    return pod(cluster, "agent-1", "netpol-agent", "10.0.1.0")


@pytest.fixture(name="hub", scope="module")
def _hub(cluster: Cluster, agent: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    assert agent
    folder = tmp_path_factory.mktemp("hub")
    chain, key = certificate(folder / "tls", address=ADDRESS)
    kubeconfig = cluster.kubeconfig(cluster.token("netpol", "netpol-hub", ["https://netpol.test"]))
    words = ["--listen", f"{ADDRESS}:0", "--tls-cert", str(chain), "--tls-key", str(key), "--watch"]
    words += ["--kubeconfig", str(kubeconfig), "--batch-seconds", "1"]
    words += ["--writer", "netpol/netpol-agent", "--reader", "netpol/netpol-reader"]
    with processes.hub(folder / "data", *words, authority=chain) as hub:
        port = int(hub.url.rpartition(":")[2])
        cluster.call(
            "/api/v1/namespaces/netpol/services",
            {
                "metadata": {"name": "netpol-hub"},
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}], "clusterIP": "None"},
            },
        )
        # The API server leads to addresses of pods only.
        made = pod(cluster, "hub-1", "netpol-hub", ADDRESS)
        target = {"kind": "Pod", "name": "hub-1", "namespace": "netpol", "uid": made["metadata"]["uid"]}
        address = {"ip": ADDRESS, "targetRef": target}
        subsets = [{"addresses": [address], "ports": [{"name": "https", "port": port}]}]
        cluster.call("/api/v1/namespaces/netpol/endpoints", {"metadata": {"name": "netpol-hub"}, "subsets": subsets})
        yield hub


def token(cluster: Cluster, name: str, *audiences: str, pod: Any = None) -> str:
    return cluster.token("netpol", name, [*audiences] or [AUDIENCE], pod=pod)


def test_the_hub_is_ready_when_it_knows_the_cluster(hub: Hub) -> None:
    wait_until(lambda: hub.get("/readyz", "").status == 200, "ready", lambda: hub.lines)
    assert hub.get("/readyz", "").json["cluster"] is True


def test_agents_send_what_their_own_node_saw(cluster: Cluster, hub: Hub, agent: Any) -> None:
    mine = token(cluster, "netpol-agent", pod=agent)
    assert hub.send(*body(observer="w1", connections=9), mine).json == {"stored": True}
    answer = hub.send(*body(observer="w2", run="e" * 32), mine)
    assert (answer.status, answer.json) == (403, {"error": "the window of node w2, sent with the token of node w1"})
    # A token that is bound to no pod tells no node: nothing can be held against it.
    assert hub.send(*body(observer="w3", run="f" * 32), token(cluster, "netpol-agent")).status == 200


def test_nobody_else_is_let_in(cluster: Cluster, hub: Hub, agent: Any) -> None:
    window = body(observer="w1", run="a" * 32)
    for given, status in (
        (token(cluster, "stranger"), 403),
        (token(cluster, "netpol-reader"), 403),
        (token(cluster, "netpol-agent", "https://netpol.test", pod=agent), 401),
        (token(cluster, "netpol-agent", "other", pod=agent), 401),
        (f"{token(cluster, 'netpol-agent', pod=agent)}x", 401),
        ("admin", 401),
    ):
        assert hub.send(*window, given).status == status
    assert hub.get("/v1/status", token(cluster, "netpol-reader")).status == 200
    assert hub.get("/v1/status", token(cluster, "netpol-agent", pod=agent)).status == 403
    assert hub.get("/v1/status", "admin").status == 401


def run(cluster: Cluster, user: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of a user of the API server."""
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig(user)), **environment}
    command = [sys.executable, "-m", "netpol", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_hub_behind_the_api_server_brings_its_own_history(cluster: Cluster, hub: Hub, agent: Any) -> None:
    mine = token(cluster, "netpol-agent", pod=agent)
    window = body(observer="w1", run="b" * 32, begin=this_minute(), connections=5)
    assert hub.send(*window, mine).status == 200
    hub.get("/readyz", "")
    reader = token(cluster, "netpol-reader")
    wait_until(lambda: hub.get("/v1/status", reader).json["waiting"]["windows"] == 0, "kept", lambda: hub.lines)
    wait_until(lambda: hub.get("/readyz", "").status == 200, "ready", lambda: hub.lines)
    # Who may create tokens for the reader's account needs no other.
    found = run(cluster, "admin", "flows", "hub://", "-o", "json")
    assert found.returncode == 0, found.stderr
    ends = {(each["source"], each["destination"]) for each in map(json.loads, found.stdout.splitlines())}
    # 10.0.1.0 is the agent's pod, as the hub saw it in the cluster; nobody was asked anything but the hub.
    assert {source for source, _ in ends} == {"netpol/agent-1[Pod]"}
    # The hub's folder reads the same: its history lies in it.
    folder = str(hub.folder)
    assert run(cluster, "guest", "flows", folder, "-o", "json").stdout == found.stdout
    status = json.loads(run(cluster, "admin", "status", "-o", "json").stdout)
    assert {node["node"] for node in status["nodes"]} >= {"w1"}
    assert status["unheard"] == ["w9"]
    gate = run(cluster, "admin", "status", "--fail-on", "lag=9h")
    assert (gate.returncode, gate.stderr.count("w9: never heard of")) == (1, 1)
    assert gate.stdout.splitlines()[-1].split()[:4] == ["w9", "0", "0", "never"]
    assert status["cluster"]["synced"] is True


def test_who_may_not(cluster: Cluster, hub: Hub) -> None:
    assert hub.process.poll() is None
    reader = token(cluster, "netpol-reader")
    for user, place, given, says in (
        ("guest", "hub://", "", "you may not create it"),
        ("admin", "hub:///default/netpol-hub", "", "there is no such service account"),
        # A token of the hub alone does not open the way to it.
        ("guest", "hub://", reader, "the API server says: "),
        ("admin", "hub:///netpol/other", reader, "the API server says: "),
        ("admin", "hub://", "y" * 40, "it does not know the token"),
        # The credentials for the API server are never the hub's token.
        ("admin", "hub://", token(cluster, "netpol-agent"), "the token is not for readers"),
    ):
        found = run(cluster, user, "flows", place, NETPOL_HUB_TOKEN=given)
        assert says in found.stderr
        assert found.returncode == 3
        assert "Traceback" not in found.stderr
