"""The columnar store of spans against a plain one, and what it forgets."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.names import spans as module
from netpol.names.spans import Rows, Spans, spans_of

if TYPE_CHECKING:
    import pytest


class Span(NamedTuple):
    client: int
    server: int
    name: int
    door: int
    first: int
    last: int


def rows(some: list[Span]) -> Rows:
    return spans_of(
        first=np.array([each.first for each in some], np.int64),
        last=np.array([each.last for each in some], np.int64),
        client=np.array([(0, each.client) for each in some], np.uint64).reshape(-1, 2),
        server=np.array([(each.server, 1) for each in some], np.uint64).reshape(-1, 2),
        name=np.array([each.name for each in some], np.int64),
        door=np.array([each.door for each in some], np.uint32),
    )


def held(store: Rows) -> list[tuple[int, ...]]:
    return sorted(
        (int(each["client"][1]), int(each["server"][0]), int(each["name"]), int(each["door"]), int(each["first"]),
         int(each["last"]), int(each["count"]))
        for each in store
    )  # fmt: skip


def plain(some: list[Span], gap: int) -> list[tuple[int, ...]]:
    groups: dict[tuple[int, ...], list[Span]] = defaultdict(list)
    for each in some:
        groups[each[:4]].append(each)
    result = []
    for identity, its in groups.items():
        merged: list[list[int]] = []
        for each in sorted(its, key=lambda each: each.first):
            if merged and each.first - gap <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], each.last)
                merged[-1][2] += 1
            else:
                merged.append([each.first, each.last, 1])
        result += [(*identity, *each) for each in merged]
    return sorted(result)


small = st.integers(0, 2)
spans = st.builds(
    lambda client, server, name, door, first, size: Span(client, server, name, door, first, first + size),
    *(small, small, st.integers(-1, 2), small, st.integers(0, 60), st.integers(0, 20)),
)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.lists(spans, max_size=12), max_size=6), gap=st.integers(0, 3))
def test_spans_are_merged_as_a_plain_store_does(parts: list[list[Span]], gap: int) -> None:
    store = Spans(1000, gap)
    for part in parts:
        assert not store.add(rows(part))
    everything = [each for part in parts for each in part]
    expected = plain(everything, gap)
    assert held(store.rows()) == expected
    for client, server in {(each.client, each.server) for each in everything}:
        found = store.between((0, client), (server, 1))
        assert held(found) == [each for each in expected if each[:2] == (client, server)]
    assert not len(store.between((9, 9), (9, 9)))
    assert store.forgotten == 0


@settings(max_examples=60, deadline=None)
@given(some=st.lists(spans, max_size=20), gap=st.integers(0, 3))
def test_equal_keys_of_different_spans_change_nothing_that_matters(some: list[Span], gap: int) -> None:
    """As if somebody had found names and addresses whose keys collide."""
    colliding = rows(some)
    colliding["key"] = 7
    covered = module.merged(colliding, gap)
    assert {each[:4] for each in held(covered)} == {each[:4] for each in some}
    for each in some:
        same = [got for got in held(covered) if got[:4] == each[:4]]
        assert any(got[4] <= each.first and each.last <= got[5] for got in same)
    assert sum(got[6] for got in held(covered)) == len(some)


def test_who_has_most_loses_the_oldest() -> None:
    store = Spans(64)
    quiet = [Span(1, each, 0, 0, 10 * each, 10 * each + 5) for each in range(10)]
    store.add(rows(quiet))
    loud = [Span(2, each, 0, 0, 10_000 + 10 * each, 10_000 + 10 * each + 5) for each in range(500)]
    store.add(rows(loud))
    left = held(store.rows())
    assert len(left) == 64
    assert [each for each in left if each[0] == 1] == plain(quiet, 0)
    assert [each for each in left if each[0] == 2] == plain(loud[-54:], 0)
    assert store.forgotten == 446


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 90), min_size=1, max_size=5))
def test_no_more_is_held_than_the_limit_and_everybody_has_a_share(sizes: list[int]) -> None:
    store = Spans(100)
    for client, size in enumerate(sizes):
        store.add(rows([Span(client, each, 0, 0, 10 * each, 10 * each) for each in range(size)]))
    kept = [sum(1 for each in held(store.rows()) if each[0] == client) for client in range(len(sizes))]
    assert sum(kept) == min(sum(sizes), 100)
    assert all(got == size or got >= 100 // len(sizes) for got, size in zip(kept, sizes, strict=True))
    assert store.forgotten == sum(sizes) - sum(kept)


WORDS = st.integers(min_value=0, max_value=(1 << 64) - 1)
PLACES = st.tuples(st.tuples(WORDS, WORDS), st.tuples(WORDS, WORDS))


@given(st.lists(PLACES, max_size=8, unique=True), st.lists(PLACES, max_size=3))
def test_each_place_is_found_wherever_its_addresses_lie(
    places: list[tuple[tuple[int, int], tuple[int, int]]], others: list[tuple[tuple[int, int], tuple[int, int]]]
) -> None:
    store = Spans(1000)
    for number, (client, server) in enumerate(places):
        pair = {"client": np.array([client], np.uint64), "server": np.array([server], np.uint64)}
        store.add(spans_of(first=np.array([number]), last=np.array([number]), **pair))
    for place in [*places, *others]:
        expected = [number for number, each in enumerate(places) if each == place]
        assert store.between(*place)["first"].tolist() == expected


def test_places_whose_words_are_the_same_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "place_keys", lambda client, _: np.zeros(len(client), np.uint64))
    monkeypatch.setattr(module, "_place_key", lambda *_: np.uint64(0))
    store = Spans(1000)
    store.add(rows([Span(1, 1, 1, 0, 5, 5)]))
    assert not len(store.between((0, 1), (2, 1)))
    store.add(rows([Span(1, 2, 1, 0, 6, 6)]))
    assert store.between((0, 1), (2, 1))["first"].tolist() == [6]
