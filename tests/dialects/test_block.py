"""Whatever value is written reads back as the same value, for readers of YAML 1.1 and 1.2, comments or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from netpol.dialects.block import Noted, to_text

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["yes", "1e3", "012", "null", "~", "- a", "# c", "a: b", "*", "&x", "{", ""]
)
KEYS = st.text(max_size=8) | st.sampled_from(["on", "<<", "k8s:a.b/c", "=", "?", "!has(x)"])
COMMENTS = st.sampled_from(["nobody may connect", "node a-1", "kept: not exercised"])


def with_comments(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.builds(Noted, values, COMMENTS)


VALUES = st.recursive(
    with_comments(TEXTS | st.booleans() | st.integers(-(2**63), 2**63)),
    lambda inner: with_comments(st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


def bare(value: Any) -> Any:
    if isinstance(value, Noted):
        return bare(value.value)
    if isinstance(value, Mapping):
        return {key: bare(item) for key, item in value.items()}
    return [bare(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.sampled_from(["", "kept: nothing of it"]))
def test_what_is_written_reads_back(document: dict[str, Any], head: str) -> None:
    text = to_text(document, head=head)
    assert text.isascii()
    assert yaml.safe_load(text) == bare(document)
    assert YAML(typ="safe", pure=True).load(text) == bare(document)


def test_comments_stand_behind_scalars_and_above_the_rest() -> None:
    document: dict[str, Any] = {
        "a": Noted("x", "one"),
        "b": Noted([], "two"),
        "c": [Noted({"d": 1}, "three"), Noted("y", "four")],
    }
    assert to_text(document, head="five") == (
        '# five\na: x # one\nb: [] # two\nc:\n  # three\n  - d: 1\n  - "y" # four\n'
    )
