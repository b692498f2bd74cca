"""The pcapng container: sections of blocks, each block with its length at both ends (draft-ietf-opsawg-pcapng).

Packets are decoded by column; section headers, interface descriptions and statistics, which are few, one by one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.compressed import CUT_OFF
from netpol.capture.lanes import walk
from netpol.capture.pcapng_interfaces import Interfaces, Units
from netpol.capture.records import LONGEST_RECORD, Records
from netpol.capture.views import HEAD, Bytes, Ints, Mask, fetch, firsts, one_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.packets import Tally
    from netpol.capture.records import BlockSize, Source, Window

MAGIC = b"\x0a\x0d\x0d\x0a"
_SECTION: Final = 0x0A0D0D0A
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _STATISTICS, _PACKET = 1, 2, 3, 5, 6
_KNOWN = (_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _STATISTICS, _PACKET)
_SECTION_HEADER = 28
_SMALLEST = 12
_FRAME_AT = 28
_SIMPLE_FRAME_AT = 12
_LONGEST_BLOCK = 1 << 20
_FIRST_STRETCH = 1 << 16
_DAMAGED_BLOCK = "damaged pcapng block"
_NO_INTERFACE = "pcapng interface not described"


@dataclass(frozen=True, slots=True)
class End:
    """Why the blocks of one window end where they do.

    Attributes:
        following: Index of the first byte that was not used.
        section: Another section starts there.
        damage: What is wrong there, empty if nothing.
        needed: So many bytes from there must be held to go on.
        skip: So many bytes from there hold no packet.
    """

    following: int
    section: bool = False
    damage: str = ""
    needed: int = 0
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of one byte order: where they start, their types and total lengths, each int64[n]."""

    order: str
    at: Ints
    kind: Ints
    length: Ints

    def first(self, count: int) -> Blocks:
        """The first `count` blocks."""
        return Blocks(self.order, self.at[:count], self.kind[:count], self.length[:count])

    @property
    def known(self) -> Mask:
        """Those of a type that is looked into."""
        return one_of(self.kind, _KNOWN)


def _next_section(window: Window, blocks: Blocks) -> tuple[int, End] | None:
    """Blocks behind another section's start may have another byte order."""
    del window
    sections = np.flatnonzero(blocks.kind[1:] == _SECTION)
    if not len(sections):
        return None
    count = int(sections[0]) + 1
    return count, End(int(blocks.at[count]), section=True)


def _lying_length(window: Window, blocks: Blocks) -> tuple[int, End] | None:
    """A length that no block of its type has."""
    del window
    bad = (blocks.length % 4 != 0) | (blocks.length < _SMALLEST) | (blocks.known & (blocks.length > _LONGEST_BLOCK))
    if not bad.any():
        return None
    count = int(np.argmax(bad))
    return count, End(int(blocks.at[count]), damage=f"a block claims a length of {blocks.length[count]} bytes")


def _incomplete(window: Window, blocks: Blocks) -> tuple[int, End] | None:
    """A last block that goes on behind the window."""
    if not len(blocks.at) or blocks.at[-1] + blocks.length[-1] <= window.stop:
        return None
    following, length = int(blocks.at[-1]), int(blocks.length[-1])
    if blocks.known[-1]:
        end = End(following, needed=length)
    else:
        end = End(following, skip=length if following == window.start else 0)
    return len(blocks.at) - 1, end


def _other_length_at_end(window: Window, blocks: Blocks) -> tuple[int, End] | None:
    """Two lengths that differ. Of blocks that are passed over, the second one is not looked at."""
    at_end = fetch(window.data, blocks.at + blocks.length - 4, np.dtype(blocks.order + "u4"))
    different = blocks.known & (at_end != blocks.length)
    if not different.any():
        return None
    count = int(np.argmax(different))
    lengths = f"the length {blocks.length[count]} at its start and {at_end[count]} at its end"
    return count, End(int(blocks.at[count]), damage=f"a block has {lengths}")


