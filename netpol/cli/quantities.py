"""Sizes and lengths of time as Kubernetes spells them."""

from __future__ import annotations

import re
from typing import Final

from netpol.errors import UsageError

_SIZE: Final = re.compile(r"(\d{1,15})(|[kKMGT]i?)B?")
_UNITS: Final = ("K", "M", "G", "T")
_POWERS: Final[dict[str, int]] = {
    "": 1,
    "k": 1000,
    **{unit: int(1000**power) for power, unit in enumerate(_UNITS, start=1)},
    **{f"{unit}i": int(1024**power) for power, unit in enumerate(_UNITS, start=1)},
}
_LENGTH: Final = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,8})h)?(?:(\d{1,9})m)?(?:(\d{1,10}(?:\.\d{1,9})?)s)?")
_SECONDS: Final = (86_400, 3_600, 60, 1)


def bytes_of(text: str, option: str) -> int:
    """`16Mi`, `512M`, `65536` in bytes.

    Raises:
        UsageError: The text is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2] not in _POWERS:
        raise UsageError(f"{option} {text!r} is no size", remedy="Give it like 64Mi or 2Gi")
    return int(found[1]) * _POWERS[found[2]]


def seconds_of(text: str, option: str) -> float:
    """`168h`, `1h30m`, `7d`, `90s` in seconds.

    Raises:
        UsageError: The text is no length of time, or of none.
    """
    found = _LENGTH.fullmatch(text.strip())
    length = sum(float(part) * unit for part, unit in zip(found.groups("0"), _SECONDS, strict=True)) if found else 0
    if not length:
        raise UsageError(f"{option} {text!r} is no length of time", remedy="Give it like 168h, 90m or 30s")
    return length
