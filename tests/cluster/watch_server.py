"""A server that answers lists and watches as it is told, one answer after the other."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

Query = dict[str, str]


def pod(name: str, version: int = 1, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"u-{name}", "labels": labels}
    return {"metadata": {**metadata, "resourceVersion": str(version)}}


def event(type_: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": type_, "object": item}).encode() + b"\n"


def a_list(*items: dict[str, Any], version: int = 10, kind: str = "PodList") -> bytes:
    return json.dumps({"kind": kind, "metadata": {"resourceVersion": str(version)}, "items": items}).encode()


class Server:
    """Answers lists with `lists` and watches with `watches`, one after the other; then waits with the last watch."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[Query] = []
        self.lists: list[tuple[int, bytes]] = []
        self.watches: list[tuple[int, bytes]] = []
        self.objects: dict[str, bytes] = {}
        self.done = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # the library's name
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                server.asked.append(query)
                if "/configmaps/" in parts.path:
                    body = server.objects.get(parts.path, b"")
                    self.send_response(200 if body else 404)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                answers = server.watches if "watch" in query else server.lists
                last = len(answers) == 1
                status, body = answers[0] if last else answers.pop(0)
                self.send_response(status)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if body:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
                if "watch" in query and status == 200 and last:
                    server.done.wait()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up, as they should
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.kubeconfig = folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "sesame"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        }
        self.kubeconfig.write_text(json.dumps(config))

    def close(self) -> None:
        self.done.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
