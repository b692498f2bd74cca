"""`netpol status`: of a hub, and of its folder, which say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from netpol.agent.hub.report import Report, Waiting
from netpol.cli import status as status_command
from netpol.cli.main import program
from netpol.dataset.folder import Dataset
from netpol.dataset.window import Losses
from netpol.errors import InputError, UsageError
from tests.agent.hub import processes
from tests.agent.hub.test_library import wait_until_kept
from tests.agent.hub.windows import MINUTE, body, this_minute, window

RUN = "5" * 32


def status(*words: str) -> Result:
    result = CliRunner().invoke(program(["status"]), ["status", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("status") / "data"
    begin = this_minute() - 10 * MINUTE
    Dataset.create(folder).append(
        [
            window(observer="a", number=0, begin=begin, connections=1200),
            window(observer="a", number=3, begin=begin + MINUTE, losses=Losses(kernel=7, undecodable={"cut off": 2})),
            window(observer="b", run=RUN, number=9, begin=begin - 4 * 60 * MINUTE, version="0.0.9"),
        ]
    )
    return folder


def test_a_line_a_node(folder: Path) -> None:
    lines = status(str(folder)).stdout.splitlines()
    assert lines[0].split() == ["NODE", "RECORDS", "WINDOWS", "LAST-SEEN", "LAG", "DROPS", "VERSION"]
    first, second = (line.split("   ") for line in lines[1:])
    assert [word.strip() for word in first if word][:3] == ["a", "1,201", "2"]
    assert "kernel 7, undecodable 2, windows missing 2" in lines[1]
    assert [word.strip() for word in second if word][-3:] == ["4h", "none", "0.0.9"]


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("drops", 1, ["a: kernel 7"]),
        ("lag=1h", 1, ["b: last heard of 4h ago"]),
        ("lag=7d", 0, []),
        ("drops,lag=1m", 1, ["a: kernel 7", "a: last heard", "b: last heard"]),
    ],
)
def test_the_gate(folder: Path, what: str, code: int, said: list[str]) -> None:
    result = status(str(folder), "--fail-on", what)
    assert result.exit_code == code
    warnings = result.stderr.splitlines()
    assert len(warnings) == len(said)
    assert all(part in line for part, line in zip(said, warnings, strict=True))


def test_what_cannot_be_asked(folder: Path, tmp_path: Path) -> None:
    for what in ("lag", "drops=1", "speed", "", "lag=soon"):
        with pytest.raises(UsageError):
            status(str(folder), "--fail-on", what)
    with pytest.raises(InputError, match="not a dataset"):
        status(str(tmp_path))


def test_what_waits_is_told_whether_it_is_one_or_many(capsys: pytest.CaptureFixture[str]) -> None:
    for windows in (1, 1200):
        status_command._print(Report(time="", nodes=[], waiting=Waiting(windows, 5)))
    said = [line for line in capsys.readouterr().err.splitlines() if "dataset" in line]
    assert said == ["windows that wait for the dataset: 1", "windows that wait for the dataset: 1,200"]


def test_the_hub_says_what_its_folder_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETPOL_HUB_TOKEN", processes.READER)
    with processes.hub(tmp_path / "data", "--batch-seconds", "1") as hub:
        for number, observer in enumerate(("a", "b", "a", "c")):
            losses = Losses(kernel=number, windows=1)
            sent = body(observer=observer, run=observer * 32, number=number // 2, connections=number, losses=losses)
            assert hub.send(*sent).status == 200
        wait_until_kept(hub)
        address = hub.url.replace("http://", "hub+http://")
        asked = json.loads(status(address, "-o", "json").stdout)
        read = json.loads(status(str(tmp_path / "data"), "-o", "json").stdout)
        table = status(address).stdout
    for found in (asked, read):
        for node in found["nodes"]:
            assert 0 <= node.pop("lag_seconds") < 600
    assert asked["nodes"] == read["nodes"]
    assert asked["waiting"] == {"windows": 0, "bytes": 0}
    assert len(table.splitlines()) == 4
