"""The longest-common-prefix tree over disjoint blocks, and the best choices of its nodes.

For n blocks and at most k chosen nodes the dynamic programme takes O(n k) time and O(n w) memory at w bits of address,
since a node's table is no longer than its leaves and a leaf has at most w nodes above it. Where n k is beyond
EXACT_WORK the choice comes from the lower convex hull of (nodes, addresses) instead: a price for each node, found by
bisection, O(n w) in all. No other choice of as many nodes covers fewer addresses then; but there may be one of a few
nodes fewer that keeps to the same number of addresses, or of a few more that keeps to the same number of nodes and
covers fewer addresses.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netpol.model.intervals import Ranges

    Table = list[int] | NDArray[Any]

EXACT_WORK: Final = {32: 200_000_000, 128: 100_000_000}
"""Blocks times nodes by width of an address: some seconds. Sums of IPv6 sizes need Python's integers."""

_SHORT: Final = 24
"""Below so many pairs of entries a Python loop is quicker than NumPy's calls."""

_PRICE_BITS: Final = 20
"""Binary digits of a price: behind the point, and how many leading ones are told apart."""


class Obstacles:
    """What a chosen inner node must not hold: any part of `never`; a whole `special` range, unless it is no more."""

    __slots__ = ("_firsts", "_lasts", "_never", "_special")

    def __init__(self, never: Ranges, special: Ranges) -> None:
        self._never, self._special = never, special
        self._lasts = [last for _, last in never]
        self._firsts = [first for first, _ in special]

    def bar(self, first: int, last: int) -> bool:
        """Whether a block from first to last is out of the question."""
        after = bisect_left(self._lasts, first)
        if after < len(self._never) and self._never[after][0] <= last:
            return True
        inside = bisect_left(self._firsts, first)
        if inside == len(self._special):
            return False
        begin, end = self._special[inside]
        return begin <= last and (begin, end) != (first, last) and end <= last


@dataclass(slots=True)
class _Node:
    """A node of the tree.

    Attributes:
        leaves: How many blocks lie below; 1 for a leaf.
        seen: How many addresses they have.
        allowed: It may be chosen itself.
        left: Index of the child whose next bit is 0; -1 for a leaf.
        fewest: The fewest chosen nodes that cover the leaves.
        split: For each number of chosen nodes from `fewest` on, how many of them go to the left; 0: the node itself.
    """

    first: int
    prefixlen: int
    leaves: int
    seen: int
    allowed: bool
    left: int = -1
    right: int = -1
    fewest: int = 1
    split: Sequence[int] | NDArray[np.int32] = (0,)


