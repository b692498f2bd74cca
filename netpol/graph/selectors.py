"""How a workload is named by its labels: exactly, with the fewest conditions, and so that it lasts.

A selector must match every pod of the workload over the whole time window, the template of the next ones, and no
other pod of the namespace that was there or that a template could make (a Deployment scaled to 0 is one of the
others). Only labels that last are used, so that it holds for replicas, rollouts and job runs that do not exist yet.
In order of preference:

1. The owner's own spec.selector, which the API keeps true for as long as the owner lives.
2. The fewest label pairs that all its pods share and that rule out all others.
3. Pairs with `Exists` and `DoesNotExist`. Not `NotIn`, which also matches pods without the key. Not `In` with several
   values either: a key with several values inside one controller is, by that, one that the next rollout changes.
4. A union: one selector for each generation of pods that has lasting labels of its own.
5. The same labels as another workload's pods: the selector hits those too, and says so.

The empty selector is the whole namespace and never an answer. Neither is one that only says which labels are absent:
it would match whatever nobody labelled.

hostNetwork pods are nobody's target: selectors ignore them in practice (docs). They count as others as long as that
leaves an exact selector, because a network plugin may not ignore them, and are dropped before a selector is given up
as shared. Finished bare pods, which never come back under a controller, likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from netpol.graph.cover import Option, cheapest_cover
from netpol.graph.labels import ABSENT_TIER, EXISTS_TIER, UNSTABLE_KEYS, tier
from netpol.graph.population import Population, populations
from netpol.model.labels import LabelSelector, Operator, Requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from netpol.model.inventory import Inventory, WorkloadRef


class Naming(Enum):
    """How a workload's selector was found."""

    OWNER = "owner"
    PAIRS = "pairs"
    EXPRESSIONS = "expressions"
    UNION = "union"
    SHARED = "shared"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The selectors of one workload within its namespace.

    Attributes:
        selectors: More than one only for a union; none where no lasting label names the workload.
        hits: Other workloads that they match as well, sorted; none unless `naming` is SHARED.
    """

    naming: Naming
    selectors: tuple[LabelSelector, ...] = ()
    hits: tuple[WorkloadRef, ...] = ()


class Selectors:
    """The selectors of all workloads of a cluster, found when asked for and remembered.

    Args:
        inventory: The workloads and pods.
        usable: Whether whoever enforces the selectors can match a label key.
    """

    def __init__(self, inventory: Inventory, usable: Callable[[str], bool] = lambda _: True) -> None:
        self._inventory = inventory
        self._usable = usable
        self._populations = populations(inventory, usable)
        self._varied = frozenset[str]().union(*(here.varied_anywhere for here in self._populations.values()))
        self._known: dict[WorkloadRef, Selection] = {}

    def of(self, workload: WorkloadRef) -> Selection:
        """The workload's selectors."""
        if workload not in self._known:
            self._known[workload] = self._find(workload)
        return self._known[workload]

    def selectable(self, workload: WorkloadRef) -> bool:
        """Whether any selector names the workload."""
        return bool(self.of(workload).selectors)

    def _find(self, workload: WorkloadRef) -> Selection:
        here = self._populations.get(workload.namespace)
        target = here.members.get(workload, 0) if here else 0
        if here is None or not target:
            return Selection(naming=Naming.NONE)
        strict = here.everyone & ~target
        lenient = strict & ~here.passing
        varied = here.varied.get(workload, frozenset())
        owner = self._owner(workload, here, target)
        lasting = UNSTABLE_KEYS | varied
        # A key that varies in any controller is a release's or a replica's: tried without, then with.
        for others in (strict, lenient):
            if owner and not here.match(owner) & others:
                return Selection(naming=Naming.OWNER, selectors=(owner,))
            for banned in (lasting | self._varied, lasting):
                if found := _conjunction(here, target, others, banned):
                    return Selection(naming=Naming.PAIRS, selectors=(found,))
        for naming, attempt in ((Naming.EXPRESSIONS, _expressions), (Naming.UNION, _union)):
            for others in (strict, lenient):
                if several := attempt(here, target, others, lasting):
                    return Selection(naming=naming, selectors=several)
        return _shared(here, target, lenient, lasting)

    def _owner(self, workload: WorkloadRef, here: Population, target: int) -> LabelSelector | None:
        """The owner's spec.selector where it lasts and matches all its pods."""
        known = self._inventory.workloads.get(workload)
        selector = known.selector if known else None
        if selector is None or selector.keys & UNSTABLE_KEYS or not all(map(self._usable, selector.keys)):
            return None
        if target & ~here.match(selector):
            return None
        operators = {requirement.operator for requirement in selector.requirements}
        return None if Operator.NOT_IN in operators or operators <= {Operator.DOES_NOT_EXIST} else selector


