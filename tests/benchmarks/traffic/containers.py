"""Frames to a capture file: pcap or pcapng records around headers and filler."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from tests.benchmarks.traffic.frames import LINKTYPE, Headers, Link

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.benchmarks.traffic.packets import Packets

_FILLER: Final = np.random.default_rng(7).integers(0x20, 0x7F, 1 << 20, np.uint8)
"""Printable, so that no dissector takes payload for a binary protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How frames are wrapped.

    Attributes:
        link: Link layer of the frames.
        pcapng: pcapng instead of pcap.
        nanoseconds: Resolution of the times; microseconds otherwise.
        snaplen: Bytes of a frame that are kept at most.
        epoch: Nanoseconds since the Unix epoch at which the capture starts.
    """

    link: Link
    pcapng: bool = False
    nanoseconds: bool = False
    snaplen: int = 262_144
    epoch: int = 1_788_264_000_000_000_000

    def opening(self) -> bytes:
        """What stands before the first record (IETF draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng)."""
        if not self.pcapng:
            magic = 0xA1B2_3C4D if self.nanoseconds else 0xA1B2_C3D4
            return struct.pack("<IHHIIII", magic, 2, 4, 0, 0, self.snaplen, LINKTYPE[self.link])
        section = struct.pack("<IIIHHqI", 0x0A0D_0D0A, 28, 0x1A2B_3C4D, 1, 0, -1, 28)
        options = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0) if self.nanoseconds else b""
        length = 20 + len(options)
        interface = struct.pack("<IIHHI", 1, length, LINKTYPE[self.link], 0, self.snaplen)
        return section + interface + options + struct.pack("<I", length)

    def write(self, file: BinaryIO, packets: Packets, headers: Headers) -> None:
        """Append packets in the order given."""
        length = headers.lengths(packets)
        captured = np.minimum(length, self.snaplen)
        before, after = (28, 4) if self.pcapng else (16, 0)
        padded = captured + (-captured % 4 if self.pcapng else 0)
        end = np.cumsum(before + padded + after)
        frame = end - after - padded
        out = np.resize(_FILLER, int(end[-1]))
        if self.pcapng:
            _scatter(out, (end - 8)[padded > captured], np.zeros((1, 4), np.uint8))
            _scatter(out, end - 4, _words((before + padded + after)[:, None]))
        for places, rows in headers.groups(packets):
            _scatter(out, frame[places], rows[:, : self.snaplen])
        _scatter(out, frame - before, self._records(packets.time + self.epoch, captured, length, padded + 32))
        file.write(out.data)

    def _records(
        self,
        time: NDArray[np.int64],
        captured: NDArray[np.int64],
        length: NDArray[np.int64],
        block: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        """Record headers (packets x bytes)."""
        ticks = time if self.nanoseconds else time // 1_000
        if self.pcapng:
            columns = [np.full_like(ticks, 6), block, np.zeros_like(ticks), ticks >> 32, ticks & 0xFFFF_FFFF]
        else:
            second = 10**9 if self.nanoseconds else 10**6
            columns = [ticks // second, ticks % second]
        return _words(np.stack([*columns, captured, length], axis=1))


def _words(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Rows of numbers as rows of little-endian 32-bit words."""
    return np.ascontiguousarray(values.astype("<u4")).view(np.uint8)


def _scatter(out: NDArray[np.uint8], start: NDArray[np.int64], rows: NDArray[np.uint8]) -> None:
    """Write each row to its place."""
    windows = np.lib.stride_tricks.sliding_window_view(out, rows.shape[1], writeable=True)
    windows[start] = rows
