"""Every rule traced to its evidence: the observed connections for which it is there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from netpol.graph.judge import grounded
from netpol.graph.observation import end_key
from netpol.graph.reasons import Reason
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.flow import PORT_PROTOCOLS, Direction
from netpol.review.evidence import seen_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netpol.graph.judge import Accepted
    from netpol.graph.observation import LearnedEnd, Observation
    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Address
    from netpol.model.inventory import Pod
    from netpol.model.policy import NetworkPolicy
    from netpol.policy.existing_rules import RuleBook, RuleKey
    from netpol.policy.verdict import Way
    from netpol.review.evidence import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedEdge:
    """Connections that a rule admits.

    Attributes:
        source: A workload, a node with its address, or an address outside.
        destination: The same.
        protocol: IP protocol number.
        port: Where the destination listens.
    """

    source: str
    destination: str
    protocol: int
    port: int
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One rule and all that is behind it.

    Attributes:
        edges: What was learned of what it admits, by ends, protocol and port; none where nothing exercised it.
        also: Other rules that admit a part of the same connections.
        not_learned: Connections that it admits and that were not learned, by the id of the reason.
    """

    key: RuleKey
    edges: tuple[TracedEdge, ...]
    also: tuple[RuleKey, ...]
    not_learned: Mapping[str, int]


@dataclass(slots=True)
class _Behind:
    observations: dict[tuple[object, ...], list[Observation]] = field(default_factory=lambda: defaultdict(list))
    also: set[RuleKey] = field(default_factory=set)
    not_learned: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class _Side(NamedTuple):
    way: Way
    subject: Pod | Address
    peer: Pod | Address


class Tracer:
    """Traces the rules of one policy.

    Args:
        policy: Whose rules.
        book: All policies: others may admit the same connections.
    """

    def __init__(self, policy: NetworkPolicy, book: RuleBook) -> None:
        self._policy = str(policy)
        self._book = book
        self._found = {key: _Behind() for key, _ in book.rules() if key.policy == self._policy}

    def watch(self, flow: ResolvedFlow, decision: Accepted | Reason) -> None:
        """A `netpol.graph.admit.Watcher`: counts what was not learned."""
        row = flow.flow
        if not isinstance(decision, Reason) or row.direction is Direction.UNKNOWN or row.protocol not in PORT_PROTOCOLS:
            return
        keys: set[RuleKey] = set()
        source = grounded(flow.source, row.client)
        for item in flow.destinations:
            for side in _sides(source, grounded(item.end, row.server)):
                keys.update(self._admitting(side, (row.protocol, item.port or 0))[0])
        for key in keys:
            self._found[key].not_learned[decision.identifier] += row.connections

    def trace(self, observations: Iterable[Observation]) -> tuple[Trace, ...]:
        """Every rule of the policy that is of effect, in the order of the document.

        Args:
            observations: What was learned.
        """
        for item in observations:
            for side in _sides(item.source, item.destination):
                mine, others = self._admitting(side, (item.protocol, item.port))
                for key in mine:
                    behind = self._found[key]
                    behind.observations[_edge_key(item)].append(item)
                    behind.also.update(other for other in (*mine, *others) if other != key)
        return tuple(
            Trace(
                key=key,
                edges=tuple(_edge(behind.observations[edge]) for edge in sorted(behind.observations)),
                also=tuple(sorted(behind.also)),
                not_learned=dict(sorted(behind.not_learned.items())),
            )
            for key, behind in self._found.items()
        )

    def _admitting(self, side: _Side, port: tuple[int, int]) -> tuple[list[RuleKey], list[RuleKey]]:
        """The policy's rules that admit it, and those of others."""
        rules = [rule.key for rule in self._book.admitting(*side) if port in rule.covered]
        mine = [key for key in rules if key.policy == self._policy]
        return mine, [key for key in rules if key.policy != self._policy] if mine else []


def _sides(source: End, destination: End) -> Iterator[_Side]:
    ends = (_concrete(source), _concrete(destination))
    if ends[0] is not None and ends[1] is not None:
        yield _Side("egress", ends[0], ends[1])
        yield _Side("ingress", ends[1], ends[0])


def _concrete(end: End) -> Pod | Address | None:
    if isinstance(end, PodEnd):
        return end.pod
    return end.address if isinstance(end, NodeEnd | ExternalEnd) else None


def _edge_key(item: Observation) -> tuple[object, ...]:
    return (*(_named(end)[0] for end in (item.source, item.destination)), item.protocol, item.port)


def _edge(items: list[Observation]) -> TracedEdge:
    first = items[0]
    seen = seen_of(items)
    if seen is None:  # there is one item at least
        raise ValueError("an edge of nothing")
    return TracedEdge(
        source=_named(first.source)[1],
        destination=_named(first.destination)[1],
        protocol=first.protocol,
        port=first.port,
        seen=seen,
    )


def _named(end: LearnedEnd) -> tuple[tuple[str, ...], str]:
    """What sorts an end, and how it is printed."""
    if isinstance(end, PodEnd):
        return ("0", str(end)), str(end)
    text = f"{end} {end.address}"
    return end_key(end), text
