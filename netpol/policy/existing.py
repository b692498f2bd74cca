"""Learned policies laid against those that the cluster has.

What today denies of what was seen, what it allows that was not, what can go, and what stays open all the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.tiers import TierPolicy
from netpol.policy.evaluate import Evaluator
from netpol.policy.existing_open import Books, Open, Sets, allowed_unseen
from netpol.policy.existing_redundant import redundant
from netpol.policy.existing_rules import RuleBook
from netpol.policy.existing_use import RuleUse, rule_uses
from netpol.policy.merge import is_managed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy
    from netpol.model.tiers import Policy
    from netpol.policy.existing_rules import RuleKey
    from netpol.policy.existing_watch import DeniedKey, DeniedTally, Watch
    from netpol.policy.merge import Merged

Port = tuple[int, int]
"""(IP protocol number, port)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """The policies that the cluster has, told apart by who may rewrite them.

    Attributes:
        managed: netpol's own earlier ones.
        foreign: The other NetworkPolicies: never rewritten.
        tiers: Cluster-wide policies: never rewritten either.
    """

    managed: tuple[NetworkPolicy, ...] = ()
    foreign: tuple[NetworkPolicy, ...] = ()
    tiers: tuple[TierPolicy, ...] = ()

    @classmethod
    def of(cls, policies: Iterable[Policy]) -> Existing:
        """The same policies, each kind by name."""
        managed: list[NetworkPolicy] = []
        foreign: list[NetworkPolicy] = []
        tiers: list[TierPolicy] = []
        for policy in sorted(policies, key=str):
            if isinstance(policy, TierPolicy):
                tiers.append(policy)
            else:
                (managed if is_managed(policy) else foreign).append(policy)
        return cls(managed=tuple(managed), foreign=tuple(foreign), tiers=tuple(tiers))

    @property
    def everything(self) -> tuple[Policy, ...]:
        """What is in force today."""
        return (*self.tiers, *self.foreign, *self.managed)

    @property
    def foreign_names(self) -> frozenset[tuple[str, str]]:
        """(namespace, name) of the NetworkPolicies that are not netpol's."""
        return frozenset((policy.namespace, policy.name) for policy in self.foreign)

    def after(self, merged: Merged) -> tuple[Policy, ...]:
        """What is in force once the merged policies are applied and those that go are deleted."""
        return (*self.tiers, *self.foreign, *merged.untouched, *merged.policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Connections that today's policies deny.

    Attributes:
        policies: Which do.
        ports: On which ports they were, of attempts some.
        opened: Those of them on which everyone who was seen may connect once the result is applied.
        denied_after: The policies that deny the rest then.
    """

    key: DeniedKey
    connections: int
    ports: tuple[Port, ...]
    more_ports: bool = False
    opened: tuple[Port, ...] = ()
    denied_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepsOpen:
    """An existing policy that stays, and what it keeps open that the learned policies for the same pods do not allow.

    Attributes:
        policy: `namespace/name`.
        rules: Which rules of it do.
        connections: Between which ends; a connection may be kept open by several policies.
    """

    policy: str
    rules: tuple[RuleKey, ...]
    connections: tuple[Open, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result.

    Attributes:
        denied: What worked although today's policies deny it, then what they deny and did not work.
        unseen: What they allow on purpose and was not seen.
        uses: What was seen of each rule of a NetworkPolicy.
        keeps_open: Only policies that keep anything open.
        redundant: Policies that can be taken away together without any change, once the result is applied.
    """

    denied: tuple[Denied, ...]
    unseen: tuple[Open, ...]
    uses: tuple[RuleUse, ...]
    keeps_open: tuple[KeepsOpen, ...]
    redundant: tuple[NetworkPolicy, ...]

    @property
    def never_used(self) -> tuple[RuleUse, ...]:
        """The rules that nothing exercised, not even in vain."""
        return tuple(use for use in self.uses if not use.connections and not use.attempts)


def compare(existing: Existing, merged: Merged, watch: Watch, inventory: Inventory) -> Comparison:
    """Lays the merged policies, and what was seen, against the existing ones.

    Args:
        existing: The policies of today.
        merged: What is to be applied.
        watch: Has seen all flows.
        inventory: The cluster.
    """
    after = existing.after(merged)
    result = (*merged.untouched, *merged.policies)
    books = Books(
        today=RuleBook([*existing.foreign, *existing.managed], inventory),
        foreign=RuleBook(existing.foreign, inventory),
        result=RuleBook(result, inventory),
    )
    sets = Sets(today=existing.everything, after=after, result=result)
    unseen = allowed_unseen(sets, books, watch.contacts, inventory)
    return Comparison(
        denied=tuple(_denied(watch, Evaluator(after, inventory))),
        unseen=unseen,
        uses=rule_uses(books.today, watch.contacts),
        keeps_open=_keeps_open(unseen),
        redundant=redundant(after, [*existing.foreign, *merged.kept_policies], inventory),
    )


def _denied(watch: Watch, after: Evaluator) -> Iterator[Denied]:
    for key, tally in sorted(watch.denied.items(), key=lambda item: (not item[0].worked, item[0])):
        yield _with_outlook(key, tally, after)


def _with_outlook(key: DeniedKey, tally: DeniedTally, after: Evaluator) -> Denied:
    opened: list[Port] = []
    blocking: set[str] = set()
    for port, ends in sorted(tally.ports.items()):
        verdicts = [after.verdict(*pair, *port) for pair in ends.values()]
        denying = [verdict for verdict in verdicts if not verdict.allowed]
        blocking.update(str(policy) for verdict in denying for policy in verdict.blocking)
        if verdicts and not denying:
            opened.append(port)
    return Denied(
        key=key,
        connections=tally.connections,
        ports=tuple(sorted(tally.ports)),
        more_ports=tally.more_ports,
        opened=tuple(opened),
        denied_after=tuple(sorted(blocking)),
    )


def _keeps_open(unseen: Iterable[Open]) -> tuple[KeepsOpen, ...]:
    rules: defaultdict[str, set[RuleKey]] = defaultdict(set)
    connections: defaultdict[str, dict[int, Open]] = defaultdict(dict)
    for position, item in enumerate(unseen):
        for rule in item.keeping:
            rules[rule.policy].add(rule)
            connections[rule.policy][position] = item
    return tuple(
        KeepsOpen(policy=name, rules=tuple(sorted(rules[name])), connections=tuple(connections[name].values()))
        for name in sorted(rules)
    )
