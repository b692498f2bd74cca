"""Flow logs and tables of flows to hours added up: of these there are no windows, but they say who talked to whom."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.dataset.captures import read_flow_log, read_flow_table
from netpol.dataset.layout import HOUR, LogNote
from netpol.dataset.name_rows import columns_of
from netpol.dataset.recorder import TOO_EARLY, observer_of, run_of
from netpol.dataset.rollup import Told
from netpol.dataset.window_rows import WindowRow
from netpol.errors import InputError
from netpol.names.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.capture.packets import Tally
    from netpol.capture.sources import Input
    from netpol.dataset.folder import Dataset
    from netpol.dataset.rollup import Known
    from netpol.flows.records import Records
    from netpol.flows.rows import Rows
    from netpol.names.part import NamesPart
    from netpol.sources.kinds import Kind

_OPEN: Final = 3
"""Hours that are collected at once: what several nodes wrote is not always in order."""
_HELD: Final = 1 << 18
"""Entries that are collected at once."""
_MOST_HOURS: Final = 1 << 15
"""Pieces of hours of one log: more than three years, or a clock that jumps."""


class Teller:
    """Adds logs and tables to a dataset.

    Args:
        target: The dataset.
        tally: Counts what was read.
        version: Of netpol.
        known: Of the cluster.
    """

    def __init__(self, target: Dataset, tally: Tally, *, version: str, known: Known) -> None:
        self._target = target
        self._tally = tally
        self._version = version
        self._known = known

    def log(self, source: Input, kind: Kind) -> int:
        """Adds a flow log; returns how many hours of it, or pieces of such, were not there yet.

        Raises:
            InputError: It tells of more hours than can be.
            OSError: It cannot be read, or the dataset not be written.
        """
        names = Relay()
        items = read_flow_log(source, kind, self._tally, names, self._known.people)
        return self._take(source, items, names, kind.value)

    def table(self, source: Input) -> int:
        """The same of a Parquet file of flows.

        Raises:
            InputError: It cannot be read, or tells of more hours than can be.
            OSError: The dataset cannot be written.
        """
        return self._take(source, read_flow_table(source, self._tally), Relay())

    def _take(self, source: Input, items: Iterable[Records | Rows], names: Relay, kind: str = "") -> int:
        content, observer = run_of(source), observer_of(source)
        counted, before = dict(self._tally.undecoded), self._said(kind)
        added = 0
        for number, (hour, its, part) in enumerate(_with_names(_by_hour(items, self._tally), names)):
            if number >= _MOST_HOURS:
                remedy = "Look for times that cannot be, or divide it"
                raise InputError(f"tells of more than {_MOST_HOURS:,} hours", where=(source.place,), remedy=remedy)
            fresh = {
                reason: count - counted.get(reason, 0)
                for reason, count in self._tally.undecoded.items()
                if count > counted.get(reason, 0)
            }
            counted, said = dict(self._tally.undecoded), self._said(kind)
            logs, before = (said.since(before),) if kind else (), said
            row = WindowRow(
                observer=observer,
                # Each piece is a run of its own: nothing is missing between them.
                run=hashlib.sha256(f"{content} {number}".encode()).hexdigest()[:32],
                number=0,
                windows=1,
                begin=hour * HOUR,
                end=(hour + 1) * HOUR,
                packets=sum(int(each["packets"].sum()) for each in its) + sum(fresh.values()),
                records=sum(map(len, its)),
                kernel=0,
                evicted=0,
                undecodable=json.dumps(dict(sorted(fresh.items()))) if fresh else "",
                lost_windows=0,
                lost_records=0,
                interfaces=0,
                version=self._version,
            )
            told = Told(items=its, names=part, logs=logs, known=self._known)
            added += self._target.take(row, told)
        return added

    def _said(self, kind: str) -> LogNote:
        """What the tally knows of all logs so far."""
        tally = self._tally
        return LogNote(
            kind=kind,
            read=tally.log_records,
            used=tally.log_records_used,
            unplaced=tally.log_records_unplaced,
            broken=tally.broken_records,
            places=tuple(tally.broken),
        )


def _with_names(
    hours: Iterable[tuple[int, list[Records | Rows]]], names: Relay
) -> Iterator[tuple[int, list[Records | Rows], NamesPart]]:
    """The hours, each with what was said about names since the one before; names that come alone have an hour, too."""
    for hour, items in hours:
        yield hour, items, names.part()
    rest = names.part()
    times = columns_of(rest)["first"]
    if len(times):
        yield int(times[times > 0].min()) // HOUR if (times > 0).any() else 0, [], rest


def _by_hour(items: Iterable[Records | Rows], tally: Tally) -> Iterator[tuple[int, list[Records | Rows]]]:
    """The items by the hour in which they begin; one hour comes several times where much of it comes late."""
    waiting: dict[int, list[Records | Rows]] = {}
    held = 0
    for item in items:
        early = item["first"] < 0
        if early.any():
            tally.decoded -= int(item["packets"][early].sum())
            tally.drop(TOO_EARLY, int(np.count_nonzero(early)))
        hours = np.where(early, -1, item["first"] // HOUR)
        for hour in np.unique(hours[~early]).tolist():
            its = item.compress(hours == hour)
            held += len(its)
            waiting[hour] = [*waiting.pop(hour, []), its]  # the latest that was met stands last
            while len(waiting) > _OPEN or (held > _HELD and waiting):
                oldest = next(iter(waiting))
                held -= sum(map(len, waiting[oldest]))
                yield oldest, waiting.pop(oldest)
    yield from sorted(waiting.items())
