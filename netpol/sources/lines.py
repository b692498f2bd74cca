"""The lines of a file in bounded memory: a line that never ends is cut, said to be too long, and passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.compressed import Reader

LONGEST_LINE: Final = 1 << 20
"""Bytes. The longest records of any of the formats are some tens of thousands."""
_BLOCK: Final = 1 << 18


class Line(NamedTuple):
    """One line.

    Attributes:
        number: From 1.
        text: Without its end; None where it was longer than LONGEST_LINE.
    """

    number: int
    text: bytes | None


def lines(reader: Reader) -> Iterator[Line]:
    """All lines that are not empty; CR LF ends lines too.

    Raises:
        BrokenError: The compressed stream ends although it should not; what came before was yielded.
        OSError: Reading failed.
    """
    buffer = bytearray(_BLOCK)
    view = memoryview(buffer)
    rest = b""
    number = 0
    too_long = False
    while count := reader.readinto(view):
        *whole, rest_of_block = bytes(view[:count]).split(b"\n")
        if whole:
            whole[0] = rest + whole[0]
            rest = rest_of_block
            for text in whole:
                number += 1
                text = text.removesuffix(b"\r")  # noqa: PLW2901 - the same line without its end
                if too_long or len(text) > LONGEST_LINE:
                    yield Line(number, None)
                elif text:
                    yield Line(number, text)
                too_long = False
        elif not too_long:
            rest += rest_of_block
        if len(rest) > LONGEST_LINE:
            too_long, rest = True, b""
    if too_long:
        yield Line(number + 1, None)
    elif rest.strip():
        yield Line(number + 1, rest.removesuffix(b"\r"))
