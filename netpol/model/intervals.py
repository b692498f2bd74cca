"""Sets of integers as sorted ranges: the one algebra under ports and addresses.

A `Ranges` is a tuple of inclusive (first, last) pairs in ascending order that neither overlap nor touch. Every set
has exactly one such form, so that equal sets are equal tuples. All functions are linear in the number of ranges,
except `normalise`, which sorts.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]


def normalise(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """The canonical form of any inclusive (first, last) pairs with first <= last, in O(n log n)."""
    return _merge_sorted(sorted(pairs))


def union(left: Ranges, right: Ranges) -> Ranges:
    """Every number that is in one of them or in both."""
    if not left or not right:
        return left or right
    # Timsort finds the two sorted runs and merges them in linear time.
    return _merge_sorted(sorted(left + right))


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """Every number that is in both."""
    result = []
    i = j = 0
    while i < len(left) and j < len(right):
        first = max(left[i][0], right[j][0])
        last = min(left[i][1], right[j][1])
        if first <= last:
            result.append((first, last))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(result)


def difference(left: Ranges, right: Ranges) -> Ranges:
    """Every number of `left` that is not in `right`."""
    result = []
    j = 0
    for first, last in left:
        start = first
        while j < len(right) and right[j][1] < start:
            j += 1
        k = j
        while k < len(right) and right[k][0] <= last:
            if start < right[k][0]:
                result.append((start, right[k][0] - 1))
            start = right[k][1] + 1
            k += 1
        if start <= last:
            result.append((start, last))
        # The last range that was met may reach into the next range of `left`.
        j = max(j, k - 1)
    return tuple(result)


def contains(ranges: Ranges, number: int) -> bool:
    """Whether the number is in the set, in O(log n)."""
    index = bisect_right(ranges, number, key=_first) - 1
    return index >= 0 and number <= ranges[index][1]


def size(ranges: Ranges) -> int:
    """How many numbers the set has."""
    return sum(last - first + 1 for first, last in ranges)


def _first(pair: tuple[int, int]) -> int:
    return pair[0]


def _merge_sorted(pairs: list[tuple[int, int]]) -> Ranges:
    """Join what overlaps or touches in pairs that are sorted by their first number."""
    if not pairs:
        return ()
    result = []
    start, end = pairs[0]
    for first, last in pairs:
        if first > end + 1:
            result.append((start, end))
            start, end = first, last
        elif last > end:
            end = last
    result.append((start, end))
    return tuple(result)
