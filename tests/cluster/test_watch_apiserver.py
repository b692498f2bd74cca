"""The watcher against a real API server, where kube-apiserver, etcd and openssl are there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netpol.cluster import watch_kind
from netpol.cluster.access import connect
from netpol.cluster.history_read import history_documents
from netpol.cluster.kinds import KINDS
from netpol.cluster.manifests import load
from netpol.cluster.rights import cluster_rules
from netpol.cluster.watch_stream import Event, EventLines
from tests.cluster.control_plane import MERGE, Cluster, control_plane
from tests.cluster.watching import Proxy, Watched, wait_until, watched

NOT_SERVED = {"ippools", "adminnetworkpolicies", "baselineadminnetworkpolicies", "clusternetworkpolicies"}
NODES = next(kind for kind in KINDS if kind.resource == "nodes")


@pytest.fixture(name="cluster", scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane of its own: it is killed, and its etcd forgets."""
    with control_plane(tmp_path_factory.mktemp("watched")) as cluster:
        cluster.call("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"team": "a"}}})
        cluster.allow("watcher", cluster_rules())
        yield cluster


@pytest.fixture(name="pods")
def _pods(cluster: Cluster) -> Iterator[Pods]:
    pods = Pods(cluster)
    yield pods
    pods.clear()


class Pods:
    """Pods of the namespace shop, as the scheduler, the kubelet and their controllers would write them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.path = "/api/v1/namespaces/shop/pods"
        self.names: set[str] = set()

    def create(self, name: str, ip: str = "", **labels: str) -> None:
        spec = {"containers": [{"name": "c", "image": "x", "env": [{"name": "P", "value": "leak-7f3a"}]}]}
        self.cluster.call(self.path, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        self.names.add(name)
        if ip:
            self.address(name, ip)

    def address(self, name: str, ip: str) -> None:
        self.status(name, {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]})

    def status(self, name: str, status: dict[str, Any]) -> None:
        self.cluster.call(f"{self.path}/{name}/status", {"status": status}, method="PATCH", kind=MERGE)

    def label(self, name: str, **labels: str) -> None:
        self.cluster.call(f"{self.path}/{name}", {"metadata": {"labels": labels}}, method="PATCH", kind=MERGE)

    def delete(self, name: str) -> None:
        self.cluster.call(f"{self.path}/{name}?gracePeriodSeconds=0", method="DELETE")
        self.names.discard(name)

    def clear(self) -> None:
        for name in list(self.names):
            self.delete(name)


def wait_until_followed(seen: Watched) -> None:
    """Waits for each kind: what is not served is asked for again now and then, for a moment."""
    for resource in seen.watcher.status():
        seen.wait_for_state(resource, "not served" if resource in NOT_SERVED else "watching")


def unseen_ends(path: Path) -> set[str]:
    """The names of what was gone when it was heard of."""
    found = [(one.data["metadata"]["name"], one.span) for one in history_documents(path)]
    return {name for name, span in found if span is not None and span.gone and span.seen < span.until}


def test_what_is_made_changed_and_deleted(cluster: Cluster, pods: Pods, tmp_path: Path) -> None:
    pods.create("old", "10.0.0.1", app="old")
    with watched(cluster.kubeconfig("watcher"), tmp_path) as seen:
        assert seen.pods()["old"].ended is None
        pods.create("new", app="new")
        seen.wait_for(lambda found: "new" in found, "made")
        pods.address("new", "10.0.0.2")
        pods.label("new", app="newer")
        seen.wait_for(lambda found: found["new"].labels == {"app": "newer"}, "changed")
        pods.delete("old")
        seen.wait_for(lambda found: found["old"].ended is not None, "deleted")
        pods.create("next", "10.0.0.1")
        seen.wait_for(lambda found: "next" in found and bool(found["next"].addresses), "followed")
        found = seen.pods()
        status = seen.watcher.status()["pods"]
        assert (status.state, status.relists, status.errors, status.refused) == ("watching", 0, 0, 0)
        assert seen.watcher.synced
        wait_until_followed(seen)
        inventory = seen.inventory()
    assert [str(address) for address in found["new"].addresses] == ["10.0.0.2"]
    assert found["old"].ended is not None
    assert found["next"].started is not None
    assert found["old"].ended <= found["next"].started + 10**9  # it is written in whole seconds
    assert inventory.notes["pods whose labels changed between looks"] == 1
    assert "pods that a later look no longer shows" not in inventory.notes
    assert inventory.namespaces["shop"].labels["team"] == "a"
    assert load([tmp_path]).pods == inventory.pods
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"10.0.0.2" in content
    assert b"leak-7f3a" not in content


def test_a_connection_that_breaks_is_taken_up_where_it_was(
    cluster: Cluster, pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_kind, "_FRESH", 0)
    monkeypatch.setattr(watch_kind, "LONGEST_WAIT", 0.5)
    proxy = Proxy(cluster.url)
    try:
        with watched(cluster.kubeconfig("watcher", server=proxy.url), tmp_path) as seen:
            pods.create("stays", "10.0.1.1")
            pods.create("goes", "10.0.1.2")
            pods.create("brief", "10.0.1.9")
            seen.wait_for(lambda found: len(found) >= 3, "made")
            proxy.cut()
            seen.wait_for_state("pods", "retrying")
            pods.delete("goes")
            pods.create("came", "10.0.1.3")
            pods.create("flash", "10.0.1.4")
            pods.delete("flash")
            proxy.mend()
            found = seen.wait_for(lambda found: "flash" in found and found["flash"].ended is not None, "taken up")
            status = seen.watcher.status()["pods"]
            assert (status.relists, seen.history.size().gaps) == (0, 0)
            assert status.errors > 0
            assert {"stays", "goes", "came", "flash", "brief"} <= found.keys()
            monkeypatch.setattr(watch_kind, "_FRESH", 10**18)  # should the watch that catches up end just now
            pods.delete("brief")
            seen.wait_for(lambda found: found["brief"].ended is not None, "live again")
            seen.wait_for_state("pods", "watching")
            # Nobody listened when these two went: they were gone between the cut and the news.
            assert unseen_ends(seen.history.path) == {"goes", "flash"}
    finally:
        proxy.close()


def test_a_server_that_forgot_is_asked_for_everything(
    cluster: Cluster, pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_kind, "LONGEST_WAIT", 0.5)
    pods.create("stays", "10.0.2.1")
    pods.create("goes", "10.0.2.2")
    with watched(cluster.kubeconfig("watcher"), tmp_path):
        pass
    pods.delete("goes")
    pods.create("never-seen", "10.0.2.3")
    pods.delete("never-seen")
    pods.create("came", "10.0.2.4")
    cluster.stop_server(kill=True)
    cluster.start_server()  # its cache of changes starts with what is there now
    cluster.compact()
    with watched(cluster.kubeconfig("watcher"), tmp_path) as seen:
        # What is gone is known at the end of the list, in one step with the gap.
        found = seen.wait_for(lambda found: "came" in found and found["goes"].ended is not None, "listed anew")
        assert seen.watcher.status()["pods"].relists == 1
        size = seen.history.size()
    assert size.gaps == 1
    assert found["goes"].ended is not None
    assert found["stays"].ended is None
    assert "never-seen" not in found


def test_a_server_that_is_killed_and_comes_back(
    cluster: Cluster, pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_kind, "LONGEST_WAIT", 0.5)
    pods.create("before", "10.0.3.1")
    with watched(cluster.kubeconfig("watcher"), tmp_path) as seen:
        cluster.stop_server(kill=True)
        for resource in ("pods", "nodes", "networkpolicies"):
            seen.wait_for_state(resource, "retrying")
        cluster.start_server()
        pods.create("after", "10.0.3.2")
        found = seen.wait_for(lambda found: "after" in found, "back")
        assert found["before"].ended is None
        for resource in ("pods", "nodes", "networkpolicies", "services"):
            seen.wait_for_state(resource, "watching")
        pods.delete("before")
        seen.wait_for(lambda found: found["before"].ended is not None, "watching")


def test_bookmarks_tell_that_nothing_happened(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server sends one each minute, and one 2 s before it ends a watch: for that, watches are short here."""
    bookmarks = threading.Event()

    class Lines(EventLines):
        def feed(self, chunk: bytes) -> Iterator[Event]:
            for event in super().feed(chunk):
                if event.type == "BOOKMARK" and event.item.get("kind") == "Node":
                    bookmarks.set()
                yield event

    monkeypatch.setattr(watch_kind, "EventLines", Lines)
    monkeypatch.setattr(watch_kind, "STREAM_SECONDS", 6)
    with watched(cluster.kubeconfig("watcher"), tmp_path) as seen:
        writer = seen.history.writer
        assert writer is not None
        cluster.call("/api/v1/nodes", {"metadata": {"name": "w1"}})
        wait_until(lambda: seen.watcher.status()["nodes"].events == 1, "a node")
        bookmarks.clear()
        version, before = writer.reached(NODES)
        wait_until(bookmarks.is_set, "a bookmark")
        wait_until(lambda: writer.reached(NODES)[1] != before, "what it says")
        assert seen.watcher.status()["nodes"].events == 1
        assert int(writer.reached(NODES)[0]) >= int(version)


def test_without_rights(cluster: Cluster, tmp_path: Path) -> None:
    with watched(cluster.kubeconfig("guest"), tmp_path, synced=False) as seen:
        for resource in seen.watcher.status():
            seen.wait_for_state(resource, "forbidden")
        assert not seen.watcher.synced
        assert "may not list and watch pods" in seen.watcher.status()["pods"].error


def test_the_rights_are_all_that_it_takes(cluster: Cluster, tmp_path: Path) -> None:
    with watched(cluster.kubeconfig("watcher"), tmp_path) as seen:
        wait_until_followed(seen)
        connection = connect(None, cluster.kubeconfig("watcher"))
        response = connection.open("/api/v1/namespaces/kube-system/configmaps/kube-proxy", (5, 5))
        response.close()
        assert response.status == 404  # it may be read, but is not there
        response = connection.open("/api/v1/secrets", (5, 5))
        response.close()
        assert response.status == 403
