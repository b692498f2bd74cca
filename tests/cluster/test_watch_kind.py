"""One kind's watch against a server that does what servers do on bad days."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netpol.cluster import watch_kind
from netpol.cluster.access import connect
from netpol.cluster.history import History
from netpol.cluster.history_read import history_documents
from netpol.cluster.kinds import KINDS, POLICY_KINDS, Kind
from netpol.cluster.watch_kind import KindWatch
from netpol.cluster.watch_line import Line
from netpol.cluster.watch_status import KindProgress, KindStatus
from tests.cluster.watch_server import Server, a_list, event, pod
from tests.cluster.watching import DEADLINE_SECONDS, wait_until

PODS = next(kind for kind in KINDS if kind.resource == "pods")
TIERS = next(kind for kind in POLICY_KINDS if kind.resource == "adminnetworkpolicies")


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.lists, server.watches = [(200, a_list())], [(200, b"")]
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LONGEST_WAIT", 0.02), ("ASK_AGAIN_SECONDS", 0.02), ("_FIRST_WAIT", 0.01)):
        monkeypatch.setattr(watch_kind, name, value)


class Running:
    """The watch of one kind in a thread of its own."""

    def __init__(self, server: Server, folder: Path, kind: Kind, pages: int) -> None:
        self.history = History.open(folder / "history")
        assert self.history.writer is not None
        if pages:
            self.limit(pages)
        self.told: list[KindStatus] = []
        self.progress = KindProgress(kind, self.told.append)
        self.line = Line(connect(None, server.kubeconfig))
        watch = KindWatch(kind, self.line, self.history.writer, self.progress)
        self.thread = threading.Thread(target=watch.run)
        self.thread.start()

    def limit(self, pages: int) -> None:
        """The database finds the disk full when it has so many pages."""
        assert self.history.writer is not None
        self.history.writer._connection.execute(f"PRAGMA max_page_count = {pages}")

    def names(self) -> set[str]:
        return {pod.name for pod in self.history.inventory().pods if pod.ended is None}

    def wait(self, true: Callable[[], bool], what: str) -> None:
        wait_until(true, what, self.progress.status)

    def close(self) -> None:
        self.line.close()
        self.thread.join(DEADLINE_SECONDS)
        assert not self.thread.is_alive()
        self.history.close()


def watched_from(server: Server) -> list[str]:
    """The resource versions from which the watcher asked to watch, so far."""
    return [query["resourceVersion"] for query in server.asked if "watch" in query]


@pytest.fixture(name="run")
def _run(server: Server, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def run(kind: Kind = PODS, pages: int = 0) -> Running:
        running.append(Running(server, tmp_path, kind, pages))
        return running[-1]

    yield run
    for one in running:
        one.close()


Run = Callable[..., Running]


class TestForgotten:
    @pytest.mark.parametrize(
        "answer", [(410, b""), (200, event("ERROR", {"kind": "Status", "code": 410, "message": "too old"}))]
    )
    def test_it_is_listed_anew(self, server: Server, run: Run, answer: tuple[int, bytes]) -> None:
        server.lists = [(200, a_list(pod("a"), pod("b"))), (200, a_list(pod("b"), pod("c"), version=20))]
        server.watches = [answer, (200, b"")]
        one = run()
        one.wait(lambda: len(watched_from(server)) == 2, "watched again")
        assert one.names() == {"b", "c"}
        assert (one.progress.relists, one.progress.errors) == (1, 0)
        assert watched_from(server) == ["10", "20"]

    def test_what_came_before_the_error_counts(self, server: Server, run: Run) -> None:
        events = event("ADDED", pod("a", 11)) + event("DELETED", pod("a", 12))
        server.watches = [(200, events + event("ERROR", {"code": 410})), (200, b"")]
        one = run()
        one.wait(lambda: one.progress.relists == 1, "listed anew")
        (found,) = one.history.inventory().pods
        assert (found.name, found.ended is not None) == ("a", True)


class TestGoesOn:
    def test_from_where_it_was(self, server: Server, run: Run) -> None:
        server.watches = [(200, event("ADDED", pod("a", 11)) + event("BOOKMARK", pod("", 15))), (200, b"")]
        one = run()
        one.wait(lambda: len(watched_from(server)) == 2, "watched again")
        watches = [query for query in server.asked if "watch" in query]
        assert [query["resourceVersion"] for query in watches] == ["10", "15"]
        assert all(query["allowWatchBookmarks"] == "true" for query in watches)
        assert one.names() == {"a"}

    @pytest.mark.parametrize(
        "answer",
        [
            (500, b""),
            (401, b""),
            (429, b""),
            (200, b"<html>\n"),
            (200, event("ERROR", {"code": 500, "message": "etcd \u202e is away"})),
        ],
    )
    def test_after_what_fails(self, server: Server, run: Run, answer: tuple[int, bytes]) -> None:
        server.lists = [answer, (200, a_list(pod("a")))]
        server.watches = [answer, answer, (200, event("ADDED", pod("b", 11)))]
        one = run()
        one.wait(lambda: one.names() == {"a", "b"}, "there in the end")
        assert (one.progress.errors, one.progress.relists) == (3, 0)
        assert one.progress.error.isascii()

    def test_a_resource_version_that_no_server_takes_is_given_up(self, server: Server, run: Run) -> None:
        """As after etcd was restored from a backup: the server waits for a future that does not come."""
        server.lists = [(200, a_list(pod("a"), version=900)), (200, a_list(pod("b"), version=5))]
        server.watches = [*[(504, b"")] * 5, (200, b"")]
        one = run()
        one.wait(lambda: len(watched_from(server)) == 6, "watched again")
        assert one.names() == {"b"}
        assert watched_from(server) == [*["900"] * 5, "5"]

    def test_a_list_that_never_ends(self, server: Server, run: Run) -> None:
        endless = json.dumps({"kind": "PodList", "metadata": {"continue": "x", "resourceVersion": "1"}, "items": []})
        server.lists = [(200, endless.encode())] * 2 + [(200, a_list(pod("a")))]
        one = run()
        one.wait(lambda: one.names() == {"a"}, "there in the end")
        assert "no end" in one.progress.error

    def test_when_the_disk_is_full(self, server: Server, run: Run) -> None:
        server.lists = [(200, a_list(*(pod(f"p{number}", n="x" * 60) for number in range(300))))]
        one = run(pages=20)
        one.wait(lambda: "full" in one.progress.error, "noticed")
        assert one.names() == set()
        one.limit(1_000_000)
        one.wait(lambda: len(one.names()) == 300, "all there when there is room again")


class TestOldNews:
    @pytest.fixture(autouse=True)
    def _old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in (("_FRESH", 0), ("QUIET_SECONDS", 0)):
            monkeypatch.setattr(watch_kind, name, value)

    def test_a_silence_ends_it_where_nothing_happened(self, server: Server, run: Run) -> None:
        one = run()
        one.wait(lambda: one.progress.state == "watching", "first")
        first = one.history.size().ends
        one.close()
        server.watches = [(200, b""), (200, b"")]
        again = run()
        again.wait(lambda: again.history.size().ends > first, "heard of again")
        asked = [query for query in server.asked if "watch" in query]
        assert int(asked[0]["timeoutSeconds"]) >= 240
        assert int(asked[1]["timeoutSeconds"]) <= 10

    def test_it_ends_with_the_first_news(self, server: Server, run: Run) -> None:
        server.lists = [(200, a_list(pod("a"), pod("b")))]
        one = run()
        one.wait(lambda: one.progress.state == "watching", "first")
        one.close()
        server.lists = [(200, a_list(version=20))]
        server.watches = [(200, event("DELETED", pod("a", 15)) + event("DELETED", pod("b", 21)))]
        again = run()
        again.wait(lambda: again.names() == set(), "gone")
        seen = {one.data["metadata"]["name"]: one.span for one in history_documents(again.history.path)}
        assert {name: span.seen < span.until for name, span in seen.items() if span} == {"a": True, "b": False}


class TestAbsent:
    def test_rights_that_are_granted_later(self, server: Server, run: Run) -> None:
        server.lists = [(403, b""), (403, b""), (200, a_list(pod("a")))]
        one = run()
        one.wait(lambda: len(one.told) == 6, "granted")
        assert one.names() == {"a"}
        assert [status.state for status in one.told] == [
            "listing",
            "forbidden",
            "listing",
            "forbidden",
            "listing",
            "watching",
        ]
        assert [status.synced for status in one.told] == [False] * 5 + [True]

    def test_a_kind_that_few_clusters_have(self, server: Server, run: Run) -> None:
        server.lists = [(404, b"")]
        one = run(TIERS)
        one.wait(lambda: one.progress.state == "not served", "known")
        assert one.progress.synced
        assert one.progress.error == ""

    def test_a_server_that_has_just_started_is_not_believed_at_once(self, server: Server, run: Run) -> None:
        server.lists = [(200, a_list(pod("a")))]
        server.watches = [*[(403, b""), (404, b"")] * 5, (200, event("ADDED", pod("b", 11)))]
        one = run()
        one.wait(lambda: one.names() == {"a", "b"}, "back")
        assert "forbidden" not in {status.state for status in one.told}

    def test_a_kind_that_is_not_served_any_more_is_gone(
        self, server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch_kind, "BELIEVE_SECONDS", 0)
        spec = {"subject": {"namespaces": {}}, "priority": 1}
        policy = {"metadata": {"name": "p", "uid": "u", "resourceVersion": "1"}, "spec": spec}
        server.lists = [(200, a_list(policy, kind="AdminNetworkPolicyList")), (404, b"")]
        server.watches = [(404, b"")]
        one = run(TIERS)
        one.wait(lambda: one.progress.state == "not served", "gone")
        (found,) = history_documents(one.history.path)
        assert found.span is not None
        assert found.span.gone


def test_objects_that_nobody_can_read_are_left_out_and_counted(server: Server, run: Run) -> None:
    broken = pod("broken", 12)
    broken["metadata"]["labels"] = {"a": "not a label value!"}
    nameless = {"metadata": {"resourceVersion": "13"}}
    server.watches = [(200, event("ADDED", broken) + event("ADDED", nameless) + event("ADDED", pod("a", 14)))]
    one = run()
    one.wait(lambda: "has no name or uid" in one.progress.refusal, "told of")  # after what was taken is written
    assert one.progress.refused == 2
    assert one.names() == {"a"}


def test_it_stops_in_the_middle_of_a_silence(run: Run) -> None:
    one = run()
    one.wait(lambda: one.progress.state == "watching", "watching")
    one.line.close()
    one.thread.join(DEADLINE_SECONDS)
    assert not one.thread.is_alive()
    assert one.progress.errors == 0
