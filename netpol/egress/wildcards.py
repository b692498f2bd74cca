"""Patterns in the place of many names: only where they are asked for, never at or above a public suffix."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from publicsuffixlist import PSLFILE, PublicSuffixList, encode_idn

from netpol.model.host_name import HostName
from netpol.model.outside import Grade
from netpol.model.wildcard import Depth, Wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from netpol.model.inventory import WorkloadRef
    from netpol.model.outside import Need

LEAST_NAMES: Final = 5
"""Distinct names below one parent that make a pattern, unless the user says otherwise."""


def widen(
    needs: Sequence[Need],
    *,
    least: int = LEAST_NAMES,
    depth: Depth = Depth.ONE,
    barred: Callable[[Wildcard], bool] = lambda _: False,
) -> tuple[Need, ...]:
    """The same needs, those with a pattern that a workload used often enough on a port.

    A parent is as near to its names as possible: the longest one below which a workload used enough names on one port.
    Ambiguous names are covered, but are no reason for a pattern.

    Args:
        needs: In any order, which is kept.
        least: Distinct names that make a pattern, at least 2.
        depth: ONE: only names directly below the parent count and are covered. ANY: those at any depth.
        barred: Which patterns must not be: asked once for each that would be. None covers a name that only its
            addresses may be allowed of.
    """
    asked = barred
    groups: defaultdict[tuple[WorkloadRef, int, int], set[HostName]] = defaultdict(set)
    for need in needs:
        if need.name is not None and need.grade is not Grade.AMBIGUOUS and not need.by_address:
            groups[need.workload, need.protocol, need.port].add(need.name)
    apart = {need.name for need in needs if need.name is not None and need.by_address}
    barred = cache(lambda one: any(map(one.covers, apart)) or asked(one))
    patterns = {key: list(_patterns(names, least, depth, barred)) for key, names in groups.items()}
    return tuple(_widened(need, patterns.get((need.workload, need.protocol, need.port), ())) for need in needs)


def may_be_parent(name: HostName) -> bool:
    """Whether everything under the name has one owner: it is below a public suffix, and no public suffix below it.

    By the list of publicsuffix.org, with its private section (where everybody's buckets and sites are each other's
    neighbours), and its rule for what it does not know: the last label is a suffix.
    """
    suffixes, above = _suffixes()
    return suffixes.privatesuffix(name) is not None and name not in above


def _patterns(
    names: Collection[HostName], least: int, depth: Depth, barred: Callable[[Wildcard], bool]
) -> Iterator[Wildcard]:
    below: defaultdict[HostName, list[HostName]] = defaultdict(list)
    for name in names:
        for parent in _parents(name, depth):
            below[parent].append(name)
    uncovered = set(names)
    for parent in sorted(below, key=lambda one: (-one.count("."), one)):
        covered = uncovered.intersection(below[parent])
        if len(covered) >= least and may_be_parent(parent):
            wildcard = Wildcard(parent=parent, depth=depth)
            if not barred(wildcard):
                uncovered -= covered
                yield wildcard


def _parents(name: HostName, depth: Depth) -> Iterator[HostName]:
    parent = HostName(name.partition(".")[2])
    while parent:
        yield parent
        if depth is Depth.ONE:
            return
        parent = HostName(parent.partition(".")[2])


def _widened(need: Need, patterns: Iterable[Wildcard]) -> Need:
    for wildcard in patterns:
        if need.name is not None and not need.by_address and wildcard.covers(need.name):
            return replace(need, wildcard=wildcard)
    return need


@cache
def _suffixes() -> tuple[PublicSuffixList, frozenset[str]]:
    """The list, and every name that a suffix of it lies below."""
    lines = Path(PSLFILE).read_text(encoding="utf-8").splitlines()
    rules = {line.split()[0].lower() for line in lines if line.strip() and not line.startswith(("//", "!"))}
    rules |= {encode_idn(rule) for rule in rules}
    above = {rule.split(".", count)[-1] for rule in rules for count in range(1, rule.count(".") + 1)}
    return PublicSuffixList(lines), frozenset(above)
