"""Ranges of addresses by the million, and which of them holds an address."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from netpol.model.flow import Address

_LOW: Final = (1 << 64) - 1


class Ranges:
    """Inclusive ranges, in any order, overlapping or not; 36 bytes each. Ask only after the last was added."""

    def __init__(self) -> None:
        self._columns = {version: tuple(array("Q") for _ in range(4)) for version in (4, 6)}
        self._lines = {version: array("I") for version in (4, 6)}
        self._found: dict[int, _Sorted] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, first: Address, last: Address, line: int) -> None:
        """Adds a range of one family that stands in a line of the list."""
        self._found.clear()  # what was sorted looks into the columns, which cannot grow meanwhile
        low, high = int(first), int(last)
        for column, word in zip(
            self._columns[first.version], (low >> 64, low & _LOW, high >> 64, high & _LOW), strict=True
        ):
            column.append(word)
        self._lines[first.version].append(line)

    def line(self, address: Address) -> int | None:
        """The line of a range that holds the address, None where none does."""
        version = address.version
        if version not in self._found:
            self._found[version] = _Sorted(self._columns[version], self._lines[version])
        return self._found[version].line(int(address))


class _Sorted:
    """Ranges by their first address, each with the one that reaches furthest of all that begin no later.

    An address is in some range exactly if the furthest of those that begin at or before it reaches it.
    """

    def __init__(self, columns: tuple[array[int], ...], lines: array[int]) -> None:
        first_high, first_low, last_high, last_low = (np.frombuffer(column, np.uint64) for column in columns)
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
