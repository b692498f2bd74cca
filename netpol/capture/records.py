"""What a container yields, and what it reads from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from netpol.capture.views import Bytes, Ints, Mask

LONGEST_RECORD = 262_144
"""The longest captured length that is believed, as in libpcap (MAXIMUM_SNAPLEN)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Records:
    """The frames of one block. Positions are indices into `data`, which is reused for the next block.

    Attributes:
        data: uint8[m].
        heads: uint8[n, HEAD], the first bytes of each frame, and whatever follows a shorter one.
        at: int64[n], where each captured frame starts.
        captured: int64[n], bytes captured.
        wire: int64[n], bytes on the wire.
        time: int64[n], nanoseconds since the Unix epoch.
        linktype: The LINKTYPE_ value of all frames, or of each: int64[n].
    """

    data: Bytes
    heads: Bytes
    at: Ints
    captured: Ints
    wire: Ints
    time: Ints
    linktype: int | NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)

    def rows(self, begin: int, end: int) -> Records:
        """The records begin..end."""
        return self._part(slice(begin, end))

    def chosen(self, mask: Mask) -> Records:
        """The records of the mask."""
        return self._part(mask)

    def _part(self, part: slice | Mask) -> Records:
        return Records(
            data=self.data,
            heads=self.heads[part],
            at=self.at[part],
            captured=self.captured[part],
            wire=self.wire[part],
            time=self.time[part],
            linktype=self.linktype if isinstance(self.linktype, int) else self.linktype[part],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A block of a byte stream in memory.

    Attributes:
        data: uint8[m], with at least PAD bytes behind `stop`.
        start: First valid index.
        stop: Behind the last valid index.
        offset: Place in the (uncompressed) stream of index 0; may be negative.
        final: Nothing follows.
        broken: Why nothing follows, empty at a proper end.
    """

    data: Bytes
    start: int
    stop: int
    offset: int
    final: bool
    broken: str = ""


class Source(Protocol):
    """A byte stream that is seen through a window which only moves forward."""

    place: str

    @property
    def consumed(self) -> int:
        """Bytes of the file, compressed as they may be, that were read so far; 0 where that is not known."""
        ...

    def advance(self, start: int, size: int) -> Window:
        """Moves the window to index `start` of the last one, so that it holds `size` bytes, or all that is left.

        The last window's data must not be used any more.

        Raises:
            InputError: Reading failed.
        """
        ...

    def close(self) -> None:
        """Gives the file back."""
        ...


class BlockSize(Protocol):
    """How many bytes to hold at once, asked before each block."""

    def __call__(self) -> int:
        """Bytes."""
        ...


class Container(Protocol):
    """A capture format."""

    def records(self, source: Source, block: BlockSize) -> Iterator[Records]:
        """All records of the capture that `source` holds, in file order."""
        ...
