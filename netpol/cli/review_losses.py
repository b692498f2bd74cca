"""What captures lost, as things to check: rules rest on what was read, and silence on what was not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.review.report import ToCheck, Urgency

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.packets import Tally

_ABOUT = "the captures"
_NOT_TOLD = "Where that matters, compare with packets or another log"
_REMEDY = "What was lost may be what was closed on silence: record again, or compare with another capture"


def losses(tally: Tally) -> Iterator[ToCheck]:
    """One for each capture that was not read to its end, and one for packets that were dropped while recording."""
    for message in tally.damaged:
        yield ToCheck(urgency=Urgency.WEAK, about=_ABOUT, text=f"not read to its end: {message}", remedy=_REMEDY)
    unnamed = tally.damaged_captures - len(tally.damaged)
    if unnamed:
        yield ToCheck(
            urgency=Urgency.WEAK, about=_ABOUT, text=f"{unnamed:,} more not read to their end", remedy=_REMEDY
        )
    dropped = tally.lost - tally.damaged_captures
    if dropped:
        text = f"{dropped:,} packets were dropped while they were recorded"
        yield ToCheck(urgency=Urgency.WEAK, about=_ABOUT, text=text, remedy=_REMEDY)
    for what, count in tally.missing.items():
        yield ToCheck(urgency=Urgency.WEAK, about=_ABOUT, text=f"{what}: {count:,}", remedy=_REMEDY)
    yield from _of_logs(tally)


def _of_logs(tally: Tally) -> Iterator[ToCheck]:
    """What flow logs left out, by themselves or because they cannot be read."""
    for count, text in (
        (tally.broken_records, "records of flow logs cannot be read"),
        (tally.log_records_unplaced, "records of flow logs tell of connections without saying who is at one end"),
    ):
        if count:
            yield ToCheck(urgency=Urgency.WEAK, about=_ABOUT, text=f"{count:,} {text}", remedy=_REMEDY)
    for kind, untold in sorted(tally.untold.items()):
        text = f"the log does not tell: {'; '.join(untold)}"
        yield ToCheck(urgency=Urgency.KNOW, about=kind, text=text, remedy=_NOT_TOLD)
