"""What reading windows adds to a tally: what observers read, what they lost, and what is missing between windows."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from netpol.capture.packets import NAMED_PLACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.capture.packets import Tally
    from netpol.dataset.index import File
    from netpol.dataset.layout import LogNote
    from netpol.dataset.window_rows import WindowRow
    from netpol.errors import InputError

MISSING: Final = "windows missing between others of the same observer"
GIVEN_UP: Final = "windows given up by their observers, for want of room"
RECORDS: Final = "partial connections in windows given up"
EVICTED: Final = "partial connections that found no room in an observer's table"
LATE: Final = "windows that came when their hour was added up and gone: connections in them may count twice"
NO_FLOWS: Final = "rows of flows that cannot be used"
VANISHED: Final = "windows removed while they were read"


class Account:
    """Fills a tally; numbers of a run that nothing has are counted at the end."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._runs: dict[str, list[tuple[int, int]]] = {}
        self._damaged: set[str] = set()

    def begin(self) -> None:
        """Takes notice of one more source of windows."""
        self._tally.captures += 1
        self._tally.size = None  # how many bytes of it will be read is not known

    def window(self, row: WindowRow) -> None:
        """Takes windows that are read."""
        tally, losses = self._tally, row.losses
        undecoded = sum(losses.undecodable.values())
        tally.packets += max(row.packets, undecoded)
        tally.decoded += max(row.packets, undecoded) - undecoded
        for reason, count in losses.undecodable.items():
            tally.drop(reason, count)
        tally.lost += losses.kernel
        tally.miss(EVICTED, losses.evicted)
        tally.miss(GIVEN_UP, losses.windows)
        tally.miss(RECORDS, losses.records)
        spans = self._runs.setdefault(row.run, [])
        begin, end = row.number, row.number + row.windows
        if spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))

    def logs(self, notes: Iterable[LogNote]) -> None:
        """Takes what is known of flow logs that something was made of."""
        from netpol.sources.kinds import Kind  # noqa: PLC0415 - hubs and most datasets know of no log
        from netpol.sources.read import UNTOLD  # noqa: PLC0415 - the same

        for note in notes:
            self._tally.log_records += note.read
            self._tally.log_records_used += note.used
            self._tally.log_records_unplaced += note.unplaced
            self._tally.broken_records += note.broken
            self._tally.broken.extend(note.places[: NAMED_PLACES - len(self._tally.broken)])
            with suppress(ValueError):  # of a newer version
                kind = Kind(note.kind)
                self._tally.untold[kind.value] = UNTOLD[kind]

    def broken(self, files: Iterable[tuple[str, str]]) -> None:
        """Takes files that cannot be read at all: nobody knows how many windows were in them."""
        for place, what in files:
            self._damage(place, f"{place}: {what}")

    def damage(self, error: InputError, files: Sequence[File]) -> None:
        """Takes a file of which something cannot be read; it is counted as damaged once."""
        place = error.where[0] if error.where else files[0].name
        self._damage(place, str(error))

    def _damage(self, place: str, message: str) -> None:
        if place not in self._damaged:
            self._damaged.add(place)
            self._tally.damage(message, malformed=True)

    def vanished(self, count: int) -> None:
        """Takes windows that were there when the reading began."""
        self._tally.miss(VANISHED, count)

    def late(self, count: int) -> None:
        """Takes windows that are read beside the hour that they belong to."""
        self._tally.miss(LATE, count)

    def refuse(self, count: int) -> None:
        """Takes rows of flows that are none."""
        self._tally.miss(NO_FLOWS, count)

    def finish(self) -> None:
        """Counts the gaps."""
        self._tally.miss(MISSING, sum(gaps(spans) for spans in self._runs.values()))


def gaps(spans: Iterable[tuple[int, int]]) -> int:
    """How many numbers lie between spans of numbers that none of them has."""
    missing, reached = 0, None
    for begin, end in sorted(spans):
        if reached is not None:
            missing += max(0, begin - reached)
        reached = end if reached is None else max(end, reached)
    return missing
