"""Work of which nobody knows how far it has come."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from netpol.cli.progress import at_work

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    """Says that somebody sees it."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_and_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with at_work("adding records up"):
        pass
    assert "adding records up" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    with at_work("adding records up"):
        pass
    assert plain.getvalue() == ""
