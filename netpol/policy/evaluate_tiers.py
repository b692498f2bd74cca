"""What cluster-wide policies say of one end: which of their rules match, and what comes of it with NetworkPolicies.

Rules of a tier are asked in order, and the first that matches ends the tier. Whether one matches is not always known:
a domain name may or may not have the address, an unknown port may or may not be one of the rule's. Then both answers
are followed, and where they lead to different ends the side is undefined. Rules without ports match every protocol
("protocol-specific attributes will not be used to match traffic"), so that these policies, other than NetworkPolicies,
do speak of ICMP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netpol.model.flow import PORT_PROTOCOLS
from netpol.model.policy import PodPeer
from netpol.model.ports import PortSet
from netpol.model.tier_peers import DomainNamesPeer, NetworksPeer, NodesPeer
from netpol.model.tiers import Action, Tier
from netpol.policy import matching
from netpol.policy.policy_set import tier_rules
from netpol.policy.verdict import Ruling, Side, TierMatch, TierStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.cidr import AddressSet
    from netpol.model.flow import Address
    from netpol.model.inventory import ContainerPort, Inventory
    from netpol.model.labels import LabelSelector
    from netpol.model.tiers import TierPolicy, TierRule
    from netpol.policy.evaluate_rules import Kind, Resolved
    from netpol.policy.policy_set import PolicySet
    from netpol.policy.verdict import Way

_ANYWHERE, _PERHAPS = None, "perhaps"


class TierAsked(NamedTuple):
    """The connection: `port` is None where it is not known or where the protocol has none."""

    protocol: int
    port: int | None
    declared: tuple[ContainerPort, ...]


class _Candidate(NamedTuple):
    """A rule that may match one kind of peer.

    Attributes:
        peers: (peer index, where): the peer matches where an address is in the set, anyway (None), or perhaps.
    """

    policy: TierPolicy
    position: int
    rule: TierRule
    peers: tuple[tuple[int, AddressSet | str | None], ...]


class TierJudge:
    """Asks the cluster-wide policies of a policy set.

    Args:
        policies: All of them.
        inventory: For the addresses of nodes.
    """

    def __init__(self, policies: PolicySet, inventory: Inventory) -> None:
        self._tiers = {Tier.ADMIN: policies.admin, Tier.BASELINE: policies.baseline}
        self._inventory = inventory
        self._nodes: dict[LabelSelector, AddressSet] = {}
        self._selecting: dict[tuple[Kind, Tier, Way], tuple[TierPolicy, ...]] = {}
        self._rules: dict[tuple[Kind, Kind | None, Tier, Way], tuple[_Candidate, ...]] = {}

    def side(self, side: Side, subject: Resolved, peer: Resolved, asked: TierAsked, *, undefined: str) -> Side:
        """A side with what the tiers say.

        Args:
            side: What the NetworkPolicies say.
            subject: The end that the policies are for.
            peer: The other end.
            asked: The connection.
            undefined: Why NetworkPolicies say nothing of such a connection, empty where they do.
        """
        admin = self._step(Tier.ADMIN, side.way, subject, peer, asked)
        baseline = self._step(Tier.BASELINE, side.way, subject, peer, asked)
        if admin is None and baseline is None and not (undefined and side.isolated):
            return side
        if side.isolated:
            last = {Ruling.UNDEFINED if undefined else side.ruling}
        else:
            last = _outcomes(baseline, {Ruling.ALLOWED})
        outcomes = _outcomes(admin, last)
        ruling = outcomes.pop() if len(outcomes) == 1 else Ruling.UNDEFINED
        unclear = ""
        if ruling is Ruling.UNDEFINED:
            steps = (admin,) if side.isolated else (admin, baseline)
            unclear = next(_doubts(steps, asked), undefined)
        return Side(
            way=side.way,
            isolated_by=side.isolated_by,
            match=side.match,
            admin=admin,
            baseline=baseline,
            tiered=ruling,
            unclear=unclear,
        )

    def _step(self, tier: Tier, way: Way, subject: Resolved, peer: Resolved, asked: TierAsked) -> TierStep | None:
        """What one tier says, None where no policy of it has rules for the subject in this direction."""
        selecting = self._policies(tier, way, subject.kind) if subject.kind is not None else ()
        if not selecting or subject.kind is None:
            return None
        possible: list[TierMatch] = []
        for candidate in self._candidates(tier, way, subject.kind, peer.kind):
            certain, index = _peer(candidate, peer.addresses)
            covered, port = _port(candidate.rule, asked) if index is not None else (False, None)
            if index is None or covered is False:
                continue
            match = TierMatch(policy=candidate.policy, way=way, rule=candidate.position, peer=index, port=port)
            if certain and covered:
                return TierStep(tier=tier, policies=selecting, match=match, possible=tuple(possible))
            possible.append(match)
        return TierStep(tier=tier, policies=selecting, possible=tuple(possible))

    def _policies(self, tier: Tier, way: Way, kind: Kind) -> tuple[TierPolicy, ...]:
        found = self._selecting.get((kind, tier, way))
        if found is None:
            found = self._selecting[kind, tier, way] = tuple(
                policy for policy in self._tiers[tier] if tier_rules(policy, way) and _means(policy.subject, kind)
            )
        return found

    def _candidates(self, tier: Tier, way: Way, subject: Kind, peer: Kind | None) -> tuple[_Candidate, ...]:
        found = self._rules.get((subject, peer, tier, way))
        if found is None:
            found = self._rules[subject, peer, tier, way] = tuple(
                _Candidate(policy, position, rule, peers)
                for policy in self._policies(tier, way, subject)
                for position, rule in enumerate(tier_rules(policy, way))
                if (peers := tuple(self._possible(rule, peer)))
            )
        return found

    def _possible(self, rule: TierRule, kind: Kind | None) -> Iterator[tuple[int, AddressSet | str | None]]:
        """The peers of a rule that may match; nothing after one that matches anyway can matter."""
        for index, peer in enumerate(rule.peers):
            if isinstance(peer, PodPeer):
                if kind is not None and _means(peer, kind):
                    yield index, _ANYWHERE
                    return
            elif isinstance(peer, DomainNamesPeer):
                if kind is None or peer.may_be_pods:
                    yield index, _PERHAPS
            else:
                yield index, self._addresses(peer)

    def _addresses(self, peer: NetworksPeer | NodesPeer) -> AddressSet:
        if isinstance(peer, NetworksPeer):
            return peer.addresses
        found = self._nodes.get(peer.selector)
        if found is None:
            found = self._nodes[peer.selector] = matching.node_addresses(self._inventory, peer.selector)
        return found


def _means(peer: PodPeer, kind: Kind) -> bool:
    """Whether a subject or a peer with selectors selects pods of this kind."""
    return matching.peer_selects(peer, "", kind.example, kind.namespace_labels)


def _peer(candidate: _Candidate, addresses: tuple[Address, ...]) -> tuple[bool, int | None]:
    """Whether a peer certainly matches, and the index of the first that does, or that may."""
    doubtful = None
    for index, where in candidate.peers:
        if where is _ANYWHERE:
            return True, index
        if isinstance(where, str):
            doubtful = index if doubtful is None else doubtful
        elif any(address in where for address in addresses):
            return True, index
    return False, doubtful


def _port(rule: TierRule, asked: TierAsked) -> tuple[bool | None, int | None]:
    """Whether the rule's ports cover what is asked, None where that is not known, and which of them does."""
    if not rule.ports:
        return True, None
    if asked.protocol not in PORT_PROTOCOLS:
        return False, None
    if asked.port is None:
        covered = matching.tier_ports(rule, asked.declared)[asked.protocol]
        return (True if covered == PortSet.ALL else None if covered else False), None
    for index, port in enumerate(rule.ports):
        if matching.tier_port_matches(port, asked.protocol, asked.port, asked.declared):
            return True, index
    return False, None


_FINAL = {Action.ALLOW: Ruling.ALLOWED, Action.DENY: Ruling.DENIED}


def _outcomes(step: TierStep | None, otherwise: set[Ruling]) -> set[Ruling]:
    """What a tier can come to.

    Args:
        step: What it says; None: nothing.
        otherwise: What the tiers after it can come to.
    """
    if step is None:
        return set(otherwise)
    found: set[Ruling] = set()
    for match in step.possible:
        action = match.content.action
        found |= otherwise if action is Action.PASS else {_FINAL[action]}
    if step.match is None or step.match.content.action is Action.PASS:
        return found | otherwise
    return found | {_FINAL[step.match.content.action]}


def _doubts(steps: tuple[TierStep | None, ...], asked: TierAsked) -> Iterator[str]:
    """Why it is not known whether rules match."""
    for step in steps:
        for match in step.possible if step is not None else ():
            peer = match.content.peers[match.peer]
            if isinstance(peer, DomainNamesPeer):
                yield f"whether {match} has the address depends on the answers of DNS to {', '.join(peer.names)}"
            elif asked.port is None:
                yield "the port is not known"
