"""Processes that write to one bucket at once, read and tidy it up, are killed: no window is lost or counts twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netpol.capture.packets import Tally
from netpol.dataset.bucket import place_of
from netpol.dataset.folder import Dataset
from netpol.dataset.layout import hour_of
from netpol.dataset.window_rows import WindowRow
from tests.dataset.recordings import HOUR, START, connection, read, windows_of
from tests.dataset.test_rollup import cut, expected
from tests.dataset.writers import spooled, writer

if TYPE_CHECKING:
    from tests.dataset.buckets.conftest import Store

ROOT = Path(__file__).parents[3]
PACKETS = [packet for number in range(24) for packet in connection(number, START + number * HOUR // 8)]
WINDOWS = windows_of(PACKETS)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return spooled(tmp_path / "spool", WINDOWS)


def test_writers_that_overlap_and_readers_meanwhile(store: Store, spool: Path) -> None:
    where = f"{store}/x"
    third = len(WINDOWS) // 3
    running = [writer(where, spool, 0, 2 * third), writer(where, spool, third, len(WINDOWS), "work")]
    reader = Dataset.create(place_of(where))
    seen = 0
    while any(each.poll() is None for each in running):
        tally = Tally()
        packets = sum(int(str(values[1])) for values in read(reader, tally).values())
        assert packets == tally.packets  # whatever is there is there once, and whole
        assert (tally.damaged, tally.lost) == ([], 0)
        assert packets >= seen
        seen = packets
    for each in running:
        out, _ = each.communicate()
        assert (each.returncode, out.endswith("done\n")) == (0, True)
    assert cut(read(Dataset.open(place_of(where)))) == expected(WINDOWS)


def test_writers_that_are_killed(store: Store, spool: Path) -> None:
    chance = random.Random(7)
    where = f"{store}/x"
    acknowledged: set[str] = set()
    for _ in range(3):
        process = writer(where, spool, len(acknowledged), len(WINDOWS), "work")
        assert process.stdout is not None
        for _ in range(chance.randrange(2, 8)):
            line = process.stdout.readline().strip()
            if len(line) == 41:
                acknowledged.add(line)
        process.kill()
        acknowledged.update(line for line in process.communicate()[0].split() if len(line) == 41)
        held = Dataset.open(place_of(where))
        tally = Tally()
        packets = sum(int(str(values[1])) for values in read(held, tally).values())
        assert (packets, tally.damaged) == (tally.packets, [])
        assert acknowledged <= {window.identity for window in WINDOWS if held.holds(WindowRow.of(window))}
    dataset = Dataset.open(place_of(where))
    dataset.append(WINDOWS)
    dataset.roll_up(hour_of(WINDOWS[-1].begin))
    dataset.compact()
    assert cut(read(dataset)) == expected(WINDOWS)
