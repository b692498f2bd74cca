"""Reading a list some items at a time says the same as reading it whole, and holds little at once."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netpol.cluster import documents, json_list, safe_json
from netpol.cluster.documents import documents_in
from netpol.cluster.json_list import JsonItems, read_json_list
from netpol.cluster.safe_json import read_json
from netpol.errors import InputError

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"app": "ü ü"}}}


@pytest.fixture(name="in_parts", autouse=True)
def _in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few items at a time, so that small texts come in several parts."""
    monkeypatch.setattr(json_list, "_TOGETHER", 2)


def in_parts(content: bytes) -> Any:
    """What the text is when it is read in parts: a value or a refusal; None where it is not read in parts at all."""
    found = read_json_list(content)
    if found is None:
        return None
    try:
        return {**found, "items": list(found["items"])}
    except InputError as error:
        return str(error)


def whole(content: bytes) -> Any:
    try:
        (value,) = read_json(content)
    except InputError as error:
        return str(error)
    return value


def listed(*items: object, **more: object) -> bytes:
    return json.dumps({"apiVersion": "v1", "items": items, "kind": "List", **more}).encode()


class TestLists:
    def test_as_kubectl_prints_them_the_kind_behind_the_items(self) -> None:
        found = read_json_list(listed(*[POD] * 5, metadata={"resourceVersion": ""}))
        assert found is not None
        assert isinstance(found["items"], JsonItems)
        assert list(found["items"]) == [POD] * 5
        assert {**found, "items": 0} == {
            "apiVersion": "v1",
            "items": 0,
            "kind": "List",
            "metadata": {"resourceVersion": ""},
        }

    @pytest.mark.parametrize(
        "content",
        [
            listed(),
            listed(POD, None, 1, "x", [], {}, True, -0.5e3),
            listed(POD, kind="PodList"),
            listed([[POD]], {"kind": "List", "items": [POD] * 3}),
            listed(*[{"x": '"]}[{\\ \u2028 \U0001f600'}] * 3),
            b'\n {"kind"\t:"List" ,"items" : [ {"a":1} ,\r\n{"b":2}, {"c" :3}\n] } \n',
        ],
    )
    def test_the_same_as_a_whole(self, content: bytes) -> None:
        assert in_parts(content) == whole(content)

    @pytest.mark.parametrize(
        "content",
        [
            listed(POD, kind="AllowAll"),
            listed(POD, kind=None),
            json.dumps(POD).encode(),
            json.dumps([POD]).encode(),
            listed(POD) * 2,
            b'{"kind": "List", "items": null}',
            b'{"kind": "List", "items": {}}',
            b'{"kind": "List", "x": [1, 2], "items": [1, 2]}',
            b'{"kind": "List", "items": [1, 2], "items": [1, 2]}',
            b'{"kind": "List", "items": [1, 2], "kind": "List"}',
            b'{"kind": "List", "items": [1, 2], "x": NaN}',
            b'{"kind": "List", "items": [1, 2,]}',
            b'{"kind": "List", "items": [1, 2]',
            b'{"kind": "List", "items": ' + b"[" * 100_000,
        ],
    )
    def test_everything_else_is_left_to_be_read_whole(self, content: bytes) -> None:
        assert read_json_list(content) is None

    def test_too_many_values(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(safe_json, "MAX_NODES", 8)
        assert read_json_list(listed(1, 2, 3, 4)) is not None
        assert read_json_list(listed(*range(10))) is None


class TestRefused:
    @pytest.mark.parametrize(
        ("item", "message"),
        [
            (b'{"a": 1, "a": 1}', "document 1: the key 'a' occurs twice in one object"),
            (b'{"a": "\x01"}', "document 1: line 3: not valid JSON: Invalid control character at"),
            (b'{"a": "\\x"}', "document 1: line 3: not valid JSON: Invalid \\escape"),
            (b"9" * 5000, "document 1: a number with thousands of digits"),
            (b"[" * 99 + b"]" * 99, "document 1: nested deeper than 100 levels"),
        ],
    )
    def test_with_the_place_in_the_whole_text(self, item: bytes, message: str) -> None:
        content = b'{"kind": "List", "items": [{}, {},\n{},\n%b\n, {}]}' % item
        assert str(whole(content)).startswith(message)
        assert in_parts(content) in {None, whole(content)}

    def test_nested_as_deep_as_is_allowed(self) -> None:
        assert in_parts(listed({}, json.loads("[" * 98 + "]" * 98), {})) is not None
        assert isinstance(in_parts(listed({}, json.loads("[" * 98 + "]" * 98), {})), dict)

    def test_brackets_in_texts_are_no_levels(self) -> None:
        assert in_parts(listed({"x": "[" * 500})) == whole(listed({"x": "[" * 500}))


texts = st.text(st.sampled_from('{}[]",:\\ \n\tabü\U0001f600'), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
lists = st.tuples(
    st.lists(values, max_size=7),
    st.dictionaries(st.sampled_from(["a", "metadata", "apiVersion"]), values, max_size=3),
    st.sampled_from(["List", "PodList", "Listing", None]),
    st.booleans(),
    st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(lists, st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=2)), max_size=2))
@example(([{"a": 1}] * 3, {}, "List", True, False), [(3, b"\xff")])
def test_any_text_means_the_same_in_parts_and_as_a_whole(
    made: tuple[list[Any], dict[str, Any], str | None, bool, bool], damage: list[tuple[int, bytes]]
) -> None:
    items, others, kind, kind_first, escaped = made
    pairs = [("items", items), *others.items()]
    pairs.insert(0 if kind_first else len(pairs), ("kind", kind))
    content = json.dumps(dict(pairs), ensure_ascii=escaped, indent=2 if kind_first else None).encode()
    for position, change in damage:
        content = content[:position] + change + content[position + 1 :]
    assert outcome(content, read_json_list) == outcome(content, lambda _: None)


def outcome(content: bytes, reader: Callable[[bytes], object]) -> object:
    """The documents or the refusal, with large lists read by `reader`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(documents, "_FALLBACK_BYTES", 0)
        patched.setattr(documents, "read_json_list", reader)
        try:
            return [(one.place, one.look, one.data) for one in documents_in("f", content, named=False)]
        except InputError as error:
            return str(error)


def test_what_is_held_at_once_does_not_grow_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "_TOGETHER", 64)
    content = listed(*[{**POD, "spec": {"args": [f"--{number}={number}" for number in range(50)]}}] * 4000)
    tracemalloc.start()
    count = sum(1 for _ in documents_in("f", content, named=True))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 4000
    assert peak < 2 * len(content)
