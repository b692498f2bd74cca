"""Bytes over time by workload, counted while captures are read.

Flows keep their first and last packet only, which tells when a connection may have been active, and not how much went
over it when. So this looks at what flows are made of: packets at their own time, partial connections and rows at their
first. What was captured at several places counts at each, as it does in flows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.capture.packets import PacketBatch, Unreachables
from netpol.model.inventory import Pod
from netpol.view.time_bins import WIDTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from netpol.cluster.timeline import Timeline
    from netpol.flows.assemble import Item

MOST_BINS: Final = 240
MOST_WORKLOADS: Final = 500
"""So many workloads are told one by one, those with the most bytes; the rest is added up."""

_SECOND: Final = 1_000_000_000
_OTHERS: Final = 0
"""Of ends that are no pods; it is counted only where both are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Bytes of one workload.

    Attributes:
        workload: `namespace/name[Kind]`; empty for what went between ends that are no pods, and for the workloads
            beyond MOST_WORKLOADS.
        bytes: Of each bin, whoever sent them.
    """

    workload: str
    bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes over time.

    Attributes:
        start: Of the first bin, nanoseconds since the Unix epoch.
        width: Of a bin, nanoseconds.
        total: Bytes of each bin, each packet once however many workloads it is of.
        series: The most bytes first, then by name.
    """

    start: int
    width: int
    total: tuple[int, ...]
    series: tuple[Series, ...]

    def to_json(self) -> dict[str, Any]:
        """Numbers and names, for the page."""
        return {
            "start": self.start // 1_000_000,
            "bin_seconds": self.width // _SECOND,
            "total": list(self.total),
            "series": [{"workload": each.workload, "bytes": list(each.bytes)} for each in self.series],
        }


class TrafficCount:
    """Counts what passes through it."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._names, self._workload_of = _workloads(timeline)
        self._width = _SECOND
        self._bins: dict[int, NDArray[np.int64]] = {}

    def through(self, items: Iterable[Item]) -> Iterator[Item]:
        """Passes everything on."""
        for item in items:
            if not isinstance(item, Unreachables):
                self._count(item)
            yield item

    def result(self) -> Traffic | None:
        """All that was counted, None where nothing was."""
        if not self._bins:
            return None
        first, last = min(self._bins), max(self._bins)
        table = np.zeros((last - first + 1, len(self._names) + 1), np.int64)
        for number, counts in self._bins.items():
            table[number - first] = counts
        total, each = table[:, -1], table[:, :-1]
        sums = each.sum(axis=0)
        order = sorted(np.flatnonzero(sums).tolist(), key=lambda index: (-int(sums[index]), self._names[index]))
        told = [index for index in order if index != _OTHERS][:MOST_WORKLOADS]
        rest = [index for index in order if index not in set(told)]
        series = [Series(workload=self._names[index], bytes=tuple(each[:, index].tolist())) for index in told]
        if rest:
            series.append(Series(workload="", bytes=tuple(each[:, rest].sum(axis=1).tolist())))
        return Traffic(start=first * self._width, width=self._width, total=tuple(total.tolist()), series=tuple(series))

    def _count(self, item: Item) -> None:
        if isinstance(item, Unreachables) or not len(item):
            return
        time, size, ends = _columns(item)
        workloads = [self._workload(*end, time) for end in ends]
        number = time // self._width
        for each in np.unique(number).tolist():
            here = number == each
            counts = self._bins.get(each)
            if counts is None:
                counts = self._bins[each] = np.zeros(len(self._names) + 1, np.int64)
            bytes_here = size[here]
            counts[-1] += int(bytes_here.sum())
            one, other = workloads[0][here], workloads[1][here]
            counts[:-1] += np.bincount(one, bytes_here, len(self._names)).astype(np.int64)
            # What a workload says to itself, and what is of no pod on either side, counts once.
            different = one != other
            counts[:-1] += np.bincount(other[different], bytes_here[different], len(self._names)).astype(np.int64)
        if len(self._bins) > 1 and max(self._bins) - min(self._bins) >= MOST_BINS:
            self._widen()

    def _widen(self) -> None:
        """Makes bins wider, by a handy factor, until there are few enough."""
        span = (max(self._bins) - min(self._bins) + 1) * self._width
        widths = [each * _SECOND for each in WIDTHS if each * _SECOND % self._width == 0]
        width = next((each for each in widths if each > self._width and span // each < MOST_BINS // 2), 0)
        factor = (width or self._width * (2 * span // (self._width * MOST_BINS) + 1)) // self._width
        wider: dict[int, NDArray[np.int64]] = {}
        for number, counts in self._bins.items():
            into = wider.setdefault(number // factor, np.zeros_like(counts))
            into += counts
        self._width *= factor
        self._bins = wider

    def _workload(self, family: NDArray[Any], address: NDArray[np.uint64], time: NDArray[np.int64]) -> NDArray[np.intp]:
        """intp[n]: the workload whose pod held each address at the time, _OTHERS where it was nobody's alone."""
        tenancy = self._timeline.tenancies(family, address, time, time)
        found = self._workload_of[np.maximum(tenancy, 0)]
        return np.where(tenancy >= 0, found, _OTHERS)


def _workloads(timeline: Timeline) -> tuple[list[str], NDArray[np.intp]]:
    """Names by number, and the number of each tenancy's."""
    pods = [one.owner for one in timeline.tenancies_list]
    names = sorted({str(pod.workload) for pod in pods if isinstance(pod, Pod) and not pod.host_network})
    numbers = {name: number for number, name in enumerate(names, _OTHERS + 1)}
    of_tenancy = [
        numbers[str(pod.workload)] if isinstance(pod, Pod) and not pod.host_network else _OTHERS for pod in pods
    ]
    return ["", *names], np.array(of_tenancy or [_OTHERS], np.intp)


def _columns(
    item: Any,
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[tuple[NDArray[Any], NDArray[np.uint64]]]]:
    """Time, bytes, and (family, address) of both ends of packets, partial connections or rows."""
    if isinstance(item, PacketBatch):
        family = np.full(len(item), item.family, np.uint8)
        ends = [(family, _wide(each)) for each in (item.source, item.destination)]
        return item.time, item.length.astype(np.int64), ends
    names = ("low", "high") if "low" in (item.dtype.names or ()) else ("client", "server")
    ends = [(item["family"], np.stack([item[f"{name}_high"], item[name]], axis=1)) for name in names]
    return item["first"], item["bytes"], ends


def _wide(address: NDArray[np.unsignedinteger]) -> NDArray[np.uint64]:
    if address.ndim == 2:
        return address.astype(np.uint64)
    return np.stack([np.zeros(len(address), np.uint64), address.astype(np.uint64)], axis=1)
