"""Spans of time and sizes as options give them: 90s, 15m, 168h, 7d; 512MiB, 20GiB, 20Gi, 5GB."""

from __future__ import annotations

import math
import re
from typing import Final

from netpol.errors import UsageError
from netpol.model.text import shown

_SPAN: Final = re.compile(r"(?:\d+[smhdw])+")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZE: Final = re.compile(r"(\d{1,15})([KMGT]?)(i?)B?")
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_LONGEST: Final = 100
_MOST_SECONDS: Final = 100 * 366 * 86_400


def seconds(text: str, option: str) -> int:
    """Seconds of a span of time: a number with one of the units s, m, h, d and w, or several of them in a row.

    Raises:
        UsageError: It is none.
    """
    if len(text) > _LONGEST or not _SPAN.fullmatch(text) or not text.isascii():
        raise UsageError(
            f"{shown(text)} is no span of time", where=(option,), remedy="Give one as 90s, 15m, 168h or 7d"
        )
    found = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text))
    if found > _MOST_SECONDS:
        raise UsageError("longer than a hundred years", where=(option,), remedy="Give a shorter span of time")
    return found


def size(text: str, option: str) -> int:
    """Bytes of a size: Ki, Mi, Gi and Ti are powers of 1024, K, M, G and T of 1000; a B may follow.

    Raises:
        UsageError: It is none.
    """
    found = _SIZE.fullmatch(text)
    if found is None or not text.isascii() or (found[3] and not found[2]):
        raise UsageError(f"{shown(text)} is no size", where=(option,), remedy="Give one as 512MiB, 20GiB or 5GB")
    unit = 1024 if found[3] else 1000
    return int(found[1]) * math.prod([unit] * _POWERS[found[2]])
