"""The pcap container: one header, then records of a fixed header and a frame.

Source: draft-ietf-opsawg-pcap, and for the variants what libpcap reads (sf-pcap.c): both byte orders, nanoseconds,
    the record
header that Alexey Kuznetzov's patch made 8 bytes longer, and the files before version 2.4 with the two lengths swapped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netpol.capture.compressed import CUT_OFF
from netpol.capture.lanes import walk
from netpol.capture.records import LONGEST_RECORD, Records
from netpol.capture.views import HEAD, Bytes, Ints, fetch, firsts
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.packets import Tally
    from netpol.capture.records import BlockSize, Source, Window

_MICROSECONDS, _NANOSECONDS, _KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
_HEADER = 24
MAGICS = frozenset(
    struct.pack(order + "I", magic) for order in "<>" for magic in (_MICROSECONDS, _NANOSECONDS, _KUZNETZOV)
)
_LONGEST_FRAME = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the records of one file are laid out.

    Attributes:
        order: `<` or `>`.
        nanoseconds: Nanoseconds per unit of the fraction.
        header: Bytes of a record header.
        captured: Offset in it of the captured length.
        wire: Offset in it of the original length.
        either: Version 2.3: the two lengths may be swapped, record by record; the smaller one is the captured length.
        linktype: LINKTYPE_ value.
    """

    order: str
    nanoseconds: int
    header: int
    captured: int
    wire: int
    either: bool
    linktype: int

    @classmethod
    def parse(cls, header: bytes) -> Layout:
        """Reads the file header.

        Raises:
            InputError: It is cut off, or its version was never written by anyone.
        """
        if len(header) < _HEADER:
            raise InputError("the pcap file header is cut off", remedy="Record the capture again")
        order = (
            "<"
            if header[:4] in {struct.pack("<I", magic) for magic in (_MICROSECONDS, _NANOSECONDS, _KUZNETZOV)}
            else ">"
        )
        magic, major, minor, _, _, _, linktype = struct.unpack(order + "IHHIIII", header[:_HEADER])
        if (major != 2 or minor > 4) and (major, minor) != (543, 0):
            raise InputError(
                f"pcap version {major}.{minor} is not known",
                where=("byte 4",),
                remedy="Rewrite it with `editcap -F pcap`",
            )
        swapped = major == 543 or minor < 3
        return cls(
            order=order,
            nanoseconds=1 if magic == _NANOSECONDS else 1000,
            header=24 if magic == _KUZNETZOV else 16,
            captured=12 if swapped else 8,
            wire=8 if swapped else 12,
            either=(major, minor) == (2, 3),
            linktype=linktype
            & 0xFFFF,  # the upper half says whether frames end in a checksum, which IP lengths exclude
        )


