"""Whatever the bytes are: packets are decoded or counted, or the input is an InputError. Nothing else ever happens."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.capture.packets import Limits
from netpol.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.capture.conftest import Decode, Read, Write

LINKTYPES = (0, 1, 9, 12, 50, 51, 101, 104, 108, 113, 228, 229, 276, 999)
_STARTS = (
    b"\xd4\xc3\xb2\xa1\x02\0\x04\0" + bytes(12) + b"\x01\0\0\0",
    b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0" + b"\xff" * 8 + b"\x1c\0\0\0",
    b"\x1f\x8b\x08\0",
    b"\x28\xb5\x2f\xfd",
    b"",
)
_PIECES = (
    *(struct.pack(">H", kind) for kind in (0x0800, 0x86DD, 0x8100, 0x8847, 0x8864, 0x0026, 0x6558, 0x0021)),
    *(bytes([value]) for value in (0, 4, 6, 17, 41, 43, 44, 47, 51, 58, 60, 132, 0x45, 0x46, 0x60, 0xFF)),
    b"\x12\xb5", b"\x21\x18", b"\x17\xc1", b"\x08\0\0\0\0\0\7\0", b"\xaa\xaa\x03\0\0\0\x08\0", b"\x03\x03", bytes(12),
)  # fmt: skip
frames = st.lists(st.sampled_from(_PIECES) | st.binary(max_size=8), max_size=60).map(b"".join)


def _survives(read: Read, capture: Path, data: bytes, limits: Limits) -> None:
    capture.write_bytes(data)
    try:
        read([capture], limits)
    except InputError as error:
        assert str(capture) in str(error)  # noqa: PT017 - both ends are fine


@settings(max_examples=120, deadline=None)
@given(start=st.sampled_from(_STARTS), rest=st.binary(max_size=400), block=st.sampled_from([64, 1 << 20]))
def test_random_bytes(
    start: bytes, rest: bytes, block: int, tmp_path_factory: pytest.TempPathFactory, read: Read
) -> None:
    capture = tmp_path_factory.getbasetemp() / "random"
    _survives(read, capture, start + rest, Limits(block=block, smallest_block=64))


@settings(max_examples=150, deadline=None)
@given(some=st.lists(frames, min_size=1, max_size=8), linktype=st.sampled_from(LINKTYPES))
def test_random_frames_of_every_link_type(some: list[bytes], linktype: int, decode: Decode) -> None:
    result = decode(*some, linktype=linktype)
    assert result.tally.packets == len(some)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_real_captures_with_flipped_bytes(
    data: st.DataObject, real_captures: list[Path], tmp_path_factory: pytest.TempPathFactory, read: Read
) -> None:
    damaged = bytearray(data.draw(st.sampled_from(real_captures)).read_bytes())
    flips = data.draw(st.lists(st.tuples(st.integers(24, len(damaged) - 1), st.integers(0, 255)), max_size=200))
    for place, value in flips:
        damaged[place] = value
    capture = tmp_path_factory.getbasetemp() / "flipped"
    _survives(
        read, capture, bytes(damaged), Limits(block=data.draw(st.sampled_from([256, 1 << 20])), smallest_block=64)
    )


def test_real_captures_cut_at_every_byte(real_captures: list[Path], tmp_path: Path, read: Read) -> None:
    for path in real_captures:
        whole = path.read_bytes()
        if len(whole) < 1400:
            for cut in range(0, len(whole), 1 if len(whole) < 300 else 7):
                _survives(read, tmp_path / "cut", whole[:cut], Limits())


def test_the_block_size_changes_nothing(real_captures: list[Path], read: Read) -> None:
    for path in real_captures:
        whole = read([path])
        for block, rows in ((64, 1 << 16), (1000, 3), (4096, 7)):
            parts = read([path], Limits(block=block, smallest_block=64, rows=rows))
            assert (parts.by_family, parts.quotes, parts.tally) == (whole.by_family, whole.quotes, whole.tally), path


@settings(max_examples=40, deadline=None)
@given(some=st.lists(frames, min_size=1, max_size=40), block=st.integers(64, 600), rows=st.integers(1, 9))
def test_the_block_size_changes_nothing_for_odd_frames_either(  # fixtures and drawn values
    *, some: list[bytes], block: int, rows: int, tmp_path_factory: pytest.TempPathFactory, read: Read, pcap_bytes: Write
) -> None:
    capture = tmp_path_factory.getbasetemp() / "odd"
    capture.write_bytes(pcap_bytes(some))
    whole = read([capture])
    parts = read([capture], Limits(block=block, smallest_block=64, rows=rows))
    assert (parts.by_family, parts.quotes, parts.tally) == (whole.by_family, whole.quotes, whole.tally)
