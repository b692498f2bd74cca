"""JSON as other programs lay it out says what it says as an object a line; what was torn takes nothing with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.sources.kinds import Kind, kind_of
from netpol.sources.lines import LONGEST_LINE, Line
from netpol.sources.objects import objects
from tests.sources.logs import flows_of, rows
from tests.sources.samples import SOUND


def said(text: str) -> list[Any]:
    lines = [Line(number, line.encode()) for number, line in enumerate(text.split("\n"), 1) if line]
    return [json.loads(line.text or b"null") for line in objects(lines)]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.text(min_size=1), VALUES, min_size=1), min_size=1)


@settings(deadline=None, max_examples=50)
@given(RECORDS, st.sampled_from([None, 1, 2, 4, "\t"]))
def test_an_array_and_objects_behind_each_other_are_their_objects(records: list[Any], indent: int | str | None) -> None:
    assert said(json.dumps(records, indent=indent)) == records
    assert said("\n".join(json.dumps(each, indent=indent) for each in records)) == records
    assert said("\n".join(["[", ",\n".join(json.dumps(each) for each in records), "]"])) == records


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.is_json])
def test_every_log_of_json_is_read_so(kind: Kind, indent: int | None) -> None:
    records = [json.loads(line) for line in SOUND[kind].splitlines()]
    text = json.dumps(records, indent=indent).encode()
    assert kind_of(text) is kind
    (table, tally), (wanted, _) = flows_of(text), flows_of(SOUND[kind])
    assert rows(table) == rows(wanted)
    assert tally.records == len(records)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.is_json])
def test_a_page_of_an_api_is_its_items(kind: Kind) -> None:
    records = [json.loads(line) for line in SOUND[kind].splitlines()]
    page = json.dumps({"meta": {"totalPages": 1, "totalResults": 3}, "items": records}, separators=(",", ":")).encode()
    for text in (page, page + b"\n" + page):
        assert kind_of(text) is kind
        assert flows_of(text)[1].records == text.count(b'"meta"') * len(records)
    # Of a page that is longer than what is looked at, too, the kind is known, and that it is too long is said.
    long = json.dumps({"items": records * 4000}).encode()
    assert kind_of(long[: 1 << 16]) is kind
    assert flows_of(long, kind=kind)[1].damaged == {"longer than 1 MiB": 1}


def test_a_torn_object_ends_where_the_next_begins_and_has_its_own_line() -> None:
    lines = json.dumps([json.loads(SOUND[Kind.GKE].splitlines()[0])] * 3, indent=2).split("\n")
    for gone in range(2, len(lines) // 3):
        _, tally = flows_of("\n".join(lines[:gone] + lines[gone + 1 :]).encode())
        assert tally.used + len(tally.places) >= 2
        assert tally.used >= 2
    # Its last bracket is gone.
    at = next(number for number, line in enumerate(lines) if line == "  },")
    _, tally = flows_of("\n".join(lines[:at] + lines[at + 1 :]).encode())
    assert (tally.used, tally.places) == (2, ["log: line 2: not JSON"])


def test_an_object_without_an_end_is_held_no_further_than_the_longest_line() -> None:
    many = [Line(1, b"{"), *(Line(number, b" " + b"x" * 1000) for number in range(2, 3 * LONGEST_LINE // 1000))]
    assert list(objects([*many, Line(9, b'{"a": 1}')])) == [Line(1, None), Line(9, b'{"a": 1}')]
    assert list(objects([*many, Line(9, b"{"), Line(10, b"}")])) == [Line(1, None), Line(9, b"{\n}")]


def test_an_object_that_was_cut_to_its_bracket_takes_no_line_with_it() -> None:
    sound = SOUND[Kind.GKE]
    _, tally = flows_of(sound + b"{\n" + sound)
    assert (tally.used, tally.places) == (4, ["log: line 3: not JSON"])
