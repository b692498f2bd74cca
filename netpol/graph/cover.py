"""The cheapest choice of conditions that rules out every other pod: a minimum set cover, exact where it matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SEARCH_BUDGET = 20_000
"""Nodes of the search tree before the best cover so far is taken: hostile label sets must not stall the search."""


@dataclass(frozen=True, slots=True, order=True)
class Option:
    """Something that can be chosen.

    Attributes:
        tier: Lower is better.
        name: Breaks ties, so that the choice is deterministic.
        covers: Bit set of what it covers.
        positive: Counts towards the demand for at least one positive choice.
    """

    tier: int
    name: tuple[str, ...]
    covers: int = field(compare=False)
    positive: bool = field(default=True, compare=False)


Rank = tuple[int, tuple[int, ...], tuple[Option, ...]]


def cheapest_cover(universe: int, options: Sequence[Option]) -> tuple[Option, ...] | None:
    """The fewest options that cover the universe, among those the best tiers, at least one of them positive.

    Branch and bound: branches on the lowest bit that is not covered yet, bounded by what the largest option could
    cover.

    Returns:
        The options in order, None where they do not suffice. Never empty: with nothing to cover, the best positive
        option.
    """
    useful = _undominated([option for option in options if option.covers & universe or option.positive], universe)
    covered = 0
    for option in useful:
        covered |= option.covers
    if universe & ~covered or not any(option.positive for option in useful):
        return None
    search = _Search(universe, useful)
    search.branch(universe, ())
    return search.best[2]


def _undominated(options: list[Option], universe: int) -> list[Option]:
    """Drops each option whose place another can take in any cover without making it dearer."""
    kept: list[Option] = []
    for option in sorted(options, key=lambda option: (-(option.covers & universe).bit_count(), option)):
        if not any(
            not option.covers & universe & ~better.covers and better <= option and better.positive >= option.positive
            for better in kept
        ):
            kept.append(option)
    return kept


class _Search:
    def __init__(self, universe: int, options: list[Option]) -> None:
        self.options = sorted(options)
        self.largest = max((option.covers & universe).bit_count() for option in options)
        self.nodes = 0
        self.best = self._rank(self._greedy(universe))

    @staticmethod
    def _rank(chosen: tuple[Option, ...]) -> Rank:
        ordered = tuple(sorted(chosen))
        return len(ordered), tuple(option.tier for option in ordered), ordered

    def _greedy(self, universe: int) -> tuple[Option, ...]:
        chosen: list[Option] = []
        while universe:
            option = min(self.options, key=lambda option: (-(option.covers & universe).bit_count(), option))
            chosen.append(option)
            universe &= ~option.covers
        if not any(option.positive for option in chosen):
            chosen.append(min(option for option in self.options if option.positive))
        return tuple(chosen)

    def branch(self, left: int, chosen: tuple[Option, ...]) -> None:
        self.nodes += 1
        if not left and any(option.positive for option in chosen):
            self.best = min(self.best, self._rank(chosen))
            return
        needed = -(-left.bit_count() // self.largest) if left else 1
        if self.nodes > SEARCH_BUDGET or len(chosen) + needed > self.best[0]:
            return
        lowest = left & -left
        for option in self.options:
            if option.covers & lowest if left else option.positive:
                self.branch(left & ~option.covers, (*chosen, option))
