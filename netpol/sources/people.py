"""Who is meant where a log names pods and nodes instead of their addresses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from netpol.sources.builder import End, end_of
from netpol.sources.calico import Group, Host, Told
from netpol.sources.tally import Passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.flow import Address
    from netpol.sources.builder import Whole


class Found(NamedTuple):
    """Somebody who was there.

    Attributes:
        addresses: At least one.
        since: Nanoseconds since the Unix epoch, None where nothing says.
        until: The same.
    """

    addresses: Sequence[Address]
    since: int | None = None
    until: int | None = None


class People(Protocol):
    """Finds pods and nodes by name."""

    def pod(self, namespace: str, name: str, first: int, last: int) -> Found | None:
        """One pod that was there at the time, whichever; None where no pod was.

        Args:
            namespace: Theirs.
            name: Of one pod; with `*` at its end, what their names begin with.
            first: Nanoseconds since the Unix epoch.
            last: The same.
        """
        ...

    def node(self, name: str) -> Found | None:
        """The node of that name."""
        ...


def placed(told: Told, people: People | None) -> Whole | Passed:
    """A flow with addresses at both of its ends, or why it has none."""
    whole = told.whole
    ends: list[Sequence[End]] = []
    for each in (told.client, told.server):
        address = each.told if isinstance(each, Group) else each if isinstance(each, End) else None
        found = _found(each, people, told.whole)
        if address is None and people is None:
            return Passed("names of pods, and no cluster to look them up in (--cluster)", unplaced=True)
        if address is None and found is None:
            host = isinstance(each, Host)
            reason = "names of hosts that are no nodes" if host else "names that no pod had at that time"
            return Passed(reason, unplaced=True)
        known = [end_of(str(each)) for each in found.addresses] if found is not None else []
        ends.append(known if address is None else [address])
        if found is not None and (address is None or address in known):
            whole = _while_there(whole, found)
    pairs = [(one, other) for one in ends[0] for other in ends[1] if one.family == other.family]
    if not pairs:
        return Passed("names whose addresses are of two families", unplaced=True)
    client, server = pairs[0]
    return replace(whole, client=client, server=server._replace(port=told.port))


def _found(end: End | Group | Host, people: People | None, whole: Whole) -> Found | None:
    if people is None or isinstance(end, End):
        return None
    if isinstance(end, Host):
        return people.node(end.name)
    return people.pod(end.namespace, end.name, whole.first or 0, whole.last or 0)


def _while_there(whole: Whole, found: Found) -> Whole:
    """The flow no longer than who is named was there: before and after, its address was somebody else's."""
    if whole.first is None or whole.last is None:
        return whole
    first = whole.first if found.since is None else max(whole.first, found.since)
    last = whole.last if found.until is None else min(whole.last, found.until)
    return replace(whole, first=first, last=last) if first <= last else whole
