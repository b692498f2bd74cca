"""What the order of tiers, policies and rules makes of cluster-wide rules and of the NetworkPolicies after them.

A rule is taken to be covered by an earlier one when that one has at least its subject, its peers and its ports, for all
pods that there could be: selectors are compared as sets of labels, as for rules that contain each other. What only
several earlier rules together cover is not reported.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.model.labels import EVERYTHING
from netpol.model.tiers import Action, Tier
from netpol.policy.matching import namespace_labels
from netpol.review.containment import MOST_PAIRS, NOT_COMPARED
from netpol.review.findings import WAYS, Check, Severity, path_text
from netpol.review.implication import implies
from netpol.review.tier_reach import Parts, reach_of_rule, reach_of_tier_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.tiers import TierPolicy, TierRule
    from netpol.policy.verdict import Way
    from netpol.review.findings import Finding, Written, WrittenTier
    from netpol.review.scene import Scene
    from netpol.review.tier_reach import Reach

SHADOWED: Final = Check(
    id="rule-shadowed",
    severity=Severity.WARNING,
    title="A rule that an earlier one leaves nothing to",
    meaning="An earlier rule of its tier, or one of the Admin tier that allows or denies before any rule there passes "
    "connections on, matches all that this rule matches, whatever pods there will be: the first that matches decides.",
    remedy="Move the rule before the other one, give its policy a lower priority, or remove it",
)
DENIED_BEFORE: Final = Check(
    id="rule-denied-before",
    severity=Severity.WARNING,
    title="A NetworkPolicy rule that the Admin tier takes back",
    meaning="A rule of the Admin tier denies every connection that this rule allows, before NetworkPolicies are "
    "asked, and no rule before that one allows or passes any of them on.",
    remedy="Remove the rule, or ask the cluster's administrator to pass these connections on",
)
EQUAL_PRIORITY: Final = Check(
    id="equal-priority",
    severity=Severity.WARNING,
    title="Cluster-wide policies in no order",
    meaning="Of two policies of one tier with the same priority, plugins may ask either first, and nothing orders a "
    "BaselineAdminNetworkPolicy among ClusterNetworkPolicies. These have pods in common, and rules with different "
    "actions for the same connections. netpol asks them by kind and name.",
    remedy="Give each policy of a tier a priority of its own",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Placed:
    """A cluster-wide rule in its place."""

    written: WrittenTier
    way: Way
    index: int
    rule: TierRule
    reach: Reach

    @property
    def policy(self) -> TierPolicy:
        return self.written.policy

    def before(self, other: _Placed) -> bool:
        """Whether it is certainly asked before another of its tier."""
        if self.policy is other.policy:
            return self.index < other.index
        mine, theirs = self.policy.priority, other.policy.priority
        return mine is not None and theirs is not None and mine < theirs

    def text(self, policy: object) -> str:
        """As a message about a policy names it."""
        place = path_text(("spec", self.way, self.index))
        return place if self.policy is policy else f"{place} of {self.policy}"


def tier_order(scene: Scene) -> Iterator[Finding]:
    """SHADOWED, DENIED_BEFORE and EQUAL_PRIORITY."""
    for way in WAYS:
        rules = [
            _Placed(written=written, way=way, index=index, rule=rule, reach=reach_of_tier_rule(rule))
            for written in scene.tiers
            for index, rule in enumerate(written.all_rules(way))
        ]
        yield from _shadowed(rules)
        yield from _denied(scene, way, [item for item in rules if item.policy.tier is Tier.ADMIN])
        yield from _unordered(scene, rules)


def _shadowed(rules: list[_Placed]) -> Iterator[Finding]:
    left = MOST_PAIRS
    passing = [item for item in rules if item.policy.tier is Tier.ADMIN and item.rule.action is Action.PASS]
    for number, inner in enumerate(rules):
        left -= number
        if left < 0:
            message = f"there are too many {inner.way} rules to compare all of them"
            yield NOT_COMPARED.found(inner.written, ("spec", inner.way, inner.index), message)
            return
        for outer in rules[:number]:
            if _is_first(outer, inner, passing) and _has_subject_of(outer, inner) and outer.reach.covers(inner.reach):
                message = f"{outer.text(inner.policy)} matches all that this rule matches, and is asked first"
                yield SHADOWED.found(inner.written, ("spec", inner.way, inner.index), message)
                break


def _is_first(outer: _Placed, inner: _Placed, passing: list[_Placed]) -> bool:
    """Whether what the outer rule matches never gets to the inner one, certainly.

    Args:
        outer: A rule of the same tier or of the one before.
        inner: Another rule.
        passing: The rules of the Admin tier that leave something to the tiers after it.
    """
    if outer.policy.tier is inner.policy.tier:
        return outer.before(inner)
    return outer.rule.action is not Action.PASS and all(outer.before(item) for item in passing)


def _has_subject_of(outer: _Placed, inner: _Placed) -> bool:
    mine, theirs = outer.policy.subject, inner.policy.subject
    return implies(theirs.namespace_selector or EVERYTHING, mine.namespace_selector or EVERYTHING) and implies(
        theirs.pod_selector or EVERYTHING, mine.pod_selector or EVERYTHING
    )


def _denied(scene: Scene, way: Way, rules: list[_Placed]) -> Iterator[Finding]:
    denials = [
        (item, [one for one in rules if one.rule.action is not Action.DENY and not item.before(one)])
        for item in rules
        if item.rule.action is Action.DENY
    ]
    parts, left = Parts(scene), MOST_PAIRS
    for written in scene.written if denials else ():
        over = [pair for pair in denials if written.isolates(way) and _is_for(scene, pair[0].policy, written)]
        for index, rule in enumerate(written.all_rules(way) if over else ()):
            left -= len(over)
            if left < 0:
                message = f"there are too many {way} rules to compare all of them with those of the Admin tier"
                yield NOT_COMPARED.found(written, ("spec", way, index), message)
                return
            reach = reach_of_rule(rule, written)
            for denial, earlier in over:
                if denial.reach.covers(reach) and not _any_meets(scene, parts, earlier, written, reach):
                    message = f"{denial.text(None)} denies all that this rule allows"
                    yield DENIED_BEFORE.found(written, ("spec", way, index), message)
                    break


def _is_for(scene: Scene, policy: TierPolicy, written: Written) -> bool:
    """Whether a cluster-wide policy selects whatever pods a NetworkPolicy selects."""
    labels = namespace_labels(scene.inventory, written.policy.namespace)
    subject = policy.subject
    return (subject.namespace_selector or EVERYTHING).matches(labels) and implies(
        written.policy.pod_selector, subject.pod_selector or EVERYTHING
    )


def _any_meets(scene: Scene, parts: Parts, rules: list[_Placed], written: Written, reach: Reach) -> bool:
    """Whether any of the cluster-wide rules can match a connection of a NetworkPolicy's rule."""
    subjects = scene.subjects(written.policy)
    return any(scene.chosen(item.policy.subject) & subjects and parts.overlap(item.reach, reach) for item in rules)


