"""An explanation as sentences for a terminal. Nothing from a manifest reaches it unescaped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from netpol.cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.model.policy import Peer
    from netpol.model.tier_peers import TierPeer
    from netpol.model.tiers import Policy, TierPolicy
    from netpol.policy.verdict import RuleMatch, RuleMiss, TierStep, Verdict
    from netpol.review.explanation import Case, Explanation, Party, SideExplained

    Places = Mapping[str, tuple[str, ...]]

NAMED = 20
"""Replicas that are listed in a sentence; JSON has all."""

_ALWAYS = {
    "own node": "Traffic between a pod and the node that it runs on is always allowed: no policy can forbid it.",
    "own address": "A pod cannot be cut off from itself: no policy can forbid it.",
}


def render(name: str, explanation: Explanation, places: Places) -> Iterator[str]:
    """The explanation in a format, in pieces of any size.

    Args:
        name: `text` or `json`.
        explanation: What to say.
        places: Where each policy was written, by `namespace/name`.
    """
    if name == "json":
        from netpol.cli.explain_json import as_json

        yield json.dumps(as_json(explanation, places), indent=2) + "\n"
        return
    for line in _lines(explanation, places):
        yield f"{plain(line)}\n"


def _lines(explanation: Explanation, places: Places) -> Iterator[str]:
    ruling = "it depends on the replica" if explanation.differs else explanation.cases[0].verdict.ruling.value
    yield f"{explanation.source.text} to {explanation.destination.text} on {explanation.port}: {ruling}"
    several = len(explanation.cases) > 1
    for case in explanation.cases:
        yield ""
        if several or case.port != explanation.port.port:
            yield f"On port {case.port}, {case.verdict.ruling.value}:"
        if several:
            for sources, destinations in case.pairs:
                yield f"  from {_names(sources)} to {_names(destinations)}"
        yield from _case(case, explanation, places, several=several)
    if explanation.notes:
        yield ""
    for note in explanation.notes:
        yield f"Note: {note}."


def _case(case: Case, explanation: Explanation, places: Places, *, several: bool) -> Iterator[str]:
    reason = case.verdict.reason
    if reason:
        yield _ALWAYS.get(reason, f"{reason[:1].upper()}{reason[1:]}.")
        return
    for side, asked in zip(case.sides, (explanation.source, explanation.destination), strict=True):
        ends = [pair[0 if side.way == "egress" else 1] for pair in case.pairs]
        everyone = tuple(dict.fromkeys(name_of(party) for some in ends for party in some))
        subject = _joined(everyone) if several or len(asked.pods) <= 1 else f"every pod of {asked.text}"
        yield from _side(side, subject, places)
    yield _conclusion(case.verdict)


def _side(side: SideExplained, subject: str, places: Places) -> Iterator[str]:
    verb = "open" if side.way == "egress" else "accept"
    outside = _outside(side)
    if outside:
        yield f"{side.way.capitalize()}: {subject} {outside}, so no policy restricts what it may {verb}."
        for policy in side.ignored:
            yield f"  {_policy(policy, places)} has its labels, but policies are not for hostNetwork pods."
        return
    if side.admin is not None:
        yield from _tier(side, side.admin, subject, places)
        if side.admin.decides:
            return
    if not side.isolated_by:
        if side.baseline is not None:
            yield f"{side.way.capitalize()}: no NetworkPolicy isolates {subject}."
            yield from _tier(side, side.baseline, subject, places)
        else:
            kind = "policy" if side.admin is None else "NetworkPolicy"
            yield f"{side.way.capitalize()}: no {kind} isolates {subject}, so it may {verb} any connection."
    else:
        policies = ", ".join(_policy(policy, places) for policy in side.isolated_by)
        yield f"{side.way.capitalize()}: {subject} is isolated by {policies}."
    for policy in side.others:
        other = "ingress" if side.way == "egress" else "egress"
        yield f"  {_policy(policy, places)} selects it too, but for {other} only."
    if side.match is not None:
        yield f"  {side.match} allows it{_matched(side.match)}."
    elif side.isolated_by:
        yield from _missed(side)


def _tier(side: SideExplained, step: TierStep, subject: str, places: Places) -> Iterator[str]:
    """What one tier of cluster-wide policies says."""
    policies = ", ".join(_tier_policy(policy, places) for policy in step.policies)
    yield f"{side.way.capitalize()}, {step.tier.value} tier: {subject} is selected by {policies}."
    match = step.match
    if match is None:
        rest = "" if step.tier.value == "Admin" else f", so it may {'open' if side.way == 'egress' else 'accept'} it"
        yield f"  No {side.way} rule of {'it' if len(step.policies) == 1 else 'them'} matches{rest}."
        return
    rule = match.content
    name = f" ({rule.name})" if rule.name else ""
    port = "every port" if match.port is None else str(rule.ports[match.port])
    effect = _EFFECTS[rule.action.value]
    if rule.action.value == "pass" and step.tier.value == "Baseline":
        effect = "leaves it to nobody, so that it is allowed"
    yield f"  {match}{name} {effect}: {peer_text(rule.peers[match.peer])} on {port}."


_EFFECTS = {
    "allow": "allows it, and nothing else is asked",
    "deny": "denies it, and nothing else is asked",
    "pass": "leaves it to the next tier",
}


def _tier_policy(policy: TierPolicy, places: Places) -> str:
    priority = "no priority" if policy.priority is None else f"priority {policy.priority}"
    return f"{_policy(policy, places)} with {priority}"


def _outside(side: SideExplained) -> str:
    """Why no policy can be for an end, empty where one could."""
    from netpol.model.inventory import Pod

    if isinstance(side.end, Pod):
        return "is on the host network of its node" if side.end.host_network else ""
    return f"is an address of node {side.node}" if side.node else "is an address that no pod has"


def _missed(side: SideExplained) -> Iterator[str]:
    """Each rule and why it does not allow the connection."""
    for policy in side.isolated_by:
        misses = [miss for miss in side.misses if miss.policy is policy]
        if not misses:
            yield f"  {policy}: has no {side.way} rule."
        for miss in misses:
            yield f"  {miss}{_unmatched(miss)}."


def _conclusion(verdict: Verdict) -> str:
    if verdict.allowed:
        return "Allowed: both ends let it pass."
    denied = [side.decided_by for side in (verdict.egress, verdict.ingress) if side.decided_by and not side.admits]
    if denied:
        return f"Denied: {' and '.join(f'{match.policy} forbids the {match.way}' for match in denied)}."
    if verdict.egress.admits or verdict.ingress.admits:
        return f"Denied: no {verdict.blocked_by} rule allows it."
    return "Denied: neither an egress nor an ingress rule allows it."


def _matched(match: RuleMatch) -> str:
    """What the rule says, as far as it restricts."""
    rule = (match.policy.ingress if match.way == "ingress" else match.policy.egress)[match.rule]
    peer = "everyone" if match.peer is None else peer_text(rule.peers[match.peer])
    port = "every port" if match.port is None else str(rule.ports[match.port])
    return f": {peer} on {port}"


def _unmatched(miss: RuleMiss) -> str:
    return f": {'; '.join(map(peer_text, miss.content.peers))}" if miss.by == "peer" else ""


def peer_text(peer: Peer | TierPeer) -> str:
    """A peer in few words."""
    from netpol.model.policy import BlockPeer, PodPeer

    if isinstance(peer, BlockPeer):
        return f"ipBlock {peer.block}"
    if not isinstance(peer, PodPeer):
        return str(peer)
    fields = {"namespaceSelector": peer.namespace_selector, "podSelector": peer.pod_selector}
    found = (f"{name} {str(selector) or '{}'}" for name, selector in fields.items() if selector is not None)
    return " and ".join(found)


def _policy(policy: Policy, places: Places) -> str:
    place = places.get(str(policy))
    return f"{policy} ({': '.join(place)})" if place else str(policy)


def name_of(party: Party) -> str:
    """`namespace/name`, or an address."""
    from netpol.model.inventory import Pod

    return f"{party.namespace}/{party.name}" if isinstance(party, Pod) else str(party)


def _names(parties: tuple[Party, ...]) -> str:
    return _joined(tuple(map(name_of, parties)))


def _joined(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
