"""The hub's work behind the requests: windows from the inbox into the dataset, and the dataset kept in shape."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.agent.hub.durable import is_full
from netpol.agent.hub.state import Head
from netpol.agent.hub.upkeep import Upkeep
from netpol.dataset.folder import Dataset
from netpol.dataset.window_codec import read_window
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Sized
    from pathlib import Path

    from netpol.agent.hub.inbox import Inbox, Waiting
    from netpol.agent.hub.intake import Intake
    from netpol.agent.hub.logs import Log
    from netpol.agent.hub.metrics import Metrics
    from netpol.agent.hub.state import State
    from netpol.agent.hub.upkeep import Retention
    from netpol.dataset.window import Window

UNREADABLE: Final = "unreadable"
"""Folder of windows that could be read when they came and cannot any more: the disk is damaged."""
_ROWS: Final = 1 << 19
_WINDOWS: Final = 2000
"""Rows of all tables, and windows, that are added at once; a window alone may have more."""
_BEAT_SECONDS: Final = 1800.0
"""A keeper that was not heard of for so long hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds between looks into the inbox, and between looks at the dataset as a whole."""

    move: float = 5.0
    upkeep: float = 600.0


class Keeper:
    """One thread that works until it is stopped.

    Args:
        root: Of the dataset.
        inbox: What waits.
        intake: Makes known what waits, and knows when not to look.
        state: Remembers windows.
        metrics: Counted in.
        log: Told what failed.
        times: How often.
        retention: What is kept.
        clock: Seconds, from anywhere.
    """

    def __init__(  # noqa: PLR0913 - it joins all parts of the hub
        self,
        root: Path,
        *,
        inbox: Inbox,
        intake: Intake,
        state: State,
        metrics: Metrics,
        log: Log,
        times: Times,
        retention: Retention,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._inbox, self._intake, self._state = root, inbox, intake, state
        self._metrics, self._log, self._times, self._clock = metrics, log, times, clock
        self._dataset = Dataset.create(root)
        self._upkeep = Upkeep(root, dataset=self._dataset, state=state, retention=retention, log=log)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper")
        self._beat = clock()

    def start(self) -> None:
        """Starts to work."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after what is being done."""
        self._stop.set()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive() and self._clock() - self._beat < _BEAT_SECONDS

    def _run(self) -> None:
        upkeep_due = self._clock()
        while True:
            self._beat = self._clock()
            self._try("move", self._move)
            if self._clock() >= upkeep_due and not self._stop.is_set():
                for work, do in self._upkeep.steps(time.time_ns()):
                    self._beat = self._clock()
                    self._try(work, do)
                upkeep_due = self._clock() + self._times.upkeep
            if self._stop.wait(self._times.move):
                break

    def _try(self, work: str, do: Callable[[], object]) -> None:
        """Whatever fails is tried again the next time: nothing that was acknowledged is let go of before it is kept."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 - a disk that is full, a dataset that is damaged: the hub goes on
            self._metrics.failures.labels(work).inc()
            self._log.failed(f"the dataset: {work} failed", error)

    def _move(self) -> None:
        failure: Exception | None = None
        for batch in self._batches():
            try:
                self._keep(batch)
            except Exception as error:
                if is_full(error):
                    raise
                # Something is wrong with one of them, or with the hour that it belongs to: the others shall not wait.
                failure = self._keep_each(batch) or failure
            if self._stop.is_set():
                break
        if failure is not None:
            raise failure

    def _keep(self, batch: Sequence[Window]) -> None:
        if batch:
            self._dataset.append(batch)
            self._inbox.remove(window.identity for window in batch)
            self._metrics.moved.inc(len(batch))

    def _keep_each(self, batch: Sequence[Window]) -> Exception | None:
        """The same one by one: the last failure. Those that fail stay where they are."""
        failure = None
        for window in batch:
            try:
                self._keep([window])
            except Exception as error:  # noqa: BLE001 - it is raised when the others are kept
                failure = error
        return failure

    def _batches(self) -> Iterator[Sequence[Window]]:
        batch: list[Window] = []
        rows = 0
        for waiting in self._inbox.waiting():
            window = self._read(waiting)
            if window is None:
                continue
            if batch and (rows + _rows(window) > _ROWS or len(batch) >= _WINDOWS):
                yield batch
                batch, rows = [], 0
            batch.append(window)
            rows += _rows(window)
        yield batch

    def _read(self, waiting: Waiting) -> Window | None:
        """A window that waits; None where it cannot be read, and is put aside."""
        try:
            window = read_window(waiting.path.read_bytes(), waiting.path.name)
        except InputError as error:
            self._inbox.set_aside(waiting.identity, self._root / UNREADABLE)
            self._metrics.unreadable.inc()
            self._log.failed("a window that was acknowledged cannot be read any more", error, window=waiting.identity)
            return None
        if not self._state.knows(window.run, window.number):
            # The hub ended, or failed, between writing it and remembering it. Nobody was told that it is here: its
            # sender may send it again, and shall hear that it is.
            with self._intake.lock:
                self._state.record([Head.of(window, int(waiting.since * 1e9))])
        return window


def _rows(window: Window) -> int:
    names = window.names
    parts: tuple[Sized, ...] = (window.records, names.names, names.leases, names.greetings, names.asked, names.hidden)
    return sum(map(len, parts))
