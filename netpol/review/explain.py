"""Takes a question about one connection; yields the verdict with its reasons.

Replicas that policies cannot tell apart are judged once. Pairs of replicas that get the same answer for the same
reasons are one case; where replicas differ there are several, and each says whose it is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from netpol.cluster.ranges import UnownedRanges
from netpol.errors import UsageError
from netpol.model.endpoint import ExternalEnd, NodeEnd, UnknownEnd
from netpol.model.inventory import Pod
from netpol.policy import matching
from netpol.policy.classes import Partition, Side
from netpol.policy.classes_pods import node_names, node_of
from netpol.policy.evaluate import Evaluator
from netpol.policy.policy_set import PolicySet, tier_rules
from netpol.review.explanation import Case, Explanation, SideExplained
from netpol.review.scene import listed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory
    from netpol.model.tiers import Policy, TierPolicy
    from netpol.policy.verdict import RuleMiss, TierStep, Verdict, Way
    from netpol.review.ends import EndAsked, PortAsked

    Party = Pod | Address


def explain(
    source: EndAsked, destination: EndAsked, port: PortAsked, policies: Sequence[Policy], inventory: Inventory
) -> Explanation:
    """The verdict on a connection, with its reasons.

    Raises:
        UsageError: The destination does not have the named port.
    """
    court = _Court(policies, inventory, (source.address, destination.address))
    sources = _parties(source)
    servers, without = _servers(destination, port)
    groups = court.grouped(sources, servers)
    cases = _cases(court, groups, port.protocol)
    notes = [f"{end.text} {end.note}" for end in (source, destination) if end.note]
    notes += court.notes(source, destination)
    if without:
        names = listed([f"{pod.namespace}/{pod.name}" for pod in without])
        notes.append(f"not judged, since they do not declare {port}: {names}")
    notes += _tier_notes(cases)
    if len(source.pods) > 1 and len(destination.pods) > 1 and source.pods == destination.pods:
        notes.append("each pod may always connect to itself; the answer is for two different ones")
    return Explanation(source=source, destination=destination, port=port, cases=cases, notes=tuple(notes))


def _parties(end: EndAsked) -> tuple[Party, ...]:
    return end.pods or ((end.address,) if end.address is not None else ())


def _servers(destination: EndAsked, port: PortAsked) -> tuple[list[tuple[Party, int]], list[Pod]]:
    """The destinations with the port at each, and the pods that do not have the name that was asked for."""
    if isinstance(port.port, int):
        return [(party, port.port) for party in _parties(destination)], []
    if not destination.pods:
        raise UsageError(f"{destination.text} is no pod, and only a pod's ports have names", remedy="Give the number")
    found: list[tuple[Party, int]] = []
    without = []
    for pod in destination.pods:
        numbers = sorted({one.port for one in pod.ports if (one.name, one.protocol) == (port.port, port.protocol)})
        found += ((pod, number) for number in numbers)
        if not numbers:
            without.append(pod)
    if not found:
        names = sorted({one.name for pod in destination.pods for one in pod.ports if one.name})
        remedy = f"It declares {', '.join(names[:8])}" if names else "It declares no named port: give the number"
        raise UsageError(f"{destination.text} declares no port {port}", remedy=remedy)
    return found, without


_Groups = list[tuple["tuple[Party, ...]", "tuple[Party, ...]", int]]


class _Court:
    """The judge, and what tells ends apart."""

    def __init__(
        self,
        policies: Sequence[Policy],
        inventory: Inventory,
        addresses: tuple[Address | None, Address | None],
    ) -> None:
        self._policies = PolicySet.of(policies)
        self._inventory = inventory
        self._evaluator = Evaluator(policies, inventory)
        self._addresses = addresses
        self._partition = Partition([Side(policies=tuple(policies), inventory=inventory)])
        self._nodes = node_names(inventory)

    def grouped(self, sources: Sequence[Party], servers: Sequence[tuple[Party, int]]) -> _Groups:
        """Sources, destinations and port of what is judged alike; never an end with itself where there are others."""
        # Nodes matter only between a pod and something that is a node.
        by_node = any(self._is_node(party) for party in (*sources, *(party for party, _ in servers)))
        openers: defaultdict[Hashable, list[Party]] = defaultdict(list)
        for party in sources:
            openers[self._key(party, by_node=by_node)].append(party)
        listeners: defaultdict[tuple[Hashable, int], list[Party]] = defaultdict(list)
        for party, port in servers:
            listeners[self._key(party, by_node=by_node), port].append(party)
        pairs = [
            (tuple(some), tuple(others), port) for some in openers.values() for (_, port), others in listeners.items()
        ]
        return [pair for pair in pairs if _are_two(pair)] or pairs

    def _key(self, party: Party, *, by_node: bool) -> Hashable:
        if not isinstance(party, Pod):
            return str(party)
        member = self._partition.member_of(party)
        if member is None:
            return party.uid
        return int(self._partition.class_of[member]), node_of(party, self._nodes) if by_node else ""

    def _is_node(self, party: Party) -> bool:
        return party.host_network if isinstance(party, Pod) else party in self._nodes

    def judge(self, source: Party, destination: Party, protocol: int, port: int) -> tuple[Verdict, RuleMisses]:
        """The verdict and, of the sides that do not admit it, each rule."""
        verdict = self._evaluator.verdict(source, destination, protocol, port, addresses=self._addresses)
        if verdict.allowed:
            return verdict, ()
        return verdict, self._evaluator.misses(source, destination, protocol, port, addresses=self._addresses)

    def side(self, way: Way, party: Party, verdict: Verdict, misses: RuleMisses) -> SideExplained:
        """What one end's policies say."""
        if not isinstance(party, Pod):
            holder = self._evaluator.holder(party)
            return SideExplained(way=way, end=party, node=holder.name if isinstance(holder, NodeEnd) else "")
        side = verdict.egress if way == "egress" else verdict.ingress
        labelled = [
            policy
            for policy in self._policies.namespaced
            if policy.namespace == party.namespace and policy.pod_selector.matches(party.labels)
        ]
        selecting = [policy for policy in labelled if matching.selects(policy, party)]
        return SideExplained(
            way=way,
            end=party,
            isolated_by=side.isolated_by,
            others=tuple(policy for policy in selecting if policy not in side.isolated_by),
            ignored=(*self._tiers_for(way, party), *labelled) if party.host_network else (),
            match=side.match,
            misses=() if side.admits or side.decided_by else tuple(miss for miss in misses if miss.way == way),
            admin=side.admin,
            baseline=side.baseline,
            decided_by=side.decided_by,
        )

    def _tiers_for(self, way: Way, pod: Pod) -> Iterator[TierPolicy]:
        """The cluster-wide policies that would select a hostNetwork pod if it were none."""
        other = replace(pod, host_network=False)
        labels = matching.namespace_labels(self._inventory, pod.namespace)
        for policy in self._policies.tiers:
            if tier_rules(policy, way) and matching.peer_selects(policy.subject, "", other, labels):
                yield policy

    def notes(self, *ends: EndAsked) -> Iterator[str]:
        """What is odd about addresses."""
        ranges = UnownedRanges(self._inventory)
        for end in ends:
            if end.address is not None and isinstance(self._evaluator.holder(end.address), ExternalEnd):
                unowned = ranges.end(end.address)
                if isinstance(unowned, UnknownEnd):
                    yield f"{end.text} is {unowned.reason}; it was judged as an address outside"


