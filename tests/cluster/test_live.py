from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from netpol.cluster import asking, live
from netpol.cluster.live import LiveReading, load_live, read_live_documents
from netpol.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

Answer = tuple[int, bytes]
Answers = Callable[[str, dict[str, str]], Answer]
EMPTY = json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []}).encode()


class Server:
    """An HTTP server that answers as it is told, and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answers: Answers = lambda _path, _query: (200, EMPTY)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                server.asked.append((parts.path, query, self.headers.get("Authorization", "")))
                status, body = server.answers(parts.path, query)
                if status == 0:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.kubeconfig = folder / "kubeconfig"
        self.configure(self.url)

    def configure(self, url: str, **cluster: Any) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": url, **cluster}}],
            "users": [{"name": "u", "user": {"token": "sesame"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        }
        self.kubeconfig.write_text(json.dumps(config))

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.close()


def pods(*names: str, following: str = "") -> bytes:
    items = [{"metadata": {"name": name, "namespace": "shop", "uid": name}} for name in names]
    return json.dumps(
        {"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": following}, "items": items}
    ).encode()


def failure(server: Server, answers: Answers) -> ClusterError:
    server.answers = answers
    with pytest.raises(ClusterError) as caught:
        load_live(kubeconfig=server.kubeconfig)
    assert caught.value.exit_code == 3
    assert caught.value.remedy
    return caught.value


def only_pods(answer: Answers) -> Answers:
    return lambda path, query: answer(path, query) if path == "/api/v1/pods" else (200, EMPTY)


class TestLists:
    def test_pages_are_joined_and_asked_for_with_the_token(self, server: Server) -> None:
        pages = {"": pods("a", "b", following="next"), "next": pods("c")}
        server.answers = only_pods(lambda _path, query: (200, pages[query.get("continue", "")]))
        assert [pod.name for pod in load_live(kubeconfig=server.kubeconfig).pods] == ["a", "b", "c"]
        asked = [query for path, query, _ in server.asked if path == "/api/v1/pods"]
        assert asked == [{"limit": "500"}, {"limit": "500", "continue": "next"}]
        assert {token for _, _, token in server.asked} == {"Bearer sesame"}

    def test_pages_that_expire_are_asked_for_again_in_one_piece(self, server: Server) -> None:
        def answer(_path: str, query: dict[str, str]) -> Answer:
            if "continue" in query:
                return 410, b'{"kind": "Status", "code": 410}'
            return 200, pods("a", following="old") if "limit" in query else pods("b", "c")

        server.answers = only_pods(answer)
        assert [pod.name for pod in load_live(kubeconfig=server.kubeconfig).pods] == ["b", "c"]

    def test_one_namespace(self, server: Server) -> None:
        load_live(kubeconfig=server.kubeconfig, namespace="shop")
        paths = {path for path, _, _ in server.asked}
        assert {"/api/v1/namespaces/shop/pods", "/apis/apps/v1/namespaces/shop/deployments", "/api/v1/nodes"} <= paths
        assert "/api/v1/pods" not in paths

    def test_documents_are_raw_dated_and_with_policies_if_wanted(self, server: Server) -> None:
        def answer(path: str, _query: dict[str, str]) -> Answer:
            items = [{"metadata": {"name": "p", "namespace": "shop"}, "spec": {"podSelector": {}}}]
            whole = {"kind": "NetworkPolicyList", "apiVersion": "networking.k8s.io/v1", "items": items}
            return 200, json.dumps(whole).encode() if path.endswith("networkpolicies") else EMPTY

        server.answers = answer
        found = [
            document
            for document in read_live_documents(kubeconfig=server.kubeconfig, policies=True)
            if document.data["kind"] == "NetworkPolicy"
        ]
        assert [(one.place, one.scope, one.data["apiVersion"]) for one in found] == [
            ((server.url, "/apis/networking.k8s.io/v1/networkpolicies", "items[0]"), "*", "networking.k8s.io/v1")
        ]
        assert found[0].taken.endswith("Z")

    def test_cluster_wide_policies_are_there_or_not(self, server: Server) -> None:
        def answer(path: str, _query: dict[str, str]) -> Answer:
            if path.endswith("/adminnetworkpolicies"):
                return 403, b"{}"
            if not path.endswith("/clusternetworkpolicies"):
                return (404, b"{}") if path.startswith("/apis/policy.networking.k8s.io") else (200, EMPTY)
            items = [{"metadata": {"name": "p"}, "spec": {}}]
            return 200, json.dumps({"kind": "ClusterNetworkPolicyList", "items": items}).encode()

        server.answers = answer
        reading = LiveReading()
        documents = read_live_documents(kubeconfig=server.kubeconfig, reading=reading, policies=True)
        found = [one.data for one in documents if one.data["kind"].endswith("Policy")]
        assert [(one["kind"], one["apiVersion"]) for one in found] == [
            ("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2")
        ]
        # Who may not ask does not know whether there are any; who finds none is told nothing.
        assert reading.missed == ["adminnetworkpolicies"]

    def test_optional_kinds_that_are_refused_are_warned_about(self, server: Server) -> None:
        def answer(path: str, _query: dict[str, str]) -> Answer:
            if path.endswith(("nodes", "cronjobs")):
                return 403, b"{}"
            return (404, b"{}") if path.endswith(("endpointslices", "servicecidrs", "ippools")) else (200, EMPTY)

        server.answers = answer
        reading = LiveReading()
        inventory = load_live(kubeconfig=server.kubeconfig, reading=reading)
        assert reading.missed == ["nodes", "endpointslices", "cronjobs"]
        assert [warning.split(": ")[1] for warning in reading.warnings] == [
            "may not list nodes",
            "endpointslices are not served",
            "may not list cronjobs",
        ]
        assert inventory.notes == {f"{name} could not be listed": 1 for name in reading.missed}


class TestRefused:
    def test_wrong_credentials(self, server: Server) -> None:
        error = failure(server, lambda _path, _query: (401, b"{}"))
        assert "does not accept the credentials" in str(error)

    def test_pods_forbidden_names_verb_and_resource(self, server: Server) -> None:
        error = failure(server, only_pods(lambda _path, _query: (403, b"{}")))
        assert error.where == (server.url, "/api/v1/pods")
        assert "may not list pods" in str(error)
        assert "Grant the verb list on pods" in str(error)

    def test_server_errors(self, server: Server) -> None:
        assert "HTTP status 503" in str(failure(server, lambda _path, _query: (503, b"")))
        assert "HTTP status 302" in str(failure(server, lambda _path, _query: (302, b"")))

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>login</html>",
            b"",
            b"{}",
            b"[]",
            b'{"items": 3}',
            b'{"items": [3]}',
            b"\xff",
            b"{}{}",
            b'{"a":' * 9000,
            b'{"kind": "PodList", "items": [], "metadata": {"continue": 1}}',
            b'{"items": null, "kind": "Status"}',
        ],
    )
    def test_garbage(self, server: Server, body: bytes) -> None:
        assert "not a list of Kubernetes objects" in str(failure(server, lambda _path, _query: (200, body)))

    def test_an_object_that_breaks_the_api(self, server: Server) -> None:
        body = json.dumps({"kind": "PodList", "items": [{"metadata": {"name": "A"}}]}).encode()
        error = failure(server, only_pods(lambda _path, _query: (200, body)))
        assert error.where == (server.url, "/api/v1/pods", "items[0]", "metadata.name")

    def test_hanging_up(self, server: Server) -> None:
        assert "the connection broke" in str(failure(server, lambda _path, _query: (0, b"")))

    def test_silence(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asking, "_READ_SECONDS", 0.05)
        done = threading.Event()

        def answer(_path: str, _query: dict[str, str]) -> Answer:
            done.wait(10)
            return 0, b""

        try:
            assert "no answer in time" in str(failure(server, answer))
        finally:
            done.set()

    def test_too_much(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asking, "MAX_PAGE_BYTES", 1000)
        assert "too large or too slow" in str(failure(server, lambda _path, _query: (200, b" " * 2000)))

    def test_pages_without_end(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "no end" in str(failure(server, only_pods(lambda _path, _query: (200, pods(following="same")))))
        monkeypatch.setattr(live, "MAX_PAGES", 3)
        assert "no end" in str(
            failure(server, only_pods(lambda _path, query: (200, pods(following=query.get("continue", "") + "x"))))
        )

    def test_no_tls_where_it_is_expected(self, server: Server) -> None:
        server.configure(f"https://127.0.0.1:{server.port}")
        assert "no trusted connection" in str(failure(server, lambda _path, _query: (200, b"")))

    def test_nobody_listens(self, server: Server) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            server.configure(f"http://127.0.0.1:{taken.getsockname()[1]}")
            assert "not reachable" in str(failure(server, lambda _path, _query: (200, b"")))


class TestKubeconfig:
    @pytest.mark.parametrize(
        "text",
        ["", "[]", "a: [", "x: 1", "\0", '{"current-context": "nowhere", "contexts": [], "clusters": [], "users": []}'],
    )
    def test_unusable(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "config"
        path.write_text(text)
        with pytest.raises(ClusterError, match="cannot be used") as caught:
            load_live(kubeconfig=path)
        assert caught.value.where == (str(path),)

    def test_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ClusterError, match="cannot be used") as caught:
            load_live(kubeconfig=tmp_path / "absent")
        # The client's own message ends a sentence, and the remedy follows.
        assert ".." not in str(caught.value)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("KUBECONFIG", raising=False)
        with pytest.raises(ClusterError, match="no kubeconfig"):
            load_live()

    def test_an_unknown_context(self, server: Server) -> None:
        with pytest.raises(ClusterError, match="other"):
            load_live("other", server.kubeconfig)
