"""Names one a line, and blocks one a line: what many products import as they are."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.values import Allowlist

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.dialects.allowlists.values import Options
    from netpol.model.outside import Need

BARRED = "the name also leads to an address that a threat list names"
AMBIGUOUS = "several names led there, and a list of names has no addresses"
NAMELESS = "no name is known, and a list of names has no addresses"
NO_PORTS = "a list of names has no ports: each name is meant on {}, and listed without"


def domains(needs: Sequence[Need], options: Options) -> Allowlist:  # noqa: ARG001 - every writer takes both
    """Each name once, sorted. Wildcards as `*.parent`, or `**.parent` for any depth, as netpol writes them.

    Comments begin with `#`.
    """
    named, remarks = named_only(entries.in_order(needs))
    places: defaultdict[str, set[str]] = defaultdict(set)
    evidence: defaultdict[str, set[str]] = defaultdict(set)
    for need in named:
        name = str(entries.pattern(need))
        places[name].add(entries.place(need))
        evidence[name].add("open-ended" if need.wildcard else need.grade.label)
    width = max(map(len, places), default=0)
    lines = [
        f"{name:<{width}}  # {', '.join(sorted(places[name]))}; {', '.join(sorted(evidence[name]))}"
        for name in sorted(places)
    ]
    if places:
        remarks.append(without_ports(named))
    return Allowlist(text="".join(f"{line}\n" for line in lines), remarks=entries.final(remarks))


def cidrs(needs: Sequence[Need], options: Options) -> Allowlist:
    """The blocks for all addresses together, ascending, IPv4 before IPv6. Comments begin with `#`."""
    ordered = entries.in_order(needs)
    prefixes = options.prefixes(address for need in ordered for address in need.addresses)
    remarks = entries.shared(ordered) + entries.bounds(prefixes, options.most, "all")
    if prefixes:
        places = {entries.place(need) for need in ordered}
        remarks.append(f"a list of blocks has no ports: {entries.some(places)} are meant, and every port is listed")
    behind = entries.Behind(ordered)
    text = "".join(f"{prefix.network}  # {behind.note(prefix)}\n" for prefix in prefixes)
    return Allowlist(text=text, remarks=entries.final(remarks))


def named_only(needs: Iterable[Need]) -> tuple[list[Need], list[str]]:
    """The needs that a list of names can hold, and remarks for the others."""
    return entries.left_out(needs, unnamed)


def without_ports(needs: Iterable[Need]) -> str:
    """The remark of a list that drops ports."""
    return NO_PORTS.format(entries.some(map(entries.place, needs)))


def unnamed(need: Need) -> str | None:
    """Why a list of names cannot hold the need; None where it can."""
    if need.name is None:
        return NAMELESS
    if need.by_address:
        return BARRED
    return None if entries.is_named(need) else AMBIGUOUS
