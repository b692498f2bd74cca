"""What cluster-wide policies look at besides selectors: the areas of the address space, and names of ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.tier_peers import NetworksPeer, NodesPeer
from netpol.model.tiers import NamedPort
from netpol.policy.matching import node_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.cidr import AddressSet
    from netpol.model.inventory import Inventory
    from netpol.model.tiers import TierPolicy


@dataclass(frozen=True, slots=True)
class Area:
    """The addresses of one peer."""

    addresses: AddressSet


def area(peer: NetworksPeer | NodesPeer, inventory: Inventory) -> Area:
    """The networks of a peer, or the addresses that its nodes have in this cluster."""
    return Area(peer.addresses if isinstance(peer, NetworksPeer) else node_addresses(inventory, peer.selector))


def areas(policies: Iterable[TierPolicy], inventory: Inventory) -> Iterator[Area]:
    """Those of all peers of the policies."""
    for policy in policies:
        for rule in (*policy.ingress, *policy.egress):
            for peer in rule.peers:
                if isinstance(peer, NetworksPeer | NodesPeer):
                    yield area(peer, inventory)


def port_names(policy: TierPolicy) -> set[str]:
    """The names of ports that its rules ask for."""
    rules = (*policy.ingress, *policy.egress)
    return {port.name for rule in rules for port in rule.ports if isinstance(port, NamedPort)}
