"""Which rule of an end's policies admits its peer: the part of a verdict that is asked once for each isolated side."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from netpol.model.policy import BlockPeer
from netpol.policy import matching
from netpol.policy.evaluate_index import PeerIndex
from netpol.policy.verdict import RuleMatch, RuleMiss, Way

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.model.cidr import IPBlock
    from netpol.model.flow import Address
    from netpol.model.inventory import ContainerPort, Pod
    from netpol.model.policy import NetworkPolicy, Peer, PolicyPort, Rule
    from netpol.policy.evaluate_index import Place


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kind:
    """Pods that no selector can tell apart: one namespace, one set of the labels that selectors look at.

    Attributes:
        example: One of them.
        ingress: The policies that isolate their ingress.
        egress: The policies that isolate their egress.
        rules: What `_candidates` found, by direction and peer.
        shared: The same by content: most peers meet the same few sets of rules, which are kept once.
        indexes: Of the policies' peers, by direction, made when they are first asked for.
    """

    example: Pod
    namespace_labels: Mapping[str, str]
    ingress: tuple[NetworkPolicy, ...]
    egress: tuple[NetworkPolicy, ...]
    rules: dict[tuple[Way, Kind | None], tuple[_Candidate, ...]] = field(default_factory=dict)
    shared: dict[tuple[Way, object], tuple[_Candidate, ...]] = field(default_factory=dict)
    indexes: dict[Way, PeerIndex] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """An end as policies see it.

    Attributes:
        pod: None for an address, a node or a hostNetwork pod: nothing that a policy could select.
        kind: The pod's, None like `pod`.
        addresses: What an ipBlock is compared with.
        node: The node that it is, empty for anything else.
        unclear: Why nothing can be said about it, empty when something can.
    """

    pod: Pod | None = None
    kind: Kind | None = None
    addresses: tuple[Address, ...] = ()
    node: str = ""
    unclear: str = ""

    def at(self, address: Address) -> Resolved:
        """The same end, met at one address."""
        return Resolved(pod=self.pod, kind=self.kind, addresses=(address,), node=self.node)

    def isolating(self, way: Way) -> tuple[NetworkPolicy, ...]:
        """The policies that isolate it in this direction."""
        if self.kind is None:
            return ()
        return self.kind.ingress if way == "ingress" else self.kind.egress


class Asked(NamedTuple):
    """The protocol, the port, and the destination pod's declared ports, by which names are resolved."""

    protocol: int
    port: int
    declared: tuple[ContainerPort, ...]


class _Candidate(NamedTuple):
    """A rule that may admit one kind of peer.

    Attributes:
        peers: (peer index, block) in order: with a block, the peer matches where an address is in it; without one, it
            matches anyway. A rule for everyone has the one pair (None, None).
    """

    policy: NetworkPolicy
    position: int
    rule: Rule
    peers: tuple[tuple[int | None, IPBlock | None], ...]


def first_match(way: Way, subject: Resolved, peer: Resolved, asked: Asked) -> RuleMatch | None:
    """The first rule of the policies that isolate `subject` in this direction that admits the peer on the port."""
    for candidate in _candidates(way, subject, peer):
        who = _first_peer(candidate, peer.addresses)
        where = _first_port(candidate.rule.ports, asked) if who else None
        if who and where:
            return RuleMatch(
                policy=candidate.policy, way=way, rule=candidate.position, peer=who.position, port=where.position
            )
    return None


def misses(way: Way, subject: Resolved, peer: Resolved, asked: Asked) -> Iterator[RuleMiss]:
    """Each rule of the policies that isolate `subject` in this direction that does not admit the peer on the port."""
    candidates = {(id(found.policy), found.position): found for found in _candidates(way, subject, peer)}
    for policy in subject.isolating(way):
        for index in range(len(_rules(policy, way))):
            candidate = candidates.get((id(policy), index))
            who = _first_peer(candidate, peer.addresses) if candidate else None
            if candidate is None or who is None:
                yield RuleMiss(policy=policy, way=way, rule=index, peer=None, by="peer")
            elif _first_port(candidate.rule.ports, asked) is None:
                yield RuleMiss(policy=policy, way=way, rule=index, peer=who.position, by="port")


