"""Whatever holds records into one dataset: packets become windows, and these stay so; what logs tell is added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from netpol.dataset.captures import kinds_of, read_window_of
from netpol.dataset.folder import Dataset
from netpol.dataset.layout import NewerError
from netpol.dataset.recorder import record
from netpol.dataset.rollup import Known
from netpol.dataset.telling import Teller
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from netpol.capture.packets import Tally
    from netpol.capture.sources import Input
    from netpol.dataset.place import Place
    from netpol.dataset.window import Window


def merged(  # noqa: PLR0913 - what, whereto, and how
    target: Dataset,
    paths: Sequence[Path | Literal["-"] | Place],
    tally: Tally,
    *,
    version: str,
    at_once: int,
    known: Known | None = None,
) -> Iterator[int]:
    """Adds all that the paths hold; yields how much was added, now and then.

    Args:
        target: What it is added to.
        paths: Datasets, windows, captures, flow logs and tables of flows.
        tally: Counts the packets of captures, and what could not be read.
        version: Of netpol.
        at_once: Windows that are held in memory.
        known: Of the cluster, for flow logs.

    Raises:
        InputError: A path cannot be read, or a log tells of more hours than can be.
        OSError: The dataset cannot be written.
    """
    kinds = kinds_of(paths)
    teller = Teller(target, tally, version=version, known=known or Known())
    for where in kinds.datasets:
        yield target.take_in(Dataset.open(where))
    waiting: list[Window] = []
    for window in _windows(kinds.windows, kinds.packets, tally, version):
        waiting.append(window)
        if len(waiting) >= at_once:
            yield target.append(waiting)
            waiting.clear()
    yield target.append(waiting)
    for log, kind in kinds.logs:
        yield teller.log(log, kind)
    for table in kinds.tables:
        yield teller.table(table)


def _windows(windows: Sequence[Input], captures: Sequence[Input], tally: Tally, version: str) -> Iterator[Window]:
    for each in windows:
        try:
            yield read_window_of(each)
        except NewerError:
            raise
        except InputError as error:
            tally.damage(str(error), malformed=True)
    for each in captures:
        passed_over = tally.passed_over_files
        try:
            yield from record(each, tally, version=version)
        except InputError:
            if each.named:
                raise
            if tally.passed_over_files == passed_over:  # it could not even be opened
                tally.pass_over(each.place)
