"""Windows come back as they were written, together say what the packets said, and nothing else comes back at all."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netpol.dataset.window import Losses, Window
from netpol.dataset.window_codec import MAGIC, read_window, write_window
from netpol.errors import InputError
from netpol.flows.assemble import assemble
from netpol.flows.connections import joined
from netpol.flows.pieces import pieces_of, pieces_of_quotes
from netpol.flows.records import RECORD, Records, hashes, stacked
from tests.flows.columns import batch, quotes, rows
from tests.flows.reference import SECOND, Packet
from tests.flows.test_properties import packets_of

RUN = "0123456789abcdef" * 2
MINUTE = 60 * SECOND


def pieces(packets: list[Packet], family: int = 4) -> Records:
    plain, quoted = ([each for each in packets if each.quote is wanted] for wanted in (False, True))
    parts = [pieces_of(batch(plain, family))] if plain else []
    return stacked([*parts, *([pieces_of_quotes(quotes(quoted, family))] if quoted else [])])


def windows(packets: list[Packet], family: int = 4) -> list[Window]:
    """The packets by the minute, each minute's as one observer would write them down."""
    result = []
    for number, minute in enumerate(sorted({packet.time // MINUTE for packet in packets})):
        part = pieces([packet for packet in packets if packet.time // MINUTE == minute], family)
        begin = minute * MINUTE
        result.append(
            Window(observer="node-a", run=RUN, number=number, begin=begin, end=begin + MINUTE, records=joined(part))
        )
    return result


def unpacked(data: bytes) -> dict[str, Any]:
    raw = zstandard.ZstdDecompressor().decompress(data[len(MAGIC) :])
    text: dict[str, Any] = msgspec.msgpack.decode(raw)
    return text


def packed(text: dict[str, Any]) -> bytes:
    return MAGIC + zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(text))


@settings(max_examples=60, deadline=None)
@given(packets_of(), st.sampled_from([4, 6]))
def test_hash_of_a_piece_follows_from_its_other_fields(packets: list[Packet], family: int) -> None:
    found = pieces(packets, family)
    assert (hashes(found) == found["hash"]).all()


@settings(max_examples=60, deadline=None)
@given(packets_of(), st.sampled_from([4, 6]))
def test_windows_say_together_what_the_packets_say(packets: list[Packet], family: int) -> None:
    written = [write_window(each) for each in windows(packets, family)]
    read = [read_window(each, "window") for each in written]
    whole = assemble([pieces(packets, family)])
    assert rows(assemble(each.records for each in read)) == rows(whole)


@settings(max_examples=30, deadline=None)
@given(packets_of())
def test_a_window_comes_back_as_it_was(packets: list[Packet]) -> None:
    for window in windows(packets):
        read = read_window(write_window(window), "window")
        assert read.identity == window.identity
        assert (read.begin, read.end, read.observer) == (window.begin, window.end, window.observer)
        for name in RECORD.names or ():
            assert (read.records[name] == window.records[name]).all(), name


def test_losses_come_back() -> None:
    losses = Losses(kernel=3, evicted=2, undecodable={"cut off": 4}, windows=1, records=9)
    window = Window(observer="n", run=RUN, number=7, begin=0, end=MINUTE, losses=losses, packets=11, interfaces=5)
    read = read_window(write_window(window), "window")
    assert read.losses.undecodable == {"cut off": 4}
    assert (read.losses.kernel, read.losses.evicted, read.losses.windows, read.losses.records) == (3, 2, 1, 9)
    assert (read.packets, read.interfaces, read.number) == (11, 5, 7)


def some_window() -> bytes:
    packets = [
        Packet(time=MINUTE + 5, source=(1, 40000), destination=(2, 80), flags=2),
        Packet(time=MINUTE + 6, source=(2, 80), destination=(1, 40000), flags=18, acknowledgement=1),
    ]
    return write_window(windows(packets)[0])


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("family", 5, "family"),
        ("low", 99, "order"),
        ("low", 1 << 40, "order"),
        ("high", 1 << 40, "32 bits"),
        ("side", 7, "side"),
        ("side", 2, "handshake"),
        ("last", 0, "before it begins"),
        ("packets", -1, "below 0"),
        ("bytes", 1 << 60, "no minute"),
        ("early", 2, "neither"),
    ],
)
def test_records_that_break_their_promises_are_refused(field: str, value: int, says: str) -> None:
    text = unpacked(some_window())
    kind = np.dtype(np.uint8) if RECORD[field] == np.bool_ else RECORD[field]
    text["records"]["columns"][field] = np.array([value], kind).tobytes()
    with pytest.raises(InputError, match=says):
        read_window(packed(text), "window")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"observer": "../../etc/passwd"}, "DNS name"),
        ({"observer": "-"}, "DNS name"),
        ({"run": "x" * 32}, "identify"),
        ({"number": -1}, "identify"),
        ({"end": -1}, "ends before"),
        ({"packets": -1}, "below 0"),
        ({"version": "\x1b[2J"}, "version"),
        ({"losses": {"undecodable": {"\x1b]0;": 1}}}, "no text"),
        ({"format": 99, "version": "9.9"}, "format 99, written by netpol 9.9"),
        ({"records": {"count": 1 << 40, "columns": {}}}, "the most"),
    ],
)
def test_windows_that_break_their_promises_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_window(packed(unpacked(some_window()) | change), "window")


def test_names_that_are_none_are_refused() -> None:
    text = unpacked(some_window())
    text["names"]["names"] = ["<script>"]
    with pytest.raises(InputError, match="host name"):
        read_window(packed(text), "window")


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    bomb = MAGIC + zstandard.ZstdCompressor().compress(bytes(1 << 29))
    with pytest.raises(InputError, match="unpacks to more than 256 MiB"):
        read_window(bomb, "window")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
@example(b"", 0)
def test_damage_is_told_and_nothing_else(noise: bytes, at: int) -> None:
    whole = some_window()
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    for data in (damaged, whole[:at], noise, MAGIC + noise):
        try:
            read_window(data, "window")
        except InputError:
            continue
