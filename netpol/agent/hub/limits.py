"""How much senders and readers may ask of the hub at once, and how often."""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.agent.hub.refusals import BUSY, RefusedError
from netpol.dataset.window_codec import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds, all of which senders meet with patience rather than loss.

    Attributes:
        body: Bytes of one window.
        bodies: Bytes of windows that are held in memory at once.
        body_seconds: In which a window has to arrive.
        rate: Windows a second that one node may send for long; an agent makes one a minute.
        burst: Windows that it may send at once: what piled up while the hub was away.
        inbox_bytes: Bytes of windows that wait for the dataset.
        inbox_windows: How many of them.
        reserve: Bytes of the disk that stay free: below, nothing is taken.
        connections: Open at once.
        readers: Downloads at once.
        reader_seconds: In which one has to end.
        nodes: Known at once; Kubernetes supports 5,000.
        window_seconds: That one window may last.
        ahead_seconds: That a window may lie in the future, because clocks differ.
    """

    body: int = MOST_BYTES
    bodies: int = 96 << 20
    body_seconds: float = 30.0
    rate: float = 5.0
    burst: int = 120
    inbox_bytes: int = 1 << 30
    inbox_windows: int = 50_000
    reserve: int = 256 << 20
    connections: int = 2000
    readers: int = 8
    reader_seconds: float = 900.0
    nodes: int = 10_000
    window_seconds: int = 3600
    ahead_seconds: int = 900


class Buckets:
    """Token buckets, one for each key; those not used for longest are forgotten, and are full again.

    Args:
        rate: Tokens a second.
        burst: That a bucket holds.
        clock: Seconds, from anywhere.
    """

    MOST: Final = 16_384

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """Takes a token: 0, or the seconds after which there will be one."""
        level = self._level(key)
        wait = 0.0 if level >= 1.0 else (1.0 - level) / self._rate
        self._levels[key] = (level if wait else level - 1.0, self._clock())
        self._levels.move_to_end(key)
        if len(self._levels) > self.MOST:
            self._levels.popitem(last=False)
        return wait

    def is_empty(self, key: Hashable) -> bool:
        """Whether there is no token; none is taken."""
        return self._level(key) < 1.0

    def _level(self, key: Hashable) -> float:
        now = self._clock()
        level, since = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - since) * self._rate)


class Budget:
    """So much of something at once, for the event loop's tasks: who finds none left is told to come back.

    Args:
        whole: How much there is.
        what: In the words of the refusal.
        reason: For counts.
    """

    def __init__(self, whole: int, what: str, reason: str) -> None:
        self._left = self._whole = whole
        self._what, self._reason = what, reason

    @property
    def used(self) -> int:
        """How much is held."""
        return self._whole - self._left

    @contextmanager
    def held(self, amount: int) -> Iterator[None]:
        """Holds some of it while the block runs.

        Raises:
            RefusedError: There is not as much left.
        """
        if amount > self._left:
            raise RefusedError(BUSY, self._what, self._reason, after=2)
        self._left -= amount
        try:
            yield
        finally:
            self._left += amount
