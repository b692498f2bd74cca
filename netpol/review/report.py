"""The report on a change of policies, as values: what a reviewer needs in order to decide, and nothing else.

Names from the cluster and the wire stand here as they are: whoever prints them escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from netpol.model.ports import PortMap
    from netpol.policy.verdict import Way
    from netpol.review.evidence import Seen
    from netpol.review.findings import Finding

ChangeKind = Literal["added", "removed", "changed"]


@lru_cache(maxsize=1 << 12)
def less(one: PortMap, other: PortMap) -> PortMap:
    """The ports of one that the other has not; many rows have the same."""
    return one - other


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RuleRef:
    """A rule of a policy.

    Attributes:
        policy: `namespace/name`, or `Kind/name` for one of the whole cluster.
        rule: Index in spec.ingress or spec.egress; None for the direction as a whole.
    """

    policy: str
    way: Way
    rule: int | None

    def __str__(self) -> str:
        index = "" if self.rule is None else f"[{self.rule}]"
        return f"{self.policy}: spec.{self.way}{index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A connection whose ports differ, with the evidence for it.

    Attributes:
        source: As `netpol diff` prints it, but for a node's address, before which the node stands: `node/NAME CIDR`.
        destination: The same.
        before: The ports that were allowed.
        after: The ports that are; never the same.
        seen: What was learned on ports that are allowed after the change; None where nothing was.
        lost: What was learned on ports that are not allowed any more.
        rules: After the change: the rules that admit a port of it, or the directions of the policies that deny it;
            none where nobody asked for them.
    """

    source: str
    destination: str
    before: PortMap
    after: PortMap
    seen: Seen | None = None
    lost: Seen | None = None
    rules: tuple[RuleRef, ...] = ()

    @property
    def kind(self) -> ChangeKind:
        """Whether it is allowed on one side alone."""
        return "added" if not self.before else "removed" if not self.after else "changed"

    @property
    def added(self) -> PortMap:
        """What is allowed and was not."""
        return less(self.after, self.before)

    @property
    def removed(self) -> PortMap:
        """What was allowed and is not."""
        return less(self.before, self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Connections that worked in the captures and that the policies deny after the change.

    Attributes:
        ports: `TCP/5432`, sorted.
        policies: Those that deny them, sorted.
        reasons: The ids of why they were not learned; none for what was.
    """

    source: str
    destination: str
    ports: tuple[str, ...]
    connections: int
    first_seen: int
    last_seen: int
    blocked_by: Way
    policies: tuple[str, ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Connections that were not learned.

    Attributes:
        reason: The id of one of `netpol.graph.reasons.Reason`.
        text: What it means.
        ports: The lowest few.
        more_ports: There were others.
    """

    reason: str
    text: str
    source: str
    destination: str
    ports: tuple[str, ...]
    more_ports: bool
    connections: int
    first_seen: int
    last_seen: int


class Urgency(IntEnum):
    """How much something to check by hand matters: the lowest number first."""

    BREAKS = 1
    """It worked, and will not any more."""
    HOSTILE = 2
    """What was seen points to an intruder or to a leak."""
    SILENCE = 3
    """Closed because nobody was seen to use it."""
    UNSEEN = 4
    """Opened, and nobody was seen to use it."""
    WRONG = 5
    """A policy probably does something else than its author thinks."""
    WEAK = 6
    """Rests on evidence that is less than a handshake between two known pods."""
    STALE = 7
    """Could go."""
    KNOW = 8
    """Good to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCheck:
    """Something that a person should look at.

    Attributes:
        about: A workload, a policy or a connection.
        text: One sentence without a full stop.
        remedy: The same, empty where nothing needs doing.
        finding: What it was made of, where it was found in a policy.
    """

    urgency: Urgency
    about: str
    text: str
    remedy: str = ""
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the captures say about the change as a whole.

    Attributes:
        window: First and last packet, nanoseconds since the epoch; None where there was none.
        connections: All that were seen.
        explained: Those whose ends and direction are known and of which nothing is suspicious: they were learned, did
            not work, or are none of a policy's business.
        denied: Those that worked and that the policies deny after the change.
        denied_learned: Of those, the ones that were learned; the rest was left out on purpose.
        allowed: Pod-pair-ports that the policies allow after the change (`netpol.policy.tightness`).
        allowed_before: The same before.
        used: Pod-pair-ports that were learned.
    """

    window: tuple[int, int] | None
    connections: int
    explained: int
    denied: int
    denied_learned: int
    allowed: int
    allowed_before: int
    used: int

    @property
    def share(self) -> float | None:
        """Explained / all, None where nothing was seen."""
        return self.explained / self.connections if self.connections else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it.

    Attributes:
        policies: How many there were and how many there are.
        observed: None where no captures were given: then no row has evidence either.
        changes: The most important first.
        closed: Pairs of ends that nothing restricted before, that nobody used, and that are closed: too many to list,
            and nothing to look at. None where everything was open before, and they were not counted.
        drawing: The changes as a Mermaid flowchart; empty where there are none or too many.
        left_out: In the order of the reasons.
        needless: Connections that no policy can or need speak of, per reason.
        checks: The most urgent first.
        yaml: How the policies' YAML differs.
    """

    policies: tuple[int, int]
    observed: Observed | None
    changes: tuple[Change, ...]
    closed: int | None
    drawing: str
    blocked: tuple[Blocked, ...]
    left_out: tuple[LeftOut, ...]
    needless: tuple[tuple[str, int], ...]
    checks: tuple[ToCheck, ...]
    yaml: str
