"""Prints the account of `learn`: plain lines where nobody looks at once, a table in colour on a terminal."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

_ITEM: Final = "  "
"""What a line about one thing begins with; others are headings of those that follow."""

_HEADING_STYLES: Final = (
    ("On a threat list", "bold red"),
    ("Worked in the capture, and is denied", "bold red"),
    ("Closed on silence alone", "bold yellow"),
)
_HEADING, _SUBJECT, _FIGURE = "bold", "cyan", "bold"


def print_account(remarks: Iterable[str], figures: Sequence[tuple[str, str]], width: int, stream: IO[str]) -> None:
    """Writes it.

    Args:
        remarks: Lines headings, and below each the items that begin with two blanks, escaped for terminals.
        figures: Names and texts, escaped too.
        width: Columns of the names, where they are not in a table.
        stream: Where to; colour only where it is a terminal and NO_COLOR does not forbid it.
    """
    if not stream.isatty():
        stream.writelines(f"{line}\n" for line in remarks)
        stream.writelines(f"{name:<{width}}{text}\n" for name, text in figures)
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for part in _remarks(remarks):
        console.print(part)
    console.print(_table(figures))


def _remarks(lines: Iterable[str]) -> Iterable[RenderableType]:
    """Headings in bold, and below them what they head, each with its subject in front, wrapped at words."""
    from rich.padding import Padding
    from rich.text import Text

    for line in lines:
        if not line.startswith(_ITEM):
            style = next((style for begin, style in _HEADING_STYLES if line.startswith(begin)), _HEADING)
            yield Text(line, style=style)
            continue
        subject, colon, rest = line.removeprefix(_ITEM).partition(": ")
        yield Padding(Text.assemble((subject, _SUBJECT if colon else ""), colon, rest), (0, 0, 0, len(_ITEM)))


def _table(figures: Sequence[tuple[str, str]]) -> RenderableType:
    from rich.box import ROUNDED
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=ROUNDED, border_style="dim")
    table.add_column(style=_FIGURE, no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in figures:
        table.add_row(Text(name), Text(text))
    return table
