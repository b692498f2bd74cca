"""STIX 2.1 bundles: indicators whose patterns name addresses and host names (OASIS STIX 2.1, 4.7 and 9)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.safe_json import read_json
from netpol.errors import InputError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.threats.values import Entries

BEYOND: Final = "patterns of more than addresses and names joined by OR"
REVOKED: Final = "indicators that were revoked"
OTHER_PATTERNS: Final = "patterns in another language than STIX"

_STRING: Final = r"'(?:[^'\\]|\\['\\])*'"
_KIND: Final = r"(?:ipv4-addr|ipv6-addr|domain-name)\s*:\s*value"
_TERM: Final = re.compile(
    rf"\s*{_KIND}\s*(?:=\s*(?P<one>{_STRING})|(?:ISSUBSET)\s*(?P<block>{_STRING})"
    rf"|IN\s*\(\s*(?P<many>{_STRING}(?:\s*,\s*{_STRING})*)\s*\))\s*"
)
_OR: Final = re.compile(r"\s*OR\s+")
_QUOTED: Final = re.compile(_STRING)
_INDICATOR: Final = re.compile(rb'"(indicator--[0-9a-fA-F-]{36})"')
_LONGEST_PATTERN: Final = 1 << 16


def read_stix(content: bytes, entries: Entries) -> str:
    """Reads the indicators of a bundle; the line of an entry is that of its indicator's id.

    Validity in time is not asked for: a capture is of the past, and so is what was hostile then.

    Returns:
        The bundle's version: when the latest of its indicators was modified; empty where none says.

    Raises:
        InputError: Not JSON, or no bundle.
    """
    values = list(read_json(content))
    bundle = values[0] if len(values) == 1 else None
    objects = bundle.get("objects") if isinstance(bundle, dict) and bundle.get("type") == "bundle" else None
    if not isinstance(objects, list):
        raise InputError("JSON that is no STIX bundle", remedy="Give a STIX 2.1 bundle, or a list in plain text or CSV")
    lines = _lines_of_indicators(content)
    latest = ""
    for item in objects:
        if isinstance(item, dict) and item.get("type") == "indicator":
            modified = item.get("modified")
            latest = max(latest, modified if isinstance(modified, str) else "")
            _read(item, lines, entries)
    return latest


def _read(item: dict[str, Any], lines: dict[str, int], entries: Entries) -> None:
    identity, pattern = item.get("id"), item.get("pattern")
    line = lines.get(identity, 1) if isinstance(identity, str) else 1
    if item.get("revoked") is True:
        entries.pass_over(REVOKED)
    elif item.get("pattern_type", "stix") != "stix":
        entries.pass_over(OTHER_PATTERNS)
    elif not isinstance(pattern, str):
        entries.refuse(f"an indicator without a pattern: {shown(str(identity))}", line)
    elif (found := values_of(pattern)) is None:
        entries.pass_over(BEYOND)
    else:
        for text in found:
            if not entries.take(text, line):
                entries.refuse(text, line)


def values_of(pattern: str) -> list[str] | None:
    """The addresses, blocks and names that a pattern names, None for a pattern that says more than that.

    `[ipv4-addr:value = '...' OR domain-name:value = '...'] OR [...]`, also with `IN (...)` and `ISSUBSET '...'`.
    """
    if len(pattern) > _LONGEST_PATTERN:
        return None
    found: list[str] = []
    at = 0
    while True:
        at = _blank(pattern, at)
        if not pattern.startswith("[", at):
            return None
        at += 1
        while True:
            match = _TERM.match(pattern, at)
            if match is None:
                return None
            found += _strings(match["one"] or match["block"] or match["many"])
            at = match.end()
            following = _OR.match(pattern, at)
            if following is None:
                break
            at = following.end()
        if not pattern.startswith("]", at):
            return None
        at = _blank(pattern, at + 1)
        if at == len(pattern):
            return found
        joint = _OR.match(pattern, at)
        if joint is None:
            return None
        at = joint.end()


def _strings(text: str) -> Iterator[str]:
    for match in _QUOTED.finditer(text):
        yield re.sub(r"\\(.)", r"\1", match[0][1:-1])


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _lines_of_indicators(content: bytes) -> dict[str, int]:
    """Where each indicator's id stands first, counted from 1."""
    found: dict[str, int] = {}
    line, at = 1, 0
    for match in _INDICATOR.finditer(content):
        line += content.count(b"\n", at, match.start())
        at = match.start()
        found.setdefault(match[1].decode("ascii"), line)
    return found
