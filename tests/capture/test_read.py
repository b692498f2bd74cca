"""Files, folders, standard input; compression; several captures as one."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tracemalloc
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.packets import Limits, Tally
from netpol.capture.read import read_packets
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capture.conftest import MakeFrame, Read, Write


def _udp(port: int) -> bytes:
    return bytes.fromhex("4500001c0000000040110000010203040506070800350036")[:20] + struct.pack(">HHHH", 53, port, 8, 0)


def _several_frames(data: bytes) -> bytes:
    half = len(data) // 2
    return zstandard.compress(data[:half]) + zstandard.compress(data[half:])


def _several_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(b"") + gzip.compress(data[half:]) + bytes(512)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "several gzip members": _several_members,
    "zstd": zstandard.compress,
    "several zstd frames": _several_frames,
}


@pytest.fixture
def plain(pcap_bytes: Write, frame: MakeFrame) -> bytes:
    return pcap_bytes([frame(_udp(port), time=port * 1000) for port in range(1, 3000)], linktype=101)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("block", [1 << 24, 1000])
def test_compressed_captures_are_told_by_content(
    kind: str, block: int, plain: bytes, tmp_path: Path, read: Read
) -> None:
    (tmp_path / "plain.gz").write_bytes(plain)
    (tmp_path / "packed.txt").write_bytes(PACKED[kind](plain))
    limits = Limits(block=block, smallest_block=500)
    expected = read([tmp_path / "plain.gz"])
    found = read([tmp_path / "packed.txt"], limits)
    assert found.packets == expected.packets
    assert len(found.packets) == 2999
    assert (found.tally.lost, found.tally.damaged) == (0, [])


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_compressed_capture_that_is_cut_off_is_used_up_to_there(
    kind: str, plain: bytes, tmp_path: Path, read: Read
) -> None:
    packed = PACKED[kind](plain)
    capture = tmp_path / "capture"
    capture.write_bytes(packed[: len(packed) * 2 // 3])
    if kind == "zstd":  # one block: nothing of it can be unpacked
        with pytest.raises(InputError, match="empty"):
            read([capture])
        return
    result = read([capture])
    assert 0 < len(result.packets) < 2999
    assert (result.tally.lost, len(result.tally.damaged)) == (1, 1)
    assert f"{capture}: byte " in result.tally.damaged[0]
    assert "the gzip stream is cut off" in result.tally.damaged[0]


def test_a_damaged_stream_is_used_up_to_there(plain: bytes, tmp_path: Path, read: Read, pcap_bytes: Write) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(gzip.compress(plain)[:-8] + bytes(8))
    result = read([capture])
    assert 2999 - (1 << 16) // 44 <= len(result.packets) < 2999
    assert "the gzip stream is damaged" in result.tally.damaged[0]
    capture.write_bytes(gzip.compress(plain) + b"something else")
    assert "not gzip follows" in read([capture]).tally.damaged[0]
    noise = pcap_bytes([_udp(1) + os.urandom(1000) for _ in range(1000)], linktype=101)
    data = zstandard.ZstdCompressor(write_checksum=True).compress(noise)
    capture.write_bytes(data[:-4] + bytes(4))
    result = read([capture])
    assert 0 < len(result.packets) <= 1000
    assert "the zstd stream is damaged" in result.tally.damaged[0]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_does_not_expand_in_memory(pack: Callable[[bytes], bytes], tmp_path: Path, pcap_bytes: Write) -> None:
    capture = tmp_path / "bomb"
    capture.write_bytes(pack(pcap_bytes([]) + bytes(20_000_000)))
    assert capture.stat().st_size < 1_000_000
    tracemalloc.start()
    tally = Tally()
    assert list(read_packets([capture], tally, Limits(block=1 << 20, rows=1 << 14))) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000
    assert tally.undecoded == {"malformed link header": 1_250_000}


def test_folders_are_searched_and_other_files_named(plain: bytes, tmp_path: Path, read: Read) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "deep").write_bytes(plain)
    (tmp_path / "b" / "README").write_text("not a capture")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "z.pcap").write_bytes(plain)
    os.link(tmp_path / "z.pcap", tmp_path / "again.pcap")
    result = read([tmp_path, tmp_path / "z.pcap"])
    assert len(result.packets) == 2 * 2999
    assert result.tally.captures == 2
    assert result.tally.passed_over == [str(tmp_path / "empty"), str(tmp_path / "b" / "README")]


def test_standard_input(plain: bytes, tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").write_bytes(plain)

    class Standard:
        def __init__(self, data: bytes) -> None:
            self.buffer = io.BytesIO(data)

        def isatty(self) -> bool:
            return False

    for data in (plain, gzip.compress(plain)):
        monkeypatch.setattr("sys.stdin", Standard(data))
        assert len(read([Path("-")]).packets) == 2999
    monkeypatch.setattr("sys.stdin", Standard(plain))
    assert len(read([Path("-"), tmp_path / "other"]).packets) == 2 * 2999


def test_a_terminal_is_no_capture(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(InputError, match="terminal"):
        read([Path("-")])


def test_a_pipe_with_a_name(plain: bytes, read: Read) -> None:
    reader, writer = os.pipe()
    os.write(writer, plain[: 24 + 100 * 44])
    os.close(writer)
    try:
        assert len(read([Path(f"/dev/fd/{reader}")]).packets) == 100
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello\nworld\n", "not a capture, but text"),
        (b"\x7fELF" + bytes(100), "a program"),
        (b"snoop\0\0\0" + bytes(100), "a snoop capture"),
        (b"\xfd7zXZ\0" + bytes(100), "an xz archive"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (gzip.compress(gzip.compress(b"x")), "compressed twice"),
        (gzip.compress(b"x" * 100)[:15], "cut off"),
        (bytes(100), "not a capture"),
        (b"\xd4\xc3\xb2\xa1" + bytes(10), "the pcap file header is cut off"),
        (b"\xd4\xc3\xb2\xa1\x09\0\0\0" + bytes(16), "pcap version 9.0 is not known"),
    ],
)
def test_what_is_no_capture_is_said_with_its_place(content: bytes, message: str, tmp_path: Path, read: Read) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read([file])
    assert str(file) in str(error.value)
    assert error.value.remedy


def test_paths_that_cannot_be_read(tmp_path: Path, read: Read, plain: bytes) -> None:
    with pytest.raises(InputError, match="No such file"):
        read([tmp_path / "missing"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        read([tmp_path / "folder"])
    (tmp_path / "folder" / "notes").write_text("text")
    with pytest.raises(InputError, match="none of the files is a capture"):
        read([tmp_path / "folder"])
    if os.geteuid():
        (tmp_path / "secret").write_bytes(plain)
        (tmp_path / "secret").chmod(0)
        with pytest.raises(InputError, match="Permission denied"):
            read([tmp_path / "secret"])


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path: Path, pcap_bytes: Write) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(pcap_bytes([_udp(port) for port in range(60_000)], linktype=101))
    tally = Tally()
    batches = read_packets([capture], tally, Limits(block=1 << 20))
    next(batches)
    os.truncate(capture, 1 << 20)
    list(batches)
    assert "became shorter" in tally.damaged[0]


def _slow_merge(captures: list[list[int]]) -> list[tuple[int, int, int]]:
    """Times merged one by one: by the latest time that each capture has reached, then by capture."""
    rows = []
    for index, times in enumerate(captures):
        for place, _ in enumerate(times):
            rows.append((max(times[: place + 1]), index, place))
    return sorted(rows)


@settings(max_examples=60, deadline=None)
@given(
    captures=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=40), min_size=2, max_size=4),
    block=st.integers(50, 700),
    rows=st.integers(1, 50),
)
def test_several_captures_are_merged_exactly_whatever_the_block_size(
    *,
    captures: list[list[int]],
    block: int,
    rows: int,
    tmp_path_factory: pytest.TempPathFactory,
    read: Read,
    pcap_bytes: Write,
    frame: MakeFrame,
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    captures.sort(key=lambda times: times[0])
    for index, times in enumerate(captures):
        frames = [frame(_udp(1000 * index + place), time=time) for place, time in enumerate(times)]
        (folder / f"{index}").write_bytes(pcap_bytes(frames, linktype=101))
    result = read([folder], Limits(block=block, smallest_block=50, open_blocks=4 * block, rows=rows))
    found = [divmod(packet.destination_port, 1000) for packet in result.packets]
    assert found == [(index, place) for _, index, place in _slow_merge(captures)]


def test_the_order_of_arguments_does_not_matter(
    tmp_path: Path, read: Read, pcap_bytes: Write, frame: MakeFrame
) -> None:
    random = np.random.default_rng(1)
    for name in "abc":
        times = np.sort(random.integers(0, 100, 200)).tolist()
        frames = [frame(_udp(int(random.integers(60_000))), time=time) for time in times]
        (tmp_path / name).write_bytes(pcap_bytes(frames, linktype=101))
    results = [read([tmp_path / name for name in names]).packets for names in permutations("abc")]
    assert all(result == results[0] for result in results)


def test_hundreds_of_captures_at_once_stay_small(tmp_path: Path, pcap_bytes: Write, frame: MakeFrame) -> None:
    for index in range(150):
        frames = [frame(_udp(port), time=port * 200 + index) for port in range(300)]
        (tmp_path / f"{index:03}").write_bytes(pcap_bytes(frames, linktype=101))
    tracemalloc.start()
    tally = Tally()
    latest = -1
    limits = Limits(smallest_block=4096, open_blocks=200 * 4096)
    for batch in read_packets([tmp_path], tally, limits):
        assert batch.time[0] >= latest
        assert (np.diff(batch.time) >= 0).all()
        latest = int(batch.time[-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tally.decoded == 150 * 300
    assert peak < 60_000_000


def test_at_the_end_all_bytes_were_read() -> None:
    shop = Path(__file__).parents[2] / "captures" / "shop"
    tally = Tally()
    for _ in read_packets([shop], tally):
        assert tally.size is not None
        assert 0 < tally.consumed <= tally.size
    assert tally.consumed == tally.size == sum(path.stat().st_size for path in shop.iterdir())
