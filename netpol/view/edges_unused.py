"""Edges that a rule admits and nobody used, or used on some of its ports or with some of its addresses only."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from netpol.model.endpoint import PodEnd
from netpol.model.ports import PortMap, PortSet
from netpol.policy.verdict import Ruling
from netpol.view.flow_graph import PARTLY_USED, FlowEdge, RuleRef, State
from netpol.view.sightings import rules_of
from netpol.view.unused import addresses_of, party

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netpol.graph.observation import Observation
    from netpol.model.flow import Address
    from netpol.policy.connectivity_places import Place
    from netpol.policy.evaluate import Evaluator
    from netpol.view.unused import Allowed

ASKED = 8
"""Ranges of ports of one edge, the lowest, whose rules are asked for."""


class Used:
    """What was learned, for subtracting it from what is allowed."""

    def __init__(self, learned: Iterable[Observation]) -> None:
        self._ports: defaultdict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
        self._at: defaultdict[tuple[str, bool], defaultdict[tuple[int, int], set[Address]]] = defaultdict(
            lambda: defaultdict(set)
        )
        for item in learned:
            port = (item.protocol, item.port)
            source, destination = item.source, item.destination
            if isinstance(source, PodEnd) and isinstance(destination, PodEnd):
                self._ports[str(source), str(destination)].add(port)
            elif isinstance(source, PodEnd) and not isinstance(destination, PodEnd):
                self._at[str(source), True][port].add(destination.address)
            elif isinstance(destination, PodEnd) and not isinstance(source, PodEnd):
                self._at[str(destination), False][port].add(source.address)

    def ports(self, source: str, destination: str) -> PortMap:
        """Those between two workloads."""
        return _port_map(frozenset(self._ports.get((source, destination), ())))

    def between(self, workload: str, place: Place, *, outward: bool) -> tuple[PortMap, bool]:
        """The ports that every address of the place was used on, and whether any was."""
        area = addresses_of(place)
        everywhere, anywhere = set(), False
        for port, addresses in self._at.get((workload, outward), {}).items():
            inside = sum(address in area for address in addresses)
            anywhere = anywhere or bool(inside)
            if inside == area.size:
                everywhere.add(port)
        return _port_map(frozenset(everywhere)), anywhere


class Unused(NamedTuple):
    """What is left of one pair and is new, or is not."""

    source: str
    destination: str
    state: State
    ports: PortMap
    partly: bool
    pairs: list[Allowed]


def unused_of(pairs: Iterable[Allowed], used: Used, names: Mapping[Address, str]) -> Iterator[Unused]:
    """What is allowed without what was used.

    Args:
        pairs: What is allowed.
        used: What was learned.
        names: Node addresses to ids.
    """
    for (source, destination), some in _by_node(pairs, names).items():
        one, *others = some
        after, before = one.after, one.before
        for pair in others:
            after, before = after | pair.after, before | pair.before
        if one.source.first is not None:
            spent, partly = used.between(destination, one.source, outward=False)
        elif one.destination.first is not None:
            spent, partly = used.between(source, one.destination, outward=True)
        else:
            spent = used.ports(source, destination)
            partly = bool(spent & after) if spent else False
        for state, ports in _left(after, spent, before):
            if ports:
                yield Unused(source, destination, state, ports, partly, some)


@lru_cache(maxsize=1 << 12)
def _left(after: PortMap, spent: PortMap, before: PortMap) -> tuple[tuple[State, PortMap], ...]:
    """Many pairs are alike."""
    left = after - spent
    return (State.NEW, left - before), (State.UNUSED, left & before)


@lru_cache(maxsize=1 << 12)
def _port_map(ports: frozenset[tuple[int, int]]) -> PortMap:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for protocol, port in ports:
        found[protocol].append(port)
    return PortMap.of({protocol: PortSet.of(*some) for protocol, some in found.items()})


def unused_key(item: Unused) -> tuple[str, str, State]:
    """Sorts them."""
    return item.source, item.destination, item.state


def edge_of(item: Unused, evaluator: Evaluator) -> FlowEdge:
    """The edge, with the rules that admit it under the evaluator's policies."""
    return FlowEdge(
        source=item.source,
        destination=item.destination,
        state=item.state,
        protocols=tuple(protocol for protocol, _ in item.ports),
        ports=item.ports,
        reason=PARTLY_USED if item.partly else "",
        ruling=Ruling.ALLOWED,
        admitted_by=_rules(item.pairs, item.ports, evaluator),
    )


def _by_node(pairs: Iterable[Allowed], names: Mapping[Address, str]) -> dict[tuple[str, str], list[Allowed]]:
    found: dict[tuple[str, str], list[Allowed]] = {}
    for pair in pairs:
        found.setdefault((node_of(pair.source, names), node_of(pair.destination, names)), []).append(pair)
    return found


def node_of(place: Place, names: Mapping[Address, str]) -> str:
    """The id of the node that stands for a place: a workload for its pods, a node for its address."""
    if place.first is None:
        return str(place.members[0].pod.workload)
    if place.text == f"{place.first}/{place.first.max_prefixlen}":
        return names.get(place.first, f"external {place.first}")
    return f"external {place.text}"


def _rules(pairs: list[Allowed], ports: PortMap, evaluator: Evaluator) -> tuple[RuleRef, ...]:
    """The rules that admit the lowest port of each range."""
    found: set[RuleRef] = set()
    pair = next((pair for pair in pairs if pair.after & ports), pairs[0])
    asked = [(protocol, first) for protocol, some in ports & pair.after for first, _ in some]
    for protocol, port in asked[:ASKED]:
        found.update(rules_of(evaluator.verdict(party(pair.source), party(pair.destination), protocol, port)))
    return tuple(sorted(found))
