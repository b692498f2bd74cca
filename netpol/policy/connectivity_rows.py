"""From classes to rows: what holds between two workloads, and between a workload and addresses outside.

Works on codes: one whole number per pair of classes, 0 where there is nothing to say of it. Replicas collapse to their
workload where all of them have the same code with all replicas of the other end. Where they do not, the pair is listed
pod by pod, on the side (or both) where it makes a difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.policy.connectivity_places import Group, Place, Places


class Codes(Protocol):
    """What is to be said of each pair of classes."""

    def __call__(self, sources: NDArray[np.intp], destinations: NDArray[np.intp], /) -> NDArray[np.int64]:
        """int64[sources, destinations]; equal codes mean the same is to be said."""
        ...


class CodedRow(NamedTuple):
    """One row.

    Attributes:
        code: Never 0.
    """

    source: Place
    destination: Place
    code: int


class PairRows(NamedTuple):
    """What there is to say from one workload to another.

    Attributes:
        other: Position of the other workload among the groups.
        code: Of the whole pair, None where replicas differ.
        rows: The rows; none where the code is 0.
    """

    other: int
    code: int | None
    rows: list[CodedRow]


class Rows:
    """Collapses the pairs of a partition.

    Args:
        places: The workloads and addresses.
        codes: What is to be said of classes.
    """

    def __init__(self, places: Places, codes: Codes) -> None:
        self._places = places
        self._codes = codes
        self._order = np.concatenate([group.classes for group in places.groups] or [np.empty(0, np.intp)])
        sizes = [len(group.classes) for group in places.groups]
        self._starts = np.cumsum([0, *sizes[:-1]], dtype=np.intp) if sizes else np.empty(0, np.intp)
        self._outside = np.arange(places.partition.pod_classes, len(places.partition), dtype=np.intp)
        self._last: tuple[bytes, NDArray[np.int64]] = (b"", np.empty((0, 0), np.int64))

    def to_workloads(self, position: int) -> Iterator[PairRows]:
        """From one workload to all others with which there is anything to say, by their text."""
        group = self._places.groups[position]
        found = self._from(group)
        low = np.minimum.reduceat(found, self._starts, axis=1).min(axis=0)
        high = np.maximum.reduceat(found, self._starts, axis=1).max(axis=0)
        for other in np.flatnonzero(high | low).tolist():
            if other == position:
                continue
            there = self._places.groups[other]
            if low[other] == high[other]:
                code = int(low[other])
                yield PairRows(other, code, [CodedRow(group.place, there.place, code)])
            else:
                start = int(self._starts[other])
                pairs = found[:, start : start + len(there.classes)]
                yield PairRows(other, None, list(self._split(group, there, pairs)))

    def within(self, position: int) -> Iterator[CodedRow]:
        """Between the replicas of one workload; one that has a single pod now is asked as if it had two."""
        group = self._places.groups[position]
        pairs = self._codes(group.classes, group.classes)
        if (pairs == pairs[0, 0]).all():
            if pairs[0, 0]:
                yield CodedRow(group.place, group.place, int(pairs[0, 0]))
            return
        for row in self._split(group, group, pairs):
            if row.source is not row.destination:
                yield row

    def outside(self, position: int) -> Iterator[CodedRow]:
        """From and to addresses."""
        group = self._places.groups[position]
        for there, codes in ((True, self._codes(group.classes, self._outside)), (False, self._from_outside(group))):
            same = (codes == codes[0]).all(axis=0)
            yield from self._ranges(group.place, np.where(same, codes[0], 0), there=there)
            if not same.all():
                for numbers, row in zip(group.members, codes, strict=True):
                    for number in numbers:
                        yield from self._ranges(self._places.pod(number), np.where(same, 0, row), there=there)

    def _from(self, group: Group) -> NDArray[np.int64]:
        """int64[classes of the group, classes of all groups in their order]; the last answer is kept for its likes."""
        key = group.classes.tobytes()
        if self._last[0] != key:
            self._last = (key, self._codes(group.classes, self._order))
        return self._last[1]

    def _from_outside(self, group: Group) -> NDArray[np.int64]:
        return self._codes(self._outside, group.classes).T

    def _split(self, source: Group, destination: Group, pairs: NDArray[np.int64]) -> Iterator[CodedRow]:
        whole_destination = bool((pairs == pairs[:, :1]).all())
        whole_source = bool((pairs == pairs[:1]).all())
        for i, j in zip(*np.nonzero(pairs), strict=True):
            if (whole_destination and j) or (whole_source and i):
                continue
            code = int(pairs[i, j])
            sources = [source.place] if whole_source else map(self._places.pod, source.members[i])
            for one in sources:
                if whole_destination:
                    yield CodedRow(one, destination.place, code)
                else:
                    for number in destination.members[j]:
                        yield CodedRow(one, self._places.pod(number), code)

    def _ranges(self, place: Place, codes: NDArray[np.int64], *, there: bool) -> Iterator[CodedRow]:
        """Rows between a place and addresses: those with the same code in as few ranges as there can be."""
        for code in np.unique(codes[codes != 0]).tolist():
            for some in self._places.ranges(np.flatnonzero(codes == code)):
                yield CodedRow(place, some, code) if there else CodedRow(some, place, code)
