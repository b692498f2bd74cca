"""The watcher as a whole, where no real API server is needed to tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netpol.cluster import watch_kind
from netpol.cluster.access import connect
from netpol.cluster.history import History
from netpol.cluster.watch import WATCHED, Watcher
from netpol.cluster.watch_kind import KindWatch
from tests.cluster.watch_server import Server, a_list, pod
from tests.cluster.watching import DEADLINE_SECONDS, wait_until, watched

if TYPE_CHECKING:
    from netpol.cluster.watch_status import KindStatus


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.lists, server.watches = [(200, a_list())], [(200, b"")]
    yield server
    server.close()


def test_every_kind_is_followed_and_told_of(server: Server, tmp_path: Path) -> None:
    told: list[KindStatus] = []
    stop = threading.Event()
    with closing(History.open(tmp_path / "h")) as history:
        watcher = Watcher(connect(None, server.kubeconfig), history, stop, told.append)
        assert not watcher.synced
        thread = threading.Thread(target=watcher.run)
        thread.start()
        wait_until(lambda: watcher.synced, "synced", watcher.status)
        wait_until(lambda: {one.state for one in watcher.status().values()} == {"watching"}, "all", watcher.status)
        stop.set()
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()
    assert {one.resource for one in told} == watcher.status().keys() == {kind.resource for kind in WATCHED}


def test_the_few_config_maps_tell_the_ranges(server: Server, tmp_path: Path) -> None:
    metadata = {"name": "kube-proxy", "namespace": "kube-system", "uid": "c"}
    config = {"metadata": metadata, "data": {"config.conf": "clusterCIDR: 10.0.0.0/8\n"}}
    server.objects["/api/v1/namespaces/kube-system/configmaps/kube-proxy"] = json.dumps(config).encode()
    with watched(server.kubeconfig, tmp_path / "h") as seen:
        wait_until(lambda: seen.inventory().pod_cidrs == ("10.0.0.0/8",), "the pods' range")
        assert seen.watcher.trouble == ""


def test_a_config_map_that_is_none_is_told(server: Server, tmp_path: Path) -> None:
    server.objects["/api/v1/namespaces/kube-system/configmaps/kube-proxy"] = b"[]"
    with watched(server.kubeconfig, tmp_path / "h") as seen:
        wait_until(lambda: "is no object" in seen.watcher.trouble, "told")


def test_a_defect_ends_it(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: KindWatch) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(KindWatch, "_follow", broken)
    with closing(History.open(tmp_path / "h")) as history:
        watcher = Watcher(connect(None, server.kubeconfig), history, threading.Event())
        with pytest.raises(RuntimeError, match="a defect"):
            watcher.run()


def test_a_history_to_read_cannot_be_kept_up_to_date(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="opened to be read"):
        Watcher(connect(None, server.kubeconfig), History.read(tmp_path), threading.Event())


def test_what_was_listed_is_there_after_a_restart(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_kind, "_FRESH", 10**18)  # however long the restart takes here, it is a short one
    server.lists = [(200, a_list(pod("a")))]
    with watched(server.kubeconfig, tmp_path / "h"):
        pass
    asked = len(server.asked)
    with watched(server.kubeconfig, tmp_path / "h") as seen:
        assert "a" in seen.pods()
    assert all("watch" in query or not query for query in server.asked[asked:])  # nothing is listed twice
