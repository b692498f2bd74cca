"""Earlier policies without addresses that must not be allowed any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.policy import BlockPeer
from netpol.policy.verdict import Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.policy import NetworkPolicy, Peer, Rule

_EXCEPTIONS = 256
"""A block with more than this many addresses is kept whole, with what is withheld cut out by `except`."""


Unwanted = Callable[[AddressSet, Way], AddressSet]
"""Says which of the addresses of a block must not be allowed in or out."""


def withhold(policies: Iterable[NetworkPolicy], unwanted: Unwanted) -> tuple[NetworkPolicy, ...]:
    """The policies without rules for such addresses. A rule that had no others is dropped: it must not become open.

    Args:
        policies: To be merged with what was learned.
        unwanted: Asked once for each block.
    """
    return tuple(
        replace(
            policy,
            ingress=_rules(policy.ingress, lambda block: unwanted(block, "ingress")),
            egress=_rules(policy.egress, lambda block: unwanted(block, "egress")),
        )
        for policy in policies
    )


def _rules(rules: tuple[Rule, ...], unwanted: Callable[[AddressSet], AddressSet]) -> tuple[Rule, ...]:
    kept = []
    for rule in rules:
        peers = tuple(peer for each in rule.peers for peer in _peers(each, unwanted))
        if peers or not rule.peers:
            kept.append(rule if peers == rule.peers else replace(rule, peers=peers))
    return tuple(kept)


def _peers(peer: Peer, unwanted: Callable[[AddressSet], AddressSet]) -> Iterator[Peer]:
    if not isinstance(peer, BlockPeer):
        yield peer
        return
    block = peer.block
    cut = unwanted(block.addresses) & block.addresses
    if not cut:
        yield peer
    elif block.addresses.size <= _EXCEPTIONS:
        yield from (BlockPeer(IPBlock(network)) for network in (block.addresses - cut).cidrs())
    elif block.addresses - cut:
        yield BlockPeer(IPBlock(block.cidr, (*block.except_, *cut.cidrs())))
