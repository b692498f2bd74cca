"""What addresses outside are called, for pictures: by the names that the connections to them carried."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from netpol.egress.needs import needs_of
from netpol.egress.selection import Selection
from netpol.model.outside import Grade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.egress.naming import Naming
    from netpol.graph.observation import Observation
    from netpol.model.inventory import Inventory

EVERYBODY = Selection(system=True)
KEPT_NAMES = 20
"""Names of one node that are told: a content network has thousands."""


def outside_names(
    observations: Iterable[Observation], names: Naming, inventory: Inventory
) -> Mapping[str, tuple[str, ...]]:
    """The names of each address that was connected to, sorted; those that may as well have been others are left out.

    Args:
        observations: What was learned.
        names: What the captures say about names.
        inventory: Tells the cluster's own names.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for need in needs_of(observations, names, inventory, selection=EVERYBODY).needs:
        if need.name is not None and need.grade in {Grade.STRONG, Grade.MEDIUM}:
            for address in need.addresses:
                found[str(address)].add(need.name)
    return {address: tuple(sorted(called)) for address, called in found.items()}
