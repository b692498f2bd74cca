"""Groups addresses outside that took part in the very same edges: a picture has one node for all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from netpol.graph.label_graph import OutsideGroup
from netpol.model.endpoint import ExternalEnd
from netpol.view.gather import OTHERS
from netpol.view.sightings import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.flow import Address
    from netpol.view.sightings import Answer, Key, What

MOST_GROUPS = 500
"""The groups with the most connections have a node of their own; what is left shares one."""

Habit = tuple[str, str, "What", frozenset["Answer"], bool]
Grouped = dict[tuple[str, str, "What"], Seen]


def grouped(seen: Mapping[Key, Seen]) -> tuple[Grouped, dict[str, tuple[Address, ...]]]:
    """The same by ids of nodes, and the addresses behind each node that stands for some, ascending."""
    ids = _ids(seen)
    found: Grouped = {}
    for (source, destination, what), part in seen.items():
        ends = tuple(ids[ref] if isinstance(ref, ExternalEnd) else ref for ref in (source, destination))
        known = found.setdefault((ends[0], ends[1], what), Seen())
        known.merge(part)
    addresses: defaultdict[str, list[Address]] = defaultdict(list)
    for end, name in ids.items():
        addresses[name].append(end.address)
    return found, {name: tuple(sorted(group, key=_order)) for name, group in addresses.items()}


def _ids(seen: Mapping[Key, Seen]) -> dict[ExternalEnd, str]:
    """The node of every address."""
    habits: defaultdict[ExternalEnd, set[Habit]] = defaultdict(set)
    weight = Counter[ExternalEnd]()
    for (source, destination, what), part in seen.items():
        for way, end, other in (("to", source, destination), ("from", destination, source)):
            if isinstance(end, ExternalEnd):
                # What a policy admits from one address and denies from another must not become one edge.
                habits[end].add((way, str(other), what, frozenset(part.rulings), part.new))
                weight[end] += part.connections
    groups: defaultdict[frozenset[Habit], list[ExternalEnd]] = defaultdict(list)
    for end in sorted(habits, key=lambda end: _order(end.address)):
        groups[frozenset(habits[end])].append(end)
    ranked = sorted(groups.values(), key=lambda group: (-sum(weight[end] for end in group), _order(group[0].address)))
    ids: dict[ExternalEnd, str] = {}
    for rank, group in enumerate(ranked):
        name = str(OutsideGroup(tuple(end.address for end in group))) if rank < MOST_GROUPS else OTHERS
        ids.update(dict.fromkeys(group, name))
    return ids


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)