class _Found(NamedTuple):
    """What matched first: its index in the document, None where the rule does not restrict it."""

    position: int | None


_UNRESTRICTED = _Found(None)
_EVERYONE: tuple[tuple[int | None, IPBlock | None], ...] = ((None, None),)


def _first_peer(candidate: _Candidate, addresses: tuple[Address, ...]) -> _Found | None:
    for index, block in candidate.peers:
        if block is None or matching.block_matches(block, addresses):
            return _Found(index)
    return None


def _first_port(ports: tuple[PolicyPort, ...], asked: Asked) -> _Found | None:
    if not ports:
        return _UNRESTRICTED
    for index, port in enumerate(ports):
        if matching.port_matches(port, asked.protocol, asked.port, asked.declared):
            return _Found(index)
    return None


def _candidates(way: Way, subject: Resolved, peer: Resolved) -> tuple[_Candidate, ...]:
    """The rules that can admit such a peer, whatever the port and the addresses; remembered per pair of kinds."""
    if subject.kind is None:
        return ()
    known = subject.kind.rules.get((way, peer.kind))
    if known is None:
        signature = tuple(_possible(way, subject, peer.kind))
        known = subject.kind.shared.get((way, signature))
        if known is None:
            known = tuple(_candidate(way, subject, *place) for place in signature)
            subject.kind.shared[way, signature] = known
        subject.kind.rules[way, peer.kind] = known
    return known


def _possible(way: Way, subject: Resolved, peer: Kind | None) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Where the candidates stand: the number of the policy, of the rule, and of its peers that may match."""
    isolating = subject.isolating(way)
    places = _places(way, subject, peer)
    for (number, position), some in groupby(places, key=itemgetter(0, 1)):
        policy = isolating[number]
        rule = _rules(policy, way)[position]
        peers = _possible_peers(rule, [place.peer for place in some], policy.namespace, peer)
        if peers or not rule.peers:
            yield number, position, peers


def _places(way: Way, subject: Resolved, peer: Kind | None) -> list[Place]:
    if subject.kind is None:
        return []
    index = subject.kind.indexes.get(way)
    if index is None:
        rules = ((policy.namespace, _rules(policy, way)) for policy in subject.isolating(way))
        index = subject.kind.indexes[way] = PeerIndex(rules)
    return index.places(peer.example.namespace, peer.example.labels) if peer else index.elsewhere()


def _possible_peers(rule: Rule, indexes: list[int], policy_namespace: str, kind: Kind | None) -> tuple[int, ...]:
    """Of the peers of a rule at these indexes, those that match or, an ipBlock, may match."""
    found = []
    for index in indexes if rule.peers else ():
        peer = rule.peers[index]
        if isinstance(peer, BlockPeer):
            found.append(index)
        elif kind and matching.peer_selects(peer, policy_namespace, kind.example, kind.namespace_labels):
            found.append(index)
            # Nothing after a peer that matches anyway can matter.
            break
    return tuple(found)


def _candidate(way: Way, subject: Resolved, number: int, position: int, peers: tuple[int, ...]) -> _Candidate:
    policy = subject.isolating(way)[number]
    rule = _rules(policy, way)[position]
    listed = tuple((index, _block(rule.peers[index])) for index in peers)
    return _Candidate(policy, position, rule, listed or _EVERYONE)


def _block(peer: Peer) -> IPBlock | None:
    return peer.block if isinstance(peer, BlockPeer) else None


def _rules(policy: NetworkPolicy, way: Way) -> tuple[Rule, ...]:
    return policy.ingress if way == "ingress" else policy.egress
