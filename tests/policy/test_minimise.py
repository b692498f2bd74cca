from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.policy import minimise
from netpol.policy.minimise import Cover, fewest_rectangles

if TYPE_CHECKING:
    from collections.abc import Mapping

Matrix = dict[int, frozenset[int]]
MATRICES = st.dictionaries(st.integers(0, 4), st.frozensets(st.integers(0, 4)), max_size=5)


def cells(matrix: Mapping[int, frozenset[int]]) -> set[tuple[int, int]]:
    return {(row, column) for row, columns in matrix.items() for column in columns}


def covered(cover: Cover[int, int]) -> set[tuple[int, int]]:
    return {(row, column) for item in cover.rectangles for row in item.rows for column in item.columns}


def solve(matrix: Mapping[int, frozenset[int]], width: int = 5) -> Cover[int, int]:
    return fewest_rectangles({row: matrix[row] for row in sorted(matrix)}, range(width))


def brute_force(matrix: Matrix) -> int:
    """The fewest full rectangles, by trying all sets of them: every row set with all columns that its rows share."""
    rows = [row for row in sorted(matrix) if matrix[row]]
    rectangles: set[frozenset[tuple[int, int]]] = set()
    for size in range(1, len(rows) + 1):
        for chosen in combinations(rows, size):
            shared = frozenset[int].intersection(*(matrix[row] for row in chosen))
            rectangles.add(frozenset((row, column) for row in chosen for column in shared))
    target = cells(matrix)
    ordered = sorted(rectangles - {frozenset()}, key=sorted)
    count = 0
    while not any(set().union(*chosen) == target for chosen in combinations(ordered, count)):
        count += 1
    return count


@settings(deadline=None, max_examples=150)
@given(MATRICES)
def test_covers_are_exact_and_as_small_as_brute_force_finds(matrix: Matrix) -> None:
    cover = solve(matrix)
    assert covered(cover) == cells(matrix)
    assert len(cover.rectangles) == brute_force(matrix) == cover.lower_bound


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(st.integers(0, 30), st.frozensets(st.integers(0, 20), min_size=1), max_size=30),
)
def test_never_more_rules_than_either_plain_grouping(matrix: Matrix) -> None:
    cover = solve(matrix, 21)
    by_columns = {frozenset(row for row in matrix if column in matrix[row]) for column in range(21)} - {frozenset()}
    assert covered(cover) == cells(matrix)
    assert cover.lower_bound <= len(cover.rectangles) <= min(len(set(matrix.values())), len(by_columns))


def test_a_cover_may_need_fewer_rules_than_there_are_kinds_of_peers_and_of_ports() -> None:
    # Each of six peers uses its own two of four ports: two rules a port pair would be six, four rules suffice.
    matrix = {index: frozenset(pair) for index, pair in enumerate(combinations(range(4), 2))}
    assert len(solve(matrix).rectangles) == 4
    # Both kinds of peers and of ports are four, and three rules do.
    matrix = {0: frozenset({0, 1, 3}), 1: frozenset({1, 2, 3}), 2: frozenset({0, 1, 2, 3}), 3: frozenset({1, 3})}
    assert len(solve(matrix).rectangles) == brute_force(matrix) < 4


def test_a_peer_stands_in_one_rule_where_that_costs_nothing() -> None:
    cover = solve({0: frozenset({0, 1}), 1: frozenset({1})})
    assert [(item.rows, item.columns) for item in cover.rectangles] == [((0,), (0, 1)), ((1,), (1,))]


@pytest.mark.parametrize("density", [0.1, 0.3, 0.6])
def test_large_matrices_are_covered_with_a_bound(density: float) -> None:
    generator = random.Random(3)
    matrix = {row: frozenset(c for c in range(40) if generator.random() < density) for row in range(120)}
    cover = solve(matrix, 40)
    assert covered(cover) == cells(matrix)
    assert 0 < cover.lower_bound <= len(cover.rectangles) <= 40


def test_limits_only_loosen_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(5)
    matrix = {row: frozenset(c for c in range(12) if generator.random() < 0.6) for row in range(12)}
    exact = solve(matrix, 12)
    monkeypatch.setattr(minimise, "MOST_RECTANGLES", 5)
    monkeypatch.setattr(minimise, "SEARCH_BUDGET", 10)
    rough = solve(matrix, 12)
    assert covered(rough) == cells(matrix)
    assert rough.lower_bound <= exact.lower_bound <= len(exact.rectangles) <= len(rough.rectangles)
