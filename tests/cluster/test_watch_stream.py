from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.cluster import watch_stream
from netpol.cluster.watch_stream import EventLines
from netpol.errors import ClusterError

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
_ITEMS = st.builds(
    lambda version, labels: {"metadata": {"resourceVersion": str(version), "labels": labels}},
    st.integers(1, 10**9),
    st.dictionaries(_TEXTS, _TEXTS, max_size=3),
)
_EVENTS = st.lists(st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]), _ITEMS), max_size=8)


@given(_EVENTS, st.lists(st.integers(0, 2000), max_size=20))
def test_however_a_stream_is_cut_its_events_are_the_same(
    events: list[tuple[str, dict[str, Any]]], cuts: list[int]
) -> None:
    text = b"".join(json.dumps({"type": type_, "object": item}).encode() + b"\n" for type_, item in events)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    stream = EventLines("server")
    pieces = [text[start:end] for start, end in pairwise(places)]
    found = [event for piece in pieces for event in stream.feed(piece)]
    assert [(one.type, one.item) for one in found] == events
    assert [one.version for one in found] == [item["metadata"]["resourceVersion"] for _, item in events]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"type": "ADDED", "object": ' + b'{"a":' * 100_000, "not JSON"),
        (b"[]", "not a watch"),
        (b'{"type": "ADDED"}', "not a watch"),
        (b'{"type": "OTHER", "object": {}}', "not a watch"),
        (b'{"type": [], "object": {}}', "not a watch"),
        (b'{"kind": "Status", "code": 500}', "not a watch"),
        (b'{"type": "ADDED", "object": {}}', "no resourceVersion"),
        (b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": 5}}}', "no resourceVersion"),
    ],
)
def test_what_is_no_event(line: bytes, what: str) -> None:
    with pytest.raises(ClusterError, match=what) as error:
        list(EventLines("server", "/pods").feed(line + b"\n"))
    assert error.value.where == ("server", "/pods")


def test_a_line_has_a_greatest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_stream, "MAX_LINE_BYTES", 1000)
    stream = EventLines("server")
    assert list(stream.feed(b"x" * 1000)) == []
    with pytest.raises(ClusterError, match="longer than"):
        list(stream.feed(b"x"))
    whole = b'{"type": "ERROR", "object": {"a": "%b"}}\n' % (b"x" * 1000)
    with pytest.raises(ClusterError, match="longer than"):
        list(EventLines("server").feed(whole))


def test_an_error_has_no_version() -> None:
    (event,) = EventLines("server").feed(b'{"type": "ERROR", "object": {"kind": "Status", "code": 410}}\n\n')
    assert (event.type, event.item["code"], event.version) == ("ERROR", 410, "")
