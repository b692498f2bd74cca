"""Processes that write at once, and are killed: nothing that was acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from netpol.capture.packets import Tally
from netpol.dataset.folder import Dataset
from netpol.dataset.layout import hour_of
from netpol.dataset.window_codec import read_window
from netpol.dataset.window_rows import WindowRow
from tests.dataset.recordings import MINUTE, START, connection, read, windows_of
from tests.dataset.test_rollup import cut, expected
from tests.dataset.writers import spooled, writer

ROOT = Path(__file__).parents[2]
PACKETS = [packet for number in range(60) for packet in connection(number, START + number * 5 * MINUTE)]
WINDOWS = windows_of(PACKETS)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return spooled(tmp_path / "spool", WINDOWS)


def test_writers_that_overlap_and_one_that_tidies_up(tmp_path: Path, spool: Path) -> None:
    folder = tmp_path / "d"
    Dataset.create(folder)
    third = len(WINDOWS) // 3
    running = [writer(folder, spool, 0, 2 * third), writer(folder, spool, third, len(WINDOWS), "work")]
    seen = 0
    reader = Dataset.open(folder)
    while any(each.poll() is None for each in running):
        tally = Tally()
        packets = sum(int(str(values[1])) for values in read(reader, tally).values())
        assert packets == tally.packets  # whatever is there is there once, and whole
        assert (tally.damaged, tally.lost) == ([], 0)
        assert packets >= seen
        seen = packets
    for each in running:
        out, _ = each.communicate()
        assert out.endswith("done\n")
    assert cut(read(Dataset.open(folder))) == expected(WINDOWS)


def test_writers_that_are_killed(tmp_path: Path, spool: Path) -> None:
    """Killed after a random number of acknowledgements, in the middle of what comes next; started anew each time."""
    chance = random.Random(7)
    folder = tmp_path / "d"
    acknowledged: set[str] = set()
    begin = 0
    for _ in range(8):
        process = writer(folder, spool, begin, len(WINDOWS), "work")
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 12)):
            line = process.stdout.readline().strip()
            if line and line != "done":
                acknowledged.add(line)
        process.kill()
        acknowledged.update(line for line in process.communicate()[0].split() if line != "done" and len(line) == 41)
        tally = Tally()
        packets = sum(int(str(values[1])) for values in read(Dataset.open(folder), tally).values())
        assert (packets, tally.damaged) == (tally.packets, [])
        named = [read_window(file.read_bytes(), "") for file in sorted(spool.iterdir())]
        held = Dataset.open(folder)
        there = {window.identity for window in named if held.holds(WindowRow.of(window))}
        assert acknowledged <= there
        begin = max(0, len(acknowledged) - 4)
    dataset = Dataset.open(folder)
    dataset.append(WINDOWS)
    dataset.roll_up(hour_of(WINDOWS[-1].begin))
    dataset.compact()
    assert cut(read(dataset)) == expected(WINDOWS)


def test_what_a_writer_left_that_died_is_swept_up(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path)
    dataset.append(WINDOWS[:3])
    here = next((tmp_path / "connections").rglob("*.parquet")).parent
    orphan, unfinished, young = here / f"{'0' * 32}.parquet", here / ".x.tmp", here / ".y.tmp"
    for path in (orphan, unfinished, young):
        path.write_bytes(b"PAR1")
    for path in (orphan, unfinished):
        os.utime(path, (0, 0))
    assert cut(read(dataset)) == expected(WINDOWS[:3])
    dataset.compact()
    assert [path.exists() for path in (orphan, unfinished, young)] == [False, False, True]
