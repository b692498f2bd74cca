"""Captures to windows: what an observer would have written down, had it been there when they were taken."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.packets import PacketBatch, Tally, Unreachables, chosen_packets
from netpol.capture.read import read_inputs
from netpol.dataset.layout import MINUTE
from netpol.dataset.window import Losses, Window
from netpol.dataset.window_codec import MOST_RECORDS
from netpol.flows.connections import joined
from netpol.flows.pieces import pieces_of, pieces_of_quotes
from netpol.flows.records import Records, empty, stacked
from netpol.names.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.sources import Input

_OPEN: Final = 2
"""Minutes that are collected at once: packets of several interfaces are not always in order."""
_PIECES: Final = 1 << 16
TOO_EARLY: Final = "packets older than the Unix epoch"
_READ_AT_ONCE: Final = 1 << 20
_NO_NAME: Final = re.compile(r"[^a-z0-9.-]+")


def record(capture: Input, tally: Tally, *, version: str) -> Iterator[Window]:
    """The windows of one capture, one for each minute that has packets, nearly in the order of time.

    The same file gives windows of the same identity, so that what holds them already takes them once.

    Args:
        capture: What to read.
        tally: Counts what was read; complete when the iterator is exhausted.
        version: Of netpol.

    Raises:
        InputError: It is no capture.
    """
    recorder = _Recorder(run_of(capture), observer_of(capture), version, tally)
    for batch in read_inputs([capture], tally, names=recorder.names):
        yield from recorder.take(batch)
    yield from recorder.rest()


def run_of(source: Input) -> str:
    """What stands for the observer's run: the content."""
    if source.path is None or not source.again:
        return uuid.uuid4().hex
    digest = hashlib.sha256()
    with source.path.open("rb") as file:
        while block := file.read(_READ_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()[:32]


def observer_of(source: Input) -> str:
    """What stands for the observer's name: the file's."""
    name = source.path.name if source.path is not None else "stdin"
    return _NO_NAME.sub("-", name.lower())[:200].strip("-.") or "capture"


class _Recorder:
    """Collects the pieces of some minutes, and lets go of a minute when packets are far enough beyond it."""

    def __init__(self, run: str, observer: str, version: str, tally: Tally) -> None:
        self.names = Relay()
        self._run = run
        self._observer = observer
        self._version = version
        self._tally = tally
        # Others may have counted before: what they lost is not this capture's.
        self._before = Tally(lost=tally.lost, undecoded=dict(tally.undecoded))
        self._minutes: dict[int, list[Records]] = {}
        self._packets: dict[int, int] = {}
        self._number = 0

    def take(self, batch: PacketBatch | Unreachables) -> Iterator[Window]:
        """Takes packets; yields windows that are over."""
        minute = batch.time // MINUTE
        for each in np.unique(minute).tolist():
            part = chosen_packets(batch, minute == each) if minute[0] != each or minute[-1] != each else batch
            if each < 0:
                self._refuse(part)
                continue
            pieces = pieces_of(part) if isinstance(part, PacketBatch) else pieces_of_quotes(part)
            its = self._minutes.setdefault(each, [])
            its.append(pieces)
            if isinstance(part, PacketBatch):
                self._packets[each] = self._packets.get(each, 0) + len(part)
            if sum(map(len, its)) > _PIECES:
                its[:] = [joined(stacked(its))]
                if len(its[0]) > MOST_RECORDS // 2:
                    yield self._window(each)
        latest = max(self._minutes, default=0)
        for each in sorted(self._minutes):
            if each + _OPEN <= latest:
                yield self._window(each)

    def _refuse(self, part: PacketBatch | Unreachables) -> None:
        if isinstance(part, PacketBatch):
            self._tally.decoded -= len(part)
            self._tally.drop(TOO_EARLY, len(part))

    def rest(self) -> Iterator[Window]:
        """All that is left; one window at least tells what was lost."""
        for each in sorted(self._minutes) or [0]:
            yield self._window(each)

    def _window(self, minute: int) -> Window:
        pieces = self._minutes.pop(minute, [])
        tally, before = self._tally, self._before
        undecodable = {
            reason: count - before.undecoded.get(reason, 0)
            for reason, count in tally.undecoded.items()
            if count > before.undecoded.get(reason, 0)
        }
        window = Window(
            observer=self._observer,
            run=self._run,
            number=self._number,
            begin=minute * MINUTE,
            end=(minute + 1) * MINUTE,
            packets=self._packets.pop(minute, 0) + sum(undecodable.values()),
            records=joined(stacked(pieces)) if pieces else empty(),
            names=self.names.part(),
            losses=Losses(kernel=tally.lost - before.lost, undecodable=undecodable),
            interfaces=1,
            version=self._version,
        )
        self._number += 1
        self._before = Tally(lost=tally.lost, undecoded=dict(tally.undecoded))
        return window
