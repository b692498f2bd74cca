"""A watcher that is killed while pods come and go, again and again: what it kept is valid, and in the end whole."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from netpol.cluster.history import History
from netpol.cluster.rights import cluster_rules
from tests.cluster.control_plane import MERGE, Cluster
from tests.cluster.watching import DEADLINE_SECONDS, watched

CHILD = """
import os, sys, threading
from pathlib import Path
from netpol.cluster.access import connect
from netpol.cluster.history import History
from netpol.cluster.watch import Watcher
history = History.open(Path(sys.argv[2]))
tell = lambda status: os.write(1, f"{status.resource} {status.state}\\n".encode())  # one write a line: many threads
Watcher(connect(None, Path(sys.argv[1])), history, threading.Event(), tell).run()
"""
PODS, KILLS = 120, 6


@pytest.fixture(name="cluster")
def _cluster(control_plane: Cluster) -> Iterator[Cluster]:
    control_plane.call("/api/v1/namespaces", {"metadata": {"name": "churn"}})
    control_plane.allow("churner", cluster_rules())
    yield control_plane
    control_plane.call("/api/v1/namespaces/churn/pods?gracePeriodSeconds=0", method="DELETE")


def churn(cluster: Cluster, number: int) -> None:
    """One pod's life: made, given an address, every second one deleted."""
    path = "/api/v1/namespaces/churn/pods"
    name, ip = f"p{number:03d}", f"10.1.{number // 250}.{number % 250 + 1}"
    spec = {"containers": [{"name": "c", "image": "x"}]}
    cluster.call(path, {"metadata": {"name": name, "labels": {"n": str(number)}}, "spec": spec})
    status = {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}
    cluster.call(f"{path}/{name}/status", status, method="PATCH", kind=MERGE)
    if number % 2:
        cluster.call(f"{path}/{name}?gracePeriodSeconds=0", method="DELETE")


def test_nothing_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    chance = random.Random(5)
    kubeconfig, folder = cluster.kubeconfig("churner"), tmp_path / "history"
    lives: list[Future[None]] = []
    with ThreadPoolExecutor(2) as pool:
        for first in range(0, PODS, PODS // KILLS):
            child = subprocess.Popen([sys.executable, "-c", CHILD, kubeconfig, folder], stdout=subprocess.PIPE)
            assert child.stdout is not None
            with child.stdout as told:
                # What came and went before the first list, nobody can know; later, it may only just have begun.
                next(line for line in told if line == b"pods watching\n" or (first and line.startswith(b"pods")))
                lives += [pool.submit(churn, cluster, number) for number in range(first, first + PODS // KILLS)]
                lives[chance.randrange(first, first + PODS // KILLS)].result(timeout=DEADLINE_SECONDS)
                child.kill()
            child.wait()
            with sqlite3.connect(folder / "cluster.sqlite") as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            database.close()
            History.read(folder).inventory()
        for life in lives:
            life.result(timeout=DEADLINE_SECONDS)
    with watched(kubeconfig, folder) as seen:
        seen.wait_for(lambda found: sum(name.startswith("p") for name in found) >= PODS, "the last")
        expected = {f"p{number:03d}": bool(number % 2) for number in range(PODS)}
        found = seen.wait_for(
            lambda found: all(name in found and (found[name].ended is not None) == expected[name] for name in expected),
            "all as they ended",
        )
        rows = seen.history.size().objects["pods"]
        assert rows == sum(pod.ended is None for pod in seen.inventory().pods)
        assert seen.history.size().gaps == 0
    ours = {name: pod for name, pod in found.items() if name in expected}
    assert all(pod.labels == {"n": str(int(name[1:]))} for name, pod in ours.items())
    assert len({address for pod in ours.values() for address in pod.addresses}) == PODS
    assert len([pod for pod in seen.inventory().pods if pod.namespace == "churn"]) == PODS
