"""What existing policies allow between workloads and addresses outside, for addresses that they do not tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.policy.atoms_ports import EMPTY
from netpol.policy.classes import Partition, Side
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_places import Places, range_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from netpol.model.cidr import AddressSet
    from netpol.model.inventory import Inventory
    from netpol.model.tiers import Policy
    from netpol.policy.atoms_ports import PortNumbers
    from netpol.policy.connectivity_places import Place
    from netpol.policy.verdict import Way

SHOWN: Final = 4
"""Ranges of one area that are spelled out."""


class BeyondRow(NamedTuple):
    """What a workload, or one pod where replicas differ, may do with an area.

    Attributes:
        area: Position in `Beyond.areas`.
        way: Seen from the workload.
        code: The number of the ports; never that of none.
    """

    place: Place
    area: int
    way: Way
    code: int


class Beyond:
    """The areas that today's policies tell apart.

    Attributes:
        areas: All addresses of both families, each in one area.

    Args:
        today: All existing policies.
        inventory: The cluster.
        numbers: The sets of ports.
        isolated_of: For each direction bool[classes]: where what is allowed is allowed on purpose.
    """

    def __init__(
        self,
        today: tuple[Policy, ...],
        inventory: Inventory,
        numbers: PortNumbers,
        isolated_of: Callable[[Partition], dict[Way, NDArray[np.bool_]]],
    ) -> None:
        partition = Partition([Side(policies=today, inventory=inventory)])
        self.areas: tuple[AddressSet, ...] = partition.outside
        self._places = Places(partition)
        self._connectivity = Connectivity(partition, 0, numbers)
        self._isolated = isolated_of(partition)
        self._outside = np.arange(partition.pod_classes, len(partition), dtype=np.intp)

    def of(self, position: int) -> Iterator[BeyondRow]:
        """The rows of one workload, egress first."""
        group = self._places.groups[position]
        ways: tuple[Way, Way] = ("egress", "ingress")
        for way in ways:
            if way == "egress":
                codes = self._connectivity.matrix(group.classes, self._outside)
            else:
                codes = self._connectivity.matrix(self._outside, group.classes).T.copy()
            codes[~self._isolated[way][group.classes]] = EMPTY
            same = (codes == codes[0]).all(axis=0)
            for area in np.flatnonzero(codes.any(axis=0)).tolist():
                if same[area]:
                    yield BeyondRow(group.place, area, way, int(codes[0, area]))
                    continue
                for numbers, code in zip(group.members, codes[:, area].tolist(), strict=True):
                    if code != EMPTY:
                        yield from (BeyondRow(self._places.pod(number), area, way, code) for number in numbers)


def area_text(area: AddressSet) -> str:
    """CIDRs and `first-last` ranges, as few as there can be; of many the first."""
    ranges = [range_text(first, last) for first, last in area.ranges()]
    more = f" and {len(ranges) - SHOWN} more ranges" if len(ranges) > SHOWN else ""
    return ", ".join(ranges[:SHOWN]) + more
