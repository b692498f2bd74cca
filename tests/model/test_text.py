from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.model.text import inert, shown


@given(st.text() | st.integers() | st.floats() | st.booleans())
def test_what_is_shown_is_short_and_plain(value: str | float) -> None:
    text = shown(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 80


def test_a_number_too_long_to_print_is_described() -> None:
    assert shown(1 << 20_000) == "a number of 20001 bits"


def test_terminal_sequences_and_reordering_are_escaped() -> None:
    assert shown("\x1b[31m\u202e") == "'\\x1b[31m\\u202e'"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert inert(cell) == f"'{cell}"
    assert inert(f"a{cell}") == f"a{cell}"
