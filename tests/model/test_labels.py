from __future__ import annotations

import pytest

from netpol.errors import InputError
from netpol.model.labels import (
    EVERYTHING,
    LabelSelector,
    Operator,
    Requirement,
    is_dns_label,
    is_dns_subdomain,
    is_label_key,
    is_label_value,
    is_port_name,
)


@pytest.mark.parametrize(
    ("operator", "values", "present", "other", "absent"),
    [
        (Operator.IN, ("b",), True, False, False),
        (Operator.NOT_IN, ("b",), False, True, True),
        (Operator.EXISTS, (), True, True, False),
        (Operator.DOES_NOT_EXIST, (), False, False, True),
    ],
)
def test_operators(operator: Operator, values: tuple[str, ...], *, present: bool, other: bool, absent: bool) -> None:
    requirement = Requirement("a", operator, values)
    found = [requirement.matches(labels) for labels in ({"a": "b"}, {"a": "c"}, {"x": "b"})]
    assert found == [present, other, absent]


def test_the_empty_value_is_a_value() -> None:
    assert Requirement("a", Operator.IN, ("",)).matches({"a": ""})
    assert not Requirement("a", Operator.IN, ("",)).matches({})
    assert Requirement("a", Operator.EXISTS).matches({"a": ""})


def test_conditions_are_and_ed_and_none_matches_everything() -> None:
    selector = LabelSelector(match_labels={"a": "b"}, match_expressions=(Requirement("c", Operator.EXISTS),))
    assert selector.matches({"a": "b", "c": ""})
    assert not selector.matches({"a": "b"})
    assert EVERYTHING.matches({})
    assert EVERYTHING.is_empty
    assert selector.keys == {"a", "c"}


def test_spelling_does_not_matter_to_equality() -> None:
    plain = LabelSelector(match_labels={"a": "b", "c": "d"})
    wordy = LabelSelector(
        match_expressions=(
            Requirement("c", Operator.IN, ("d", "d")),
            Requirement("a", Operator.IN, ("b",)),
            Requirement("a", Operator.IN, ("b",)),
        )
    )
    assert plain == wordy
    assert hash(plain) == hash(wordy)
    assert wordy.match_labels == {"a": "b", "c": "d"}
    assert wordy.match_expressions == ()


def test_a_contradiction_stays_one() -> None:
    selector = LabelSelector(match_labels={"a": "b"}, match_expressions=(Requirement("a", Operator.IN, ("c",)),))
    again = LabelSelector(match_labels=selector.match_labels, match_expressions=selector.match_expressions)
    assert again == selector
    assert not any(selector.matches({"a": value}) for value in "bc")


def test_text() -> None:
    selector = LabelSelector(
        match_labels={"a": "b"},
        match_expressions=(
            Requirement("c", Operator.NOT_IN, ("y", "x")),
            Requirement("d", Operator.EXISTS),
            Requirement("e", Operator.DOES_NOT_EXIST),
            Requirement("f", Operator.IN, ("1", "2")),
        ),
    )
    assert str(selector) == "a=b,c notin (x,y),d,!e,f in (1,2)"


@pytest.mark.parametrize(
    ("operator", "values"),
    [(Operator.IN, ()), (Operator.NOT_IN, ()), (Operator.EXISTS, ("a",)), (Operator.DOES_NOT_EXIST, ("a",))],
)
def test_values_come_with_in_and_not_in_only(operator: Operator, values: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        Requirement("a", operator, values)


def test_invalid_keys_and_values_are_refused() -> None:
    with pytest.raises(InputError, match="label key"):
        LabelSelector(match_labels={"a b": "c"})
    with pytest.raises(InputError, match="label value"):
        LabelSelector(match_labels={"a": "\x1b[31m"})


_LONG = "x" * 63


@pytest.mark.parametrize("text", ["a", "A.b-c_9", _LONG, f"example.com/{_LONG}", "a.b-c/9", f"{'a.' * 126}a/x"])
def test_label_keys(text: str) -> None:
    assert is_label_key(text)


@pytest.mark.parametrize(
    "text",
    ["", "-a", "a-", "a b", "é", _LONG + "x", "/a", "a/", "a/b/c", "A/b", "a_b/c", "a..b/c", f"{'a.' * 127}a/x", "a\n"],
)
def test_what_is_no_label_key(text: str) -> None:
    assert not is_label_key(text)


@pytest.mark.parametrize(
    ("text", "valid"), [("", True), ("a", True), (_LONG, True), (_LONG + "x", False), ("a/b", False)]
)
def test_label_values(text: str, *, valid: bool) -> None:
    assert is_label_value(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("http", True),
        ("8a", True),
        ("a" * 15, True),
        ("a" * 16, False),
        ("80", False),
        ("a--b", False),
        ("-a", False),
        ("a-", False),
        ("A", False),
        ("", False),
        ("a_b", False),
        ("a\n", False),
    ],
)
def test_port_names(text: str, *, valid: bool) -> None:
    assert is_port_name(text) is valid


@pytest.mark.parametrize(
    ("text", "label", "subdomain"),
    [
        ("a", True, True),
        ("a.b", False, True),
        ("9-a", True, True),
        ("a.", False, False),
        ("", False, False),
        ("A", False, False),
        ("a-", False, False),
        (_LONG + "x", False, True),
        ("a." * 127, False, False),
    ],
)
def test_names(text: str, *, label: bool, subdomain: bool) -> None:
    assert (is_dns_label(text), is_dns_subdomain(text)) == (label, subdomain)
