"""What cluster-wide policies leave of a row of ports, or add to it.

The first rule that matches decides, so that rules are laid over a row from the last to the first, each over what those
after it come to: an allowing rule adds its ports for its peers, a denying one takes them away, and a passing one puts
what the next tier says in their place.

A row is what is certainly allowed. Which addresses a domain name has is not known: where one may be meant, an allowing
rule adds nothing, a denying one takes away, and a passing one leaves what is allowed either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from netpol.model.policy import PodPeer
from netpol.model.tier_peers import DomainNamesPeer
from netpol.model.tiers import Action, NamedPort, Tier
from netpol.policy.classes_tiers import area
from netpol.policy.policy_set import tier_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from netpol.model.inventory import Inventory
    from netpol.model.tier_peers import TierPeer
    from netpol.model.tiers import TierRule
    from netpol.policy.atoms_ports import PortNumbers
    from netpol.policy.classes import Kind
    from netpol.policy.connectivity_index import SelectorIndex
    from netpol.policy.policy_set import PolicySet
    from netpol.policy.verdict import Way


class Opened(Protocol):
    """Groups the peers of a rule by what its ports cover at the destination."""

    def __call__(self, rule: TierRule, peers: NDArray[np.intp], /) -> Iterator[tuple[NDArray[np.intp], int]]:
        """Classes, and the number of the set of ports."""
        ...


class TierFold:
    """The cluster-wide policies of one side, in one direction.

    Attributes:
        subjects: intp[k] for each policy with rules for this direction: the classes of pods that it selects. Policies
            go by position: those of the Admin tier first, each tier in the order in which it is asked.
    """

    def __init__(
        self, way: Way, policies: PolicySet, index: SelectorIndex, inventory: Inventory, kinds: Sequence[Kind]
    ) -> None:
        self._policies = [policy for policy in policies.tiers if tier_rules(policy, way)]
        self._rules = [tier_rules(policy, way) for policy in self._policies]
        self._index = index
        self._inventory = inventory
        self._everyone = np.arange(len(kinds), dtype=np.intp)
        no_pods = [kind.example is None or kind.example.host_network for kind in kinds]
        self._no_pods = np.flatnonzero(np.array(no_pods, bool)).astype(np.intp)
        self.subjects = [index.peers("", (policy.subject,)) for policy in self._policies]

    def asks_for_names(self, position: int) -> bool:
        """Whether a policy asks for ports by name."""
        return any(isinstance(port, NamedPort) for rule in self._rules[position] for port in rule.ports)

    def over(
        self,
        row: NDArray[np.int32],
        positions: tuple[int, ...],
        numbers: PortNumbers,
        opened: Opened,
        *,
        isolated: bool,
    ) -> NDArray[np.int32]:
        """The row with these policies laid over it.

        Args:
            row: What NetworkPolicies open, or all ones where none isolates the class.
            positions: The policies that select the class, ascending.
            numbers: What the numbers in the row stand for.
            opened: The ports of a rule for its peers.
            isolated: A NetworkPolicy isolates the class: the Baseline tier is not asked.
        """
        for tier in (Tier.BASELINE, Tier.ADMIN):
            if tier is Tier.BASELINE and isolated:
                continue
            below = row
            for position in reversed(positions):
                if self._policies[position].tier is tier:
                    for rule in reversed(self._rules[position]):
                        row = self._laid(rule, row, below, numbers, opened)
        return row

    def _laid(
        self,
        rule: TierRule,
        row: NDArray[np.int32],
        below: NDArray[np.int32],
        numbers: PortNumbers,
        opened: Opened,
    ) -> NDArray[np.int32]:
        row = row.copy()
        certain = self._meant(peer for peer in rule.peers if not isinstance(peer, DomainNamesPeer))
        for some, number in opened(rule, certain):
            row[some] = _certainly(rule.action, row[some], below[some], number, numbers)
        names = [peer for peer in rule.peers if isinstance(peer, DomainNamesPeer)]
        if names and rule.action is not Action.ALLOW:
            perhaps = self._everyone if any(peer.may_be_pods for peer in names) else self._no_pods
            # Some of these may match for certain too: for them, this changes nothing any more.
            for some, number in opened(rule, perhaps):
                row[some] = _perhaps(rule.action, row[some], below[some], number, numbers)
        return row

    def _meant(self, peers: Iterable[TierPeer]) -> NDArray[np.intp]:
        """The classes, of pods and of addresses, that the peers mean."""
        found = [
            self._index.peers("", (peer,))
            if isinstance(peer, PodPeer)
            else self._index.in_area(area(peer, self._inventory))
            for peer in peers
            if not isinstance(peer, DomainNamesPeer)
        ]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.intp)


def _certainly(
    action: Action, allowed: NDArray[np.int32], below: NDArray[np.int32], number: int, numbers: PortNumbers
) -> NDArray[np.int32]:
    if action is Action.ALLOW:
        return numbers.union(allowed, number)
    rest = numbers.less(allowed, number)
    if action is Action.DENY:
        return rest
    return numbers.join(rest, numbers.meet(below, np.full_like(below, number)))


def _perhaps(
    action: Action, allowed: NDArray[np.int32], below: NDArray[np.int32], number: int, numbers: PortNumbers
) -> NDArray[np.int32]:
    rest = numbers.less(allowed, number)
    if action is Action.DENY:
        return rest
    either = numbers.meet(allowed, below)
    return numbers.join(rest, numbers.meet(either, np.full_like(either, number)))
