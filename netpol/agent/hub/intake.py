"""The way of a window from a request to the disk: validated, written, remembered, then acknowledged.

One thread takes what piled up while it worked, brings all of it to the disk, and remembers all of it in one
transaction: the more senders there are, the more windows share what a durable write costs.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netpol.agent.hub.admission import split_identity
from netpol.agent.hub.durable import free_bytes, is_full
from netpol.agent.hub.refusals import AWAY, BAD, BUSY, FULL, RefusedError
from netpol.agent.hub.state import Head
from netpol.dataset.window_codec import read_window
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netpol.agent.hub.admission import Admission
    from netpol.agent.hub.inbox import Inbox
    from netpol.agent.hub.logs import Log

_TOGETHER: Final = 64
"""Windows written before they are remembered."""
_RETRY_SECONDS: Final = 10


@dataclass(slots=True)
class _Job:
    """A window that somebody waits for; `refusal` is why it was not stored, `stored` whether it was new."""

    identity: str
    data: bytes
    node: str | None
    loop: asyncio.AbstractEventLoop
    done: asyncio.Event = field(default_factory=asyncio.Event)
    head: Head | None = None
    refusal: RefusedError | None = None
    stored: bool = False


class Intake:
    """Takes windows.

    Args:
        inbox: Where they are written.
        admission: Which are taken; its state remembers them.
        log: Told about what an operator has to look at.
        clock: Nanoseconds since the Unix epoch.
    """

    def __init__(
        self, inbox: Inbox, admission: Admission, log: Log, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._inbox, self._admission, self._log, self._clock = inbox, admission, log, clock
        self._state, self._limits = admission.state, admission.limits
        self.lock = threading.Lock()
        """Held while windows are written and remembered: in between, a file is there that nobody knows of."""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="intake")
        self.last_failure = ""

    def start(self) -> None:
        """Starts to work."""
        self._thread.start()

    def stop(self) -> None:
        """Finishes what was taken on, and ends."""
        self._jobs.put(None)
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether windows can be taken."""
        return self._thread.is_alive()

    def require_room(self) -> None:
        """Refuses where a window would not fit.

        Raises:
            RefusedError: BUSY where it may fit soon, FULL where somebody has to make room.
        """
        limits = self._limits
        if self._inbox.count >= limits.inbox_windows or self._inbox.size >= limits.inbox_bytes:
            raise RefusedError(BUSY, "too many windows wait for the dataset", "inbox full", after=_RETRY_SECONDS)
        if not self.has_disk:
            raise _full(f"less than {limits.reserve >> 20} MiB of disk are left")

    def is_writable(self) -> bool:
        """Whether windows can be written: after a failure, that is tried.

        A hub that is not ready is sent nothing: without trying, it would never find out that it is well again.
        """
        if not self.has_disk:
            return False
        if not self.last_failure:
            return True
        try:
            with self.lock:
                self._inbox.try_to_write()
                self._state.try_to_write()
        except (OSError, sqlite3.Error):
            return False
        self.last_failure = ""
        return True

    @property
    def has_disk(self) -> bool:
        """Whether the disk has more than the reserve left."""
        try:
            return free_bytes(self._inbox.folder) > self._limits.reserve
        except OSError:
            return False

    async def store(self, identity: str, data: bytes, node: str | None) -> bool:
        """Stores a window: whether it was new. It is durable on return.

        Args:
            identity: What it was sent as.
            data: The window.
            node: The node that the sender is proven to be on, where that is proven.

        Raises:
            RefusedError: It was not stored.
        """
        job = _Job(identity, data, node, asyncio.get_running_loop())
        self._jobs.put(job)
        await job.done.wait()
        if job.refusal is not None:
            raise job.refusal
        return job.stored

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            while len(jobs) < _TOGETHER:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._jobs.put(None)
                    break
                jobs.append(more)
            try:
                with self.lock:
                    self._work(jobs)
            except Exception as error:  # noqa: BLE001 - whatever happens, senders get an answer and the thread goes on
                self._log.failed("windows could not be stored", error)
                for each in jobs:
                    each.refusal = each.refusal or RefusedError(AWAY, "an error in the hub", "error", after=30)
            for each in jobs:
                # The loop is closed where the hub had to end before its requests did.
                try:
                    each.loop.call_soon_threadsafe(each.done.set)
                except RuntimeError:
                    continue

    def _work(self, jobs: Sequence[_Job]) -> None:
        """Does what they ask. The same window sent twice at once gets one answer."""
        first: dict[str, _Job] = {}
        for job in jobs:
            other = first.get(job.identity)
            if other is None or other.refusal is not None:
                self._try_to_write(job)
                first[job.identity] = job
        self._remember([job for job in first.values() if job.head is not None and job.refusal is None])
        for job in jobs:
            other = first[job.identity]
            if job.refusal is None and other is not job:
                job.refusal = other.refusal

    def _remember(self, written: Sequence[_Job]) -> None:
        if not written:
            return
        try:
            self._inbox.sync()
            found = self._state.record(job.head for job in written if job.head is not None)
        except (OSError, sqlite3.Error) as error:
            # The files stay, unacknowledged: they are complete, so the keeper makes them known and keeps them, once.
            failure = self._failed(error)
            for job in written:
                job.refusal = failure
            return
        for job, new in zip(written, found, strict=True):
            job.stored = new
        self.last_failure = ""

    def _try_to_write(self, job: _Job) -> None:
        try:
            self._write(job)
        except RefusedError as refusal:
            job.refusal = refusal

    def _write(self, job: _Job) -> None:
        """Validates a window and writes it, unless it was taken before."""
        found = split_identity(job.identity)
        if found is None:
            raise RefusedError(BAD, "not the identity of a window", "no identity")
        try:
            if self._state.knows(*found):
                return
            window = read_window(job.data, "window")
            now = self._clock()
            self._admission.require(window, job.identity, node=job.node, now=now)
            self._inbox.write(job.identity, job.data)
        except InputError as error:
            raise RefusedError(BAD, error.what, "no window") from None
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        job.head = Head.of(window, now)

    def _failed(self, error: OSError | sqlite3.Error) -> RefusedError:
        self.last_failure = str(error)
        self._log.failed("windows could not be stored", error)
        if is_full(error):
            return _full("the disk is full")
        return RefusedError(AWAY, "the window could not be written", "disk error", after=_RETRY_SECONDS)


def _full(what: str) -> RefusedError:
    return RefusedError(FULL, what, "disk full", after=30)
