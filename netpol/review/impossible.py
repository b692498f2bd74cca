"""Conditions that nothing can ever meet, and directions whose rules or emptiness have no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.policy import PodPeer
from netpol.policy.verdict import SOURCES
from netpol.review.findings import WAYS, Check, Severity
from netpol.review.implication import is_satisfiable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.labels import LabelSelector
    from netpol.model.policy import Peer
    from netpol.review.findings import FieldPath, Finding, Written
    from netpol.review.scene import Scene

NEVER_MATCHES: Final = Check(
    id="never-matches",
    severity=Severity.ERROR,
    title="Nothing can ever match",
    meaning="The conditions of a selector contradict each other, or the exceptions of an ipBlock cut out all of it.",
    remedy="Correct the condition; alternatives belong into one In or into peers of their own",
)
NOT_ISOLATED: Final = Check(
    id="direction-not-isolated",
    severity=Severity.WARNING,
    title="An empty list isolates nothing",
    meaning="`egress: []` closes egress only where policyTypes has Egress: without policyTypes a policy isolates "
    "egress only when it has at least one egress rule (API defaulting). The same holds for ingress where policyTypes "
    "leaves it out.",
    remedy="List the direction in policyTypes, or remove the empty list",
)
WITHOUT_EFFECT: Final = Check(
    id="rules-without-effect",
    severity=Severity.WARNING,
    title="Rules of a direction that policyTypes leaves out",
    meaning="Rules are read only for the directions that policyTypes lists; the others stay open, rules or not.",
    remedy="List the direction in policyTypes, or remove the rules",
)


def impossible(scene: Scene) -> Iterator[Finding]:
    """NEVER_MATCHES for each selector and block."""
    for written in scene.written:
        if not is_satisfiable(written.policy.pod_selector):
            yield _contradiction(written, ("spec", "podSelector"), written.policy.pod_selector)
        for way, path, rule in written.rules():
            for index, peer in enumerate(rule.peers):
                yield from _impossible_peer(written, (*path, SOURCES[way], index), peer)


def can_match(peer: Peer) -> bool:
    """Whether anything could ever match a peer."""
    if not isinstance(peer, PodPeer):
        return bool(peer.block.addresses)
    return all(is_satisfiable(found) for found in (peer.pod_selector, peer.namespace_selector) if found is not None)


def _impossible_peer(written: Written, path: FieldPath, peer: Peer) -> Iterator[Finding]:
    if isinstance(peer, PodPeer):
        fields = {"podSelector": peer.pod_selector, "namespaceSelector": peer.namespace_selector}
        for name, selector in fields.items():
            if selector is not None and not is_satisfiable(selector):
                yield _contradiction(written, (*path, name), selector)
    elif not can_match(peer):
        message = f"the exceptions cut out all of {peer.block.cidr}"
        yield NEVER_MATCHES.found(written, (*path, "ipBlock", "except"), message)


def _contradiction(written: Written, path: FieldPath, selector: LabelSelector) -> Finding:
    return NEVER_MATCHES.found(written, path, f"no labels can meet all of its conditions: {selector}")


def not_isolated(scene: Scene) -> Iterator[Finding]:
    """NOT_ISOLATED for a list that is written and empty, WITHOUT_EFFECT for one with rules."""
    for written in scene.written:
        for way in WAYS:
            if written.isolates(way):
                continue
            types = f"policyTypes is {', '.join(written.policy.policy_types)} (written or by default)"
            if written.all_rules(way):
                message = f"the {way} rules have no effect: {types}"
                yield WITHOUT_EFFECT.found(written, ("spec", way), message)
            elif _is_written_empty(written, way):
                message = f"`{way}: []` does not close {way}: {types}"
                yield NOT_ISOLATED.found(written, ("spec", way), message)


def _is_written_empty(written: Written, way: str) -> bool:
    spec = written.data.get("spec")
    return isinstance(spec, dict) and spec.get(way) == []
