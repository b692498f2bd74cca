"""Implication against the slow obvious way: every combination of the values that the selectors name and one more."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.labels import EVERYTHING, LabelSelector, Operator, Requirement
from netpol.review.implication import implies, is_satisfiable

KEYS, VALUES = ("a", "b"), ("x", "y", "z")


def _requirements() -> st.SearchStrategy[Requirement]:
    values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple)
    valued = st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.IN, Operator.NOT_IN]), values)
    bare = st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST]))
    return valued | bare


SELECTORS = st.lists(_requirements(), max_size=4).map(lambda found: LabelSelector(match_expressions=tuple(found)))
# A value that no selector names stands for all such values: they cannot tell them apart.
WORLD: list[dict[str, Any]] = [
    {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}
    for values in product((None, *VALUES, "other"), repeat=len(KEYS))
]


@settings(deadline=None)
@given(SELECTORS, SELECTORS)
def test_implies_is_inclusion(inner: LabelSelector, outer: LabelSelector) -> None:
    assert implies(inner, outer) is all(outer.matches(labels) for labels in WORLD if inner.matches(labels))


@settings(deadline=None)
@given(SELECTORS)
def test_satisfiable_is_that_something_matches(selector: LabelSelector) -> None:
    assert is_satisfiable(selector) is any(selector.matches(labels) for labels in WORLD)
    assert implies(selector, selector)
    assert implies(selector, EVERYTHING)
