"""Where the decoder stands in many packets at once, and what it has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netpol.capture.views import HEAD, Bytes, Ints, Mask, Structured, fetch

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.capture.packets import Tally

Addresses = NDArray[np.unsignedinteger]

CUT = "cut by snaplen"
DEEPEST = 8
"""So many tunnels in tunnels are followed."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cursor:
    """A position in each of n packets, all int64[n]. Positions are indices into the block's data.

    Attributes:
        rows: Which packet of the block.
        at: Where its next header starts.
        end: Behind the last captured byte that belongs to it, at most.
        wire_end: The same on the wire. Beyond `end` where the capture's snapshot length cut the packet.
        depth: How many tunnels were opened to get here.
        offset: Bytes from the start of the frame, where that is the same for all.
    """

    rows: Ints
    at: Ints
    end: Ints
    wire_end: Ints
    depth: int = 0
    offset: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, mask: Mask) -> Cursor:
        """The packets of the mask."""
        return Cursor(self.rows[mask], self.at[mask], self.end[mask], self.wire_end[mask], self.depth, self.offset)

    def moved(self, by: Ints | int, *, deeper: int = 0) -> Cursor:
        """The same packets, `by` bytes further."""
        offset = self.offset + by if self.offset is not None and isinstance(by, int) else None
        return Cursor(self.rows, self.at + by, self.end, self.wire_end, self.depth + deeper, offset)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Datagrams:
    """IP packets of one family at their transport headers.

    Attributes:
        family: 4 or 6.
        cursor: At the transport header; its end is no further than the IP packet's.
        source: uint32[n] or uint64[n, 2].
        destination: The same.
        protocol: uint8[n].
        size: int64[n], bytes from the transport header to the end of the IP packet, by its own length.
        header: The first bytes of the transport header, when they were fetched together with the IP header.
    """

    family: int
    cursor: Cursor
    source: Addresses
    destination: Addresses
    protocol: NDArray[np.uint8]
    size: Ints
    header: Structured | None = None

    def __len__(self) -> int:
        return len(self.size)

    def take(self, mask: Mask) -> Datagrams:
        """The packets of the mask."""
        return Datagrams(
            self.family,
            self.cursor.take(mask),
            self.source[mask],
            self.destination[mask],
            self.protocol[mask],
            self.size[mask],
            None if self.header is None else self.header[mask],
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Columns:
    """Decoded packets of one family, columns as in PacketBatch, with the rows that they belong to."""

    family: int
    rows: Ints
    source: Addresses
    destination: Addresses
    protocol: NDArray[np.uint8]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    flags: NDArray[np.uint8]
    sequence: NDArray[np.uint32]
    acknowledgement: NDArray[np.uint32]
    payload: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Quoted:
    """Quoted packets of one family, columns as in Unreachables, with the rows that quote them."""

    family: int
    rows: Ints
    source: Addresses
    destination: Addresses
    protocol: NDArray[np.uint8]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    sequence: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FragmentPart:
    """IP fragments that belong together by (family, source, destination, identification, protocol).

    Attributes:
        first: They are first fragments, which have the transport header.
        datagrams: At what follows the IP headers.
        identification: int64[n].
        offset: int64[n], bytes from where the first fragment's datagram starts.
        more: bool[n], whether others follow.
    """

    first: bool
    datagrams: Datagrams
    identification: Ints
    offset: Ints
    more: Mask


class Payloads(NamedTuple):
    """Decoded packets of one family, and where their payloads are; kept only where names are read.

    Attributes:
        columns: The packets; where `usable` says no, they mean nothing.
        usable: bool[n]; None: all.
        start: Where the payloads of some TCP and UDP packets (int64[k], indices into the columns) start, int64[k].
        end: int64[n], behind the last captured byte of each packet.
    """

    columns: Columns
    usable: Mask | None
    start: Callable[[Ints], Ints]
    end: Ints


@dataclass(slots=True, eq=False, repr=False)
class Block:
    """One block of records while it is decoded: packets end up in the results or are counted."""

    data: Bytes
    heads: Bytes
    tally: Tally
    frames: list[tuple[int, Cursor]] = field(default_factory=list)
    """Frames of a LINKTYPE_ still to decode."""
    packets: list[tuple[int, Cursor]] = field(default_factory=list)
    """IP packets of a version (4 or 6) still to decode."""
    columns: list[Columns] = field(default_factory=list)
    quoted: list[Quoted] = field(default_factory=list)
    fragments: list[FragmentPart] = field(default_factory=list)
    payloads: list[Payloads] | None = None
    """Where the payloads are, for whoever reads names; None: nobody does."""

    def fetch(self, at: Ints, layout: np.dtype[Any]) -> Structured:
        """The structures at `at`, wherever those are: positions behind the data read as some place inside."""
        return fetch(self.data, at, layout)

    def look(self, cursor: Cursor, layout: np.dtype[Any], ahead: int = 0) -> Structured:
        """The structures at the cursor, or `ahead` bytes further; from the frames' fetched heads if possible."""
        start = None if cursor.offset is None else cursor.offset + ahead
        if start is None or start + layout.itemsize > HEAD:
            return fetch(self.data, cursor.at + ahead, layout)
        heads = self.heads if len(cursor) == len(self.heads) else self.heads[cursor.rows]
        return heads[:, start : start + layout.itemsize].view(layout)[:, 0]

    def drop(self, reason: str, count: int | np.intp) -> None:
        """Counts packets that are given up."""
        self.tally.drop(reason, int(count))

    def held(self, cursor: Cursor, need: Ints | int, malformed: str) -> Mask | None:
        """Which packets have the next `need` bytes; the others are dropped. None: all have them.

        Those that the snapshot length cut are counted as such, the others under `malformed`.
        """
        short = cursor.end - cursor.at < need
        if not short.any():
            return None
        cut = short & (cursor.end < cursor.wire_end) & (cursor.wire_end - cursor.at >= need)
        count = int(np.count_nonzero(cut))
        self.tally.truncated += count
        self.drop(CUT, count)
        self.drop(malformed, np.count_nonzero(short) - count)
        return ~short
