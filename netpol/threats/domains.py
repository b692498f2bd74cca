"""Host names by the million, and which of them names a host."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.host_name import HostName
from netpol.model.wildcard import Depth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.model.wildcard import Wildcard


class Reach(IntFlag):
    """What an entry stands for."""

    SELF = 1
    BELOW = 2


class Domains:
    """Names, each with its reach and its line; about 21 bytes each beside their letters.

    They are found by their hashes, which no output shows, and compared letter by letter. Ask only after the last was
    added.
    """

    def __init__(self) -> None:
        self._letters = bytearray()
        self._ends = array("Q")
        self._hashes = array("q")
        self._reaches = array("B")
        self._lines = array("I")
        self._order: NDArray[np.int64] | None = None
        self._sorted: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, name: HostName, reach: Reach, line: int) -> None:
        """Adds a name that stands in a line of the list."""
        text = name.encode("ascii")
        self._letters += text
        self._ends.append(len(self._letters))
        self._hashes.append(hash(text))
        self._reaches.append(reach)
        self._lines.append(line)
        self._order = None

    def line(self, name: HostName) -> int | None:
        """The line of the entry that names the host: of itself first, then of the nearest name above it."""
        wanted, rest = Reach.SELF, str(name)
        while rest:
            lines = [line for line, reach in self._entries(rest.encode("ascii")) if reach & wanted]
            if lines:
                return min(lines)
            wanted, rest = Reach.BELOW, rest.partition(".")[2]
        return None

    def under(self, pattern: Wildcard) -> int | None:
        """The line of the first entry that names something that the pattern stands for, None where none does."""
        # Names below one that is listed with all below it are listed too.
        above = self.line(HostName(f"x.{pattern.parent}"))
        if above is not None:
            return above
        tail = b"." + pattern.parent.encode("ascii")
        at, lines = self._letters.find(tail), []
        while at >= 0:
            index = bisect_left(self._ends, at + len(tail))
            start = self._ends[index - 1] if index else 0
            if self._ends[index] == at + len(tail) and start < at:
                name = HostName(self._letters[start : self._ends[index]].decode("ascii"))
                deeper = pattern.depth is Depth.ANY
                if deeper or (self._reaches[index] & Reach.SELF and pattern.covers(name)):
                    lines.append(self._lines[index])
            at = self._letters.find(tail, at + 1)
        return min(lines, default=None)

    def _entries(self, text: bytes) -> Iterator[tuple[int, int]]:
        if self._order is None or self._sorted is None:
            hashes = np.array(self._hashes, np.int64)
            self._order = np.argsort(hashes, kind="stable")
            self._sorted = hashes[self._order]
        wanted = hash(text)
        begin, end = np.searchsorted(self._sorted, wanted, "left"), np.searchsorted(self._sorted, wanted, "right")
        for index in self._order[begin:end].tolist():
            start = self._ends[index - 1] if index else 0
            if self._letters[start : self._ends[index]] == text:
                yield self._lines[index], self._reaches[index]
