"""The wide decoder: what it takes, the layers' own modules would have decoded to the same."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture import decode as stage
from netpol.capture.fragments import FragmentTable
from netpol.capture.packets import PacketBatch, Tally
from netpol.capture.plain import FEWEST, decode_plain
from netpol.capture.records import Records
from netpol.capture.views import HEAD, PAD

if TYPE_CHECKING:
    from collections.abc import Sequence

ETHERNET = bytes(12) + b"\x08\x00"
COOKED = bytes(14) + b"\x08\x00"
COOKED_2 = b"\x08\x00" + bytes(18)
TCP = bytes.fromhex("4500002d00014000400600000a0000010a0000029c401f9000000001000000025018ffff00000000") + b"hello"
UDP = bytes.fromhex("4500002100010000401100000a0000010a0000029c400035000d0000") + b"query"
LINKS = {1: ETHERNET, 113: COOKED, 276: COOKED_2}


def records(frames: Sequence[tuple[bytes, int]], linktype: int) -> Records:
    """Records of (captured bytes, bytes on the wire)."""
    data = b"".join(frame for frame, _ in frames) + bytes(PAD)
    captured = np.array([len(frame) for frame, _ in frames], np.int64)
    at = np.cumsum(captured) - captured
    block = np.frombuffer(data, np.uint8)
    heads = np.stack([block[start : start + HEAD] for start in at])
    wire = np.array([max(length, len(frame)) for frame, length in frames], np.int64)
    return Records(
        data=block, heads=heads, at=at, captured=captured, wire=wire, time=np.arange(len(frames)), linktype=linktype
    )


def decoded(found: Records) -> tuple[list[tuple[object, ...]], Tally]:
    tally = Tally()
    packets = []
    for item in stage.decode(found, FragmentTable(64, tally), tally):
        if isinstance(item.batch, PacketBatch):
            columns = [getattr(item.batch, each.name) for each in fields(item.batch) if each.name != "family"]
            packets += [
                (item.batch.family, *(np.asarray(cell).tolist() for cell in row)) for row in zip(*columns, strict=True)
            ]
    return packets, tally


@st.composite
def blocks(draw: st.DrawFn) -> tuple[list[tuple[bytes, int]], int]:
    """Mostly plain packets, some with a few bytes changed, cut or padded."""
    linktype = draw(st.sampled_from(sorted(LINKS)))
    frames = []
    for _ in range(FEWEST):
        frame = bytearray(LINKS[linktype] + draw(st.sampled_from([TCP, UDP])))
        if draw(st.integers(0, 2)) == 0:
            for _ in range(draw(st.integers(1, 3))):
                frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
        if draw(st.integers(0, 5)) == 0:
            del frame[draw(st.integers(0, len(frame))) :]
        length = len(frame) + draw(st.sampled_from([0, 0, 0, 7, 1400]))
        frames.append((bytes(frame), length))
    return frames, linktype


@settings(deadline=None, max_examples=150)
@given(blocks())
def test_it_changes_nothing(block: tuple[list[tuple[bytes, int]], int]) -> None:
    found = records(*block)
    wide = decoded(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "decode_plain", lambda _: None)
        assert wide == decoded(found)


@pytest.mark.parametrize("linktype", sorted(LINKS))
def test_it_takes_what_is_plain(linktype: int) -> None:
    frames = [(LINKS[linktype] + packet, 0) for packet in [TCP, UDP] * FEWEST]
    plain = decode_plain(records(frames, linktype))
    assert plain is not None
    assert plain.mask.all()


def test_it_leaves_unknown_links_alone() -> None:
    frames = [(TCP, 0)] * FEWEST
    assert decode_plain(records(frames, 101)) is None