class PrefixTree:
    """The tree over some blocks. Nodes are kept children first, the root last."""

    def __init__(self, leaves: Sequence[tuple[int, int]], width: int, obstacles: Obstacles) -> None:
        """Builds it from left to right.

        Args:
            leaves: (first address, prefix length), disjoint and ascending, at least one.
            width: Bits of an address.
            obstacles: What may not be granted unseen.
        """
        self._width = width
        self._nodes: list[_Node] = []
        self._count = len(leaves)
        # Open subtrees, each with the length of the prefix that it shares with the next leaf to its right.
        waiting: list[tuple[int, int]] = []
        for index, (first, prefixlen) in enumerate(leaves):
            self._nodes.append(_Node(first, prefixlen, 1, 1 << (width - prefixlen), allowed=True))
            top = len(self._nodes) - 1
            shared = -1 if index + 1 == len(leaves) else width - (first ^ leaves[index + 1][0]).bit_length()
            while waiting and waiting[-1][1] > shared:
                left, length = waiting.pop()
                top = self._join(left, top, length, obstacles)
            waiting.append((top, shared))

    def fewest_addresses(self, limit: int) -> list[tuple[int, int, int]]:
        """At most `limit` nodes, or as many as it takes, that cover the fewest addresses.

        Returns:
            (first address, prefix length, addresses that no leaf has), ascending.
        """
        limit = min(limit, self._count)
        if limit * self._count > EXACT_WORK[self._width]:
            return self._hull(limit, 1 << (self._width + 1))
        self._programme(limit)
        return self._chosen(limit)

    def fewest_prefixes(self, addresses: int) -> list[tuple[int, int, int]]:
        """The fewest nodes that cover at most so many addresses; of those with as few the one with fewest addresses."""
        found = self._hull(1, addresses)
        if len(found) * self._count > EXACT_WORK[self._width]:
            return found
        # As many are enough: the fewest are no more.
        totals = self._programme(len(found))
        best = next((entry for entry, total in enumerate(totals) if total <= addresses), len(totals) - 1)
        return self._chosen(self._nodes[-1].fewest + best)

    def _join(self, left: int, right: int, prefixlen: int, obstacles: Obstacles) -> int:
        one, other = self._nodes[left], self._nodes[right]
        bits = self._width - prefixlen
        first = one.first >> bits << bits
        leaves, seen = one.leaves + other.leaves, one.seen + other.seen
        allowed = not obstacles.bar(first, first + (1 << bits) - 1)
        self._nodes.append(_Node(first, prefixlen, leaves, seen, allowed, left, right))
        return len(self._nodes) - 1

    def _size(self, node: _Node) -> int:
        return 1 << (self._width - node.prefixlen)

    def _programme(self, limit: int) -> Table:
        """Fills `fewest` and `split` of every node; the addresses that the root's choices cover, from `fewest` on."""
        tables: list[Table | None] = []
        for node in self._nodes:
            if node.left < 0:
                tables.append([self._size(node)])
                continue
            left, right = self._nodes[node.left], self._nodes[node.right]
            node.fewest = left.fewest + right.fewest
            entries = max(1, min(limit, left.leaves + right.leaves) - node.fewest + 1)
            table, split = self._combine(_taken(tables, node.left), _taken(tables, node.right), entries, left.fewest)
            if node.allowed:
                # Itself, for every number of nodes that is too small for both children.
                filling = node.fewest - 1
                node.fewest = 1
                table = _prefixed(table, [self._size(node)] * filling, limit)
                split = _prefixed(split, [0] * filling, limit)
            node.split = split
            tables.append(table)
        root = tables[-1]
        if root is None:
            raise AssertionError("the root has no parent that could have taken its table")
        return root

    def _combine(self, left: Table, right: Table, entries: int, offset: int) -> tuple[Table, Table]:
        """The least sums of one entry each by the sum of their indices, and the nodes that go to the left for it."""
        if len(left) * len(right) <= _SHORT:
            return _combine_short(left, right, entries, offset)
        kind: Any = np.int64 if self._width == 32 else object
        one, other = np.asarray(left, dtype=kind), np.asarray(right, dtype=kind)
        entries = min(entries, len(one) + len(other) - 1)
        best = np.full(entries, 1 << (self._width + 1), dtype=kind)
        split = np.zeros(entries, dtype=np.int32)
        # One pass for each entry of the shorter table, over all of the longer one at once.
        swapped = len(one) > len(other)
        short, long = (other, one) if swapped else (one, other)
        for index in range(min(len(short), entries)):
            width = min(len(long), entries - index)
            sums = long[:width] + short[index]
            window = best[index : index + width]
            better = (sums < window).astype(bool)
            window[better] = sums[better]
            chosen = np.flatnonzero(better)
            split[index : index + width][better] = (chosen if swapped else index) + offset
        return best, split

    def _chosen(self, limit: int) -> list[tuple[int, int, int]]:
        """The nodes that `split` tells of, for at most `limit` of them in all."""
        found = []
        stack = [(len(self._nodes) - 1, limit)]
        while stack:
            index, count = stack.pop()
            node = self._nodes[index]
            if node.left < 0:
                found.append((node.first, node.prefixlen, 0))
                continue
            entry = min(max(count - node.fewest, 0), len(node.split) - 1)
            here = int(node.split[entry])
            if not here:
                found.append((node.first, node.prefixlen, self._size(node) - node.seen))
                continue
            stack.append((node.right, node.fewest + entry - here))
            stack.append((node.left, here))
        return found

    def _hull(self, limit: int, budget: int) -> list[tuple[int, int, int]]:
        """A choice on the lower convex hull: at most `limit` nodes, or as few as `budget` addresses allow."""
        low, high = 0, 1 << (self._width + 2 * _PRICE_BITS)
        while high - low > max(1, high >> _PRICE_BITS):
            # First the magnitude of the price, then its leading bits.
            spread = high.bit_length() - low.bit_length()
            price = 1 << ((low.bit_length() + high.bit_length()) // 2 - 1) if spread > 1 else (low + high) // 2
            choice = self._priced(price)
            if len(choice) > limit and self._covered(choice) <= budget:
                low = price
            else:
                high = price
        return self._between(self._priced(low), self._priced(high), limit, budget)

    def _priced(self, price: int) -> list[int]:
        """The nodes, ascending, that minimise addresses plus `price` times nodes, the price in parts of an address."""
        costs: list[int] = []
        itself: list[bool] = []
        for node in self._nodes:
            own = (self._size(node) << _PRICE_BITS) + price
            shared = own if node.left < 0 else costs[node.left] + costs[node.right]
            itself.append(node.left < 0 or (node.allowed and own <= shared))
            costs.append(own if itself[-1] else shared)
        chosen, stack = [], [len(self._nodes) - 1]
        while stack:
            index = stack.pop()
            if itself[index]:
                chosen.append(index)
            else:
                stack += (self._nodes[index].right, self._nodes[index].left)
        return chosen

    def _covered(self, choice: list[int]) -> int:
        return sum(self._size(self._nodes[index]) for index in choice)

    def _between(self, finer: list[int], coarser: list[int], limit: int, budget: int) -> list[tuple[int, int, int]]:
        """From the finer choice towards the coarser, whose nodes each hold some of its: one at a time, cheapest first.

        The two differ where the price is the same for many nodes.
        """
        parts: dict[int, list[int]] = {}
        position = 0
        for index in coarser:
            last = self._nodes[index].first + self._size(self._nodes[index])
            parts[index] = []
            while position < len(finer) and self._nodes[finer[position]].first < last:
                parts[index].append(finer[position])
                position += 1
        count, total = len(finer), self._covered(finer)
        for index in sorted(coarser, key=lambda one: self._size(self._nodes[one]) - self._covered(parts[one])):
            extra = self._size(self._nodes[index]) - self._covered(parts[index])
            if count > limit and total + extra <= budget:
                count, total = count - len(parts[index]) + 1, total + extra
                parts[index] = [index]
        chosen = [self._nodes[index] for several in parts.values() for index in several]
        return [(node.first, node.prefixlen, self._size(node) - node.seen) for node in chosen]


def _taken(tables: list[Table | None], index: int) -> Table:
    """A child's table, which nobody needs again."""
    table, tables[index] = tables[index], None
    if table is None:
        raise AssertionError("a node has one parent")
    return table


def _prefixed(table: Table, filling: list[int], limit: int) -> Table:
    """The filling before the table, no more than `limit` entries of it all."""
    if isinstance(table, list):
        return [*filling, *table][:limit]
    return np.concatenate([np.array(filling, dtype=table.dtype), table])[:limit]


def _combine_short(left: Table, right: Table, entries: int, offset: int) -> tuple[list[int], list[int]]:
    best: list[int] = [-1] * entries
    split = [0] * entries
    for i, one in enumerate(left[:entries]):
        for j, other in enumerate(right[: entries - i], i):
            if best[j] < 0 or one + other < best[j]:
                best[j], split[j] = one + other, i + offset
    return best, split
