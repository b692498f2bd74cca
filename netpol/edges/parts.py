"""Which files of a dataset answer a question, and which windows of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.dataset.layout import CARRY, CONNECTIONS, FLOWS
from netpol.dataset.plan import recorded_from, states_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netpol.dataset.captures import Span
    from netpol.dataset.folder import Dataset
    from netpol.dataset.index import Hour
    from netpol.dataset.window_rows import WindowRow

Name = tuple[str, int, str]
"""A file: its table, the hour since the Unix epoch, its name without suffix."""


@dataclass(slots=True, kw_only=True)
class Parts:
    """What is to be read.

    Attributes:
        whole: Files of `connections` of which every row counts.
        some: (file, identities of the windows in it that count) of the others.
        flows: Files of hours that are added up.
        carried: Files of connections that these hours left.
        untold: Of those, only what was not counted in any hour is to be read: what comes later is not here.
        damaged: Files that cannot be read at all: who reads must say so.
    """

    whole: list[Name] = field(default_factory=list)
    some: list[tuple[Name, list[str]]] = field(default_factory=list)
    flows: list[Name] = field(default_factory=list)
    carried: list[Name] = field(default_factory=list)
    untold: bool = False
    damaged: bool = False

    @property
    def names(self) -> list[Name]:
        """Every file once."""
        return [*self.whole, *(name for name, _ in self.some), *self.flows, *self.carried]


def parts_of(dataset: Dataset, span: Span, before: Sequence[Dataset] = ()) -> Parts:
    """What `netpol.dataset.reader` reads, by the same rules.

    Args:
        dataset: Whose files they are.
        span: Which part of the time is wanted.
        before: Datasets that are read as well: a window that one of them has is read there.

    Raises:
        InputError: A newer version of netpol wrote a file.
    """

    def wanted(row: WindowRow) -> bool:
        return _within(row, span) and not any(one.holds(row) for one in before)

    parts = Parts()
    found = list(states_of(dataset.each_hour(span.since, span.until)))
    begin = recorded_from([state for state, _ in found])
    rolled: Hour | None = None
    carried: Hour | None = None
    for state, hour in found:
        parts.damaged |= bool(hour.broken)
        if begin is not None and state.hour >= begin:
            carried, rolled = carried or rolled, None
            _take(parts, hour, wanted)
            continue
        parts.flows += [(FLOWS, hour.hour, file.name) for file in hour.rollups]
        rolled = hour
        if state.late:
            _take(parts, hour, lambda row, hour=hour: not hour.is_covered(row) and wanted(row))  # type: ignore[misc]
    left = carried or rolled
    if left is not None:
        parts.carried = [(CARRY, left.hour, file.name) for file in left.rollups]
        parts.untold = carried is None
    return parts


def _within(row: WindowRow, span: Span) -> bool:
    return (span.since is None or row.begin >= span.since) and (span.until is None or row.begin < span.until)


def _take(parts: Parts, hour: Hour, wanted: Callable[[WindowRow], bool]) -> None:
    for file in hour.raw:
        chosen = [row.identity for row in file.rows if wanted(row)]
        name = (CONNECTIONS, hour.hour, file.name)
        if len(chosen) == len(file.rows) and not file.ignored:
            parts.whole.append(name)
        elif chosen:
            parts.some.append((name, chosen))
