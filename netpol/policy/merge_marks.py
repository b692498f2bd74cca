"""Which rules of a policy were kept although nothing exercised them: an annotation, so that the cluster shows it too.

`netpol/kept-not-exercised: spec.ingress[2] spec.egress[0]` names the rules; `spec` alone means the whole policy, whose
workload was not seen. The mark says how a policy came about; no decision rests on it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.policy import NetworkPolicy
    from netpol.policy.verdict import Way

KEPT: Final = "netpol/kept-not-exercised"
_WHOLE: Final = "spec"
_RULE = re.compile(r"spec\.(ingress|egress)\[([0-9]{1,6})\]")

RulePlace = tuple["Way", int]
"""Direction, and index in spec.ingress or spec.egress."""


def whole_mark() -> dict[str, str]:
    """The annotation of a policy that was kept as it was."""
    return {KEPT: _WHOLE}


def rules_mark(places: Iterable[RulePlace]) -> dict[str, str]:
    """The annotation that names these rules; none where there are none."""
    text = " ".join(f"spec.{way}[{index}]" for way, index in places)
    return {KEPT: text} if text else {}


def is_kept(policy: NetworkPolicy) -> bool:
    """Whether the policy as a whole carries the mark."""
    return policy.annotations.get(KEPT) == _WHOLE


def kept_rules(policy: NetworkPolicy) -> tuple[RulePlace, ...]:
    """The rules that carry the mark, in the order of the policy; what is no such rule is passed over."""
    marked = {(match[1], int(match[2])) for match in _RULE.finditer(policy.annotations.get(KEPT, ""))}
    sides: tuple[tuple[Way, int], ...] = (("ingress", len(policy.ingress)), ("egress", len(policy.egress)))
    return tuple((way, index) for way, count in sides for index in range(count) if (way, index) in marked)