class PcapChain:
    """How pcap records follow each other on one block."""

    def __init__(self, layout: Layout, data: Bytes, second: int | None) -> None:
        """Args: layout; data: the block; second: a time close to the block's packets, None: guess nothing."""
        self._layout = layout
        self._data = data
        self._second = second
        self._header = np.array([layout.header])  # an array, because a Python number costs a conversion each time
        self._word = struct.Struct(layout.order + "I").unpack_from
        self._words = np.ndarray((len(data) - 3,), layout.order + "u4", data.data, strides=(1,))
        self._lengths = self._words[layout.captured :]
        self._other_lengths = self._words[layout.wire :]

    def step(self, at: Ints) -> Ints:
        """See Chain."""
        length = self._lengths[at]
        if self._layout.either:
            length = np.minimum(length, self._other_lengths[at])
        following: Ints = at + length
        following += self._header
        return following

    def step_one(self, at: int) -> int:
        """See Chain."""
        length: int = self._word(self._data.data, at + self._layout.captured)[0]
        if self._layout.either:
            length = min(length, self._word(self._data.data, at + self._layout.wire)[0])
        return at + self._layout.header + length

    def guess(self, begin: Ints, span: int, stop: int) -> Ints:
        """The first place that looks like a record header of the block's time and leads to another one.

        All bytes of all spans are compared with the upper half of the time, 2^16 s wide; the few that match are
        looked at closely.
        """
        found = np.full(len(begin), -1, np.int64)
        if self._second is None:
            return found
        upper = struct.pack(self._layout.order + "I", self._second)
        first = 2 if self._layout.order == "<" else 0
        spans = fetch(self._data, begin, np.dtype(("u1", (span + 4,)))).reshape(len(begin), span + 4)
        matches = spans[:, first : first + span] == upper[first]
        matches &= spans[:, first + 1 : first + 1 + span] == upper[first + 1]
        lane, shift = np.divmod(np.flatnonzero(matches), span)
        at = begin[lane] + shift
        likely = self._likely(at)
        lane, at = lane[likely], at[likely]
        following = self.step(at)
        ends = following >= stop - self._layout.header
        ends[~ends] = self._likely(following[~ends]) & (self._words[following[~ends]] >> 16 == self._second >> 16)
        lane, at = lane[ends], at[ends]
        first_of_lane = firsts(lane)
        found[lane[first_of_lane]] = at[first_of_lane]
        return found

    def _likely(self, at: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        captured, wire = self._lengths[at], self._other_lengths[at]
        fraction = self._words[at + 4]
        likely = (
            (captured <= LONGEST_RECORD)
            & (wire <= _LONGEST_FRAME)
            & (fraction < 1_000_000_000 // self._layout.nanoseconds)
        )
        if not self._layout.either:
            likely &= captured <= wire
        return likely


class Pcap:
    """Reads one pcap stream."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._second: int | None = None

    def records(self, source: Source, block: BlockSize) -> Iterator[Records]:
        """Yields the records block by block.

        Args:
            source: At its start.
            block: How much to hold at once.

        Raises:
            InputError: The file header is unusable, or the very first record is. A later place that makes no sense
                ends the capture there, as in libpcap, and is noted as damage.
        """
        window = source.advance(0, block())
        try:
            layout = Layout.parse(window.data[window.start : min(window.start + _HEADER, window.stop)].tobytes())
        except InputError as error:
            raise error.inside(source.place) from error
        start = window.start + _HEADER
        size = block()
        beginning = True
        while True:
            window = source.advance(start, size)
            size = block()
            start = window.start
            found, following, damage = self._block(layout, window)
            if len(found):
                beginning = False
                yield found
            if damage and beginning:
                raise InputError(damage, where=(source.place,), remedy="Only the capture's header can be read")
            malformed = bool(damage) or window.broken not in {"", CUT_OFF}
            if not damage and window.final and (following < window.stop or window.broken):
                cut = "the last record is cut off" if following < window.stop else "the capture ends early"
                damage = f"byte {window.offset + following}: {window.broken or cut}"
            if damage:
                self._tally.damage(f"{source.place}: {damage}", malformed=malformed)
            if damage or window.final:
                return
            if following == window.start:
                size = max(size, self._needed(layout, window))
            start = following

    def _block(self, layout: Layout, window: Window) -> tuple[Records, int, str]:
        """The complete records of a window, where the next one starts, and what is wrong there, if anything."""
        data = window.data
        if self._second is None and window.stop - window.start >= layout.header:
            self._second = int(fetch(data, np.array([window.start]), np.dtype(layout.order + "u4"))[0])
        at = walk(PcapChain(layout, data, self._second), window.start, window.stop)
        if len(at) and at[-1] + layout.header > window.stop:
            at = at[:-1]
        width = layout.header + HEAD
        raw = fetch(data, at, np.dtype(("u1", (width,)))).reshape(len(at), width)
        seconds, fractions, captured, wire = _numbers(raw, layout)
        if layout.either:
            captured, wire = np.minimum(captured, wire), np.maximum(captured, wire)
        good, damage = len(at), ""
        if good and captured.max() > LONGEST_RECORD:
            good = int(np.argmax(captured > LONGEST_RECORD))
            place = window.offset + int(at[good])
            damage = f"byte {place}: a record claims {captured[good]} captured bytes, more than any capture holds"
        if good and at[good - 1] + layout.header + captured[good - 1] > window.stop:
            good -= 1
            damage = ""
        if good < len(at):
            following = int(at[good])
        else:
            following = int(at[-1] + layout.header + captured[-1]) if good else window.start
        if good:
            self._second = int(seconds[good - 1])
        found = Records(
            data=data,
            heads=raw[:, layout.header :],
            at=at + layout.header,
            captured=captured,
            wire=wire,
            time=seconds * 1_000_000_000 + fractions * layout.nanoseconds,
            linktype=layout.linktype,
        )
        return (found if good == len(at) else found.rows(0, good)), following, damage

    @staticmethod
    def _needed(layout: Layout, window: Window) -> int:
        if window.stop - window.start < layout.header:
            return layout.header
        word = struct.Struct(layout.order + "I").unpack_from(window.data.data, window.start + layout.captured)[0]
        return min(int(word), LONGEST_RECORD) + layout.header


def _numbers(raw: Bytes, layout: Layout) -> tuple[Ints, Ints, Ints, Ints]:
    """Seconds, fractions, captured and wire lengths, int64[n] each: two at a time, as halves of 64-bit words."""
    words = raw[:, :16].view(layout.order + "u8").T.astype(np.uint64, order="C")
    lower, upper = (words & np.uint64(0xFFFF_FFFF)).view(np.int64), (words >> np.uint64(32)).view(np.int64)
    (seconds, third), (fractions, fourth) = (lower, upper) if layout.order == "<" else (upper, lower)
    captured, wire = (third, fourth) if layout.captured < layout.wire else (fourth, third)
    return seconds, fractions, captured, wire