class BlockChain:
    """How pcapng blocks follow each other on one stretch of one byte order."""

    def __init__(self, order: str, data: Bytes) -> None:
        self._order = order
        self._data = data
        self._word = struct.Struct(order + "I").unpack_from
        self._words = np.ndarray((len(data) - 3,), order + "u4", data.data, strides=(1,))
        self._lengths = self._words[4:]

    def step(self, at: Ints) -> Ints:
        """See Chain."""
        following: Ints = at + np.maximum(self._lengths[at], _SMALLEST)
        return following

    def step_one(self, at: int) -> int:
        """See Chain."""
        return at + max(int(self._word(self._data.data, at + 4)[0]), _SMALLEST)

    def guess(self, begin: Ints, span: int, stop: int) -> Ints:
        """The first multiple of four bytes that looks like a packet block with the right length at its end."""
        found = np.full(len(begin), -1, np.int64)
        spans = fetch(self._data, begin, np.dtype(("u1", (span,)))).reshape(len(begin), span)
        words = spans.view(self._order + "u4")
        lane, shift = np.divmod(np.flatnonzero(words == _PACKET), span // 4)
        at = begin[lane] + 4 * shift
        length = self._lengths[at].astype(np.int64)
        likely = (length % 4 == 0) & (length >= _FRAME_AT) & (length <= _LONGEST_BLOCK) & (at + length <= stop)
        lane, at, length = lane[likely], at[likely], length[likely]
        same = self._words[at + length - 4] == length
        lane, at = lane[same], at[same]
        first_of_lane = firsts(lane)
        found[lane[first_of_lane]] = at[first_of_lane]
        return found


class Pcapng:
    """Reads one pcapng stream."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._order = "<"
        self._interfaces = Interfaces()
        self._last_time = 0

    def records(self, source: Source, block: BlockSize) -> Iterator[Records]:
        """Yields the records block by block; simple packets, which have no time, get that of the packet before them.

        A new section may have another byte order, so it is walked from its start, at first in short stretches: many
        tiny sections must not cost a whole block each.

        Args:
            source: At its start.
            block: How much to hold at once.

        Raises:
            InputError: Nothing at all could be read. A later block that makes no sense ends the capture there and is
                noted.
        """
        start, size, beginning = 0, min(block(), _FIRST_STRETCH), True
        while True:
            window = source.advance(start, size)
            records, end = self._stretch(window)
            start = end.following
            if len(records):
                beginning = False
                yield records
            damage = end.damage
            malformed = bool(damage) or window.broken not in {"", CUT_OFF}
            if window.final and not damage and not end.section:
                if start < window.stop or end.skip or window.broken:
                    cut = "the last block is cut off" if start < window.stop or end.skip else "the capture ends early"
                    damage = window.broken or cut
                    beginning = False
                elif beginning:
                    break
            if damage:
                damage = f"byte {window.offset + start}: {damage}"
                if beginning:
                    raise InputError(damage, where=(source.place,), remedy="Record the capture again")
                self._tally.damage(f"{source.place}: {damage}", malformed=malformed)
            if damage or (window.final and not end.section):
                break
            if end.skip:
                start = self._skip(source, end.skip, start)
            size = max(min(block(), _FIRST_STRETCH if end.section else size * 2), end.needed)
        self._count_drops()

    def _skip(self, source: Source, length: int, start: int) -> int:
        """Passes over a block that holds no packet and is longer than the window; returns where it ends."""
        while True:
            window = source.advance(start, _FIRST_STRETCH)
            here = window.stop - window.start
            if length > here and window.final:
                message = f"{source.place}: byte {window.offset + window.stop}: the last block is cut off"
                self._tally.damage(message, malformed=False)
                return window.stop
            if length <= here:
                return window.start + length
            length -= here
            start = window.stop

    def _stretch(self, window: Window) -> tuple[Records, End]:
        """Reads the blocks of one window that belong to one section."""
        data, start = window.data, window.start
        head = data[start : min(start + _SECTION_HEADER, window.stop)].tobytes()
        if head.startswith(MAGIC):
            if len(head) < _SECTION_HEADER:
                return _no_records(data), End(start, needed=_SECTION_HEADER)
            if damage := self._begin_section(head):
                return _no_records(data), End(start, damage=damage)
        blocks = self._blocks(window)
        end = End(window.stop)
        if len(blocks.at):
            end = End(int(blocks.at[-1] + max(blocks.length[-1], _SMALLEST)))
        elif start < window.stop:
            end = End(start, needed=8)
        for rule in (_next_section, _lying_length, _incomplete, _other_length_at_end):
            if found := rule(window, blocks):
                count, end = found
                blocks = blocks.first(count)
        return self._read_blocks(data, blocks), end

    def _blocks(self, window: Window) -> Blocks:
        """All blocks of which type and length are in the window, whatever they claim."""
        at = walk(BlockChain(self._order, window.data), window.start, window.stop)
        if len(at) and at[-1] + 8 > window.stop:
            at = at[:-1]
        words = fetch(window.data, at, np.dtype("V8")).view(self._order + "u4").reshape(len(at), 2)
        return Blocks(self._order, at, words[:, 0].astype(np.int64), words[:, 1].astype(np.int64))

    def _begin_section(self, head: bytes) -> str:
        """Starts a section; says what is wrong with its header."""
        order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(head[8:12])
        if order is None:
            return "the section header has no byte order"
        major, minor = struct.unpack_from(order + "HH", head, 12)
        if major != 1:
            return f"pcapng version {major}.{minor} is not known"
        self._count_drops()
        self._order, self._interfaces = order, Interfaces()
        return ""

    def _count_drops(self) -> None:
        self._tally.lost += sum(self._interfaces.drops)
        self._interfaces = Interfaces()

    def _read_blocks(self, data: Bytes, blocks: Blocks) -> Records:
        """The packets among complete blocks."""
        at, kind, length = blocks.at, blocks.kind, blocks.length
        described = len(self._interfaces) + np.cumsum(kind == _INTERFACE)
        for index in np.flatnonzero((kind == _INTERFACE) | (kind == _STATISTICS)):
            body = data[at[index] + 8 : at[index] + length[index] - 4].tobytes()
            if kind[index] == _INTERFACE:
                self._interfaces.describe(self._order, body.ljust(8, b"\0"))
            else:
                self._interfaces.count_drops(self._order, body.ljust(12, b"\0"))
        packets = np.flatnonzero((kind == _PACKET) | (kind == _SIMPLE_PACKET) | (kind == _OLD_PACKET))
        at, kind, length, described = at[packets], kind[packets], length[packets], described[packets]
        width = _FRAME_AT + HEAD
        raw = fetch(data, at, np.dtype(("u1", (width,)))).reshape(len(at), width)
        words, heads = raw.view(self._order + "u4"), raw[:, _FRAME_AT:]
        interface, captured, wire = (words[:, column].astype(np.int64) for column in (2, 5, 6))
        units = words[:, 3].astype(np.uint64) << np.uint64(32) | words[:, 4]
        frame, overhead = at + _FRAME_AT, np.full(len(at), _FRAME_AT + 4)
        old, simple = kind == _OLD_PACKET, kind == _SIMPLE_PACKET
        if old.any():
            halves = fetch(data, at[old] + 8, np.dtype("V4")).view(self._order + "u2").reshape(-1, 2).astype(np.int64)
            interface[old] = halves[:, 0]
            drops = halves[:, 1]
            self._tally.lost += int(drops[drops != 0xFFFF].sum())
        if simple.any():
            interface[simple] = 0
            wire[simple] = words[simple, 2]
            overhead[simple] = _SIMPLE_FRAME_AT + 4
            frame[simple] = at[simple] + _SIMPLE_FRAME_AT
            heads[simple] = raw[simple, _SIMPLE_FRAME_AT : _SIMPLE_FRAME_AT + HEAD]
            snaplen = (self._interfaces.snaplen[0] if len(self._interfaces) else 0) or LONGEST_RECORD
            captured[simple] = np.minimum(np.minimum(wire[simple], snaplen), length[simple] - overhead[simple])
        unknown = interface >= np.minimum(described, len(self._interfaces))
        damaged = ~unknown & ((length < overhead) | (captured > length - overhead) | (captured < 0))
        for reason, mask in ((_NO_INTERFACE, unknown), (_DAMAGED_BLOCK, damaged)):
            count = int(np.count_nonzero(mask))
            self._tally.packets += count
            self._tally.drop(reason, count)
        good = ~(unknown | damaged)
        if not good.all():
            interface, captured, wire, units = interface[good], captured[good], wire[good], units[good]
            frame, simple, heads = frame[good], simple[good], heads[good]
        linktypes = np.array(self._interfaces.linktype, np.int64)
        return Records(
            data=data,
            heads=heads,
            at=frame,
            captured=captured,
            wire=wire,
            time=self._times(interface, units, simple),
            linktype=int(linktypes[0])
            if len(linktypes) and (linktypes == linktypes[0]).all()
            else linktypes[interface],
        )

    def _times(self, interface: Ints, units: Units, simple: Mask) -> Ints:
        if not len(units):
            return np.empty(0, np.int64)
        time = self._interfaces.nanoseconds(interface, units)
        if simple.any():
            latest = np.maximum.accumulate(np.where(simple, -1, np.arange(len(time))))
            time = np.where(latest < 0, self._last_time, time[latest])
        self._last_time = int(time[-1])
        return time


def _no_records(data: Bytes) -> Records:
    empty = np.empty(0, np.int64)
    return Records(
        data=data, heads=np.empty((0, HEAD), np.uint8), at=empty, captured=empty, wire=empty, time=empty, linktype=0
    )
