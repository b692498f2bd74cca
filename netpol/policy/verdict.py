"""What a judge says about one connection, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, Self

from netpol.model.tiers import Action

if TYPE_CHECKING:
    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.model.tiers import Policy, Tier, TierPolicy, TierRule

Way = Literal["ingress", "egress"]
"""The direction that a policy isolates, seen from its pods."""

SOURCES: dict[Way, str] = {"ingress": "from", "egress": "to"}
"""The field that lists the peers of a rule."""


class Ruling(Enum):
    """The answer."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDEFINED = "undefined"
    """The policies do not say: another protocol, an end or a port that is not known, or the address of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMatch:
    """The first rule that admits a connection: by policy (namespace, name), then in the order of the document.

    Attributes:
        rule: Index in spec.ingress or spec.egress.
        peer: Index in `from` or `to`, None where the rule is for everyone.
        port: Index in `ports`, None where the rule is for every port.
    """

    policy: NetworkPolicy
    way: Way
    rule: int
    peer: int | None
    port: int | None

    def __str__(self) -> str:
        peer = "" if self.peer is None else f".{SOURCES[self.way]}[{self.peer}]"
        port = "" if self.port is None else f", ports[{self.port}]"
        return f"{self.policy}: spec.{self.way}[{self.rule}]{peer}{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMiss:
    """A rule of an isolating policy that does not admit a connection.

    Attributes:
        peer: Index of the first peer that matches, None where none does or where the rule is for everyone.
        by: What failed: no peer matches, or one does (or the rule is for everyone) but no port.
    """

    policy: NetworkPolicy
    way: Way
    rule: int
    peer: int | None
    by: Literal["peer", "port"]

    @property
    def content(self) -> Rule:
        """The rule itself."""
        return (self.policy.ingress if self.way == "ingress" else self.policy.egress)[self.rule]

    def __str__(self) -> str:
        place = f"{self.policy}: spec.{self.way}[{self.rule}]"
        if self.by == "peer":
            return f"{place}: no peer in `{SOURCES[self.way]}` matches"
        peer = "" if self.peer is None else f"{SOURCES[self.way]}[{self.peer}] matches, but "
        return f"{place}: {peer}no port of {', '.join(map(str, self.content.ports))} does"


@dataclass(frozen=True, slots=True, kw_only=True)
class TierMatch:
    """A rule of a cluster-wide policy that matches a connection.

    Attributes:
        rule: Index in spec.ingress or spec.egress.
        peer: Index in `from` or `to`.
        port: Index in the rule's list of ports, None where the rule is for every port.
    """

    policy: TierPolicy
    way: Way
    rule: int
    peer: int
    port: int | None

    @property
    def content(self) -> TierRule:
        """The rule itself."""
        return (self.policy.ingress if self.way == "ingress" else self.policy.egress)[self.rule]

    def __str__(self) -> str:
        port = "" if self.port is None else f", {self.policy.kind.ports}[{self.port}]"
        return f"{self.policy}: spec.{self.way}[{self.rule}].{SOURCES[self.way]}[{self.peer}]{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStep:
    """One tier of cluster-wide policies and what it says of a connection.

    Attributes:
        policies: Those that have rules for this direction and select the end, in the order in which they are asked.
        match: The first rule that matches, None where none does: the connection is left to the next tier.
        possible: Rules before it that match if a name has the address or the unknown port is one of theirs.
    """

    tier: Tier
    policies: tuple[TierPolicy, ...] = ()
    match: TierMatch | None = None
    possible: tuple[TierMatch, ...] = ()

    @property
    def decides(self) -> bool:
        """Whether no further tier is asked."""
        return self.match is not None and self.match.content.action is not Action.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end's policies and what they say.

    Attributes:
        isolated_by: The NetworkPolicies that isolate this end in this direction, by namespace and name.
        match: The rule of those that admits the connection, None where none does and where none is needed.
        admin: What the Admin tier says, None where no policy of it selects the end.
        baseline: The same of the Baseline tier; it counts where no NetworkPolicy isolates the end.
        tiered: What all of them come to where cluster-wide policies select the end, None where none does.
        unclear: Why nothing can be said, empty where something can.
    """

    way: Way
    isolated_by: tuple[NetworkPolicy, ...] = ()
    match: RuleMatch | None = None
    admin: TierStep | None = None
    baseline: TierStep | None = None
    tiered: Ruling | None = None
    unclear: str = ""

    @property
    def isolated(self) -> bool:
        """Whether any NetworkPolicy of this type selects the end."""
        return bool(self.isolated_by)

    @property
    def ruling(self) -> Ruling:
        """What this end says: without cluster-wide policies, by its NetworkPolicies alone."""
        if self.tiered is not None:
            return self.tiered
        return Ruling.ALLOWED if not self.isolated_by or self.match is not None else Ruling.DENIED

    @property
    def admits(self) -> bool:
        """Whether this end certainly lets the connection pass."""
        return self.ruling is Ruling.ALLOWED

    @property
    def decided_by(self) -> TierMatch | None:
        """The cluster-wide rule that allows or denies, None where NetworkPolicies or nobody did."""
        if self.admin is not None and self.admin.decides:
            return self.admin.match
        if self.isolated_by or self.baseline is None or not self.baseline.decides:
            return None
        return self.baseline.match

    @property
    def responsible(self) -> tuple[Policy, ...]:
        """The policies that the answer is owed to."""
        return self.isolated_by if self.decided_by is None else (self.decided_by.policy,)


OPEN: dict[Way, Side] = {"ingress": Side(way="ingress"), "egress": Side(way="egress")}
"""A side that no policy selects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer for one connection.

    Attributes:
        egress: The source's side.
        ingress: The destination's side.
        reason: Why the rules were not asked: `own address`, `own node`, `undefined: ...`; empty when they decided.
    """

    ruling: Ruling
    egress: Side
    ingress: Side
    reason: str = ""

    @classmethod
    def without_rules(cls, ruling: Ruling, reason: str) -> Self:
        """A verdict for which no policy had to be asked."""
        return cls(ruling=ruling, egress=OPEN["egress"], ingress=OPEN["ingress"], reason=reason)

    @property
    def allowed(self) -> bool:
        """Whether the connection is certainly allowed."""
        return self.ruling is Ruling.ALLOWED

    @property
    def blocked_by(self) -> Way | None:
        """The side that denies it, the source's first because it is met first; None where it is not denied."""
        if self.ruling is not Ruling.DENIED:
            return None
        return "egress" if self.egress.ruling is Ruling.DENIED else "ingress"

    @property
    def blocking(self) -> tuple[Policy, ...]:
        """The cluster-wide policy that denies it, or the NetworkPolicies that isolate the side that does.

        Each of those could admit the connection, and none does.
        """
        way = self.blocked_by
        if way is None:
            return ()
        return (self.ingress if way == "ingress" else self.egress).responsible
