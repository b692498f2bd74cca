"""What a running hub takes, and what it answers to everything else."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from netpol.cli.main import program
from netpol.dataset.window_codec import read_window
from netpol.errors import UsageError
from tests.agent.hub import processes
from tests.agent.hub.processes import NODE_WRITER, READER, WRITER, Hub
from tests.agent.hub.windows import MINUTE, body, this_minute

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "c" * 32


def test_a_window_is_stored_once(tmp_path: Path) -> None:
    identity, data = body(connections=50)
    with processes.hub(tmp_path / "data") as hub:
        assert [hub.send(identity, data).json for _ in range(3)] == [{"stored": True}, *[{"stored": False}] * 2]
    with processes.hub(tmp_path / "data") as hub:
        assert hub.send(identity, data).json == {"stored": False}
        assert hub.stop() == 0


def test_a_window_is_on_the_disk_when_it_is_acknowledged(tmp_path: Path) -> None:
    identity, data = body(connections=20)
    with processes.hub(tmp_path / "data", "--batch-seconds", "3600") as hub:
        hub.send(identity, data)
        hub.stop(9)
    (path,) = (tmp_path / "data" / "inbox").iterdir()
    assert path.read_bytes() == data
    assert read_window(path.read_bytes(), "window").identity == identity


def test_everything_else_is_refused(hub: Hub) -> None:
    identity, data = body(run=RUN)
    other, _ = body(run=RUN, number=1)
    now = this_minute()
    cases = {
        "no token": (hub.send(identity, data, ""), 401),
        "an unknown token": (hub.send(identity, data, "x" * 32), 401),
        "a reader's token": (hub.send(identity, data, READER), 403),
        "a token in the readers' header": (
            hub.ask("POST", f"/v1/windows/{identity}", data, x_netpol_token=WRITER),
            401,
        ),
        "another node's window": (hub.send(*body(run=RUN, observer="node-b"), NODE_WRITER), 403),
        "not an identity": (hub.send("x" * 41, data), 400),
        "a path": (hub.send("..%2f..%2fstate.sqlite", data), 404),
        "another identity": (hub.send(other, data), 422),
        "no window": (hub.send(identity, b"nonsense"), 400),
        "half a window": (hub.send(identity, data[:-9]), 400),
        "nothing": (hub.send(identity, b""), 400),
        "another type": (hub.send(identity, data, content_type="application/json"), 415),
        "the future": (hub.send(*body(run=RUN, begin=now + 60 * MINUTE)), 422),
        "another method": (hub.ask("PUT", f"/v1/windows/{identity}", data, token=WRITER), 405),
        "another place": (hub.get("/v1/nothing"), 404),
    }
    assert {what: answer.status for what, (answer, _) in cases.items()} == {
        what: status for what, (_, status) in cases.items()
    }
    assert all(set(answer.json) == {"error"} for answer, _ in cases.values())
    # None of them stood in the way of the real one.
    assert hub.send(identity, data, NODE_WRITER).json == {"stored": True}


def test_a_run_belongs_to_one_node(hub: Hub) -> None:
    run = "d" * 32
    assert hub.send(*body(run=run)).status == 200
    answer = hub.send(*body(run=run, number=1, observer="node-b"))
    assert (answer.status, answer.json) == (422, {"error": "the run is of node node-a"})


@pytest.fixture(name="impatient")
def _impatient(tmp_path: Path) -> Iterator[Hub]:
    """A hub that hears out briefly what it has refused."""
    with processes.hub(tmp_path / "data", quick={"netpol.agent.hub.app._DRAIN_SECONDS": 0.3}) as hub:
        yield hub


def test_bodies_without_an_honest_length(impatient: Hub) -> None:
    hub = impatient
    identity, data = body(run="e" * 32)
    head = (
        f"POST /v1/windows/{identity} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITER}\r\n"
        "Content-Type: application/vnd.netpol.window\r\n"
    )
    for length, status in (
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (f"Content-Length: {1 << 40}\r\n\r\n", b"413"),
        ("Content-Length: -1\r\n\r\n", b"400"),
        (f"Content-Length: 5\r\nContent-Length: {len(data)}\r\n\r\n", b"400"),
    ):
        assert raw(hub, (head + length).encode()).split(b" ")[1] == status
    # A sender that goes away in the middle leaves nothing behind.
    parts = urlsplit(hub.url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data[:20])
    assert hub.send(identity, data).json == {"stored": True}


def raw(hub: Hub, data: bytes) -> bytes:
    """What comes back until the hub closes the connection."""
    parts = urlsplit(hub.url)
    answer = bytearray()
    with socket.create_connection(
        (str(parts.hostname), int(parts.port or 0)), timeout=processes.PATIENCE_SECONDS
    ) as connection:
        connection.sendall(data)
        with suppress(ConnectionResetError):  # what was sent on top of it was not read
            while chunk := connection.recv(1 << 16):
                answer += chunk
    return bytes(answer)


def test_who_is_refused_early_still_hears_why(hub: Hub) -> None:
    identity, _ = body(run=RUN, number=7)
    large = bytes(24 << 20)
    assert hub.send(identity, large, "x" * 32).status == 401
    assert hub.send(identity, large, content_type="text/plain").status == 415


def test_a_head_without_end_is_cut_off(hub: Hub) -> None:
    answer = raw(hub, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * (1 << 20))
    assert not answer or answer.startswith(b"HTTP/1.1 400")
    assert hub.get("/healthz").status == 200


def test_connections_on_which_nothing_is_asked_are_closed(tmp_path: Path) -> None:
    # One says nothing, one half of a head, one half of its second.
    with ExitStack() as held:
        quick = {"netpol.agent.hub.serving._HEAD_SECONDS": 2}
        hub = held.enter_context(processes.hub(tmp_path / "data", quick=quick))
        parts = urlsplit(hub.url)
        place = str(parts.hostname), int(parts.port or 0)
        silent, half, second = (held.enter_context(socket.create_connection(place)) for _ in range(3))
        half.sendall(b"GET /healthz HT")
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += second.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 200")
        second.sendall(b"GET")
        for connection in (silent, half, second):
            connection.settimeout(processes.PATIENCE_SECONDS)
            try:
                assert connection.recv(1 << 16) == b""
            except ConnectionResetError:
                continue


def test_health_and_counts(hub: Hub) -> None:
    assert hub.send(*body(run="f" * 32)).status == 200
    assert all(hub.get("/healthz", "").json.values())
    assert all(hub.get("/readyz", "").json.values())
    text = hub.get("/metrics", "").data.decode()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["netpol_hub_windows_total", "true"] >= 1
    assert found["netpol_hub_disk_free_bytes",] > 0
    assert "node-a" not in text


def test_who_sends_too_much_is_told_to_wait(tmp_path: Path) -> None:
    with processes.hub(tmp_path / "data") as hub:
        connection = hub.connect()
        identity, data = body()
        words = {"authorization": f"Bearer {NODE_WRITER}", "content-type": "application/vnd.netpol.window"}
        statuses = []
        for _ in range(400):
            try:
                connection.request("POST", f"/v1/windows/{identity}", data, words)
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                connection.close()
                continue
            answer.read()
            statuses.append(answer.status)
            if answer.status == 429:
                assert int(answer.headers["retry-after"]) >= 1
                break
        connection.close()
        assert set(statuses) == {200, 429}
        assert len(statuses) > 120
        # Other nodes are not held up by it.
        assert hub.send(identity, data, WRITER).status == 200


def test_no_token_is_logged(tmp_path: Path) -> None:
    with processes.hub(tmp_path / "data") as hub:
        for token in (WRITER, READER, "secret" * 10):
            hub.send(*body(), token)
            hub.get(f"/v1/{token}", token)
        hub.stop()
    # Every line is read by now.
    text = str(hub.lines)
    assert not any(token in text for token in (WRITER, NODE_WRITER, READER, "secretsecret"))
    assert "no log line" not in {line["event"] for line in hub.lines}


@pytest.mark.parametrize("words", [["--listen", "0.0.0.0:0"], ["--listen", "[::]:0"]])
def test_tokens_do_not_travel_in_the_open(tmp_path: Path, words: list[str]) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(processes.TOKENS)
    result = CliRunner().invoke(program(["hub"]), ["hub", "-d", str(tmp_path), "--token-file", str(tokens), *words])
    assert isinstance(result.exception, UsageError)
    assert "without TLS" in str(result.exception)


def test_one_hub_a_folder(tmp_path: Path) -> None:
    with processes.hub(tmp_path / "data") as hub:
        tokens = tmp_path / "data.tokens"
        command = [sys.executable, "-m", "netpol", "hub", "-d", str(tmp_path / "data"), "--token-file", str(tokens)]
        second = subprocess.run([*command, "--listen", "127.0.0.1:0"], capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert f"another hub keeps this folder: 'process {hub.process.pid} on" in second.stderr
        # And a folder that nobody can use is said so.
        command[command.index("-d") + 1] = "/proc/nowhere"
        third = subprocess.run(command, capture_output=True, text=True, check=False)
        assert third.returncode == 2
        assert "/proc/nowhere" in third.stderr
        assert "Traceback" not in third.stderr
        hub.stop(9)
    # What is killed lets go of it.
    with processes.hub(tmp_path / "data"):
        pass
