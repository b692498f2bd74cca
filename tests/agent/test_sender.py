"""What the sender makes of answers: of a hub, and of whatever else may stand where one is expected."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from netpol.agent import sender as sender_module
from netpol.agent.sender import CONTENT_TYPE, Hub, Sender
from netpol.agent.spool import Spool
from netpol.dataset.window_codec import write_window
from netpol.errors import UsageError
from tests.agent.test_spool import names, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Answer = tuple[int, dict[str, str], bytes]
STORED: Answer = (200, {}, b'{"stored": true}')


class Requests(list[tuple[str, dict[str, str], bytes]]):
    """What was asked; answers by how often that was."""

    url = ""
    answer: Callable[[int], Answer]


@contextmanager
def server(answer: Callable[[int], Answer]) -> Iterator[Requests]:
    asked = Requests()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, data = answer(len(asked))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
            if status == 200 and "Connection" not in headers and len(asked) % 2:
                self.close_connection = True  # without a word, as servers do with idle connections

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    asked.url = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield asked
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def spool_with(folder: Path, count: int) -> Spool:
    spool = Spool.open(folder, 1 << 20)
    for number in range(count):
        assert not spool.add(window(number))
    return spool


def sent(sender: Sender, log: list[str], *, until: Callable[[], bool]) -> None:
    """Runs the sender until something is so."""
    done = threading.Event()
    original = sender.log

    def listen(line: str) -> None:
        original(line)
        if until():
            done.set()

    sender.log = listen
    sender.start()
    for _ in range(2000):
        if until() or done.wait(0.05):
            break
    sender.stop(100)
    assert until(), log


def test_windows_are_sent_oldest_first_with_a_token_that_is_read_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    spool = spool_with(tmp_path / "spool", 4)
    log: list[str] = []

    def answer(count: int) -> Answer:
        token.write_text(f"token{count}\n")
        return STORED

    with server(answer) as asked:
        sender = Sender(Hub(url=asked.url + "/base/", token_file=token), spool, log.append)
        sent(sender, log, until=lambda: spool.waiting() == 0)
    assert [path for path, _, _ in asked] == [f"/base/v1/windows/{window(number).identity}" for number in range(4)]
    assert [headers["authorization"] for _, headers, _ in asked] == [
        "Bearer first",
        *(f"Bearer token{n}" for n in (1, 2, 3)),
    ]
    assert {headers["content-type"] for _, headers, _ in asked} == {CONTENT_TYPE}
    assert [body for _, _, body in asked] == [write_window(window(number)) for number in range(4)]
    assert (names(tmp_path / "spool"), sender.sent, log) == ([], 4, [])


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_never_taken_does_not_hold_up_the_others(tmp_path: Path, status: int) -> None:
    spool = spool_with(tmp_path / "spool", 3)
    log: list[str] = []
    with server(lambda count: (status, {}, b"no") if count == 1 else STORED) as asked:
        sent(Sender(Hub(url=asked.url), spool, log.append), log, until=lambda: spool.waiting() == 0)
    assert names(tmp_path / "spool") == [f"{window(0).identity}.refused"]
    assert spool.losses() == (1, 1)
    assert any(str(status) in line for line in log)


@pytest.mark.parametrize(
    "answer",
    [
        (503, {"Retry-After": "0"}, b""),
        (429, {"Retry-After": "0"}, b""),
        (500, {}, b"trouble"),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (200, {}, b"<html>Welcome to the proxy</html>"),
        (200, {}, json.dumps({"fine": True}).encode()),
        (200, {}, b"\xff\xfe"),
    ],
)
def test_whatever_is_no_acknowledgement_deletes_nothing(tmp_path: Path, answer: Answer) -> None:
    spool = spool_with(tmp_path / "spool", 2)
    log: list[str] = []
    with server(lambda count: answer if count == 1 else STORED) as asked:
        sent(Sender(Hub(url=asked.url), spool, log.append), log, until=lambda: spool.waiting() == 0)
    paths = [path for path, _, _ in asked]
    assert paths[0] == paths[1]  # the same again, before the next
    assert len(paths) == 3
    assert spool.losses() == (0, 0)
    assert len(log) == 2  # once that it does not work, once that it does


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_accepted_is_said(tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_WAIT", "_LONGEST_WAIT"):
        monkeypatch.setattr(sender_module, name, 1000)
    spool = spool_with(tmp_path / "spool", 1)
    log: list[str] = []
    with server(lambda _: (status, {}, b"")) as asked:
        sent(Sender(Hub(url=asked.url), spool, log.append), log, until=lambda: bool(log))
    assert spool.waiting() == 1
    assert len(asked) <= 2  # once more when it is told to stop
    assert "token" in log[0]


@pytest.mark.parametrize(
    "url", ["hub:8443", "ftp://hub", "https://", "https://hub:port", "http://hub/?x=1", "http://[::1"]
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="https://HOST:PORT"):
        Hub(url=url)
