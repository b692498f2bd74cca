"""Cluster-wide policies as values: three kinds of policy.networking.k8s.io, told apart by tier, valid once they exist.

ClusterNetworkPolicy (v1alpha2) is the union of AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1), which it
replaces: those are its Admin and its Baseline tier (NPEP-285). One value serves all three, and remembers which kind it
was. What the kinds allow is that of their CustomResourceDefinitions, experimental channel, v0.1.7 and v0.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, Literal

from netpol.errors import InputError
from netpol.model.policy import NetworkPolicy, PodPeer, PolicyPort, check_name
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.tier_peers import TierPeer

GROUP: Final = "policy.networking.k8s.io"
LOWEST_PRIORITY: Final = 1000
"""The highest number that spec.priority takes: the last to be asked."""
BASELINE_NAME: Final = "default"
"""The only name that a BaselineAdminNetworkPolicy can have."""


class Tier(StrEnum):
    """When a policy is asked: before NetworkPolicies, or for pods that none of them isolates."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


class Action(Enum):
    """What a rule does with the connections that it matches, which no later rule of the tier then sees."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105  # no password: leaves the connection to the next tier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TierKind:
    """A kind of the API.

    Attributes:
        tier: The only tier of its policies, None where each says.
        actions: The kind's words for them.
        most: Rules of a direction, peers of a rule, and items of a rule's ports that there may be.
        ports: The field of a rule that lists them.
    """

    name: str
    version: str
    tier: Tier | None
    actions: Mapping[str, Action]
    most: int
    ports: Literal["ports", "protocols"]

    @property
    def api_version(self) -> str:
        """As manifests spell it."""
        return f"{GROUP}/{self.version}"

    def word(self, action: Action) -> str:
        """The kind's own word for an action."""
        return next(word for word, meant in self.actions.items() if meant is action)


_ALLOW_DENY: Final = {"Allow": Action.ALLOW, "Deny": Action.DENY}
ADMIN_NETWORK_POLICY: Final = TierKind(
    name="AdminNetworkPolicy",
    version="v1alpha1",
    tier=Tier.ADMIN,
    actions={**_ALLOW_DENY, "Pass": Action.PASS},
    most=100,
    ports="ports",
)
BASELINE_ADMIN_NETWORK_POLICY: Final = TierKind(
    name="BaselineAdminNetworkPolicy",
    version="v1alpha1",
    tier=Tier.BASELINE,
    actions=_ALLOW_DENY,
    most=100,
    ports="ports",
)
CLUSTER_NETWORK_POLICY: Final = TierKind(
    name="ClusterNetworkPolicy",
    version="v1alpha2",
    tier=None,
    actions={"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
    most=25,
    ports="protocols",
)
TIER_KINDS: Final[Mapping[str, TierKind]] = {
    kind.name: kind for kind in (ADMIN_NETWORK_POLICY, BASELINE_ADMIN_NETWORK_POLICY, CLUSTER_NETWORK_POLICY)
}


@dataclass(frozen=True, slots=True)
class NamedPort:
    """The container ports of this name of the destination pod, whatever their protocol.

    The definitions ask nothing of the name, not even that a port could have it.
    """

    name: str

    def __str__(self) -> str:
        return f"port {shown(self.name)}"


TierPort = PolicyPort | NamedPort


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRule:
    """Connections with any of the peers on any of the ports, and what becomes of them.

    Attributes:
        peers: At least one. Those of an ingress rule have selectors.
        ports: Empty: every port of every protocol, those without ports too.
        name: For people; need not be unique.
    """

    action: Action
    peers: tuple[TierPeer, ...]
    ports: tuple[TierPort, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        for peer in self.peers:
            if isinstance(peer, PodPeer) and peer.namespace_selector is None:
                raise InputError("a cluster-wide policy has no namespace", remedy="Give a namespaceSelector")


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPolicy:
    """A cluster-wide policy. It isolates nothing: what no rule matches is left to the next tier.

    Attributes:
        priority: Within the tier; the lowest number is asked first. None for a BaselineAdminNetworkPolicy.
        subject: The pods that it is for, never those of the host network; it has a namespaceSelector.
        ingress: In order: the first that matches a connection decides.
        egress: The same for what its pods open.
    """

    kind: TierKind
    name: str
    tier: Tier
    subject: PodPeer
    priority: int | None = None
    ingress: tuple[TierRule, ...] = ()
    egress: tuple[TierRule, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_tier_name(self.kind, self.name)
        if self.kind is not BASELINE_ADMIN_NETWORK_POLICY:
            check_priority(-1 if self.priority is None else self.priority)
        for rules in (self.ingress, self.egress):
            check_count(self.kind, len(rules), "rules")
            for rule in rules:
                check_rule(self.kind, rule)
        if self.subject.namespace_selector is None:
            raise InputError("a cluster-wide policy has no namespace", remedy="Give a namespaceSelector")

    @property
    def precedence(self) -> tuple[int, str, str]:
        """Ascending in the order in which the policies of one tier are asked.

        Between equal priorities "the implementation can apply any of the matching policies": here they go by kind and
        name. Nothing orders a BaselineAdminNetworkPolicy among ClusterNetworkPolicies: here it comes last.
        """
        priority = LOWEST_PRIORITY + 1 if self.priority is None else self.priority
        return priority, self.kind.name, self.name

    def __str__(self) -> str:
        return f"{self.kind.name}/{self.name}"


Policy = NetworkPolicy | TierPolicy
"""What a policy set is made of, in any order: a tuple of these is what all judges take."""


def check_tier_name(kind: TierKind, name: str) -> None:
    """Raises InputError unless a policy of this kind can have the name."""
    check_name(name)
    if kind is BASELINE_ADMIN_NETWORK_POLICY and name != BASELINE_NAME:
        raise InputError(
            f"{shown(name)} cannot name this kind of policy",
            remedy=f"There can be one in a cluster, named {BASELINE_NAME}",
        )


def check_priority(priority: int) -> None:
    """Raises InputError unless it is a priority."""
    if not 0 <= priority <= LOWEST_PRIORITY:
        side = "below 0" if priority < 0 else f"above {LOWEST_PRIORITY}"
        raise InputError(f"{shown(priority)} is {side}", remedy=f"Priorities go from 0 to {LOWEST_PRIORITY}")


def check_count(kind: TierKind, count: int, what: str) -> None:
    """Raises InputError where a list has more items than the kind takes."""
    if count > kind.most:
        raise InputError(
            f"{count} {what} are more than {kind.most}", remedy="Divide them among several rules or policies"
        )


def check_rule(kind: TierKind, rule: TierRule) -> None:
    """Raises InputError where a rule has more than the kind takes, or parts that do not go together."""
    if rule.action not in kind.actions.values():
        raise InputError(f"no rule of {kind.name} can {rule.action.value}", remedy=f"Use {one_of(kind.actions)}")
    if not rule.peers:
        raise InputError("a rule without peers", remedy="Give at least one peer; namespaces: {} is every pod")
    check_count(kind, len(rule.peers), "peers")
    check_count(kind, len(rule.ports), kind.ports)
    named = any(isinstance(port, NamedPort) for port in rule.ports)
    if named and not all(isinstance(peer, PodPeer) for peer in rule.peers):
        raise InputError(
            "a named port with networks, nodes or domainNames, which have no names for ports",
            remedy="Give the number, or put these peers into a rule of their own",
        )


def one_of(words: Mapping[str, object]) -> str:
    """The words in a sentence."""
    *others, last = words
    return f"{', '.join(others)} or {last}"