def _unordered(scene: Scene, rules: list[_Placed]) -> Iterator[Finding]:
    """Each pair of policies once, at the later one's priority."""
    parts = Parts(scene)
    by_policy: defaultdict[int, list[_Placed]] = defaultdict(list)
    for item in rules:
        by_policy[id(item.policy)].append(item)
    groups = list(by_policy.values())
    for number, some in enumerate(groups):
        for others in groups[:number]:
            one, other = others[0].policy, some[0].policy
            unordered = one.priority == other.priority or None in {one.priority, other.priority}
            if one.tier is not other.tier or not unordered:
                continue
            subjects = scene.chosen(one.subject) & scene.chosen(other.subject) & ~scene.host
            pairs = ((mine, theirs) for mine in some for theirs in others if mine.rule.action is not theirs.rule.action)
            if subjects and (pair := next((p for p in pairs if parts.overlap(p[0].reach, p[1].reach)), None)):
                mine, theirs = pair
                message = (
                    f"nothing orders it and {one}: {path_text(('spec', mine.way, mine.index))} and "
                    f"{theirs.text(other)} can match the same connections of {scene.names(subjects)}"
                )
                priority = () if other.priority is None else ("priority",)
                yield EQUAL_PRIORITY.found(some[0].written, ("spec", *priority), message)
