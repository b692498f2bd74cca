"""The interfaces of a pcapng section: link types, clocks and drop counts (draft-ietf-opsawg-pcapng, 4.2 and 4.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netpol.capture.views import distinct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.views import Ints

Units = NDArray[np.uint64]

_MOST_INTERFACES = 1 << 16
_BILLION = 1_000_000_000
_LATEST_SECOND = 9_223_372_035
"""The last whole second that int64 nanoseconds hold, with room for the fraction."""


@dataclass(slots=True)
class Interfaces:
    """The interfaces of one section, in the order of their descriptions.

    Attributes:
        linktype: LINKTYPE_ values.
        snaplen: 0 is unlimited.
        binary: The resolution is a power of two, else of ten.
        exponent: Its exponent.
        shift: Seconds to add.
        drops: The last drop count that statistics gave.
    """

    linktype: list[int] = field(default_factory=list)
    snaplen: list[int] = field(default_factory=list)
    binary: list[bool] = field(default_factory=list)
    exponent: list[int] = field(default_factory=list)
    shift: list[int] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.linktype)

    def describe(self, order: str, body: bytes) -> None:
        """Adds the interface of an interface description block (without its type and lengths), up to a limit."""
        if len(self) == _MOST_INTERFACES:
            return
        linktype, _, snaplen = struct.unpack_from(order + "HHI", body)
        resolution, shift = 6, 0
        for code, value in _options(order, body[8:]):
            if code == 9 and value:
                resolution = value[0]
            elif code == 14 and len(value) == 8:
                shift = struct.unpack(order + "q", value)[0]
        self.linktype.append(linktype)
        self.snaplen.append(snaplen)
        self.binary.append(resolution & 0x80 != 0)
        self.exponent.append(resolution & 0x7F)
        self.shift.append(max(-_LATEST_SECOND, min(shift, _LATEST_SECOND)))
        self.drops.append(0)

    def count_drops(self, order: str, body: bytes) -> None:
        """Takes the drop counts of a statistics block: they count from the beginning, so the last one holds."""
        interface = struct.unpack_from(order + "I", body)[0]
        if interface >= len(self):
            return
        counts = [
            struct.unpack(order + "Q", value)[0]
            for code, value in _options(order, body[12:])
            if code in {5, 7} and len(value) == 8
        ]
        if counts:
            self.drops[interface] = sum(counts)

    def nanoseconds(self, interface: Ints, units: Units) -> Ints:
        """int64[n], since the epoch; times that 64 bits cannot hold become the last ones that they can."""
        time = np.zeros(len(units), np.int64)
        for each in distinct(interface).tolist():
            its = slice(None) if len(self) == 1 else interface == each
            seconds, fraction = _split(units[its], self.exponent[each], binary=self.binary[each])
            seconds = np.clip(seconds + self.shift[each], -_LATEST_SECOND, _LATEST_SECOND)
            time[its] = seconds * _BILLION + fraction
        return time


def _split(units: Units, exponent: int, *, binary: bool) -> tuple[Ints, Ints]:
    """Whole seconds and nanoseconds of times in units of 10^-exponent or 2^-exponent seconds."""
    if binary:
        if exponent > 63:
            return np.zeros(len(units), np.int64), np.zeros(len(units), np.int64)
        seconds = units >> np.uint64(exponent)
        part = units & np.uint64((1 << exponent) - 1)
        surplus = max(0, exponent - 32)
        fraction = ((part >> np.uint64(surplus)) * np.uint64(_BILLION)) >> np.uint64(exponent - surplus)
    else:
        if exponent > 19:
            return np.zeros(len(units), np.int64), np.zeros(len(units), np.int64)
        seconds, part = np.divmod(units, np.uint64(10**exponent))
        fraction = part * np.uint64(10 ** (9 - exponent)) if exponent <= 9 else part // np.uint64(10 ** (exponent - 9))
    return np.minimum(seconds, np.uint64(_LATEST_SECOND)).astype(np.int64), fraction.astype(np.int64)


def _options(order: str, body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == 0 or at + 4 + length > len(body):
            return
        yield code, body[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
