"""What each workload asked DNS: how many questions, what came of them, and the names that led somewhere."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netpol.capture.name_evidence import unpacked
from netpol.model.inventory import Pod
from netpol.names.texts import NO_NAME

if TYPE_CHECKING:
    from netpol.cluster.timeline import Tenancy, Timeline
    from netpol.model.flow import Address
    from netpol.names.table import Names

MOST_NAMES: Final = 50
"""Names of a workload that are told one by one, the most asked first."""

_COUNTS: Final = ("asked", "answered", "empty", "no_name", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What one workload asked.

    Attributes:
        who: `namespace/name[Kind]`, `node/NAME`, or an address that is nobody's.
        counts: asked, answered, empty, no_name, failed: messages, as in `netpol.names.found.Asked`.
        names: Names whose answers held addresses, with how many answers; the most first.
        more: Names beyond MOST_NAMES.
    """

    who: str
    counts: tuple[int, int, int, int, int]
    names: tuple[tuple[str, int], ...]
    more: int

    def to_json(self) -> dict[str, Any]:
        """Numbers and names, for the page."""
        names = [{"name": name, "answers": count} for name, count in self.names]
        return {"who": self.who, **dict(zip(_COUNTS, self.counts, strict=True)), "names": names, "more": self.more}


def questions(names: Names, timeline: Timeline) -> tuple[Questions, ...]:
    """By who asked; the most failures first, then the most questions.

    Names have a time, so that they are of who held the address then. Messages are counted by address alone: they are
    of who held it last.
    """
    label = _labels(timeline)
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(_COUNTS))
    for each in names.asked:
        its = counts[label.get(each.client, str(each.client))]
        for index, count in enumerate((each.asked, each.answered, each.empty, each.no_name, each.failed)):
            its[index] += count
    led: defaultdict[str, Counter[str]] = defaultdict(Counter)
    part = names.part()
    leases = part.leases[part.leases["name"] != NO_NAME]
    columns = (leases[each].tolist() for each in ("client", "first", "name", "count"))
    for client, first, name, count in zip(*columns, strict=True):
        address = unpacked(*client)
        tenancy = timeline.find(address, first, first)
        who = _label(timeline.tenancies_list[tenancy]) if tenancy >= 0 else label.get(address, str(address))
        led[who][part.names[name]] += count
    found = [
        Questions(
            who=who,
            counts=tuple(counts[who]),  # type: ignore[arg-type]  # as many as there are counts
            names=tuple(sorted(its.items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMES]),
            more=max(0, len(its) - MOST_NAMES),
        )
        for who in {*counts, *led}
        for its in (led[who],)
    ]
    return tuple(sorted(found, key=lambda each: (-each.counts[4] - each.counts[3], -each.counts[0], each.who)))


def _labels(timeline: Timeline) -> dict[Address, str]:
    """Who held each address last."""
    return {one.address: _label(one) for one in sorted(timeline.tenancies_list, key=lambda one: one.end)}


def _label(tenancy: Tenancy) -> str:
    owner = tenancy.owner
    if isinstance(owner, Pod):
        return f"node/{owner.node}" if owner.host_network else str(owner.workload)
    return tenancy.label.replace(" ", "/", 1)
