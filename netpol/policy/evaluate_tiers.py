"""What cluster-wide policies say of one end: which of their rules match, and what comes of it with NetworkPolicies.

Rules of a tier are asked in order, and the first that matches ends the tier. Whether one matches is not always known:
a domain name may or may not have the address, an unknown port may or may not be one of the rule's. Then both answers
are followed, and where they lead to different ends the side is undefined. Rules without ports match every protocol
("protocol-specific attributes will not be used to match traffic"), so that these policies, other than NetworkPolicies,
do speak of ICMP.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, NamedTuple

from netpol.model.flow import PORT_PROTOCOLS
from netpol.model.policy import PodPeer
from netpol.model.ports import PortSet
from netpol.model.tier_peers import DomainNamesPeer
from netpol.model.tiers import Action, Tier
from netpol.policy import matching
from netpol.policy.atoms_addresses import AddressAtoms
from netpol.policy.classes_tiers import area, areas
from netpol.policy.policy_set import tier_rules
from netpol.policy.verdict import Ruling, Side, TierMatch, TierStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.inventory import ContainerPort, Inventory
    from netpol.model.tier_peers import TierPeer
    from netpol.model.tiers import TierPolicy, TierRule
    from netpol.policy.evaluate_rules import Kind, Resolved
    from netpol.policy.policy_set import PolicySet
    from netpol.policy.verdict import Way


class TierAsked(NamedTuple):
    """The connection: `port` is None where it is not known or where the protocol has none."""

    protocol: int
    port: int | None
    declared: tuple[ContainerPort, ...]


class _Candidate(NamedTuple):
    """A rule of a policy that selects the subject.

    Attributes:
        peers: The bit of each of its peers.
        bits: All of them.
        names: The first peer that names domains, None where none does.
        may_be_pods: Whether any of those names can be that of a pod.
    """

    policy: TierPolicy
    position: int
    rule: TierRule
    peers: tuple[int, ...]
    bits: int
    names: int | None
    may_be_pods: bool


class _Selecting(NamedTuple):
    """The policies of one tier that select a kind of pods and have rules for a direction, in order, and those rules."""

    policies: tuple[TierPolicy, ...]
    rules: tuple[_Candidate, ...]


class TierJudge:
    """Asks the cluster-wide policies of a policy set.

    What subjects and peers mean is looked up for all of them at once: each that has selectors is a bit that a kind of
    pods has or not, each that has addresses is a bit that an address has or not.

    Args:
        policies: All of them.
        inventory: For the addresses of nodes.
    """

    def __init__(self, policies: PolicySet, inventory: Inventory) -> None:
        self._tiers = {Tier.ADMIN: policies.admin, Tier.BASELINE: policies.baseline}
        self._inventory = inventory
        self._atoms = AddressAtoms(areas(policies.tiers, inventory))
        self._areas = {block: 1 << number for number, block in enumerate(self._atoms.blocks)}
        chosen = [policy.subject for policy in policies.tiers]
        for policy in policies.tiers:
            rules = (*policy.ingress, *policy.egress)
            chosen += (peer for rule in rules for peer in rule.peers if isinstance(peer, PodPeer))
        first = len(self._areas)
        self._pods = {peer: 1 << first + number for number, peer in enumerate(dict.fromkeys(chosen))}
        self._kinds: dict[Kind, int] = {}
        self._selecting: dict[tuple[Kind, Tier, Way], _Selecting] = {}

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
        selecting = self._of(tier, way, subject.kind) if subject.kind is not None else None
        if selecting is None or not selecting.policies:
            return None
        meant = self._meant(peer)
        possible: list[TierMatch] = []
        found: TierMatch | None = None
        for candidate in selecting.rules:
            certain = bool(candidate.bits & meant)
            doubtful = candidate.names is not None and (peer.kind is None or candidate.may_be_pods)
            if not (certain or doubtful):
                continue
            covered, port = _port(candidate.rule, asked)
            if covered is False:
                continue
            index = _first(candidate.peers, meant) if certain else candidate.names or 0
            match = TierMatch(policy=candidate.policy, way=way, rule=candidate.position, peer=index, port=port)
            if certain and covered:
                found = match
                break
            possible.append(match)
        return TierStep(tier=tier, policies=selecting.policies, match=found, possible=tuple(possible))

    def _of(self, tier: Tier, way: Way, subject: Kind) -> _Selecting:
        """The policies that select the subject, and their rules."""
        found = self._selecting.get((subject, tier, way))
        if found is None:
            selected = self._selected(subject)
            policies = tuple(
                policy
                for policy in self._tiers[tier]
                if tier_rules(policy, way) and self._pods[policy.subject] & selected
            )
            rules = tuple(
                self._candidate(policy, position, rule)
                for policy in policies
                for position, rule in enumerate(tier_rules(policy, way))
            )
            found = self._selecting[subject, tier, way] = _Selecting(policies, rules)
        return found

    def _candidate(self, policy: TierPolicy, position: int, rule: TierRule) -> _Candidate:
        names = [(index, peer) for index, peer in enumerate(rule.peers) if isinstance(peer, DomainNamesPeer)]
        bits = tuple(map(self._bit, rule.peers))
        return _Candidate(
            policy=policy,
            position=position,
            rule=rule,
            peers=bits,
            bits=reduce(or_, bits),
            names=names[0][0] if names else None,
            may_be_pods=any(peer.may_be_pods for _, peer in names),
        )

    def _bit(self, peer: TierPeer) -> int:
        """Its bit; names of domains have none."""
        if isinstance(peer, PodPeer):
            return self._pods[peer]
        return 0 if isinstance(peer, DomainNamesPeer) else self._areas[area(peer, self._inventory)]

    def _meant(self, end: Resolved) -> int:
        """The bits of all peers that mean an end."""
        inside = self._atoms.covering(end.addresses) if self._areas else 0
        return inside if end.kind is None else inside | self._selected(end.kind)

    def _selected(self, kind: Kind) -> int:
        """The bits of all subjects and peers that select pods of a kind."""
        found = self._kinds.get(kind)
        if found is None:
            found = 0
            for peer, bit in self._pods.items():
                if matching.peer_selects(peer, "", kind.example, kind.namespace_labels):
                    found |= bit
            self._kinds[kind] = found
        return found


def _first(peers: tuple[int, ...], meant: int) -> int:
    """The first of the peers that means the end."""
    return next(index for index, bit in enumerate(peers) if bit & meant)


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