RuleMisses = tuple["RuleMiss", ...]


def _tier_notes(cases: tuple[Case, ...]) -> list[str]:
    """What the definitions of cluster-wide policies leave open."""
    steps = [step for case in cases for side in case.sides for step in (side.admin, side.baseline) if step is not None]
    return list(dict.fromkeys(note for step in steps if (note := _equal(step))))


def _equal(step: TierStep) -> str:
    """That the policy which decided is not the only one of its priority, empty where it is."""
    if step.match is None:
        return ""
    chosen = step.match.policy
    others = [
        policy
        for policy in step.policies
        if policy is not chosen and (policy.priority == chosen.priority or None in {policy.priority, chosen.priority})
    ]
    if not others:
        return ""
    names = listed([str(policy) for policy in others])
    return (
        f"nothing says whether {chosen} or {names} is asked first: they have the same priority, or one has none; "
        "they were asked in the order of kind and name"
    )


def _are_two(group: tuple[tuple[Party, ...], tuple[Party, ...], int]) -> bool:
    some, others, _ = group
    return len(some) > 1 or len(others) > 1 or not _same(some[0], others[0])


def _same(one: Party, other: Party) -> bool:
    return one == other if not (isinstance(one, Pod) and isinstance(other, Pod)) else one.uid == other.uid


def _cases(court: _Court, groups: _Groups, protocol: int) -> tuple[Case, ...]:
    """Each group judged by one pair, and groups with the same reasons put together."""
    found: dict[Hashable, list[Case]] = {}
    for group in groups:
        sources, destinations, port = group
        source, destination = _two_of(sources, destinations)
        verdict, misses = court.judge(source, destination, protocol, port)
        sides: tuple[SideExplained, ...] = ()
        if not verdict.reason:
            egress = court.side("egress", source, verdict, misses)
            sides = (egress, court.side("ingress", destination, verdict, misses))
        key = (verdict.ruling, verdict.reason, port, tuple(side.reasons for side in sides))
        case = Case(pairs=((sources, destinations),), port=port, verdict=verdict, sides=sides)
        found.setdefault(key, []).append(case)
    return tuple(
        replace(cases[0], pairs=tuple(pair for case in cases for pair in case.pairs)) for cases in found.values()
    )


def _two_of(sources: Sequence[Party], destinations: Sequence[Party]) -> tuple[Party, Party]:
    """One of each: of replicas that are alike two different ones, because an end may always connect to itself."""
    pairs = ((one, other) for one in sources[:2] for other in destinations[:2] if not _same(one, other))
    return next(pairs, (sources[0], destinations[0]))
