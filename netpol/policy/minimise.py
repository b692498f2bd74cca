"""The fewest rules that allow exactly these peers on exactly these ports.

Peers by ports is a Boolean matrix, a rule is a full rectangle of it, so this is a minimum biclique cover (role
mining: Ene et al., "Fast Exact and Heuristic Methods for Role Minimization Problems", SACMAT 2008; NP-hard). In
practice the matrix is tiny once equal rows and equal columns are merged, and is solved exactly; a large one is solved
greedily. Either way the answer comes with a lower bound: the size of a fooling set, cells of which no two fit into
one rectangle.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

MOST_RECTANGLES = 400
"""Maximal rectangles (formal concepts) up to which the cover is searched exactly."""

SEARCH_BUDGET = 3_000
"""Nodes of the search tree before the best cover so far is taken."""

R = TypeVar("R", bound="Hashable")
C = TypeVar("C", bound="Hashable")


@dataclass(frozen=True, slots=True)
class Rectangle(Generic[R, C]):
    """Every one of the rows with every one of the columns, both in the order in which they were given."""

    rows: tuple[R, ...]
    columns: tuple[C, ...]


@dataclass(frozen=True, slots=True)
class Cover(Generic[R, C]):
    """Rectangles that together are exactly the matrix.

    Attributes:
        lower_bound: No cover has fewer; equal to the number of rectangles where it is proven to be smallest.
    """

    rectangles: tuple[Rectangle[R, C], ...]
    lower_bound: int


def fewest_rectangles(cells: Mapping[R, Iterable[C]], columns: Iterable[C]) -> Cover[R, C]:
    """The smallest cover, or a small one with a bound where the search would take too long.

    Where grouping peers by their ports, or ports by their peers, needs no more rules than the optimum, that grouping
    is the
    answer: every peer, or every port, then stands in one place.

    Args:
        cells: The columns of each row, in the order in which rows are to be named. Rows without columns are dropped.
        columns: All columns, in the order in which they are to be named.
    """
    order = {column: index for index, column in enumerate(columns)}
    by_row = {row: sum(1 << order[column] for column in set(found)) for row, found in cells.items()}
    rows: defaultdict[int, list[R]] = defaultdict(list)
    for row, mask in by_row.items():
        if mask:
            rows[mask].append(row)
    masks = list(rows)
    place = {mask: index for index, mask in enumerate(masks)}
    twins = _merge_columns(masks, len(order))
    reduced = [_compress(mask, twins) for mask in masks]
    chosen, bound = _solve(reduced, len(twins))
    names = list(order)
    return Cover(
        tuple(
            Rectangle(
                tuple(row for row, mask in by_row.items() if mask and extent >> place[mask] & 1),
                tuple(names[index] for index in sorted(i for twin in _bits(intent) for i in _bits(twins[twin]))),
            )
            for extent, intent in chosen
        ),
        bound,
    )


def _merge_columns(masks: list[int], width: int) -> list[int]:
    """Sets of original columns that occur in exactly the same rows, by their first column; unused columns dropped."""
    groups: dict[int, int] = {}
    for column in range(width):
        profile = sum(1 << index for index, mask in enumerate(masks) if mask >> column & 1)
        if profile:
            groups[profile] = groups.get(profile, 0) | 1 << column
    return list(groups.values())


def _compress(mask: int, twins: list[int]) -> int:
    return sum(1 << index for index, twin in enumerate(twins) if mask & twin)


Concept = tuple[int, int]
"""(bit set of rows, bit set of columns): a full rectangle."""


def _solve(rows: list[int], width: int) -> tuple[list[Concept], int]:
    columns = [sum(1 << index for index, row in enumerate(rows) if row >> column & 1) for column in range(width)]
    by_row = [(1 << index, row) for index, row in enumerate(rows)]
    by_column = [(column, 1 << index) for index, column in enumerate(columns)]
    naive = by_row if len(by_row) <= len(by_column) else by_column
    bound = _fooling_set(rows)
    if bound == len(naive):
        return naive, bound
    concepts, complete = _concepts(rows, columns)
    best, proven = _search(rows, concepts, naive, bound)
    if complete and proven:
        bound = len(best)
    return (best, bound) if len(best) < len(naive) else (naive, bound)


def _fooling_set(rows: list[int]) -> int:
    """How many cells can be found greedily of which no two fit into one full rectangle, rarest cells first."""
    cells = [(index, column) for index, row in enumerate(rows) for column in _bits(row)]
    weight = {column: sum(row >> column & 1 for row in rows) for column in {column for _, column in cells}}
    cells.sort(key=lambda cell: (rows[cell[0]].bit_count() * weight[cell[1]], cell))
    chosen: list[tuple[int, int]] = []
    for index, column in cells:
        if all(not (rows[index] >> other & 1 and rows[row] >> column & 1) for row, other in chosen):
            chosen.append((index, column))
    return len(chosen)


def _concepts(rows: list[int], columns: list[int]) -> tuple[list[Concept], bool]:
    """The maximal rectangles, and whether these are all; beyond the limit those that grow from one row or column."""
    intents = dict.fromkeys(rows)
    for row in rows:
        for intent in list(intents):
            if intent & row:
                intents.setdefault(intent & row)
        if len(intents) > MOST_RECTANGLES:
            break
    else:
        return [(_extent(rows, intent), intent) for intent in intents], True
    grown = dict.fromkeys(rows)
    for column in columns:
        intent = -1
        for index in _bits(column):
            intent &= rows[index]
        grown.setdefault(intent)
    return [(_extent(rows, intent), intent) for intent in grown], False


def _extent(rows: list[int], intent: int) -> int:
    return sum(1 << index for index, row in enumerate(rows) if not intent & ~row)


def _search(rows: list[int], concepts: list[Concept], naive: list[Concept], bound: int) -> tuple[list[Concept], bool]:
    """Set cover of the cells by the concepts; True where the result is proven to be smallest for these concepts."""
    width = max(rows).bit_length()
    masks = [sum(intent << index * width for index in _bits(extent)) for extent, intent in concepts]
    everything = sum(row << index * width for index, row in enumerate(rows))
    holders: dict[int, list[int]] = {
        cell: [index for index, mask in enumerate(masks) if mask >> cell & 1] for cell in _bits(everything)
    }
    cells = _essential_cells(holders)
    target = sum(1 << cell for cell in cells)
    greedy = _greedy(masks, target)
    state = _State(masks, {cell: holders[cell] for cell in cells}, greedy, bound)
    if len(greedy) > bound:
        state.branch(target, [])
    best = state.best if len(state.best) < len(naive) else None
    if best is None:
        return naive, not state.exhausted
    return _trimmed([concepts[index] for index in sorted(best)], rows), not state.exhausted


def _essential_cells(holders: Mapping[int, list[int]]) -> list[int]:
    """Cells that remain when those that come for free are dropped.

    A cell comes for free when every rectangle that holds some other cell holds it too.
    """
    kept: list[tuple[int, frozenset[int]]] = []
    for cell, found in sorted(holders.items(), key=lambda item: (len(item[1]), item[0])):
        own = frozenset(found)
        if not any(other <= own for _, other in kept):
            kept.append((cell, own))
    return [cell for cell, _ in kept]


def _greedy(masks: list[int], left: int) -> list[int]:
    chosen = []
    while left:
        best = max(range(len(masks)), key=lambda index: ((masks[index] & left).bit_count(), -index))
        chosen.append(best)
        left &= ~masks[best]
    return chosen


class _State:
    """Branch and bound: takes the open cell with the fewest rectangles, tries each."""

    def __init__(self, masks: list[int], holders: dict[int, list[int]], best: list[int], bound: int) -> None:
        self.masks = masks
        self.holders = holders
        self.best = best
        self.bound = bound
        self.nodes = 0

    @property
    def exhausted(self) -> bool:
        return self.nodes > SEARCH_BUDGET

    def branch(self, left: int, chosen: list[int]) -> None:
        self.nodes += 1
        if not left:
            if len(chosen) < len(self.best):
                self.best = list(chosen)
            return
        if self.exhausted or len(self.best) <= self.bound or len(chosen) + self._needed(left) >= len(self.best):
            return
        cell = min(
            (cell for cell in self.holders if left >> cell & 1), key=lambda cell: (len(self.holders[cell]), cell)
        )
        for index in sorted(self.holders[cell], key=lambda index: (-(self.masks[index] & left).bit_count(), index)):
            self.branch(left & ~self.masks[index], [*chosen, index])

    def _needed(self, left: int) -> int:
        """Open cells of which no rectangle holds two: each needs one of its own."""
        needed, used = 0, set[int]()
        for cell in self.holders:
            if left >> cell & 1 and used.isdisjoint(self.holders[cell]):
                needed += 1
                used.update(self.holders[cell])
        return needed


def _trimmed(chosen: list[Concept], rows: list[int]) -> list[Concept]:
    """Takes out of each rectangle the rows, then the columns, that others hold already: shorter text, same cells."""
    for position, concept in enumerate(chosen):
        others = [0] * len(rows)
        for index, (extent, intent) in enumerate(chosen):
            if index != position:
                for row in _bits(extent):
                    others[row] |= intent
        chosen[position] = _without(concept, others)
    return chosen


def _without(concept: Concept, others: list[int]) -> Concept:
    extent, intent = concept
    for row in _bits(extent):
        if not intent & ~others[row] and extent & (extent - 1):
            extent &= ~(1 << row)
    for column in _bits(intent):
        if all(others[row] >> column & 1 for row in _bits(extent)) and intent & (intent - 1):
            intent &= ~(1 << column)
    return extent, intent


def _bits(mask: int) -> Iterable[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
