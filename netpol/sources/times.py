"""Times as logs write them, to nanoseconds since the Unix epoch."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Final

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH: Final = re.compile(r"(\d{1,10})(?:\.(\d{1,9})\d*)?", re.ASCII)
LATEST: Final = 8_835_955_200 * 1_000_000_000
"""The beginning of the year 2250, nanoseconds since the Unix epoch: 64 bits end in 2262, and sums need some room."""

_BEYOND: Final = "a time before 1970 or after 2250"


def of_rfc3339(text: str) -> int:
    """Nanoseconds of an RFC 3339 time; digits beyond the ninth are cut off.

    Raises:
        ValueError: It is none, or lies before 1970 or after LATEST.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("not a time (RFC 3339)")
    day, clock, fraction, zone = found.groups()
    seconds = _second(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    if seconds < 0:
        raise ValueError("a time before 1970")
    return of_nanoseconds(seconds * 1_000_000_000 + _nanoseconds(fraction))


def of_epoch(text: str) -> int:
    """Nanoseconds of seconds since the epoch with an optional fraction.

    Raises:
        ValueError: It is none, or lies after LATEST.
    """
    found = _EPOCH.fullmatch(text)
    if found is None:
        raise ValueError("not a time in seconds since 1970")
    return of_nanoseconds(int(found[1]) * 1_000_000_000 + _nanoseconds(found[2]))


def of_seconds(seconds: float) -> int:
    """Nanoseconds of a number of seconds since the epoch, exact to the microsecond.

    Raises:
        ValueError: It lies before 1970 or after LATEST.
    """
    if not 0 <= seconds <= LATEST // 1_000_000_000:
        raise ValueError(_BEYOND)
    return round(seconds * 1_000_000) * 1000


def of_nanoseconds(count: int) -> int:
    """The same number, if it is a time that can be reckoned with.

    Raises:
        ValueError: It lies before 1970 or after LATEST.
    """
    if not 0 <= count <= LATEST:
        raise ValueError(_BEYOND)
    return count


@lru_cache(maxsize=1 << 12)
def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _nanoseconds(fraction: str | None) -> int:
    return int(fraction.ljust(9, "0")) if fraction else 0
