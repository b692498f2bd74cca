"""What a judge says about one connection, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from netpol.model.policy import NetworkPolicy, Rule

Way = Literal["ingress", "egress"]
"""The direction that a policy isolates, seen from its pods."""

SOURCES: dict[Way, str] = {"ingress": "from", "egress": "to"}
"""The field that lists the peers of a rule."""


class Ruling(Enum):
    """The answer."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDEFINED = "undefined"
    """NetworkPolicy does not say: another protocol, or an end or a port that is not known."""


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
class Side:
    """One end's policies and what they say.

    Attributes:
        isolated_by: The policies that isolate this end in this direction, by namespace and name; none: it is open.
        match: The rule that admits the connection, None where none does and where none is needed.
    """

    way: Way
    isolated_by: tuple[NetworkPolicy, ...] = ()
    match: RuleMatch | None = None

    @property
    def isolated(self) -> bool:
        """Whether any policy of this type selects the end."""
        return bool(self.isolated_by)

    @property
    def admits(self) -> bool:
        """Whether this end lets the connection pass."""
        return not self.isolated_by or self.match is not None


OPEN: dict[Way, Side] = {"ingress": Side(way="ingress"), "egress": Side(way="egress")}
"""A side that no policy isolates."""


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
        return "ingress" if self.egress.admits else "egress"

    @property
    def blocking(self) -> tuple[NetworkPolicy, ...]:
        """The policies that isolate the side that denies it: each of them could admit the connection, none does."""
        way = self.blocked_by
        if way is None:
            return ()
        return (self.ingress if way == "ingress" else self.egress).isolated_by
