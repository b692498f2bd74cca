"""Sets of ports by number, so that a matrix of them is a matrix of integers.

Rules of a whole cluster sum up to few different sets of ports. Each gets a number when it is met first; unions and
intersections are remembered per pair of numbers, and worked out for whole arrays of numbers at once. A number stands
for all port atoms whose rows of bits are equal, so that no atom ever has to be cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.model.ports import PortMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

EMPTY: Final = 0
"""The number of the empty set."""
ALL: Final = 1
"""The number of every port of every protocol."""


class PortNumbers:
    """The sets met so far. Numbers are dense, and equal sets have equal numbers."""

    def __init__(self) -> None:
        self._maps: list[PortMap] = [PortMap.EMPTY, PortMap.ALL]
        self._numbers: dict[PortMap, int] = {PortMap.EMPTY: EMPTY, PortMap.ALL: ALL}
        self._unions: dict[tuple[int, int], int] = {}
        self._meets: dict[tuple[int, int], int] = {}
        self._rests: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, number: int) -> PortMap:
        return self._maps[number]

    def number(self, ports: PortMap) -> int:
        """The number of a set, a new one where it is met first."""
        found = self._numbers.get(ports)
        if found is None:
            found = self._numbers[ports] = len(self._maps)
            self._maps.append(ports)
        return found

    def union(self, numbers: NDArray[np.int32], number: int) -> NDArray[np.int32]:
        """Each of the sets with one more, in a new array of the same shape."""
        if number == EMPTY:
            return numbers.copy()
        result = np.full_like(numbers, number)
        if number != ALL:
            mixed = (numbers != EMPTY) & (numbers != number)
            if mixed.any():
                values, places = np.unique(numbers[mixed], return_inverse=True)
                result[mixed] = np.array([self._union(int(value), number) for value in values], np.int32)[places]
        return result

    def join(self, left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
        """What is in either, place by place, in a new array of the same shape."""
        result = np.where(left == EMPTY, right, left)
        result[right == ALL] = ALL
        mixed = (left > ALL) & (right > ALL) & (left != right)
        if mixed.any():
            result[mixed] = _by_pair(self._union, left[mixed], right[mixed])
        return result

    def less(self, numbers: NDArray[np.int32], number: int) -> NDArray[np.int32]:
        """Each of the sets without those of another one, in a new array of the same shape."""
        if number == EMPTY:
            return numbers.copy()
        if number == ALL:
            return np.full_like(numbers, EMPTY)
        values, places = np.unique(numbers, return_inverse=True)
        return np.array([self._rest(int(value), number) for value in values], np.int32)[places]

    def meet(self, left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
        """What is in both, place by place, in a new array of the same shape."""
        result = np.where(left == ALL, right, left)
        result[right == EMPTY] = EMPTY
        mixed = (left > ALL) & (right > ALL) & (left != right)
        if mixed.any():
            result[mixed] = _by_pair(self._meet, left[mixed], right[mixed])
        return result

    def _union(self, left: int, right: int) -> int:
        key = (left, right) if left < right else (right, left)
        found = self._unions.get(key)
        if found is None:
            found = self._unions[key] = self.number(self._maps[left] | self._maps[right])
        return found

    def _meet(self, left: int, right: int) -> int:
        key = (left, right) if left < right else (right, left)
        found = self._meets.get(key)
        if found is None:
            found = self._meets[key] = self.number(self._maps[left] & self._maps[right])
        return found

    def _rest(self, left: int, right: int) -> int:
        found = self._rests.get((left, right))
        if found is None:
            found = self._rests[left, right] = self.number(self._maps[left] - self._maps[right])
        return found


def _by_pair(
    operation: Callable[[int, int], int], left: NDArray[np.int32], right: NDArray[np.int32]
) -> NDArray[np.int32]:
    """The operation for each pair of numbers that occurs, in the places where it does."""
    pairs = left.astype(np.int64) << 32 | right
    values, places = np.unique(pairs, return_inverse=True)
    return np.array([operation(int(pair) >> 32, int(pair) & 0xFFFF_FFFF) for pair in values], np.int32)[places]
