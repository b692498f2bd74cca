"""Whether one label selector selects nothing that another does not: true of all labels there could be.

A selector is a conjunction of conditions, each on one key, so it is the product of what it admits per key: a finite or
co-finite set of values, and perhaps the key's absence. Label values are more than any selector can list, which makes
comparing the products key by key exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from netpol.model.labels import Operator

if TYPE_CHECKING:
    from netpol.model.labels import LabelSelector, Requirement

_REMEMBERED: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class _Admitted:
    """What a selector admits for one key.

    Attributes:
        values: The values admitted, or with `all_but` those that are not.
        absent: The key may be missing.
    """

    values: frozenset[str]
    all_but: bool
    absent: bool

    def __and__(self, other: _Admitted) -> _Admitted:
        if self.all_but and other.all_but:
            values = self.values | other.values
        elif self.all_but:
            values = other.values - self.values
        elif other.all_but:
            values = self.values - other.values
        else:
            values = self.values & other.values
        return _Admitted(values, self.all_but and other.all_but, self.absent and other.absent)

    def __le__(self, other: _Admitted) -> bool:
        if self.absent and not other.absent:
            return False
        if self.all_but:
            return other.all_but and other.values <= self.values
        return self.values.isdisjoint(other.values) if other.all_but else self.values <= other.values

    @property
    def nothing(self) -> bool:
        return not (self.values or self.all_but or self.absent)


_ANYTHING: Final = _Admitted(frozenset(), all_but=True, absent=True)


def is_satisfiable(selector: LabelSelector) -> bool:
    """Whether any labels at all can match."""
    return not any(admitted.nothing for _, admitted in _product(selector))


@lru_cache(_REMEMBERED)
def implies(inner: LabelSelector, outer: LabelSelector) -> bool:
    """Whether everything that `inner` selects, `outer` selects too, whatever labels there will be."""
    if not is_satisfiable(inner):
        return True
    here = dict(_product(inner))
    return all(here.get(key, _ANYTHING) <= admitted for key, admitted in _product(outer))


@lru_cache(_REMEMBERED)
def _product(selector: LabelSelector) -> tuple[tuple[str, _Admitted], ...]:
    found: dict[str, _Admitted] = {}
    for requirement in selector.requirements:
        found[requirement.key] = found.get(requirement.key, _ANYTHING) & _admitted(requirement)
    return tuple(found.items())


def _admitted(requirement: Requirement) -> _Admitted:
    """NotIn and DoesNotExist also admit objects without the key."""
    negative = requirement.operator in {Operator.NOT_IN, Operator.DOES_NOT_EXIST}
    everything = requirement.operator in {Operator.NOT_IN, Operator.EXISTS}
    return _Admitted(frozenset(requirement.values), all_but=everything, absent=negative)
