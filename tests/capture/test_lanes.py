"""The lanes find exactly the records that following the chain one by one finds, whatever the payload imitates."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture import lanes
from netpol.capture.pcap import Layout, PcapChain
from netpol.capture.pcapng import BlockChain
from netpol.capture.views import PAD

if TYPE_CHECKING:
    from collections.abc import Sized

SECOND = 1_700_000_000


def _header(second: int, captured: int) -> bytes:
    return struct.pack("<IIII", second, 5, captured, captured)


def _follow(data: bytes, at: int, length_at: int, header: int) -> list[int]:
    found = []
    padded = data + bytes(PAD)
    while at < len(data):
        found.append(at)
        at += header + struct.unpack_from("<I", padded, at + length_at)[0]
    return found


def _padded(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(data + bytes(PAD), np.uint8)


def _pcap_chain(data: bytes, second: int | None) -> PcapChain:
    layout = Layout.parse(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 1))
    return PcapChain(layout, _padded(data), second)


@st.composite
def chains(draw: st.DrawFn) -> bytes:
    """Records of all sizes; many are stuffed with what looks like records, some of it well chained."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.lists(st.sampled_from([0, 1, 15, 40, 66, 200, 1500, 9000, 70_000]), min_size=1, max_size=6))
    fake = draw(
        st.sampled_from([b"", _header(SECOND, 0), _header(SECOND, 50), _header(SECOND, 100_000), _header(SECOND, 3)])
    )
    out = []
    for size in random.choice(sizes, draw(st.integers(1, 400))):
        stuffing = fake * (int(size) // 16 + 1) if fake and random.random() < 0.7 else random.bytes(int(size))
        out.append(_header(SECOND + int(random.integers(3)), int(size)) + bytes(stuffing[: int(size)]))
    return b"".join(out)


@settings(max_examples=60, deadline=None)
@given(data=chains(), cut=st.integers(0, 3000), lanes_at_most=st.sampled_from([6, 64, 256]), known=st.booleans())
def test_the_lanes_find_what_one_step_at_a_time_finds(
    *, data: bytes, cut: int, lanes_at_most: int, known: bool
) -> None:
    data = data[: max(1, len(data) - cut)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "LANES", lanes_at_most)
        patch.setattr(lanes, "SHORTEST_LANE", 512)
        found = lanes.walk(_pcap_chain(data, SECOND if known else None), 0, len(data))
    assert found.tolist() == _follow(data, 0, 8, 16)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 500), imitate=st.booleans())
def test_pcapng_blocks_too(*, seed: int, count: int, imitate: bool) -> None:
    random = np.random.default_rng(seed)
    out = []
    for words in random.integers(0, 400, count):
        total = 32 + 4 * int(words)
        inner = struct.pack("<II", 6, 32) + bytes(20) + struct.pack("<I", 32)
        body = (inner * 60)[: total - 12] if imitate else random.bytes(total - 12)
        body = body.ljust(total - 12, b"\0")
        out.append(struct.pack("<II", 6, total) + body + struct.pack("<I", total))
    data = b"".join(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "SHORTEST_LANE", 512)
        found = lanes.walk(BlockChain("<", _padded(data)), 0, len(data))
    assert found.tolist() == _follow(data, 0, 4, 0)


def test_many_tiny_records_in_one_lane_do_not_make_the_table_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = b"".join(_header(SECOND + 200_000, 0) for _ in range(60_000))
    large = b"".join(_header(SECOND, 1000) + bytes(1000) for _ in range(1000))
    data = large + tiny
    tables: list[Sized] = []
    original = lanes._walk_lanes

    def spy(*arguments: Any) -> Sized:
        tables.append(original(*arguments))
        return tables[-1]

    monkeypatch.setattr(lanes, "_walk_lanes", spy)
    assert lanes.walk(_pcap_chain(data, SECOND), 0, len(data)).tolist() == _follow(data, 0, 8, 16)
    assert len(tables[0]) <= 2 * 8192


@pytest.mark.parametrize("length", [0, 1, 7, 15, 16, 17])
def test_blocks_shorter_than_a_header(length: int) -> None:
    data = _header(SECOND, 0)[:length].ljust(length, b"\0")
    assert lanes.walk(_pcap_chain(data, SECOND), 0, length).tolist() == _follow(data, 0, 8, 16)
