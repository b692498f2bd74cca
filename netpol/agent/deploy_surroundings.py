"""Where the hub's peers are: nodes, and the API server. A cluster tells, or whoever knows its networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from netpol.cluster.networks import node_own_addresses
from netpol.model.cidr import AddressSet
from netpol.model.flow import TCP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.model.cidr import Network
    from netpol.model.inventory import Inventory

API_SERVICE: Final = ("default", "kubernetes")
"""Its endpoints are where API servers really listen, which is what policies see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Blocks of addresses, most of which are one address.

    Attributes:
        nodes: By name, from where a node speaks to pods: its own addresses, and those of tunnels and bridges.
        api_servers: Blocks and ports at which the API server listens.
    """

    nodes: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    api_servers: frozenset[tuple[Network, int]] = frozenset()

    @classmethod
    def of(cls, inventory: Inventory) -> Surroundings:
        """What a cluster tells of the nodes and API servers that it has now."""
        nodes = {
            node.name: tuple(map(ip_network, dict.fromkeys((*node.addresses, *node_own_addresses(node.pod_cidrs)))))
            for node in inventory.nodes
            if node.ended is None
        }
        servers = frozenset(
            (ip_network(endpoint.address), port)
            for service in inventory.services
            if (service.namespace, service.name) == API_SERVICE and service.ended is None
            for endpoint in service.endpoints
            for protocol, _, port in endpoint.ports
            if protocol == TCP
        )
        return cls(nodes={name: found for name, found in nodes.items() if found}, api_servers=servers)

    def with_blocks(self, nodes: Iterable[Network], api_servers: Iterable[tuple[Network, int]]) -> Surroundings:
        """The same with blocks in the place of the nodes in them, and of all API servers where one is given."""
        blocks = tuple(dict.fromkeys(nodes))
        inside = AddressSet.collect(blocks)
        outside = {
            name: left
            for name, found in self.nodes.items()
            if (left := tuple(block for block in found if not AddressSet.of(block) <= inside))
        }
        stated = {str(block): (block,) for block in blocks}
        return Surroundings(nodes={**outside, **stated}, api_servers=frozenset(api_servers) or self.api_servers)

    def blocks(self) -> list[Network]:
        """All of them, each once, by address; a block before those that lie in it."""
        found = {block for blocks in self.nodes.values() for block in blocks}
        found |= {block for block, _ in self.api_servers}
        return sorted(found, key=lambda block: (block.version, int(block.network_address), block.prefixlen))
