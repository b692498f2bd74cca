"""The folder of windows: bounded, durable, and honest about what it gave up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netpol.agent.recorder import Observer, Recorder
from netpol.agent.spool import Spool
from netpol.dataset.window import Losses
from netpol.dataset.window_codec import read_window, write_window
from netpol.errors import InputError
from tests.agent.frames import from_client, records_of

if TYPE_CHECKING:
    from pathlib import Path

    from netpol.dataset.window import Window

_RUN = "ab" * 16


def window(number: int, *, connections: int = 1, losses: Losses | None = None, run: str = _RUN) -> Window:
    recorder = Recorder(Observer(name="node-a", run=run, version="1"), 60 * 10**9, 0)
    frames = [
        from_client(number + each / 1000, 2, each * 1000)._replace(source=("10.0.0.9", 1 + each))
        for each in range(connections)
    ]
    assert not list(recorder.take(records_of(frames)))
    found = recorder.close(50 * 10**9, last=True)
    return replace(found, number=number, begin=0, end=60 * 10**9, losses=losses or Losses())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_window_is_there_whole_and_a_later_run_finds_it(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 1 << 20)
    assert not spool.add(window(0))
    again = Spool.open(tmp_path, 1 << 20)
    kept = again.oldest()
    assert kept is not None
    assert kept.path.read_bytes() == write_window(window(0))
    assert (kept.identity, again.waiting(), again.losses()) == (window(0).identity, 1, (0, 0))


def test_what_was_never_finished_is_removed(tmp_path: Path) -> None:
    (tmp_path / f".{_RUN}-00000000.window.part").write_bytes(b"half")
    spool = Spool.open(tmp_path, 1 << 20)
    assert spool.oldest() is None
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_the_oldest_give_way_and_are_counted_until_a_window_tells(tmp_path: Path) -> None:
    size = len(write_window(window(0, connections=3)))
    spool = Spool.open(tmp_path, 3 * size + size // 2)
    for number in range(5):
        assert not spool.add(window(number, connections=3))
    assert [read_window(path.read_bytes(), "").number for path in sorted(tmp_path.glob("*.window"))] == [2, 3, 4]
    assert spool.losses() == (2, 6)
    assert Spool.open(tmp_path, 1 << 20).losses() == (2, 6)  # as a run that follows a kill would find it
    assert not spool.add(window(5, losses=Losses(windows=2, records=6)))
    # Another one gave way to it.
    assert spool.losses() == (1, 3)


def test_a_window_that_told_of_losses_and_is_lost_takes_that_back(tmp_path: Path) -> None:
    size = len(write_window(window(0, losses=Losses(windows=7, records=70))))
    spool = Spool.open(tmp_path, size + size // 2)
    spool.state.windows, spool.state.records = 7, 70
    assert not spool.add(window(0, losses=Losses(windows=7, records=70)))
    assert spool.losses() == (0, 0)
    assert not spool.add(window(1))
    assert spool.losses() == (8, 71)


def test_a_window_that_is_larger_than_all_is_given_up_and_nothing_else(tmp_path: Path) -> None:
    size = len(write_window(window(0)))
    spool = Spool.open(tmp_path, size + 10)
    assert not spool.add(window(0))
    assert "larger than all" in spool.add(window(1, connections=400))
    assert names(tmp_path) == [f"{window(0).identity}.window"]
    assert spool.losses() == (1, 400)


def test_an_open_window_of_a_run_that_was_killed_is_a_lost_one(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, 1 << 20)
    spool.state.recording = True
    assert spool.keep_state()
    assert Spool.open(tmp_path, 1 << 20).losses() == (1, 0)
    assert Spool.open(tmp_path, 1 << 20).losses() == (1, 0)  # once


def test_a_damaged_state_is_a_lost_window_too(tmp_path: Path) -> None:
    (tmp_path / ".state.json").write_bytes(b'{"recording": tr')
    assert Spool.open(tmp_path, 1 << 20).losses() == (1, 0)


def test_what_the_hub_refuses_is_set_aside_and_gives_way_without_counting_twice(tmp_path: Path) -> None:
    size = len(write_window(window(0)))
    spool = Spool.open(tmp_path, 2 * size + size // 2)
    assert not spool.add(window(0))
    kept = spool.oldest()
    assert kept is not None
    spool.set_aside(kept)
    assert (names(tmp_path), spool.waiting(), spool.losses()) == ([f"{window(0).identity}.refused"], 0, (1, 1))
    assert not spool.add(window(1))
    assert not spool.add(window(2))
    assert (len(names(tmp_path)), spool.waiting(), spool.losses()) == (2, 2, (1, 1))


def test_a_folder_that_cannot_be_used_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="--spool"):
        Spool.open(tmp_path / "file" / "below", 1)
