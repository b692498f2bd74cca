"""The server of the page: it answers whoever knows the address, tells what changed, and keeps what it has."""

from __future__ import annotations

import http.client
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import uvicorn

from netpol.errors import InputError
from netpol.view.serve import Live, Shown, application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLACE = "a-place-that-nobody-guesses"


class Notes:
    """Material that tests write."""

    def __init__(self) -> None:
        self.text = b'{"a": 1}'
        self.news = threading.Event()
        self.broken = False
        self.reads = 0

    def changed(self) -> bool:
        return self.news.is_set()

    def read(self) -> Shown:
        self.reads += 1
        self.news.clear()
        if self.broken:
            raise InputError("gone", where=("a.pcap",))
        return Shown(b"<p>" + self.text, self.text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest.fixture
def live(notes: Notes, failures: list[str]) -> Iterator[Live]:
    live = Live(notes, 0.01, failed=failures.append)
    live.start()
    yield live
    live.stop()


@dataclass(frozen=True, slots=True)
class Answer:
    status_code: int
    content: bytes
    headers: dict[str, str]


class Client:
    """Asks a real server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=100)
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        result = Answer(answer.status, answer.read(), found)
        connection.close()
        return result


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(live, PLACE), lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait(lambda: server.started)
    yield Client(listener.getsockname()[1])
    server.should_exit = True
    thread.join()


def test_the_page_and_its_data(client: Client) -> None:
    page = client.get(f"/{PLACE}/")
    assert (page.status_code, page.content) == (200, b'<p>{"a": 1}')
    assert page.headers["x-content-type-options"] == "nosniff"
    data = client.get(f"/{PLACE}/graph.json")
    assert data.content == b'{"a": 1}'
    again = client.get(f"/{PLACE}/graph.json", headers={"If-None-Match": data.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/graph.json", "/favicon.ico", f"/{PLACE}x/"])
def test_whoever_does_not_know_the_address_gets_nothing(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b'"a"' not in answer.content


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::1]:8080", ""])
def test_a_page_elsewhere_cannot_make_its_own_name_lead_here(client: Client, host: str) -> None:
    answer = client.get(f"/{PLACE}/graph.json", headers={"Host": host})
    assert answer.status_code == 421
    assert b'"a"' not in answer.content


def wait(until: Callable[[], object]) -> None:
    """Waits on a condition, for a bounded time."""
    for _ in range(10_000):
        if until():
            return
        threading.Event().wait(0.01)
    pytest.fail("it never came")


def test_what_changed_is_read_again(live: Live, notes: Notes) -> None:
    before = live.shown.tag
    notes.text = b'{"a": 2}'
    notes.news.set()
    wait(lambda: live.shown.tag != before)
    assert live.shown.data == b'{"a": 2}'


def test_what_cannot_be_read_again_stays_as_it_was_and_is_told(live: Live, notes: Notes, failures: list[str]) -> None:
    notes.broken = True
    notes.news.set()
    wait(lambda: failures)
    assert failures[0] == "a.pcap: gone"
    assert live.shown.data == b'{"a": 1}'
    notes.broken, notes.text = False, b'{"a": 3}'
    notes.news.set()
    wait(lambda: live.shown.data == b'{"a": 3}')


def test_nothing_is_read_while_nothing_changes(live: Live, notes: Notes) -> None:
    looks = threading.Event()
    seen = [0]

    def changed() -> bool:
        seen[0] += 1
        if seen[0] > 3:
            looks.set()
        return False

    notes.changed = changed  # type: ignore[method-assign]
    assert looks.wait(100)
    assert notes.reads == 1
    assert live.shown.data == b'{"a": 1}'
