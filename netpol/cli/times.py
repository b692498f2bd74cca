"""Moments as options give them: as RFC 3339 writes them, or how long ago: 24h, 7d."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from netpol.errors import UsageError
from netpol.model.text import shown

if TYPE_CHECKING:
    from netpol.dataset.captures import Span

_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def span_of(since: str | None, until: str | None) -> Span | None:
    """The part of the time that `--since` and `--until` choose, None for all of it.

    Raises:
        UsageError: One of them is no moment, or nothing lies between them.
    """
    from netpol.dataset.captures import Span

    if since is None and until is None:
        return None
    now = time.time_ns()
    begin, end = (
        None if text is None else moment(text, option, now) for text, option in ((since, "--since"), (until, "--until"))
    )
    if begin is not None and end is not None and begin >= end:
        raise UsageError("nothing lies between --since and --until", remedy="Give a later --until")
    return Span(begin, end)


def moment(text: str, option: str, now: int) -> int:
    """Nanoseconds since the Unix epoch.

    Args:
        text: RFC 3339, UTC where it names no zone, or a span of time before now.
        option: What it was given to.
        now: Nanoseconds since the Unix epoch.

    Raises:
        UsageError: It is neither.
    """
    from netpol.cli.amounts import seconds

    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - seconds(text, option) * _SECOND
        except UsageError as error:
            raise UsageError(
                f"{shown(text)} is no moment",
                where=(option,),
                remedy="Give 2026-11-27T12:00:00Z, or 24h",
            ) from error
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    whole = parsed - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * _SECOND + whole.microseconds * 1000
