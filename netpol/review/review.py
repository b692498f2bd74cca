"""All checks, and their findings in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.review.ambiguity import AMBIGUOUS, ambiguous
from netpol.review.blocks import COVERS_PODS, COVERS_SERVICES, blocks
from netpol.review.cilium import CILIUM_LABEL, cilium
from netpol.review.containment import CONTAINED, NOT_COMPARED, containment
from netpol.review.dns import NO_DNS, dns
from netpol.review.impossible import NEVER_MATCHES, NOT_ISOLATED, WITHOUT_EFFECT, impossible, not_isolated
from netpol.review.openness import ALLOW_ALL, openness
from netpol.review.peers import MATCHES_NOTHING, peers
from netpol.review.port_checks import EPHEMERAL, NAMED_PORT, WIDE_RANGE, port_checks
from netpol.review.subjects import HOST_NETWORK, SELECTS_NO_POD, UNPROTECTED, subjects
from netpol.review.tier_checks import DOMAINS_UNDECIDED, DOMAINS_UNSUPPORTED, NO_RULES, OWN_NODE, tier_checks
from netpol.review.tier_order import DENIED_BEFORE, EQUAL_PRIORITY, SHADOWED, tier_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netpol.review.findings import Check, FieldPath, Finding
    from netpol.review.scene import Scene

CHECKS: Final[tuple[Check, ...]] = (
    NEVER_MATCHES,
    SELECTS_NO_POD,
    AMBIGUOUS,
    HOST_NETWORK,
    MATCHES_NOTHING,
    COVERS_PODS,
    COVERS_SERVICES,
    NAMED_PORT,
    ALLOW_ALL,
    NOT_ISOLATED,
    WITHOUT_EFFECT,
    CONTAINED,
    NOT_COMPARED,
    CILIUM_LABEL,
    NO_DNS,
    UNPROTECTED,
    WIDE_RANGE,
    EPHEMERAL,
    EQUAL_PRIORITY,
    SHADOWED,
    DENIED_BEFORE,
    NO_RULES,
    DOMAINS_UNSUPPORTED,
    DOMAINS_UNDECIDED,
    OWN_NODE,
)
"""Everything that can be found. Ids are never reused and never change their meaning."""

_FAMILIES: Final[tuple[Callable[[Scene], Iterator[Finding]], ...]] = (
    impossible,
    not_isolated,
    subjects,
    ambiguous,
    peers,
    blocks,
    openness,
    port_checks,
    containment,
    cilium,
    dns,
    tier_checks,
    tier_order,
)


def review(scene: Scene) -> tuple[Finding, ...]:
    """All findings, by policy, then by place in the document: a pure function of policies and cluster."""
    found = [finding for family in _FAMILIES for finding in family(scene)]
    return tuple(sorted(found, key=_order))


def _order(finding: Finding) -> tuple[str, tuple[tuple[bool, int, str], ...], str, str]:
    return finding.policy, _sortable(finding.field), finding.check.id, finding.message


def _sortable(path: FieldPath) -> tuple[tuple[bool, int, str], ...]:
    """Indices by number, names by the alphabet."""
    return tuple((isinstance(part, str), part if isinstance(part, int) else 0, str(part)) for part in path)
