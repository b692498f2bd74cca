"""Strings as YAML scalars: plain where every reader takes them for the same string, quoted everywhere else."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|(?:[0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}")
_MISREAD = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that YAML 1.1 reads as booleans or null in any case (yaml.org/type/bool.html)."""

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
"""What cannot stand in a double-quoted scalar as it is: all but printable ASCII, the quote and the backslash."""


def scalar(text: str) -> str:
    """The string, quoted unless every reader of YAML 1.1 and 1.2 takes it for the same string without quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _MISREAD:
        return text
    return f'"{_UNSAFE.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return f"\\{character}"
    code = ord(character)
    if code < 1 << 8:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
