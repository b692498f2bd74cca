"""Which peers of an end's rules are worth asking whether they select a pod.

A workload that a hundred others speak to has as many peers in its policy, and each of those others is selected by one
of them. Nearly every peer demands a namespace, a label or both; those that demand what a pod does not have are passed
over here without a look.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.policy import BlockPeer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from netpol.model.policy import PodPeer, Rule

_Demand = tuple[str, str, str]
"""Namespace, label key and its value that a pod must have to be selected; empty where it does not matter."""


class Place(NamedTuple):
    """Where a peer stands: the number of the policy, of the rule in it, and of the peer in that.

    Attributes:
        peer: -1 for a rule without peers, which is for everyone.
    """

    policy: int
    rule: int
    peer: int


class PeerIndex:
    """The peers of several policies in one direction, by what they demand.

    Args:
        policies: Namespace and rules of each.
    """

    __slots__ = ("_always", "_demanding")

    def __init__(self, policies: Iterable[tuple[str, Sequence[Rule]]]) -> None:
        self._always: list[Place] = []
        self._demanding: defaultdict[_Demand, list[Place]] = defaultdict(list)
        for policy, (namespace, rules) in enumerate(policies):
            for number, rule in enumerate(rules):
                if not rule.peers:
                    self._always.append(Place(policy, number, -1))
                for index, peer in enumerate(rule.peers):
                    place = Place(policy, number, index)
                    if isinstance(peer, BlockPeer):
                        self._always.append(place)
                    else:
                        self._demanding[_demand(peer, namespace)].append(place)

    def places(self, namespace: str, labels: Mapping[str, str]) -> list[Place]:
        """In order, the rules for everyone, all ipBlocks, and the peers that may select a pod with these labels."""
        found = list(self._always)
        for demanded in (namespace, ""):
            found += self._demanding.get((demanded, "", ""), ())
            for key, value in labels.items():
                found += self._demanding.get((demanded, key, value), ())
        return sorted(found)

    def elsewhere(self) -> list[Place]:
        """The same for an end that is no pod."""
        return self._always


def _demand(peer: PodPeer, policy_namespace: str) -> _Demand:
    if peer.namespace_selector is None:
        namespace = policy_namespace
    else:
        namespace = peer.namespace_selector.match_labels.get(NAMESPACE_NAME_LABEL, "")
    labels = peer.pod_selector.match_labels if peer.pod_selector is not None else {}
    key, value = next(iter(labels.items()), ("", ""))
    return namespace, key, value
