"""How a value from untrusted input is quoted inside a message."""

from __future__ import annotations

_LONGEST, _WIDEST = 80, 64


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
