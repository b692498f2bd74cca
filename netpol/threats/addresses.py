"""Ranges of addresses by the million, and which of them holds an address."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.model.flow import Address

_LOW: Final = (1 << 64) - 1


class Ranges:
    """Inclusive ranges, in any order, overlapping or not; of IPv4 12 bytes each, of IPv6 36.

    Ask only after the last was added.
    """

    def __init__(self) -> None:
        self._four = array("I"), array("I")
        self._six = tuple(array("Q") for _ in range(4))
        self._lines = {4: array("I"), 6: array("I")}
        self._found: dict[int, _Sorted] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, version: int, first: int, last: int, line: int) -> None:
        """Adds a range of one family that stands in a line of the list."""
        if self._found:
            self._found.clear()  # what was sorted looks into the columns, which cannot grow meanwhile
        if version == 4:
            self._four[0].append(first)
            self._four[1].append(last)
        else:
            words = first >> 64, first & _LOW, last >> 64, last & _LOW
            for column, word in zip(self._six, words, strict=True):
                column.append(word)
        self._lines[version].append(line)

    def pairs(self, version: int) -> Iterator[tuple[int, int]]:
        """The (first, last) of each range of one family, as they were added."""
        columns = (column.tolist() for column in self._columns(version))
        for first_high, first_low, last_high, last_low in zip(*columns, strict=True):
            yield first_high << 64 | first_low, last_high << 64 | last_low

    def line(self, address: Address) -> int | None:
        """The line of a range that holds the address, None where none does."""
        version = address.version
        if version not in self._found:
            self._found[version] = _Sorted(self._columns(version), self._lines[version])
        return self._found[version].line(int(address))

    def _columns(self, version: int) -> tuple[NDArray[np.uint64], ...]:
        """uint64[n] each: the upper and the lower half of the first addresses, the same of the last."""
        if version == 6:
            return tuple(np.frombuffer(column, np.uint64) for column in self._six)
        first, last = (np.frombuffer(column, np.uint32).astype(np.uint64) for column in self._four)
        upper = np.zeros(len(first), np.uint64)
        return upper, first, upper, last


class _Sorted:
    """Ranges by their first address, each with the one that reaches furthest of all that begin no later.

    An address is in some range exactly if the furthest of those that begin at or before it reaches it.
    """

    def __init__(self, columns: tuple[NDArray[np.uint64], ...], lines: array[int]) -> None:
        first_high, first_low, last_high, last_low = columns
        self._lines = lines
        order = np.lexsort((first_low, first_high))
        self._first = first_high[order], first_low[order]
        by_last = np.lexsort((last_low, last_high))
        rank = np.empty(len(order), np.int64)
        rank[by_last] = np.arange(len(order))
        furthest = np.maximum.accumulate(rank[order]) if len(order) else rank
        self._reach = by_last[furthest]
        self._last = last_high, last_low

    def line(self, address: int) -> int | None:
        high, low = self._first
        at = bisect_right(range(len(high)), address, key=lambda index: int(high[index]) << 64 | int(low[index])) - 1
        if at < 0:
            return None
        entry = int(self._reach[at])
        last = int(self._last[0][entry]) << 64 | int(self._last[1][entry])
        return self._lines[entry] if address <= last else None
