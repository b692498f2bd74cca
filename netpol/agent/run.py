"""The agent: live packets into windows, windows into the spool and to the hub, until it is told to stop."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import secrets
import select
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.agent.alive import sign_of_life
from netpol.agent.handshakes import FIRST_REPETITION, SLACK
from netpol.agent.interfaces import Interfaces
from netpol.agent.recorder import Limits, Observer, Recorder
from netpol.agent.sender import Sender
from netpol.agent.spool import Spool, hold
from netpol.capture.live_filter import MOST_INTERFACES, live_program
from netpol.capture.live_ring import Ring
from netpol.errors import InputError
from netpol.flows.limits import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from netpol.agent.sender import Hub
    from netpol.capture.bpf import Instruction
    from netpol.capture.live_blocks import Found
    from netpol.dataset.window import Window

_TOGETHER: Final = 0.1
"""Seconds between two looks at the ring: what came meanwhile costs little more than one packet would."""
_TICK: Final = 1.0
_LAST_SENDING: Final = 10.0
_FEW_ARENAS: Final = ((-8, 1), (-3, 1 << 20), (-1, 1 << 20))
"""M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of mallopt(3): what a batch took goes back to the system."""
_SETTLING: Final = (FIRST_REPETITION + SLACK) / SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to record, where to, and for how long.

    Attributes:
        node: The node's name.
        version: Of netpol.
        spool: The folder for windows.
        spool_size: Its allowance in bytes.
        hub: Where windows are sent; None: they stay.
        interfaces: Patterns of names; none: all.
        sample: One in so many of the other TCP packets is taken.
        window: Seconds.
        buffer: Bytes of the ring.
        duration: Seconds after which recording ends for good, counted from the first start; None: never.
        windows: Ends after so many; None: never.
        conntrack: The kernel is asked which connections were open before.
        limits: Bounds of a window.
    """

    node: str
    version: str
    spool: Path
    spool_size: int = 512 << 20
    hub: Hub | None = None
    interfaces: Sequence[str] = ()
    sample: int = 256
    window: float = 60.0
    buffer: int = 16 << 20
    duration: float | None = None
    windows: int | None = None
    conntrack: bool = False
    limits: Limits | None = None


