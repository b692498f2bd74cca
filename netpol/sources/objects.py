"""JSON that is not an object a line: indented, as `gcloud logging read --format json` prints it, arrays, and pages.

A page of an API has its objects in `items`, as Whisker's has, and stands in one line.

Printers begin and end an indented object with a line of its own bracket, and break no string: so an object is what
stands between two such lines of one indent, further in. One that was torn ends before the first line that is not.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import msgspec

from netpol.sources.lines import LONGEST_LINE, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OPENING: Final = frozenset({b"{", b"[{"})
_CLOSING: Final = frozenset({b"}", b"},", b"}]"})
_AROUND: Final = frozenset({b"", b"[", b"]", b"],", b","})


_BEFORE_ITEMS: Final = 256
_PAGE: Final = re.compile(rb'\{[^\[]{0,200}"items":\s*\[')
"""Whatever a page tells of itself stands before its items."""


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]


def first_element(text: bytes) -> bytes | None:
    """The first object of an array or page in one line, of which this is the beginning; None where there is none."""
    page = _PAGE.match(text)
    begin = page.end() if page else int(text.startswith(b"["))
    try:
        rest = text[begin:].lstrip().decode("utf-8", "replace")
        _, end = json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    return rest[:end].encode() if begin else None


class _Indented:
    """An object of several lines, so far."""

    def __init__(self, number: int, indent: int) -> None:
        self._number = number
        self.indent = indent
        self._pieces = [b"{"]
        self._size = 1

    def add(self, text: bytes | None) -> None:
        """One more line, None where it was too long."""
        self._size += LONGEST_LINE if text is None else len(text)
        if text is not None and self._size < LONGEST_LINE:
            self._pieces.append(text)

    def line(self) -> Line:
        """All of it, or that it was too long."""
        whole = b"\n".join(self._pieces).rstrip(b",]") if self._size < LONGEST_LINE else None
        return Line(self._number, whole)


def objects(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines of one object each; those that were so already as they are.

    An object has the number of the line that it begins at. One that is longer than LONGEST_LINE has no text.
    """
    part: _Indented | None = None
    for line in lines:
        if part is None and line.text is not None and line.text[:1] == b"{" and line.text[-1:] == b"}":
            yield from _elements(line.number, line.text)
            continue
        bare = None if line.text is None else line.text.strip()
        indent = 0 if line.text is None else len(line.text) - len(line.text.lstrip())
        closes = part is not None and indent == part.indent and bare in _CLOSING
        if part is not None and (bare is None or closes or indent > part.indent):
            part.add(bare)
            if closes:
                yield part.line()
                part = None
            continue
        if part is not None:
            yield part.line()
        part = _Indented(line.number, indent) if bare in _OPENING else None
        if bare is None:
            yield line
        elif part is None and bare not in _AROUND:
            yield from _elements(line.number, bare)
    if part is not None:
        yield part.line()


def _elements(number: int, text: bytes) -> Iterator[Line]:
    """The elements of an array or page in one line, or the line, without the comma behind it in an array."""
    elements: list[msgspec.Raw] = []
    try:
        if text.startswith(b"["):
            elements = msgspec.json.decode(text, type=list[msgspec.Raw])
        elif b'"items":' in text[:_BEFORE_ITEMS] and _PAGE.match(text):
            elements = msgspec.json.decode(text, type=_Page).items
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        elements = []
    for element in elements:
        yield Line(number, bytes(element))
    if not elements:
        yield Line(number, text.removesuffix(b","))
