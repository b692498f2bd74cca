"""From which of its forms each hour is read: added up as far as that is all there is to know, else as recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dataset.index import Hour


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What decides about an hour.

    Attributes:
        hour: Hours since the Unix epoch.
        rolled: It is added up, at least in part.
        late: Windows are there that are not added up, or they are, but without knowing what the hour before left.
        complete: Nothing that is added up is gone as recorded.
    """

    hour: int
    rolled: bool
    late: bool
    complete: bool

    @classmethod
    def of(cls, hour: Hour, before: Hour | None) -> State:
        """The state of an hour that comes after another one."""
        covered = sum(row.windows for file in hour.rollups for row in file.rows)
        late = there = 0
        for file in hour.raw:
            for row in file.rows:
                if hour.is_covered(row):
                    there += row.windows
                else:
                    late += 1
        known = {file.name for file in before.rollups} if before else None
        stale = known is not None and any(
            file.note.behind is not None and file.note.behind != known for file in hour.rollups
        )
        complete = there == covered
        return cls(hour=hour.hour, rolled=bool(hour.rollups), late=late > 0 or (stale and complete), complete=complete)


def states_of(hours: Iterable[Hour]) -> Iterator[tuple[State, Hour]]:
    """The states of hours, and these."""
    before: Hour | None = None
    for hour in hours:
        yield State.of(hour, before), hour
        if hour.rollups or hour.raw:
            before = hour


def recorded_from(states: Sequence[State]) -> int | None:
    """The hour from which on everything is read as recorded; None: nothing is.

    An hour with windows that are not added up yet is read as recorded as a whole, for these may show the same
    connections as those that are; and with it all hours behind it, which were added up without knowing them. Where that
    cannot be, because an hour behind it is not there as recorded any more, its late windows are read beside it.

    Args:
        states: Of all hours, in the order of time.
    """
    whole = len(states)
    while whole and states[whole - 1].complete:
        whole -= 1
    return next((state.hour for state in states[whole:] if state.late), None)
