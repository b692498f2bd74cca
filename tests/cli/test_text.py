"""Text from untrusted input: whole, aligned, and harmless in every medium."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netpol.cli.text import columns, markdown_table, plain


@given(st.text())
def test_plain_text_holds_nothing_that_drives_a_terminal(text: str) -> None:
    assert plain(text).isprintable() or plain(text) == ""
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_control_and_bidirectional_characters_are_spelt_out() -> None:
    assert plain("a\x1b[31mb\u202ec\n") == "a\\x1b[31mb\\u202ec\\n"


def test_columns_are_aligned_and_end_where_their_text_ends() -> None:
    lines = list(columns(["A", "LONG"], [["wide cell", "x"], ["y", ""]]))
    assert lines == ["A           LONG", "wide cell   x", "y"]


def test_nothing_in_a_markdown_cell_is_markup() -> None:
    *_, row = markdown_table(["A"], [["<b>*x*</b> | [y](z) `q` http://a www.b @c"]])
    assert row == ("| \\<b\\>\\*x\\*\\</b\\> \\| \\[y\\]\\(z\\) \\`q\\` http\\://a www\\.b \\@c |")
