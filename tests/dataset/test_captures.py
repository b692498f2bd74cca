"""Packets, windows, datasets and tables of flows say the same, however they are given."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from netpol.capture.packets import Tally
from netpol.capture.sources import find_inputs
from netpol.dataset.captures import Span, read_captures
from netpol.dataset.folder import Dataset
from netpol.dataset.recorder import record
from netpol.dataset.window_codec import MAGIC, write_window
from netpol.errors import InputError
from netpol.flows.assemble import assemble
from netpol.flows.write import write_parquet
from netpol.names.table import Names
from tests.dataset.recordings import HOUR, START, connection, flows_of, windows_of
from tests.flows.columns import rows

if TYPE_CHECKING:
    from netpol.dataset.window import Window

SHOP = Path(__file__).parents[2] / "captures" / "shop"
PACKETS = [packet for number in range(12) for packet in connection(number, START + number * HOUR // 5)]


def recorded(folder: Path) -> list[Window]:
    """The windows of all captures of a folder."""
    found: list[Window] = []
    for each in find_inputs([folder]):
        try:
            found += record(each, Tally(), version="1.0")
        except InputError:
            continue
    return found


def spooled(folder: Path, windows: list[Window]) -> Path:
    """A folder as agents leave it."""
    folder.mkdir()
    for window in windows:
        (folder / f"{window.identity}.window").write_bytes(write_window(window))
    return folder


def flows(*paths: Path | str, tally: Tally | None = None, span: Span | None = None) -> dict[object, object]:
    """What is read of paths."""
    found = rows(assemble(read_captures(paths, tally or Tally(), span=span)))  # type: ignore[arg-type]
    return dict(found)


@pytest.fixture(scope="module")
def shop_windows() -> list[Window]:
    return recorded(SHOP)


def test_windows_of_captures_say_what_the_captures_say(tmp_path: Path, shop_windows: list[Window]) -> None:
    expected, tally, other = flows(SHOP, tally=(whole := Tally())), Tally(), Tally()
    assert flows(spooled(tmp_path / "spool", shop_windows), tally=tally) == expected
    Dataset.create(tmp_path / "dataset").append(shop_windows)
    assert flows(tmp_path / "dataset", tally=other) == expected
    for each in (tally, other):
        assert (each.packets, each.decoded, each.lost) == (whole.packets, whole.decoded, whole.lost)
        assert (each.undecoded, each.missing, each.damaged) == (whole.undecoded, {}, [])


def test_names_come_with_them(tmp_path: Path, shop_windows: list[Window]) -> None:
    spool = spooled(tmp_path / "spool", shop_windows)
    Dataset.create(tmp_path / "dataset").append(shop_windows)
    tables = []
    for path in (SHOP, spool, tmp_path / "dataset"):
        names = Names()
        for _ in read_captures([path], Tally(), names=names):
            pass
        tables.append(names)
    captured, *others = (list(names.led()) for names in tables)
    assert captured
    assert others == [captured, captured]
    assert set(tables[1].part().names) == set(tables[2].part().names)
    assert tables[1].asked == tables[2].asked


def test_the_same_capture_gives_the_same_windows(shop_windows: list[Window]) -> None:
    again = recorded(SHOP)
    assert [write_window(window) for window in again] == [write_window(window) for window in shop_windows]


def test_windows_that_lie_in_several_places_count_once(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    spool = spooled(tmp_path / "spool", windows[:20])
    for name, part in (("a", windows[10:30]), ("b", windows[15:])):
        Dataset.create(tmp_path / name).append(part)
    tally = Tally()
    found = flows(spool, tmp_path / "a", tmp_path / "b", tally=tally)
    assert found == flows_of(window.records for window in windows)
    assert tally.packets == len(PACKETS)


def test_a_dataset_below_a_folder_is_found(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    Dataset.create(tmp_path / "x" / "dataset").append(windows[5:])
    spooled(tmp_path / "x" / "spool", windows[:5])
    tally = Tally()
    assert flows(tmp_path, tally=tally) == flows_of(window.records for window in windows)
    assert tally.passed_over == []


def test_questions_are_counted_as_in_the_capture(tmp_path: Path) -> None:
    capture = next(each for each in find_inputs([SHOP]) if each.place.endswith(".pcap"))
    spool = spooled(tmp_path / "spool", list(record(capture, Tally(), version="1")))
    found = []
    for path in (capture.place, spool):
        names = Names()
        for _ in read_captures([Path(path)], Tally(), names=names):
            pass
        found.append(names.asked)
    assert found[0]
    assert found[0] == found[1]


def test_windows_and_packets_go_together(tmp_path: Path) -> None:
    """What one node captured and another recorded: views of one connection are folded across both."""
    first, second = (SHOP / name for name in ("node-a.pcap", "node-b.pcapng.gz"))
    windows = [window for each in find_inputs([second]) for window in record(each, Tally(), version="1")]
    assert flows(first, spooled(tmp_path / "spool", windows)) == flows(first, second)


def test_a_part_of_the_time(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    span = Span(START + HOUR, START + 2 * HOUR)
    expected = flows_of(each.records for each in windows if START + HOUR <= each.begin < START + 2 * HOUR)
    assert flows(spooled(tmp_path / "spool", windows), span=span) == expected


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = windows_of(PACKETS)[0]
    table = tmp_path / "flows.parquet"
    whole = assemble([each.records for each in windows_of(PACKETS)])
    write_parquet(((flow, None, None) for flow in whole), table, named=False)
    for content, expected in (
        (write_window(window), flows_of([window.records])),
        (table.read_bytes(), flows(table)),
    ):
        stdin = io.BytesIO(content)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stdin, isatty=lambda: False))
        assert flows("-") == expected


def test_flows_that_were_written_are_read(tmp_path: Path) -> None:
    table = tmp_path / "flows.parquet"
    whole = assemble([each.records for each in windows_of(PACKETS)])
    write_parquet(((flow, None, None) for flow in whole), table, named=False)
    tally = Tally()
    found = list(assemble(read_captures([table], tally)))
    times = [(flow.first_seen // 1000, flow.last_seen // 1000) for flow in whole]
    assert [(flow.first_seen // 1000, flow.last_seen // 1000) for flow in found] == times
    assert [replace(flow, first_seen=0, last_seen=0) for flow in found] == [
        replace(flow, first_seen=0, last_seen=0) for flow in whole
    ]
    assert tally.packets == tally.decoded == len(PACKETS)


def test_a_damaged_window_among_others_is_told(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    spool = spooled(tmp_path / "spool", windows)
    victim = spool / f"{windows[3].identity}.window"
    victim.write_bytes(MAGIC + victim.read_bytes()[20:])
    tally = Tally()
    found = flows(spool, tally=tally)
    assert found == flows_of(window.records for window in windows if window is not windows[3])
    assert (tally.malformed_captures, len(tally.damaged)) == (1, 1)
    assert str(victim) in tally.damaged[0]
    with pytest.raises(InputError, match="damaged window"):
        flows(victim)
