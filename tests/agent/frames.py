"""Made-up TCP frames as a ring hands them over."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netpol.capture.records import Records
from netpol.capture.views import HEAD, PAD, fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)


class Frame(NamedTuple):
    """A TCP segment.

    Attributes:
        time: Seconds.
        size: Payload by the IP length; none of it was captured.
    """

    time: float
    source: tuple[str, int]
    destination: tuple[str, int]
    flags: int
    sequence: int
    acknowledgement: int = 0
    size: int = 0


def from_client(time: float, flags: int, sequence: int, acknowledgement: int = 0, size: int = 0) -> Frame:
    return Frame(time, CLIENT, SERVER, flags, sequence, acknowledgement, size)


def from_server(time: float, flags: int, sequence: int, acknowledgement: int = 0, size: int = 0) -> Frame:
    return Frame(time, SERVER, CLIENT, flags, sequence, acknowledgement, size)


def records_of(frames: Sequence[Frame], epoch: int = 0) -> Records:
    """The frames, captured as far as their headers go; times count from `epoch`, nanoseconds."""
    headers = [_headers(frame) for frame in frames]
    data = np.frombuffer(b"".join(headers) + bytes(PAD), np.uint8).copy()
    size = np.array([len(each) for each in headers], np.int64)
    at = np.cumsum(size) - size
    return Records(
        data=data,
        heads=fetch(data, at, np.dtype(f"V{HEAD}")).view(np.uint8).reshape(len(at), HEAD),
        at=at,
        captured=size,
        wire=size + np.array([frame.size for frame in frames], np.int64),
        time=np.array([epoch + round(frame.time * 1e9) for frame in frames], np.int64),
        linktype=1,
    )


def _headers(frame: Frame) -> bytes:
    ends = IPv4Address(frame.source[0]).packed + IPv4Address(frame.destination[0]).packed
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + frame.size, 1, 0, 64, 6, 0) + ends
    numbers = (frame.sequence & 0xFFFF_FFFF, frame.acknowledgement & 0xFFFF_FFFF)
    tcp = struct.pack("!HHIIBBHHH", frame.source[1], frame.destination[1], *numbers, 5 << 4, frame.flags, 1000, 0, 0)
    return bytes(12) + b"\x08\0" + ip + tcp
