"""Why a request is not answered: a status of HTTP, one sentence, and when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BAD, UNKNOWN, FORBIDDEN, ABSENT, SLOW, UNSIZED, LARGE, OTHER_TYPE, WRONG, BUSY, AWAY, FULL = (
    400,
    401,
    403,
    404,
    408,
    411,
    413,
    415,
    422,
    429,
    503,
    507,
)
"""Statuses by what they mean here. BAD, LARGE and WRONG: never send this again. UNKNOWN and FORBIDDEN: get other
rights first. Everything else: come back."""


class RefusedError(Exception):
    """A request that is refused, and goes on being refused until something changes.

    Args:
        status: Of HTTP.
        what: One sentence without a full stop; it never holds a token.
        reason: A short word for it, for counts; a fixed set.
        after: Seconds after which to come back, where that is known.
    """

    def __init__(self, status: int, what: str, reason: str, *, after: int | None = None) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.reason = reason
        self.after = after

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer says besides: the connection ends, because the rest of the request is not read."""
        found = {"connection": "close"}
        if self.after is not None:
            found["retry-after"] = str(self.after)
        if self.status == UNKNOWN:
            found["www-authenticate"] = "Bearer"
        return found
