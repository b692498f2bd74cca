"""The time of a capture in few bins of a handy width, so that edges can say when they may have been active."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.flows.table import FlowTable

MOST_BINS = 200

_SECOND = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
WIDTHS = (
    1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY,
)  # fmt: skip
"""Seconds. A capture that is longer than the widest allows doubles it until it fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBins:
    """Equal stretches of time, the first of which begins at a whole multiple of their width.

    Attributes:
        start: Nanoseconds since the epoch.
        width: Nanoseconds.
        count: At most `MOST_BINS`.
    """

    start: int
    width: int
    count: int

    @classmethod
    def over(cls, first: int, last: int) -> Self:
        """The bins from the first to the last packet, both nanoseconds since the epoch."""
        widths = chain(WIDTHS, (WIDTHS[-1] << doubled for doubled in count(1)))
        width = next(found for width in widths if _bins(first, last, found := width * _SECOND) <= MOST_BINS)
        return cls(start=first // width * width, width=width, count=_bins(first, last, width))

    def mask(self, first: int, last: int) -> int:
        """The bins that a stretch of time meets, as bits; what is beyond the ends counts for the bin at the end."""
        low, high = (min(max((time - self.start) // self.width, 0), self.count - 1) for time in (first, last))
        return (1 << high + 1) - (1 << low)


def runs(mask: int) -> Iterator[tuple[int, int]]:
    """The inclusive runs of bits that are set, ascending."""
    position = 0
    while mask:
        gap = (mask & -mask).bit_length() - 1
        mask >>= gap
        length = (~mask & mask + 1).bit_length() - 1
        yield position + gap, position + gap + length - 1
        mask >>= length
        position += gap + length


def window_of(table: FlowTable) -> tuple[int, int] | None:
    """The first and the last packet of all flows, None where there are none."""
    ends = [(int(rows["first"].min()), int(rows["last"].max())) for rows in table.batches() if len(rows)]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def _bins(first: int, last: int, width: int) -> int:
    return last // width - first // width + 1
