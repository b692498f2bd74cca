"""hub:// in the place of a capture, and the answers of a hub that goes on working meanwhile."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from typer.testing import CliRunner

from netpol.agent.hub import client as client_module
from netpol.agent.hub.asking import DirectAsker
from netpol.agent.hub.client import Hub as Client
from netpol.agent.hub.client import Progress
from netpol.agent.hub.place import HubPlace, hub_place
from netpol.capture.packets import Tally
from netpol.cli.hub_captures import release
from netpol.cli.main import program
from netpol.dataset import layout
from netpol.dataset.folder import Dataset
from netpol.errors import ClusterError, NetpolError, UsageError
from tests.agent.hub import processes
from tests.agent.hub.processes import READER, WRITER, Hub
from tests.agent.hub.test_library import wait_until_kept
from tests.agent.hub.test_tls import certificate
from tests.agent.hub.windows import MINUTE, body, this_minute
from tests.cli.test_terminal import at_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_800_000_000 * 10**9
SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub://hub.example", {"host": "hub.example", "port": 8443, "tls": True}),
        ("hub://hub.example:443/", {"host": "hub.example", "port": 443}),
        ("hub://[2001:db8::1]:9", {"host": "2001:db8::1", "port": 9, "url": "https://[2001:db8::1]:9"}),
        ("hub+http://127.0.0.1:80", {"url": "http://127.0.0.1:80", "tls": False}),
        ("hub://", {"host": "", "namespace": "netpol", "service": "netpol-hub"}),
        ("hub:///shop/hub", {"namespace": "shop", "service": "hub"}),
        ("hub://?since=90m", {"since": NOW - 5400 * SECOND, "until": None}),
        ("hub://h?since=1d2h&until=30s", {"since": NOW - 26 * 3600 * SECOND, "until": NOW - 30 * SECOND}),
        ("hub://h?since=2027-01-15T08:00:00Z", {"since": 1_800_000_000 * SECOND}),
        ("hub://h?since=2027-01-15T10:00:00%2B02:00", {"since": 1_800_000_000 * SECOND}),
    ],
)
def test_places(text: str, expected: dict[str, Any]) -> None:
    place = hub_place(text, lambda: NOW)
    assert {name: getattr(place, name) for name in expected} == expected


@pytest.mark.parametrize(
    "text",
    [
        "hub://h:99999",
        "hub://h:0",
        "hub://h/path",
        "hub://-h",
        "hub://[::1",
        "hub:///only",
        "hub:///a/b/c",
        "hub:///../x",
        "hub:///A/b",
        "hub+http://hub.example",
        "hub+http://",
        "hub://h?since=yesterday",
        "hub://h?since=1h&since=2h",
        "hub://h?token=x",
        "hub://h?since",
        "hub://token@h",
        "hub://h#x",
    ],
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError):
        hub_place(text, lambda: NOW)


@pytest.fixture(autouse=True)
def _release() -> Iterator[None]:
    """Each command is a process of its own, but here."""
    yield
    release()


def run(monkeypatch: pytest.MonkeyPatch, *words: str, **environment: str) -> tuple[str, str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(program([words[0]]), [*words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    release()
    assert result.exit_code == 0
    return result.stdout, result.stderr


@pytest.fixture(name="filled", scope="module")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Path]]:
    folder = tmp_path_factory.mktemp("filled") / "data"
    # Its files stay as they are: some tests list them once and then fetch them.
    with processes.hub(folder, "--batch-seconds", "1", "--upkeep-seconds", "86400") as hub:
        for number in range(4):
            window = body(number=number, begin=this_minute() - (4 - number) * 60 * MINUTE, connections=25)
            assert hub.send(*window).status == 200
        wait_until_kept(hub)
        yield hub, folder


def test_a_hub_reads_like_its_folder(filled: tuple[Hub, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, folder = filled
    monkeypatch.setenv("NETPOL_HUB_TOKEN", READER)
    address = hub.url.replace("http://", "hub+http://")
    found = run(monkeypatch, "flows", address, "-o", "json")
    assert found == run(monkeypatch, "flows", str(folder), "-o", "json")
    assert len(found[0].splitlines()) == 1
    assert json.loads(found[0])["connections"] == 100
    # A part of the time is a part of the files.
    some = run(monkeypatch, "flows", f"{address}?since=150m", "-o", "json")[0]
    assert 25 <= json.loads(some)["connections"] <= 75


def test_only_the_hours_that_are_read_are_fetched(filled: tuple[Hub, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, folder = filled
    monkeypatch.setenv("NETPOL_HUB_TOKEN", READER)
    address = hub.url.replace("http://", "hub+http://")
    hours = Dataset.open(folder).hours()
    since, until = (datetime.fromtimestamp(hour * 3600, UTC).isoformat() for hour in hours[1:3])

    def fetched(*words: str) -> tuple[str, int]:
        before = files_served(hub)
        return run(monkeypatch, "flows", *words, "-o", "json")[0], files_served(hub) - before

    def of(*some: int) -> int:
        return sum(1 for hour in some for _ in folder.glob(f"*/{layout.partition(hour)}/*.parquet"))

    assert fetched(address)[1] == of(*hours)
    assert fetched(address, "--since", since)[1] == of(*hours[1:])
    text, count = fetched(address, "--since", since, "--until", until)
    assert (count, json.loads(text)["connections"]) == (of(hours[1]), 25)
    assert text == run(monkeypatch, "flows", str(folder), "-o", "json", "--since", since, "--until", until)[0]
    # Both may say something of the time.
    assert fetched(f"{address}?until={until[:-6]}Z", "--since", since) == (text, count)


def test_what_a_hub_has_goes_into_a_dataset(
    filled: tuple[Hub, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, folder = filled
    monkeypatch.setenv("NETPOL_HUB_TOKEN", READER)
    run(monkeypatch, "dataset", "merge", str(tmp_path / "d"), hub.url.replace("http://", "hub+http://"))
    assert run(monkeypatch, "flows", str(tmp_path / "d"), "-o", "json") == run(
        monkeypatch, "flows", str(folder), "-o", "json"
    )


def files_served(hub: Hub) -> int:
    text = hub.get("/metrics").data.decode()
    return int(float(re.search(r"^netpol_hub_files_read_total (\S+)$", text, re.MULTILINE)[1]))  # type: ignore[index]


def test_a_hub_with_tls_and_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key = certificate(tmp_path / "tls")
    token = tmp_path / "token"
    token.write_text(f"{READER}\n")
    words = ["--listen", "127.0.0.1:0", "--tls-cert", str(chain), "--tls-key", str(key), "--batch-seconds", "1"]
    with processes.hub(tmp_path / "data", *words, authority=chain) as hub:
        address = f"hub://127.0.0.1:{hub.url.rpartition(':')[2]}"
        hub.url = hub.url.replace("127.0.0.1", "localhost")
        assert hub.send(*body(connections=3)).status == 200
        wait_until_kept(hub)
        with pytest.raises(ClusterError, match="no trusted connection"):
            run(monkeypatch, "flows", address, NETPOL_HUB_TOKEN_FILE=str(token))
        with pytest.raises(ClusterError, match="no trusted connection"):
            run(monkeypatch, "flows", address, NETPOL_HUB_CA=str(chain))
        stdout, _ = run(monkeypatch, "flows", address, "-o", "json", NETPOL_HUB_SERVER_NAME="localhost")
        assert json.loads(stdout)["connections"] == 3


def test_hubs_that_cannot_be_asked(filled: tuple[Hub, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, _ = filled
    address = hub.url.replace("http://", "hub+http://")
    monkeypatch.delenv("NETPOL_HUB_TOKEN", raising=False)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can
        for token, where, says in (
            ("", address, "no token"),
            ("x" * 40, address, "does not know the token"),
            (WRITER, address, "not for readers"),
            ("two words", address, "not printable ASCII"),
            (READER, f"hub+http://127.0.0.1:{deaf.getsockname()[1]}", "not reachable"),
            (READER, address.replace("hub+http", "hub"), "no trusted connection"),
        ):
            with pytest.raises(ClusterError, match=says) as error:
                run(monkeypatch, "flows", f"{where}?since=7d", NETPOL_HUB_TOKEN=token)
            assert error.value.exit_code == 3
            assert error.value.remedy
            assert not token or token not in str(error.value)


class _Shifting(BaseHTTPRequestHandler):
    """A hub whose files are put together while somebody fetches them."""

    folder: ClassVar[Path]
    rounds: ClassVar[list[list[str]]]
    gone: ClassVar[set[str]]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/v1/dataset":
            names = self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]
            files = [{"name": name, "size": (self.folder / name).stat().st_size} for name in names]
            self._answer(200, json.dumps({"format": "netpol-dataset", "version": 1, "files": files}).encode())
            return
        name = self.path.removeprefix("/v1/files/")
        if name in self.gone or not (self.folder / name).exists():
            self._answer(404, b"{}")
        else:
            self._answer(200, (self.folder / name).read_bytes())

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(name="shifting")
def _shifting(filled: tuple[Hub, Path]) -> Iterator[tuple[type[_Shifting], HubPlace, Client]]:
    kind = type("Shifting", (_Shifting,), {"folder": filled[1], "rounds": [], "gone": set(), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    place = hub_place(f"hub+http://127.0.0.1:{server.server_address[1]}", lambda: NOW)
    yield kind, place, Client(DirectAsker(place, {"NETPOL_HUB_TOKEN": READER}))
    server.shutdown()
    thread.join()
    server.server_close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/date=*/hour=*/*.parquet"))


def test_what_is_gone_is_listed_anew(shifting: tuple[Any, HubPlace, Client], tmp_path: Path) -> None:
    hub, place, client = shifting
    every = names_in(hub.folder)
    hour = every[0].split("/")[2]
    first, rest = ([name for name in every if (hour in name) is wanted] for wanted in (True, False))
    # At first the hub lists some files, of which one is gone when it is its turn; then the others, which are there.
    hub.rounds, hub.gone = [first, rest], {first[1]}
    folder = tmp_path / "copy"
    folder.mkdir()
    told: list[Progress] = []
    client.download(place, folder, told.append)
    assert names_in(folder) == rest
    assert told[-1].done == told[-1].whole == sum((hub.folder / name).stat().st_size for name in rest)
    assert sum(len(each) for each in Dataset.open(folder).read(tally=Tally())) == 75
    assert hub.asked.count("/v1/dataset") == 2
    # A hub on which everything vanishes for ever is given up.
    hub.gone = set(rest)
    (tmp_path / "none").mkdir()
    with pytest.raises(ClusterError, match="vanish"):
        client.download(place, tmp_path / "none", told.append)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../../etc/passwd", "no dataset holds"),
        ("windows/date=2026-01-01/hour=00/../x.parquet", "no dataset holds"),
        ("dataset.json", "no dataset holds"),
    ],
)
def test_a_hub_cannot_write_elsewhere(
    shifting: tuple[Any, HubPlace, Client], tmp_path: Path, name: str, says: str
) -> None:
    hub, place, client = shifting
    (tmp_path / "data").mkdir()
    target = tmp_path / "data" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.write_text("x")
    hub.folder, hub.rounds = tmp_path / "data", [[name]]
    folder = tmp_path / "copy"
    folder.mkdir()
    with pytest.raises(NetpolError, match=says):
        client.download(place, folder, lambda _: None)
    assert list(folder.iterdir()) == []


def test_more_than_there_is_room_for(
    shifting: tuple[Any, HubPlace, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, place, client = shifting
    hub.rounds = [names_in(hub.folder)]
    monkeypatch.setattr(client_module, "_SPARE", 1 << 60)
    with pytest.raises(ClusterError, match="room for 0"):
        client.download(place, tmp_path, lambda _: None)


def test_nothing_stays_behind(filled: tuple[Hub, Path], tmp_path: Path) -> None:
    hub, _ = filled
    words = ["flows", hub.url.replace("http://", "hub+http://"), "-o", "json"]
    environment = {**os.environ, "NETPOL_HUB_TOKEN": READER, "TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-m", "netpol", *words], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout)["connections"] == 100
    assert not list(tmp_path.iterdir())


def test_how_far_it_is_stands_on_a_terminal_and_nowhere_else(filled: tuple[Hub, Path]) -> None:
    hub, _ = filled
    words = ["flows", hub.url.replace("http://", "hub+http://"), "-o", "json"]
    stdout, terminal = at_terminal(*words, environment={"NETPOL_HUB_TOKEN": READER})
    assert json.loads(stdout)["connections"] == 100
    assert "MB fetched from the hub" in terminal
    environment = {**os.environ, "NETPOL_HUB_TOKEN": READER}
    piped = subprocess.run(
        [sys.executable, "-m", "netpol", *words], env=environment, capture_output=True, text=True, check=True
    )
    assert "hub" not in piped.stderr
