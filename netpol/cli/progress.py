"""Progress on stderr: a line that moves on a terminal, and nothing at all anywhere else."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")

_WORTH_TELLING: Final = 1.0
"""Seconds before which neither speed nor time left mean anything."""


class Counter(Protocol):
    """What is counted while the work goes on."""

    @property
    def packets(self) -> int:
        """How many there have been so far."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes to be read in all, None where that is not known."""
        ...

    @property
    def consumed(self) -> int:
        """Bytes of them that were read so far."""
        ...


@contextmanager
def packet_progress(counter: Counter) -> Iterator[Callable[[Iterable[Item]], Iterator[Item]]]:
    """Yields a function that passes items through and tells on the terminal how far they have come while they flow."""
    if not sys.stderr.isatty():
        yield iter
        return
    from rich.console import Console

    console = Console(stderr=True)
    begin = time.monotonic()
    with console.status("reading") as status:

        def through(items: Iterable[Item]) -> Iterator[Item]:
            for item in items:
                status.update(how_far(counter, time.monotonic() - begin))
                yield item

        yield through


@contextmanager
def at_work(what: str) -> Iterator[None]:
    """Tells on the terminal that something goes on of which nobody knows how far it has come, and for how long."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


def how_far(counter: Counter, elapsed: float) -> str:
    """What was read by now, how fast, and how long the rest will take at this speed.

    Args:
        counter: What was read.
        elapsed: Seconds since it began.
    """
    words = [f"{counter.packets:,} packets read"]
    if elapsed >= _WORTH_TELLING:
        words.append(f"{counter.packets / elapsed:,.0f} a second")
        if counter.size and 0 < counter.consumed <= counter.size:
            words.append(f"{_duration(elapsed * (counter.size - counter.consumed) / counter.consumed)} left")
    return ", ".join(words)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {seconds_left:02d} s"
