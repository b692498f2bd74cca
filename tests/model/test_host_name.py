"""Host names: what is one, against the rules one by one and against the idna package."""

from __future__ import annotations

import idna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netpol.model.host_name import LONGEST_NAME, host_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api.partner.example", "api.partner.example"),
        ("API.Partner.EXAMPLE.", "api.partner.example"),
        ("localhost", "localhost"),
        ("3com.example", "3com.example"),
        ("a--b.example", "a--b.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a.xn--p1ai", "a.xn--p1ai"),
        ("axn--a.example", "axn--a.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_host_names(text: str, expected: str) -> None:
    assert host_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a..b", ".a", "a.example..", "-a.example", "a-.example", "a_b.example", "a b.example", "*.example",
        "a.example/", "a.example:443", "user@a.example", "[::1]", "192.0.2.1", "1", "0x7f", "a.0x", "a.example.\n",
        "a\x1b[31m.example", "b\u00fccher.example", "\u212aelvin.example", "a\u202eb.example", "a" * 64 + ".example",
        "xn--", "xn--a.example", "xn---.example", "a.xn--zzzzzzzzzzzzz99999", "xn--ls8h.example", "../../etc/passwd",
        "a\\.b.example",
    ],
)  # fmt: skip
def test_no_host_names(text: str) -> None:
    assert host_name(text) is None


def test_the_longest_name() -> None:
    longest = ".".join(["a" * 49] * 5 + ["abc"])
    assert len(longest) == LONGEST_NAME
    assert host_name(longest) == longest
    assert host_name("b" + longest) is None


@given(st.text("abcxyz019-", max_size=20))
@example("-")
@example("80ak6aa92e")
def test_an_encoded_label_is_one_that_idna_can_decode_and_encode_again(rest: str) -> None:
    label = "xn--" + rest
    try:
        expected = idna.alabel(idna.ulabel(label)).decode() == label
    except UnicodeError:
        expected = False
    assert (host_name(label + ".example") is not None) == expected


@given(st.text(max_size=30))
def test_nothing_but_letters_digits_hyphens_and_dots_gets_through(text: str) -> None:
    name = host_name(text)
    assert name is None or (set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") and host_name(name) == name)
