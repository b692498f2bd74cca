"""Facts from apimachinery's `labels.Parse`, and its own verdict where a Go toolchain can build it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.errors import UsageError
from netpol.model.labels import LabelSelector, Operator, Requirement
from netpol.model.selector_text import LONGEST, parse_selector
from tests.oracles.oracle import Oracle, build

if TYPE_CHECKING:
    from collections.abc import Iterator

IN, NOT_IN, EXISTS, ABSENT = Operator.IN, Operator.NOT_IN, Operator.EXISTS, Operator.DOES_NOT_EXIST


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", []),
        (" \t\n", []),
        ("app=web", [("app", IN, "web")]),
        ("app==web", [("app", IN, "web")]),
        (" app = web ", [("app", IN, "web")]),
        ("app!=web", [("app", NOT_IN, "web")]),
        ("app=", [("app", IN, "")]),
        ("app!=,tier", [("app", NOT_IN, ""), ("tier", EXISTS, None)]),
        ("app", [("app", EXISTS, None)]),
        ("!app", [("app", ABSENT, None)]),
        ("! app,tier=a", [("app", ABSENT, None), ("tier", IN, "a")]),
        ("env in (prod,staging)", [("env", IN, "prod", "staging")]),
        ("env notin(prod)", [("env", NOT_IN, "prod")]),
        ("env in (,prod)", [("env", IN, "", "prod")]),
        ("env in (prod,,staging,)", [("env", IN, "", "prod", "staging")]),
        ("env in ()", [("env", IN, "")]),
        ("in in (in,notin)", [("in", IN, "in", "notin")]),
        ("notin=in,in", [("notin", IN, "in"), ("in", EXISTS, None)]),
        ("app.kubernetes.io/name=web,tier", [("app.kubernetes.io/name", IN, "web"), ("tier", EXISTS, None)]),
    ],
)
def test_facts_of_the_grammar(text: str, requirements: list[tuple[Any, ...]]) -> None:
    expected = tuple(
        Requirement(key, operator, tuple(value for value in values if value is not None))
        for key, operator, *values in requirements
    )
    assert parse_selector(text) == LabelSelector(match_expressions=expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",", "',' where a label key should stand"),
        ("a,", "the end where a label key should stand"),
        ("a,,b", "',' where a label key should stand"),
        ("a b", "'b' where an operator (=, ==, !=, in, notin), ',' or the end should stand"),
        ("a=b c", "'c' where ',' should stand"),
        ("a = = b", "'=' where a value should stand"),
        ("a in b", "'b' where '(' should stand"),
        ("a in (b", "the end where ',' or ')' should stand"),
        ("a in (b c)", "'c' where ',' or ')' should stand"),
        ("a in ((b)", "'(' where a value should stand"),
        ("!a=b", "'=' where ',' should stand"),
        ("!!a", "'!' where a label key should stand"),
        ("=b", "'=' where a label key should stand"),
        ("a>1", "compares numbers"),
        ("a b\x1b[31m", "'b\\x1b[31m' where"),
        ("a/b/c=d", "'a/b/c' is not a label key"),
        ("-a", "'-a' is not a label key"),
        ("a=b/c", "'b/c' is not a label value"),
        ("a=" + "x" * 64, "is not a label value"),
        ("a" * (LONGEST + 1), "a label selector of 10,001 characters"),
    ],
)
def test_what_is_no_selector_is_quoted_with_the_place_and_a_remedy(text: str, said: str) -> None:
    with pytest.raises(UsageError) as found:
        parse_selector(text)
    assert said in str(found.value)
    assert found.value.remedy
    assert str(found.value).isprintable()


words = st.sampled_from(["a", "b", "in", "notin", "x/y", "", "-", "é", "a.b", "x" * 64])
signs = st.sampled_from(["=", "==", "!=", "!", "(", ")", ",", " ", "\t", " in ", " notin ", "in(", "\r\n"])
soups = st.lists(words | signs, max_size=12).map("".join)
values = st.lists(words, max_size=3).map(",".join)
parts = st.one_of(
    st.builds("{}{}{}".format, words, st.sampled_from(["=", "==", "!=", " = "]), words),
    st.builds("{} {} ({})".format, words, st.sampled_from(["in", "notin"]), values),
    st.builds("{}{}".format, st.sampled_from(["", "!", "! "]), words),
)
texts = soups | st.lists(parts, max_size=3).map(",".join)


@given(st.text(max_size=40) | texts)
def test_any_text_is_a_selector_or_a_usage_error(text: str) -> None:
    try:
        found = parse_selector(text)
    except UsageError:
        return
    assert parse_selector(str(found)) == found


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """`labels.Parse` itself."""
    with Oracle(build("validation", tmp_path_factory.mktemp("validation"))) as oracle:
        yield oracle


_OPERATORS = {"in": IN, "=": IN, "==": IN, "notin": NOT_IN, "!=": NOT_IN, "exists": EXISTS, "!": ABSENT}


@settings(max_examples=1500, deadline=None)
@given(text=texts)
def test_the_verdict_is_that_of_the_parser_that_kubectl_uses(kubectl: Oracle, text: str) -> None:
    theirs = kubectl.ask({"labelSelector": text})
    try:
        ours = parse_selector(text)
    except UsageError:
        assert theirs["errors"]
        return
    assert not theirs["errors"]
    assert ours == LabelSelector(
        match_expressions=tuple(
            Requirement(item["key"], _OPERATORS[item["operator"]], tuple(item["values"]))
            for item in theirs.get("requirements", ())
        )
    )
