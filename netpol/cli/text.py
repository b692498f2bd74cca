"""Text for a terminal: columns as kubectl prints them, and nothing from the wire unescaped."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from netpol.model.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["columns", "markdown_table", "markdown_text", "plain"]


def columns(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of left-aligned columns three spaces apart, the heading first, without trailing blanks."""
    table = [tuple(heading), *(tuple(plain(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip_longest(*table, fillvalue="")]
    for row in table:
        yield "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a GitHub-flavoured table; nothing in a cell is taken for markup."""
    yield _markdown_row(heading)
    yield _markdown_row(["---"] * len(heading))
    for row in rows:
        yield _markdown_row([markdown_text(cell) for cell in row])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is: in CommonMark a backslash escapes any ASCII punctuation character."""
    escaped = "".join(
        f"\\{character}" if character in "\\`*_{}[]<>()#+!|~&@" else character for character in plain(text)
    )
    # GitHub links what looks like an address even without markup (GFM, 6.9).
    return escaped.replace("://", "\\://").replace("www.", "www\\.") or " "
