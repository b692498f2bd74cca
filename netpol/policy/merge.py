"""Newly learned policies and those that netpol wrote before, as one set.

A learned policy replaces the earlier one of its namespace and name. What of the earlier rules this capture did not
exercise is kept beside the learned ones and marked: a capture shows what happened while it ran, and the month-end job
of the last capture is not in this one. An earlier policy whose workload was not seen stays as a whole. So nothing that
worked stops working, and for all pods the result allows what both sets together allow. `prune` gives the learned
policies alone.

Only policies that carry netpol's label may be given as earlier ones: what people wrote is never rewritten.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netpol.policy.generate import MANAGED_BY
from netpol.policy.generate_names import another_name
from netpol.policy.merge_marks import rules_mark, whole_mark
from netpol.policy.merge_rules import remaining

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from netpol.model.inventory import Inventory
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.policy.verdict import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The policies to apply, and what became of the earlier ones.

    Attributes:
        policies: By namespace and name.
        replaced: How many earlier policies a learned one of the same name replaces.
        kept_rules: Rules of earlier policies that were kept beside learned ones, by `namespace/name`.
        kept_policies: Earlier policies of which nothing was seen and that stay; as they are in `policies`.
        renamed: The new name of an earlier policy that a learned one for other pods took the name of.
        dropped_rules: With `prune`, what would have been kept, by `namespace/name`.
        removed: With `prune`, the earlier policies that are in `policies` no more.
        untouched: Earlier policies that were not asked about: they stay, and are not in `policies`.
    """

    policies: tuple[NetworkPolicy, ...]
    replaced: int
    kept_rules: Mapping[str, tuple[tuple[Way, Rule], ...]]
    kept_policies: tuple[NetworkPolicy, ...]
    renamed: Mapping[str, str]
    dropped_rules: Mapping[str, tuple[tuple[Way, Rule], ...]]
    removed: tuple[NetworkPolicy, ...]
    untouched: tuple[NetworkPolicy, ...]


def is_managed(policy: NetworkPolicy) -> bool:
    """Whether netpol wrote the policy and may write it again."""
    return MANAGED_BY.items() <= policy.labels.items()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to merge.

    Attributes:
        prune: Drop all that this capture did not exercise.
        asked: Whether an earlier policy is of those that were asked for (`-n`, `-l`).
        foreign: (namespace, name) of policies that are not netpol's: no policy is named so.
    """

    prune: bool = False
    asked: Callable[[NetworkPolicy], bool] = lambda _: True
    foreign: Collection[tuple[str, str]] = frozenset()


def merge(
    learned: Iterable[NetworkPolicy], earlier: Iterable[NetworkPolicy], inventory: Inventory, terms: Terms = Terms()
) -> Merged:
    """Lays learned policies over earlier ones.

    Args:
        learned: As generated, so that no rule is without effect.
        earlier: Of netpol's, in any order.
        inventory: Tells whether two selectors mean the same pods.
        terms: What the user chose.
    """
    known = sorted(earlier, key=lambda policy: (policy.namespace, policy.name))
    merger = _Merger(learned, inventory, {*terms.foreign, *((policy.namespace, policy.name) for policy in known)})
    for policy in known:
        if terms.asked(policy):
            merger.add(policy, prune=terms.prune)
        else:
            merger.untouched.append(policy)
    return Merged(
        policies=tuple(sorted(merger.found.values(), key=lambda policy: (policy.namespace, policy.name))),
        replaced=merger.replaced,
        kept_rules={} if terms.prune else merger.unexercised,
        kept_policies=tuple(merger.kept),
        renamed=merger.renamed,
        dropped_rules=merger.unexercised if terms.prune else {},
        removed=tuple(merger.removed),
        untouched=tuple(merger.untouched),
    )


class _Merger:
    def __init__(self, learned: Iterable[NetworkPolicy], inventory: Inventory, taken: set[tuple[str, str]]) -> None:
        self._learned = {(policy.namespace, policy.name): policy for policy in learned}
        self._labels = _label_sets(inventory)
        self._taken = taken | self._learned.keys()
        self.found = dict(self._learned)
        self.replaced = 0
        self.unexercised: dict[str, tuple[tuple[Way, Rule], ...]] = {}
        self.kept: list[NetworkPolicy] = []
        self.renamed: dict[str, str] = {}
        self.removed: list[NetworkPolicy] = []
        self.untouched: list[NetworkPolicy] = []

    def add(self, old: NetworkPolicy, *, prune: bool) -> None:
        """Takes one earlier policy in."""
        new = self._learned.get((old.namespace, old.name))
        if new is not None and self._same_pods(old, new):
            self.replaced += 1
            self._combine(new, old, prune=prune)
        elif prune:
            self.replaced += new is not None
            if new is None:
                self.removed.append(old)
        else:
            self._keep(old)

    def _combine(self, new: NetworkPolicy, old: NetworkPolicy, *, prune: bool) -> None:
        now = {"ingress": new.ingress, "egress": new.egress}
        # Rules of a direction that a policy does not isolate have no effect, and must not get one now.
        left: list[tuple[Way, Rule]] = []
        if old.isolates_ingress:
            left += [("ingress", rule) for rule in remaining(new.namespace, now["ingress"], old.ingress)]
        if old.isolates_egress:
            left += [("egress", rule) for rule in remaining(new.namespace, now["egress"], old.egress)]
        if left:
            self.unexercised[str(new)] = tuple(left)
        if prune:
            return
        places: list[tuple[Way, int]] = []
        for way, rule in left:
            places.append((way, len(now[way])))
            now[way] = (*now[way], rule)
        self.found[new.namespace, new.name] = replace(
            new,
            isolates_ingress=new.isolates_ingress or old.isolates_ingress,
            isolates_egress=new.isolates_egress or old.isolates_egress,
            ingress=now["ingress"],
            egress=now["egress"],
            annotations={**new.annotations, **rules_mark(places)},
        )

    def _keep(self, old: NetworkPolicy) -> None:
        name = old.name
        if (old.namespace, name) in self._learned:
            name = another_name(name, f"{old} {old.pod_selector}", lambda name: (old.namespace, name) in self._taken)
            self.renamed[str(old)] = f"{old.namespace}/{name}"
            self._taken.add((old.namespace, name))
        # What a cluster or a pipeline added to its metadata is not netpol's to pass on.
        kept = replace(old, name=name, labels=MANAGED_BY, annotations=whole_mark())
        self.found[old.namespace, name] = kept
        self.kept.append(kept)

    def _same_pods(self, one: NetworkPolicy, other: NetworkPolicy) -> bool:
        if one.pod_selector == other.pod_selector:
            return True
        return self._selected(one.namespace, one.pod_selector) == self._selected(one.namespace, other.pod_selector)

    def _selected(self, namespace: str, selector: LabelSelector) -> set[int]:
        return {number for number, labels in enumerate(self._labels[namespace]) if selector.matches(dict(labels))}


def _label_sets(inventory: Inventory) -> defaultdict[str, list[tuple[tuple[str, str], ...]]]:
    """The labels of all pods there were and that templates would make, by namespace."""
    found: defaultdict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)
    for pod in inventory.pods:
        if not pod.host_network:
            found[pod.namespace].add(tuple(sorted(pod.labels.items())))
    for ref, workload in inventory.workloads.items():
        if workload.template_labels and not workload.host_network:
            found[ref.namespace].add(tuple(sorted(workload.template_labels.items())))
    return defaultdict(list, {namespace: sorted(labels) for namespace, labels in found.items()})
