"""Needs sorted, grouped and described: what all writers share."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from netpol.dialects.allowlists.values import address_key
from netpol.model.flow import protocol_name
from netpol.model.outside import Grade
from netpol.model.wildcard import Depth

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
    """Whether the name may be written as allowed: it is known to be the one that was meant, and leads nowhere else."""
    return need.name is not None and need.grade <= Grade.MEDIUM and not need.by_address


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


def by_place(needs: Iterable[Need]) -> list[tuple[Place, list[Need]]]:
    """The needs by (protocol, port), ascending: for consumers in which blocks on one port must not overlap."""
    found: defaultdict[Place, list[Need]] = defaultdict(list)
    for need in needs:
        found[need.protocol, need.port].append(need)
    return sorted(found.items())


def evidence(need: Need) -> str:
    """What is known of the other end, for a comment: `api.example.com (strong)`."""
    return f"{need.name} ({need.grade.label})" if need.name is not None else "no name known"


def named_groups(needs: Iterable[Need]) -> list[tuple[tuple[Place, ...], list[Need]]]:
    """The needs whose names may be written, by the (protocol, port) pairs on which their pattern was used."""
    used: defaultdict[HostName | Wildcard, set[Place]] = defaultdict(set)
    found: defaultdict[HostName | Wildcard, list[Need]] = defaultdict(list)
    for need in needs:
        if is_named(need):
            used[pattern(need)].add((need.protocol, need.port))
            found[pattern(need)].append(need)
    groups: defaultdict[tuple[Place, ...], list[Need]] = defaultdict(list)
    for key in sorted(found, key=str):
        groups[tuple(sorted(used[key]))] += found[key]
    return sorted(groups.items())


def patterns(needs: Iterable[Need]) -> dict[HostName | Wildcard, Grade]:
    """What is written for the needs, in the order in which it comes, with the best grade of each."""
    found: dict[HostName | Wildcard, Grade] = {}
    for need in needs:
        key = pattern(need)
        found[key] = min(need.grade, found.get(key, Grade.NONE))
    return found


def graded(key: HostName | Wildcard, grade: Grade) -> str:
    """The comment of a name."""
    return grade.label if isinstance(key, str) else f"{grade.label}, open-ended: also names that were never seen"


def spelled(places: Iterable[Place]) -> str:
    """(protocol, port) pairs as every output of netpol writes them."""
    return ", ".join(f"{protocol_name(protocol)}/{port}" for protocol, port in places)


class Behind:
    """Which names led to the addresses of a block."""

    def __init__(self, needs: Iterable[Need]) -> None:
        found: defaultdict[Address, dict[HostName, Grade]] = defaultdict(dict)
        for need in needs:
            for address in need.addresses:
                names = found[address]
                if need.name is not None:
                    names[need.name] = min(need.grade, names.get(need.name, Grade.NONE))
        self._names = found
        self._addresses = sorted(found, key=address_key)

    def note(self, prefix: Prefix) -> str:
        """The comment of a block: the names and their grades, and how far it was widened."""
        network = prefix.network
        first, last = (
            bisect_left(self._addresses, address_key(end), key=address_key)
            for end in (network.network_address, network.broadcast_address)
        )
        inside = self._addresses[first : last + 1]
        names: dict[HostName, Grade] = {}
        for address in inside:
            if address in network:
                for name, grade in self._names[address].items():
                    names[name] = min(grade, names.get(name, Grade.NONE))
        words = some(f"{name} ({grade.label})" for name, grade in names.items()) or "no name known"
        return "; ".join(part for part in (words, unseen(prefix)) if part)


def unseen(prefix: Prefix) -> str:
    """The comment of a block: empty where it is exact."""
    if not prefix.unseen:
        return ""
    return f"widened: {prefix.unseen:,} of its {prefix.network.num_addresses:,} addresses were never seen"


def bounds(prefixes: Sequence[Prefix], most: int | None, what: str) -> list[str]:
    """Remarks about a bounded set: each block that grants what was never seen; blocks that cannot be few enough.

    Args:
        prefixes: The set.
        most: The most blocks of a family that were asked for, None for any number.
        what: Whose it is.
    """
    found = [f"{what}: {prefix.network} is {unseen(prefix)}" for prefix in prefixes if prefix.unseen]
    for version in (4, 6):
        count = sum(prefix.network.version == version for prefix in prefixes)
        if most is not None and count > most:
            found.append(
                f"{what}: {count:,} IPv{version} blocks, not {most:,}: fewer would hold the cluster's own addresses or "
                "those of a threat list, or reach into a special-purpose range"
            )
    return found


def shared(needs: Iterable[Need]) -> list[str]:
    """Remarks for names whose address also serves others: allowing the address allows those."""
    return [
        f"{need.workload}: {need.name} shares an address with {some(need.sharing)}, allowed with it"
        for need in needs
        if is_named(need) and need.sharing
    ]


def open_ended(needs: Iterable[Need]) -> list[str]:
    """Remarks for patterns in the place of names."""
    return [
        f"{need.workload}: {need.wildcard} on {place(need)} also admits names that were never seen"
        for need in needs
        if is_named(need) and need.wildcard is not None
    ]


def without_single_labels(needs: Iterable[Need], why: str) -> tuple[list[Need], list[str]]:
    """The needs with their names where a pattern stands for one label, which many consumers cannot say; and remarks.

    Args:
        needs: In order.
        why: What the consumer's pattern would mean.
    """
    found, remarks = [], []
    for need in needs:
        single = need.wildcard is not None and need.wildcard.depth is Depth.ONE
        found.append(replace(need, wildcard=None) if single else need)
        if single and is_named(need):
            remarks.append(f"{need.workload}: {need.wildcard} is written as the names that were seen: {why}")
    return found, remarks


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
