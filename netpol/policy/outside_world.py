"""Everybody outside the cluster as ipBlocks, less those who are no clients from outside.

An ipBlock matches pods too (the `ipBlock` tests of Kubernetes' conformance suite), so the ranges of pods, Services and
nodes are cut out. So are private addresses, unless a client came from there: the internet has none (RFC 1918, RFC 6598,
RFC 4193).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from netpol.model.cidr import AddressSet, IPBlock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.cidr import Network
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory

_EVERYWHERE: Final = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
_PRIVATE: Final = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
_AROUND_PODS: Final = {4: 24, 6: 64}
"""Prefixes of the blocks that are cut out around pods of whose range nothing is stated: a node's share, by custom."""


@dataclass(frozen=True, slots=True)
class World:
    """Everybody outside, as a peer.

    Attributes:
        blocks: One a family, and the clients that were seen inside of what is cut out.
    """

    blocks: tuple[IPBlock, ...]

    @property
    def addresses(self) -> AddressSet:
        """Who that is."""
        result = AddressSet.EMPTY
        for block in self.blocks:
            result |= block.addresses
        return result


def world(clients: Iterable[Address], inventory: Inventory, *, withheld: AddressSet, families: Iterable[int]) -> World:
    """Everybody, of the families of the clients that were seen.

    Args:
        clients: All of them are allowed.
        inventory: Says what is the cluster's own.
        withheld: Who must not come in.
        families: 4 and 6, of the pods: they count where no client was seen.
    """
    seen = AddressSet.collect(clients)
    versions = _versions(seen) or set(families)
    private = [block for block in _PRIVATE if not AddressSet.of(block) & seen]
    cut = own_ranges(inventory) | AddressSet.collect(private) | withheld
    blocks = [IPBlock(_EVERYWHERE[version], _of_family(cut, version)) for version in sorted(versions)]
    inside = seen & cut
    return World((*blocks, *(IPBlock(network) for network in inside.cidrs())))


def own_ranges(inventory: Inventory) -> AddressSet:
    """The ranges of pods and Services that the cluster states, its nodes, and blocks around other pods."""
    stated = AddressSet.of(
        *inventory.pod_cidrs, *inventory.service_cidrs, *(text for node in inventory.nodes for text in node.pod_cidrs)
    )
    nodes = AddressSet.collect(address for node in inventory.nodes for address in node.addresses)
    pods = {address for pod in inventory.pods for address in pod.addresses}
    around = {
        ip_network(f"{address}/{_AROUND_PODS[address.version]}", strict=False)
        for address in pods
        if address not in stated and address not in nodes
    }
    return stated | nodes | AddressSet.collect(around)


def _versions(addresses: AddressSet) -> set[int]:
    return {version for version, ranges in ((4, addresses.v4), (6, addresses.v6)) if ranges}


def _of_family(addresses: AddressSet, version: int) -> tuple[Network, ...]:
    part = AddressSet(v4=addresses.v4) if version == 4 else AddressSet(v6=addresses.v6)
    return tuple(part.cidrs())
