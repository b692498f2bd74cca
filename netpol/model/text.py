"""How text from untrusted input is quoted inside a message, and shown on a terminal or in a file for people."""

from __future__ import annotations

_LONGEST, _WIDEST = 80, 64
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def shown(value: str | float) -> str:
    r"""The value as a quoted literal: control, formatting and bidirectional characters escaped, long ones cut.

    A message about hostile text must not carry that text into a terminal or a report (CVE-2021-42574), nor repeat a
    megabyte of it.
    """
    if isinstance(value, int) and value.bit_length() > _WIDEST:
        # Python refuses to print numbers of many digits (CVE-2020-10735).
        return f"a number of {value.bit_length()} bits"
    # Cutting first keeps the cost bounded: a literal is never shorter than its text.
    literal = ascii(value[: _LONGEST + 1] if isinstance(value, str) else value)
    return literal if len(literal) <= _LONGEST else f"{literal[: _LONGEST - 3]}..."


def plain(text: str, *, keep_lines: bool = False) -> str:
    r"""The text with control, formatting and bidirectional characters escaped, as `\x1b`.

    Names, labels and excerpts come from untrusted input: raw, they could drive the terminal or reorder what a person
    reads (CVE-2021-42574).
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or (keep_lines and character == "\n") else _escaped(character)
        for character in text
    )


def inert(cell: str) -> str:
    """A cell of a CSV file that no spreadsheet takes for a formula (OWASP, CSV Injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA_SIGNS) else cell


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if ord(character) != 0x20 else character
