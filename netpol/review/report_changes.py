"""What a change of policies changes, each connection with its evidence and the rules that decide it."""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING, NamedTuple

from netpol.model.endpoint import ExternalEnd, PodEnd
from netpol.model.ports import PortMap
from netpol.policy.difference import difference
from netpol.policy.evaluate import Evaluator
from netpol.review.report import Change, RuleRef, less
from netpol.view.sightings import rules_of
from netpol.view.unused import allowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.graph.observation import LearnedEnd
    from netpol.policy.classes import Side
    from netpol.policy.connectivity_places import Place
    from netpol.policy.verdict import Verdict
    from netpol.review.evidence import Sightings

TRIED = 20
"""Pairs of pods of one row that are asked about, until one is decided by rules."""

ASKED = 8
"""Ranges of ports of one row, the lowest, whose rules are asked for."""


class Changes(NamedTuple):
    """The rows, the most important first, and how many pairs were folded; see `Report.closed`."""

    rows: tuple[Change, ...]
    closed: int | None


class _Pair(NamedTuple):
    source: Place
    destination: Place
    before: PortMap
    after: PortMap


def changes_of(old: Side, new: Side, sightings: Sightings, *, rules: bool = True) -> Changes:
    """Compares two policy sets.

    Where there were no policies at all, everything was open: then what is still allowed is listed, and what is closed
    is not, since it is everything else.

    Args:
        old: Policies and cluster before.
        new: The same after.
        sightings: What was learned.
        rules: Find the rules of every row; otherwise of those that are opened and of which nothing was seen.
    """
    evaluator = Evaluator(new.policies, new.inventory)
    open_before = not old.policies
    nodes = {
        f"{address}/{address.max_prefixlen}": f"node/{node.name}"
        for node in new.inventory.nodes
        for address in node.addresses
    }
    pairs = _narrowed(new, evaluator) if open_before else _differing(old, new)
    rows: list[Change] = []
    closed = 0
    for pair in pairs:
        lost = sightings.between(pair.source, pair.destination, less(pair.before, pair.after))
        if lost is None and pair.before == PortMap.ALL and not pair.after:
            closed += 1
            continue
        seen = sightings.between(pair.source, pair.destination, pair.after)
        asked = rules or (seen is None and less(pair.after, pair.before))
        rows.append(
            Change(
                source=_text(pair.source, nodes),
                destination=_text(pair.destination, nodes),
                before=pair.before,
                after=pair.after,
                seen=seen,
                lost=lost,
                rules=tuple(sorted(_rules(pair, evaluator))) if asked else (),
            )
        )
    rows.sort(key=_importance)
    return Changes(tuple(rows), None if open_before else closed)


def _text(place: Place, nodes: Mapping[str, str]) -> str:
    return f"{nodes[place.text]} {place.text}" if place.text in nodes else place.text


def _importance(row: Change) -> tuple[int, str, str]:
    """What breaks, then what is opened for nobody, then what is opened, then the rest."""
    if row.lost:
        rank = 0
    elif row.added and not row.seen:
        rank = 1
    else:
        rank = 2 if row.added else 3 if row.after else 4
    return rank, row.source, row.destination


def _differing(old: Side, new: Side) -> Iterator[_Pair]:
    for change in difference(old, new).changes:
        # To policies, pods in the host network are their node's addresses, and those have rows of their own.
        if not _in_host_network(change.source) and not _in_host_network(change.destination):
            yield _Pair(change.source, change.destination, change.before, change.after)


def _narrowed(new: Side, evaluator: Evaluator) -> Iterator[_Pair]:
    for pair in allowed(new, evaluator):
        if pair.after != PortMap.ALL:
            yield _Pair(pair.source, pair.destination, PortMap.ALL, pair.after)


def _in_host_network(place: Place) -> bool:
    return bool(place.members) and all(member.pod.host_network for member in place.members)


def _rules(pair: _Pair, evaluator: Evaluator) -> set[RuleRef]:
    """The rules that admit what is added, or else what is left; where nothing is, those who deny what was."""
    ports = less(pair.after, pair.before) or pair.after or pair.before
    found: set[RuleRef] = set()
    for protocol, port in islice(((number, first) for number, some in ports for first, _ in some), ASKED):
        verdict = _verdict(pair, evaluator, protocol, port)
        if verdict is None:
            continue
        if verdict.allowed:
            found.update(RuleRef(policy=one.policy, way=one.way, rule=one.rule) for one in rules_of(verdict))
        elif verdict.blocked_by is not None:
            found.update(RuleRef(policy=str(one), way=verdict.blocked_by, rule=None) for one in verdict.blocking)
    return found


def _verdict(pair: _Pair, evaluator: Evaluator, protocol: int, port: int) -> Verdict | None:
    """Of the first two ends between which rules decide: not of a pod and its own node."""
    for source, destination in islice(product(_ends(pair.source), _ends(pair.destination)), TRIED):
        if source != destination:
            verdict = evaluator.verdict(source, destination, protocol, port)
            if not verdict.reason:
                return verdict
    return None


def _ends(place: Place) -> Iterator[LearnedEnd]:
    if place.first is not None:
        yield ExternalEnd(place.first)
    for member in place.members:
        pod = member.pods[-1]
        if pod is not None:
            yield PodEnd(pod)
