"""All that a policy set allows, as rows from workload to workload and to and from addresses outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netpol.model.ports import PortMap
from netpol.policy.atoms_ports import ALL
from netpol.policy.connectivity_always import OwnNodes
from netpol.policy.connectivity_places import Places
from netpol.policy.connectivity_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.policy.connectivity import Connectivity
    from netpol.policy.connectivity_places import Group, Place


class Row(NamedTuple):
    """An allowed connection.

    Attributes:
        ports: Where the source may open connections; never empty.
        always: It is between pods on one node, one of them in the host network: no policy can forbid it.
    """

    source: Place
    destination: Place
    ports: PortMap
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All rows.

    A row between two workloads holds for every pod of either. A row with a single pod at an end holds for that pod;
    where there is a row for its workload too, the pod may do what either says.

    Attributes:
        rows: Sorted by the text of source and destination; no two have the same ends.
        differing: Workloads whose replicas differ in some row, by their text. Own nodes do not count.
    """

    rows: tuple[Row, ...]
    differing: tuple[Place, ...]


def list_allowed(connectivity: Connectivity) -> Listing:
    """Every connection that is allowed between different workloads, and between workloads and addresses outside."""
    places = Places(connectivity.partition)
    lister = _Lister(connectivity, places)
    rows: list[Row] = []
    for position in range(len(places.groups)):
        rows += lister.of(position)
    rows.sort(key=lambda row: (row.source.text, row.destination.text))
    differing = sorted(lister.differing.values(), key=lambda place: place.text)
    return Listing(rows=tuple(rows), differing=tuple(differing))


class _Lister:
    def __init__(self, connectivity: Connectivity, places: Places) -> None:
        self._places = places
        self._numbers = connectivity.numbers
        self._own = OwnNodes(connectivity, places)
        self.differing: dict[str, Place] = {}

        def codes(sources: NDArray[np.intp], destinations: NDArray[np.intp]) -> NDArray[np.int64]:
            return connectivity.matrix(sources, destinations).astype(np.int64)

        self._rows = Rows(places, codes)

    def of(self, position: int) -> Iterator[Row]:
        """The rows from one workload to others, and between it and addresses."""
        group = self._places.groups[position]
        own = dict(self._own.pairs(group))
        for pair in self._rows.to_workloads(position):
            always = own.pop(pair.other, None)
            rows = [Row(row.source, row.destination, self._numbers[row.code]) for row in pair.rows]
            if pair.code is None:
                self._note(group, pair.rows[0].source)
                self._note(self._places.groups[pair.other], pair.rows[0].destination)
            yield from rows if always is None or pair.code == ALL else self._with_own(group, pair.other, always, rows)
        for other, always in own.items():
            if other != position:
                yield from self._with_own(group, other, always, [])
        for row in self._rows.outside(position):
            yield Row(row.source, row.destination, self._numbers[row.code])
            if row.source is not group.place and row.destination is not group.place:
                self.differing[group.place.text] = group.place

    def _note(self, group: Group, place: Place) -> None:
        if place is not group.place:
            self.differing[group.place.text] = group.place

    def _with_own(self, group: Group, other: int, always: list[tuple[int, int]], rows: list[Row]) -> Iterator[Row]:
        """The rows of a pair of workloads and what own nodes add to them."""
        there = self._places.groups[other]
        if len(always) == len(group.place.members) * len(there.place.members):
            yield Row(group.place, there.place, PortMap.ALL, always=True)
            return
        pods = self._places.pod
        added = [Row(pods(one), pods(two), PortMap.ALL, always=True) for one, two in always]
        ends = {(row.source, row.destination) for row in added}
        yield from (row for row in rows if (row.source, row.destination) not in ends)
        yield from added
