"""Blocks of the kernel's ring: read as they were laid out, and without harm whatever they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.live_blocks import read_blocks
from netpol.capture.views import PAD

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST = 48
_NETWORK = 96
_DEVICES = {"ethernet": 1, "loopback": 772, "tunnel": 768}


class Packet(NamedTuple):
    """What the kernel writes down of a packet."""

    seconds: int
    nanoseconds: int
    length: int
    device: str
    ethertype: int
    interface: int
    content: bytes


PACKETS = st.builds(
    Packet,
    seconds=st.integers(0, 2**32 - 1),
    nanoseconds=st.integers(0, 999_999_999),
    length=st.integers(0, 70_000),
    device=st.sampled_from(sorted(_DEVICES)),
    ethertype=st.sampled_from([0x0800, 0x86DD, 0x0806]),
    interface=st.integers(1, 1 << 30),
    content=st.binary(max_size=60),
)


def block_of(packets: Sequence[Packet]) -> bytes:
    """As `tpacket_rcv` of Linux lays it out, in the machine's own byte order."""
    parts, place = [bytes(_FIRST)], _FIRST
    for number, packet in enumerate(packets):
        size = _NETWORK + len(packet.content)
        size += -size % 8
        last = number == len(packets) - 1
        header = np.zeros(12, "u4")
        length = max(packet.length, len(packet.content))
        header[:3] = 0 if last else size, packet.seconds, packet.nanoseconds
        header[3:5] = len(packet.content), length
        raw = bytearray(header.tobytes())
        raw[24:28] = np.array([_NETWORK, _NETWORK], "u2").tobytes()
        address = np.array([17], "u2").tobytes() + packet.ethertype.to_bytes(2, "big")
        address += np.array([packet.interface], "i4").tobytes() + np.array([_DEVICES[packet.device]], "u2").tobytes()
        parts.append((bytes(raw) + address).ljust(_NETWORK, b"\0") + packet.content.ljust(size - _NETWORK, b"\0"))
        place += size
    found = bytearray(b"".join(parts))
    found[:32] = np.array([1, 0, 1, len(packets), _FIRST, place, 0, 0], "u4").tobytes()
    return bytes(found)


def joined(blocks: Sequence[bytes]) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], list[tuple[int, int]]]:
    places, whole = [], b""
    for each in blocks:
        places.append((len(whole), len(whole) + len(each)))
        whole += each + bytes(-len(each) % 8)
    return np.frombuffer(whole + bytes(PAD), np.uint8).copy(), places


def read(blocks: Sequence[bytes]) -> tuple[list[Packet], int]:
    data, places = joined(blocks)
    found, broken = read_blocks(data, places)
    packets = []
    for part in found:
        records = part.records
        header = 14 if records.linktype == 1 else 0
        assert records.linktype == (1 if header else 101)
        assert (records.heads[:, :header] == np.stack([data[at : at + header] for at in records.at])).all()
        for row, at in enumerate(records.at.tolist()):
            content = data[at + header : at + records.captured[row]].tobytes()
            ethertype = int.from_bytes(data[at + 12 : at + 14].tobytes(), "big") if header else 0
            seconds, nanoseconds = divmod(int(records.time[row]), 10**9)
            length = int(records.wire[row]) - header
            device = "frames" if header else "packets"
            packets.append(Packet(seconds, nanoseconds, length, device, ethertype, int(part.interface[row]), content))
    return packets, broken


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(PACKETS, max_size=30), max_size=4))
def test_packets_come_out_as_they_were_laid_in(blocks: list[list[Packet]]) -> None:
    found, broken = read([block_of(block) for block in blocks])
    expected = [
        packet._replace(
            length=max(packet.length, len(packet.content)),
            device="packets" if packet.device == "tunnel" else "frames",
            ethertype=0 if packet.device == "tunnel" else packet.ethertype,
        )
        for block in blocks
        for packet in block
    ]
    frames = [packet for packet in expected if packet.device == "frames"]
    assert found == frames + [packet for packet in expected if packet.device == "packets"]
    assert broken == 0


def test_a_full_block_is_walked_in_lanes() -> None:
    """Payload that looks like headers does not lead astray."""
    content = block_of([Packet(1, 2, 3, "ethernet", 0x0800, 5, b"x" * 40)] * 3)[_FIRST : _FIRST + 200]
    packets = [Packet(number, 0, 100, "ethernet", 0x0800, 7, content) for number in range(2000)]
    found, broken = read([block_of(packets)])
    assert [packet.seconds for packet in found] == list(range(2000))
    assert broken == 0


@settings(deadline=None, max_examples=300)
@given(
    st.lists(PACKETS, min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_overwritten_memory_does_no_harm(packets: list[Packet], changes: list[tuple[int, int]]) -> None:
    """What is promised and not there is counted; nothing is read from outside the block."""
    block = bytearray(block_of(packets))
    for place, value in changes:
        block[place % len(block)] = value
    data, places = joined([bytes(block)])
    promised = int(np.frombuffer(bytes(block[12:16]), "u4")[0])
    found, broken = read_blocks(data, places)
    assert broken + sum(len(part.records) for part in found) == promised
    for part in found:
        header = 14 if part.records.linktype == 1 else 0
        assert (part.records.at + header >= 0).all()
        assert (part.records.at + part.records.captured <= len(block)).all()


@settings(deadline=None, max_examples=100)
@given(st.binary(min_size=48, max_size=5000))
def test_noise_does_no_harm(noise: bytes) -> None:
    data, places = joined([noise])
    read_blocks(data, places)
