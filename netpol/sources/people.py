"""Who is meant where a log names pods instead of their addresses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from netpol.sources.builder import end_of
from netpol.sources.calico import Group, Told
from netpol.sources.tally import Passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.flow import Address
    from netpol.sources.builder import End, Whole


class People(Protocol):
    """Finds pods by name."""

    def addresses(self, namespace: str, name: str, first: int, last: int) -> Sequence[Address]:
        """The addresses of one pod that was there at the time, whichever; none where no pod was.

        Args:
            namespace: Theirs.
            name: Of one pod; with `*` at its end, what their names begin with.
            first: Nanoseconds since the Unix epoch.
            last: The same.
        """
        ...


def placed(told: Told, people: People | None) -> Whole | Passed:
    """A flow with addresses at both of its ends, or why it has none."""
    if people is None:
        return Passed("names of pods, and no cluster to look them up in")
    first, last = told.whole.first or 0, told.whole.last or 0
    ends: list[Sequence[End]] = []
    for each in (told.client, told.server):
        if isinstance(each, Group):
            found = people.addresses(each.namespace, each.name, first, last)
            ends.append([end_of(str(address)) for address in found])
        else:
            ends.append([each])
    pairs = [(one, other) for one in ends[0] for other in ends[1] if one.family == other.family]
    if not pairs:
        return Passed("names that no pod had at that time")
    client, server = pairs[0]
    return replace(told.whole, client=client, server=server._replace(port=told.port))
