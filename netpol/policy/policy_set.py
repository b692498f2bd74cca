"""A policy set in the order in which its tiers are asked.

"If Admin tier has made a final decision on a connection, then no further evaluation is done. v1.NetworkPolicy always
makes a final decision for selected pods. Further evaluation only happens for Pods not selected by a v1.NetworkPolicy"
(ClusterNetworkPolicySpec.Tier), each direction by itself; what no tier decides is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from netpol.model.policy import PodPeer
from netpol.model.tiers import Tier, TierPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.policy import NetworkPolicy
    from netpol.model.tier_peers import TierPeer
    from netpol.model.tiers import Policy, TierRule
    from netpol.policy.verdict import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """The policies, told apart by tier.

    Attributes:
        admin: In the order in which they are asked.
        namespaced: By namespace and name; their order says nothing.
        baseline: In the order in which they are asked.
    """

    admin: tuple[TierPolicy, ...] = ()
    namespaced: tuple[NetworkPolicy, ...] = ()
    baseline: tuple[TierPolicy, ...] = ()

    @classmethod
    def of(cls, policies: Iterable[Policy]) -> Self:
        """The same policies, from any order."""
        tiers: dict[Tier, list[TierPolicy]] = {Tier.ADMIN: [], Tier.BASELINE: []}
        namespaced = []
        for policy in policies:
            if isinstance(policy, TierPolicy):
                tiers[policy.tier].append(policy)
            else:
                namespaced.append(policy)
        admin, baseline = (sorted(tiers[tier], key=lambda policy: policy.precedence) for tier in Tier)
        namespaced.sort(key=lambda policy: (policy.namespace, policy.name))
        return cls(admin=tuple(admin), namespaced=tuple(namespaced), baseline=tuple(baseline))

    @property
    def tiers(self) -> tuple[TierPolicy, ...]:
        """The cluster-wide policies."""
        return (*self.admin, *self.baseline)


def tier_rules(policy: TierPolicy, way: Way) -> tuple[TierRule, ...]:
    """The rules of one direction."""
    return policy.ingress if way == "ingress" else policy.egress


def selected_keys(policy: TierPolicy) -> Iterator[str]:
    """The keys of pod labels that the policy's selectors look at."""
    peers: list[TierPeer] = [policy.subject]
    for rule in (*policy.ingress, *policy.egress):
        peers += rule.peers
    for peer in peers:
        if isinstance(peer, PodPeer) and peer.pod_selector is not None:
            yield from peer.pod_selector.keys