def _pairs(here: Population, target: int, banned: frozenset[str]) -> list[tuple[str, str]]:
    """The label pairs that all of the target share and that last."""
    row = here.rows[(target & -target).bit_length() - 1]
    return [pair for pair in sorted(row.items()) if pair[0] not in banned and not target & ~here.with_pair.get(pair, 0)]


def _pair_options(here: Population, target: int, others: int, banned: frozenset[str]) -> list[Option]:
    return [
        Option(tier(key), (key, value), others & ~here.with_pair[key, value])
        for key, value in _pairs(here, target, banned)
    ]


def _selector(chosen: Iterable[Option]) -> LabelSelector:
    labels, expressions = {}, []
    for option in chosen:
        if option.tier == EXISTS_TIER:
            expressions.append(Requirement(option.name[0], Operator.EXISTS))
        elif option.tier == ABSENT_TIER:
            expressions.append(Requirement(option.name[0], Operator.DOES_NOT_EXIST))
        else:
            labels[option.name[0]] = option.name[1]
    return LabelSelector(match_labels=labels, match_expressions=tuple(expressions))


def _conjunction(here: Population, target: int, others: int, banned: frozenset[str]) -> LabelSelector | None:
    chosen = cheapest_cover(others, _pair_options(here, target, others, banned))
    return _selector(chosen) if chosen else None


def _expressions(here: Population, target: int, others: int, banned: frozenset[str]) -> tuple[LabelSelector, ...]:
    options = _pair_options(here, target, others, banned)
    shared = {option.name[0] for option in options}
    for key, having in here.with_key.items():
        if key in UNSTABLE_KEYS or key in shared:
            continue
        if not target & ~having:
            options.append(Option(EXISTS_TIER, (key,), others & ~having))
        elif not target & having:
            options.append(Option(ABSENT_TIER, (key,), others & having, positive=False))
    chosen = cheapest_cover(others, options)
    return (_selector(chosen),) if chosen else ()


def _union(here: Population, target: int, others: int, banned: frozenset[str]) -> tuple[LabelSelector, ...]:
    found: list[LabelSelector] = []
    for row in _bits(target):
        selector = _conjunction(here, row, others, banned)
        parts = (selector,) if selector else _expressions(here, row, others, banned)
        if not parts:
            return ()
        found += parts
    return _fewest(here, target, found)


def _fewest(here: Population, target: int, selectors: Sequence[LabelSelector]) -> tuple[LabelSelector, ...]:
    """The fewest of these selectors that together match the target."""
    texts = {str(selector): selector for selector in selectors}
    options = [Option(0, (text,), target & here.match(selector)) for text, selector in texts.items()]
    return tuple(texts[option.name[0]] for option in cheapest_cover(target, options) or ())


def _shared(here: Population, target: int, others: int, banned: frozenset[str]) -> Selection:
    """The selectors that hit the fewest others, where none is exact."""
    found = []
    for part in [target] if _pairs(here, target, banned) else list(_bits(target)):
        options = _pair_options(here, part, others, banned)
        avoidable = 0
        for option in options:
            avoidable |= option.covers
        chosen = cheapest_cover(avoidable, options)
        if chosen is None:
            return Selection(naming=Naming.NONE)
        found.append(_selector(chosen))
    selectors = _fewest(here, target, found)
    matched = 0
    for selector in selectors:
        matched |= here.match(selector)
    hits = tuple(sorted(ref for ref, members in here.members.items() if members & matched & others))
    return Selection(naming=Naming.SHARED, selectors=selectors, hits=hits)


def _bits(mask: int) -> Iterable[int]:
    while mask:
        yield mask & -mask
        mask &= mask - 1