class Agent:
    """One run of the agent."""

    def __init__(self, settings: Settings, log: Callable[[str], None]) -> None:
        """Opens what it needs.

        Args:
            settings: What to do.
            log: Takes one line for whoever watches.

        Raises:
            InputError: Packets cannot be captured, or the folder cannot be written to.
        """
        self._settings = settings
        self._log = log
        # A number, not an event: a signal's handler runs within whatever the main thread does, and would wait for ever
        # for the lock of an event that the thread itself is waiting for.
        self._asked_to_stop = 0
        self._held = hold(settings.spool)
        self._spool = Spool.open(settings.spool, settings.spool_size)
        self._sender = None if settings.hub is None else Sender(settings.hub, self._spool, log)
        self._windows = 0

    def stop(self) -> None:
        """Ends the recording, from a signal handler or another thread. Asked twice, handshakes are not waited for."""
        self._asked_to_stop += 1

    def run(self) -> None:
        """Records until it is told to stop; then, with a hub, stays until it is told so, or returns.

        A DaemonSet starts what has ended again, so an agent whose time is over has to stay, and do nothing.
        """
        if self._sender is not None:
            self._sender.start()
        ends = self._ends()
        if ends is None or time.time_ns() < ends:
            self._record(ends)
        if not self._asked_to_stop and self._sender is not None and self._settings.windows is None:
            self._log("the time to record is over; what is left is sent, then nothing is done until it is stopped")
            while not self._asked_to_stop:
                sign_of_life(self._spool.folder)
                time.sleep(_TICK)
        if self._sender is not None:
            self._sender.stop(_LAST_SENDING)
            self._log(f"stopped; {self._sender.sent:,} windows sent, {self._spool.waiting():,} wait in the spool")
        else:
            self._log(f"stopped; {self._spool.waiting():,} windows in the spool")

    def _ends(self) -> int | None:
        """When recording ends, nanoseconds since the Unix epoch."""
        if self._settings.duration is None:
            self._spool.state.started = 0
            return None
        if not self._spool.state.started:
            self._spool.state.started = time.time_ns()
        return self._spool.state.started + int(self._settings.duration * SECOND)

    def _record(self, ends: int | None) -> None:
        settings = self._settings
        observer = Observer(name=settings.node, run=secrets.token_hex(16), version=settings.version)
        with Ring(live_program(0, ()), settings.buffer) as ring, closing(Interfaces(settings.interfaces)) as interfaces:
            ring.use(self._program(interfaces))
            recorder = Recorder(observer, int(settings.window * SECOND), time.time_ns(), settings.limits)
            recorder.given_up = self._spool.losses()
            recorder.interfaces = len(interfaces.indices)
            if settings.conntrack:
                self._ask_the_kernel(recorder)
            self._spool.state.recording = True
            self._spool.keep_state()
            sign_of_life(self._spool.folder)
            self._log(f"records on {len(interfaces.indices):,} interfaces as {settings.node}, run {observer.run}")
            _stay_small()
            self._follow(ring, interfaces, recorder, ends)
            self._settle(ring, interfaces, recorder)
            recorder.lose(ring.count_drops(), time.time_ns())
            self._spool.state.recording = False
            self._keep([recorder.close(time.time_ns(), last=True)], recorder)

    def _ask_the_kernel(self, recorder: Recorder) -> None:
        from netpol.agent.conntrack import open_before  # noqa: PLC0415 - most agents do not ask

        try:
            records = open_before(time.time_ns())
        except InputError as error:
            self._log(f"{error}; goes on without")
        else:
            self._log(f"{len(records):,} connections were open before")
            recorder.add(records)

    def _program(self, interfaces: Interfaces) -> tuple[Instruction, ...]:
        few = not interfaces.all_of_them and len(interfaces.indices) <= MOST_INTERFACES
        return live_program(self._settings.sample, sorted(interfaces.indices) if few else None)

    def _follow(self, ring: Ring, interfaces: Interfaces, recorder: Recorder, ends: int | None) -> None:
        """Until it is over."""
        next_tick = 0.0
        while not self._asked_to_stop:
            self._take(ring, interfaces, recorder)
            if interfaces.changed() and not interfaces.all_of_them:
                ring.use(self._program(interfaces))
            recorder.interfaces = len(interfaces.indices)
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + _TICK
                now = time.time_ns()
                sign_of_life(self._spool.folder)
                self._keep(recorder.tick(now), recorder)
                if (ends is not None and now >= ends) or self._windows == self._settings.windows:
                    return
            select.select([interfaces.fileno()], [], [], _TOGETHER)  # a new one cannot wait: its pod may begin to talk
            select.select([ring.fileno(), interfaces.fileno()], [], [], max(0.0, next_tick - time.monotonic()))

    def _settle(self, ring: Ring, interfaces: Interfaces, recorder: Recorder) -> None:
        """Listens on for a little, so that the last handshakes are not left in doubt."""
        until = time.monotonic() + _SETTLING
        while time.monotonic() < until and self._asked_to_stop < 2 and recorder.unsettled(time.time_ns()):
            self._take(ring, interfaces, recorder)
            time.sleep(_TOGETHER)
        self._take(ring, interfaces, recorder)

    def _take(self, ring: Ring, interfaces: Interfaces, recorder: Recorder) -> None:
        """All that the ring holds. What was dropped is asked first: silence means nothing where packets are missing."""
        while found := ring.read():
            recorder.lose(ring.count_drops(), time.time_ns())
            self._take_found(found, interfaces, recorder)

    def _take_found(self, found: Iterable[Found], interfaces: Interfaces, recorder: Recorder) -> None:
        for part in found:
            records = part.records
            if not interfaces.all_of_them:
                wanted = np.isin(part.interface, list(interfaces.counted))
                if not wanted.all():
                    records = records.chosen(wanted)
            self._keep(recorder.take(records), recorder)

    def _keep(self, windows: Iterable[Window], recorder: Recorder) -> None:
        for window in windows:
            self._windows += 1
            why = self._spool.add(window)
            recorder.given_up = self._spool.losses()
            self._log(_account(window) + (f"; could not be kept: {why}" if why else ""))
            if self._sender is not None:
                self._sender.wake()


def _stay_small() -> None:
    """What is imported stays; what comes and goes is given back. The program begins without a collector."""
    gc.freeze()
    gc.enable()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        tune = ctypes.CDLL(None).mallopt
        for option, value in _FEW_ARENAS:
            tune(option, value)


def _account(window: Window) -> str:
    """One line for the log."""
    losses = window.losses
    lost = {
        "dropped by the kernel": losses.kernel,
        "evicted": losses.evicted,
        "not decoded": sum(losses.undecodable.values()),
        "windows given up": losses.windows,
    }
    text = f"window {window.number}: {window.packets:,} packets, {len(window.records):,} connections"
    text += f", {len(window.names.names):,} names, {window.interfaces:,} interfaces"
    return text + "".join(f", {count:,} {what}" for what, count in lost.items() if count)
