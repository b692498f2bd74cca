"""How logs write times."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(time: int) -> str:
    """RFC 3339 with nanoseconds, trailing zeros left out, as Go writes it."""
    seconds, rest = divmod(time, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def epoch(time: int, digits: int = 6) -> str:
    """Seconds since the epoch with a fraction."""
    seconds, rest = divmod(time, 1_000_000_000)
    return f"{seconds}.{rest:09d}"[: len(str(seconds)) + 1 + digits]
