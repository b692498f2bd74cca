"""Progress on stderr: a line that moves on a terminal, and nothing at all anywhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")


class Counter(Protocol):
    """What is counted while the work goes on."""

    @property
    def packets(self) -> int:
        """How many there have been so far."""
        ...


@contextmanager
def packet_progress(counter: Counter) -> Iterator[Callable[[Iterable[Item]], Iterator[Item]]]:
    """Yields a function that passes items through and keeps the packet count on the terminal while they flow."""
    if not sys.stderr.isatty():
        yield iter
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("reading") as status:

        def through(items: Iterable[Item]) -> Iterator[Item]:
            for item in items:
                status.update(f"{counter.packets:,} packets read")
                yield item

        yield through
