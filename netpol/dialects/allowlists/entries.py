"""Needs sorted, grouped and described: what all writers share."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

from netpol.dialects.allowlists.values import address_key
from netpol.model.flow import protocol_name
from netpol.model.outside import Grade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.inventory import WorkloadRef
    from netpol.model.outside import Need
    from netpol.model.prefixes import Prefix
    from netpol.model.wildcard import Wildcard

    Place = tuple[int, int]

_SHOWN = 3


def is_named(need: Need) -> bool:
    """Whether the name may be written as allowed: it is known to be the one that was meant."""
    return need.name is not None and need.grade <= Grade.MEDIUM


def pattern(need: Need) -> HostName | Wildcard:
    """What a format with names writes for a need that has one."""
    if need.name is None:
        raise ValueError(f"{need.addresses[0]} has no name")
    return need.wildcard or need.name


def place(need: Need) -> str:
    """Protocol and port, as every output of netpol writes them."""
    return f"{protocol_name(need.protocol)}/{need.port}"


def in_order(needs: Iterable[Need]) -> list[Need]:
    """By workload, then names before addresses, then port: the one order in which every format writes."""
    return sorted(needs, key=_order)


def by_workload(needs: Iterable[Need]) -> Iterator[tuple[WorkloadRef, list[Need]]]:
    """Each workload with its needs, in order."""
    for workload, group in groupby(in_order(needs), key=_workload):
        yield workload, list(group)


def addresses_by_places(needs: Iterable[Need]) -> list[tuple[tuple[Place, ...], list[Address]]]:
    """The addresses that were used on exactly the same (protocol, port) pairs, together: the fewest such groups.

    Returns:
        The pairs, ascending, with the addresses, ascending; in order of the pairs.
    """
    used: defaultdict[Address, set[Place]] = defaultdict(set)
    for need in needs:
        for address in need.addresses:
            used[address].add((need.protocol, need.port))
    groups: defaultdict[tuple[Place, ...], list[Address]] = defaultdict(list)
    for address in sorted(used, key=address_key):
        groups[tuple(sorted(used[address]))].append(address)
    return sorted(groups.items())


def evidence(need: Need) -> str:
    """What is known of a need, for a comment: `api.example.com (strong)`. Names and words of ours only."""
    if need.name is None:
        return "no name known"
    found = f"{need.name} ({need.grade.label})"
    if need.wildcard is not None and is_named(need):
        found += f", as {need.wildcard}: open-ended"
    return found


class Behind:
    """Which names led to the addresses of a block."""

    def __init__(self, needs: Iterable[Need]) -> None:
        found: defaultdict[Address, set[str]] = defaultdict(set)
        for need in needs:
            for address in need.addresses:
                found[address].add(evidence(need))
        self._evidence = found
        self._addresses = sorted(found, key=address_key)

    def note(self, prefix: Prefix) -> str:
        """The comment of a block: the names and their grades, and how far it was widened."""
        network = prefix.network
        first, last = (
            bisect_left(self._addresses, address_key(end), key=address_key)
            for end in (network.network_address, network.broadcast_address)
        )
        inside = self._addresses[first : last + 1]
        words = {word for address in inside if address in network for word in self._evidence[address]}
        return "; ".join(part for part in (some(words), unseen(prefix)) if part)


def unseen(prefix: Prefix) -> str:
    """The comment of a block: empty where it is exact."""
    if not prefix.unseen:
        return ""
    return f"widened: {prefix.unseen:,} of its {prefix.network.num_addresses:,} addresses were never seen"


def widening(prefixes: Iterable[Prefix], what: str) -> list[str]:
    """A remark for each block that grants what was never seen."""
    return [f"{what}: {prefix.network} is {unseen(prefix)}" for prefix in prefixes if prefix.unseen]


def too_many(prefixes: Sequence[Prefix], most: int | None, what: str) -> list[str]:
    """A remark for each family whose blocks cannot be as few as was asked for."""
    found = []
    for version in (4, 6):
        count = sum(prefix.network.version == version for prefix in prefixes)
        if most is not None and count > most:
            found.append(
                f"{what}: {count:,} IPv{version} blocks, not {most:,}: fewer would hold the cluster's own addresses or "
                "reach into a special-purpose range"
            )
    return found


def shared(needs: Iterable[Need]) -> list[str]:
    """Remarks for names whose address also serves others: allowing the address allows those."""
    return [
        f"{need.workload}: {need.name} shares an address with {some(need.sharing)}, allowed with it"
        for need in needs
        if is_named(need) and need.sharing
    ]


def left_out(needs: Iterable[Need], reason: Callable[[Need], str | None]) -> tuple[list[Need], list[str]]:
    """The needs without a reason to leave them out, and a remark for each of the others.

    Args:
        needs: In order.
        reason: Why the format cannot say it; None where it can.
    """
    kept, remarks = [], []
    for need in needs:
        why = reason(need)
        if why is None:
            kept.append(need)
        else:
            end = need.name or some(map(str, need.addresses))
            remarks.append(f"{need.workload}: {end} on {place(need)} is left out: {why}")
    return kept, remarks


def some(words: Iterable[str]) -> str:
    """The first few of the words in order, and how many more there are."""
    listed = sorted(set(words))
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def final(remarks: Iterable[str]) -> tuple[str, ...]:
    """Each remark once, sorted."""
    return tuple(sorted(set(remarks)))


def _workload(need: Need) -> WorkloadRef:
    return need.workload


def _order(need: Need) -> tuple[object, ...]:
    return (
        need.workload,
        need.name is None,
        need.name or "",
        need.protocol,
        need.port,
        *map(address_key, need.addresses),
    )
