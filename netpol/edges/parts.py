"""Which files of a dataset answer a question, and which windows of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.dataset.folder import held_by
from netpol.dataset.layout import CARRY, CONNECTIONS, FLOWS
from netpol.dataset.plan import recorded_from, states_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netpol.dataset.captures import Span
    from netpol.dataset.folder import Dataset
    from netpol.dataset.index import Hour
    from netpol.dataset.plan import State
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


def parts_of(dataset: Dataset, span: Span, before: Sequence[Dataset] = ()) -> Parts:
    """What `netpol.dataset.reader` reads, by the same rules.

    Args:
        dataset: Whose files they are.
        span: Which part of the time is wanted.
        before: Datasets that are read as well: a window that one of them has is read there.

    Raises:
        InputError: A newer version of netpol wrote a file.
    """
    elsewhere = held_by(before)

    def wanted(row: WindowRow) -> bool:
        return span.has(row.begin) and not elsewhere(row)

    # Of months, the rows about windows would fill the memory: of each hour only what is to be read of it is kept.
    hours = [_Read.of(state, hour, wanted) for state, hour in states_of(dataset.each_hour(span.since, span.until))]
    begin = recorded_from([each.state for each in hours])
    parts = Parts(damaged=any(each.damaged for each in hours))
    left: _Read | None = None
    for each in hours:
        parts.flows += [(FLOWS, each.state.hour, name) for name in each.told]
        if begin is not None and each.state.hour >= begin:
            parts.whole += each.whole
            parts.some += each.some
            continue
        parts.flows += [(FLOWS, each.state.hour, name) for name in each.rollups]
        parts.some += each.late
        left = each if each.rollups else left
    if left is not None:
        parts.carried = [(CARRY, left.state.hour, name) for name in left.rollups]
        parts.untold = begin is None
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What there is to be read of one hour, in whichever way."""

    state: State
    damaged: bool
    told: list[str]
    rollups: list[str]
    whole: list[Name]
    some: list[tuple[Name, list[str]]]
    late: list[tuple[Name, list[str]]]

    @classmethod
    def of(cls, state: State, hour: Hour, wanted: Callable[[WindowRow], bool]) -> _Read:
        whole, some, late = [], [], []
        for file in hour.raw:
            name = (CONNECTIONS, hour.hour, file.name)
            chosen = [row for row in file.rows if wanted(row)]
            if len(chosen) == len(file.rows) and not file.ignored:
                whole.append(name)
            elif chosen:
                some.append((name, [row.identity for row in chosen]))
            if state.late and (left := [row.identity for row in chosen if not hour.is_covered(row)]):
                late.append((name, left))
        return cls(
            state=state,
            damaged=bool(hour.broken),
            told=[file.name for file in hour.told],
            rollups=[file.name for file in hour.rollups],
            whole=whole,
            some=some,
            late=late,
        )
