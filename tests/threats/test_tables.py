"""What tells a table from a list of one entry a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpol.threats.lists import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("sign", ["#", ";", "//"])
def test_commas_in_a_remark_make_no_table(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"192.0.2.1 {sign} seen by one, another, and a third\n192.0.2.2\n")
    found = load(path).entries
    assert (len(found), found.bad) == (2, 0)
