"""What to think of an address without a known owner: outside the cluster, or a gap in what is known of it."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv4Address, ip_network
from itertools import chain
from typing import TYPE_CHECKING, Final

from netpol.model.cidr import AddressSet
from netpol.model.endpoint import ExternalEnd, UnknownEnd

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory

_LOCAL_SERVICES: Final = AddressSet.of(
    "169.254.20.10",  # NodeLocal DNSCache, its default (KEP-1024)
    "169.254.25.10",  # the same as Kubespray installs it
    "169.254.169.0/24",  # metadata, DNS and time of AWS, Azure, Google Cloud, OpenStack
    "169.254.170.0/24",  # credentials of AWS tasks and pods
)
_BROADCAST: Final = IPv4Address("255.255.255.255")
_HULL_PREFIX: Final = {4: 24, 6: 120}
_SERVICE_PREFIX: Final = {4: 12, 6: 108}
"""The shortest that kube-apiserver takes as --service-cluster-ip-range: 20 bits of addresses."""
_SNAPSHOT: Final = "take a snapshot of the cluster during the capture"


class UnownedRanges:
    """The ranges in which an address must have been the cluster's own.

    Those are the ranges that the cluster's configuration states. Where it states none of a family for pods, a node's
    pods
    tell one: the addresses between its lowest and its highest pod, if these share a /24 (IPv4) or /120 (IPv6). That is
    how plugins hand addresses out to nodes, and calling such an address external would put a dead pod's address into a
    policy. Networks where pods and nodes share a subnet (cloud plugins) say nothing that way, since anything may live
    there: a node's own address in the same block rules it out.

    Where it states none of a family for Services, their ClusterIPs tell one: a range is a CIDR block that holds them
    all, so the smallest such block lies within it. It is wider than a range can be where there are several (KEP-1880),
    and tells nothing then.
    """

    __slots__ = ("_concluded", "_pods", "_services", "_virtual")

    def __init__(self, inventory: Inventory) -> None:
        self._pods = AddressSet.of(*inventory.pod_cidrs)
        self._services = AddressSet.of(*inventory.service_cidrs)
        hulls = _hulls(inventory)
        self._concluded = AddressSet(() if self._pods.v4 else hulls.v4, () if self._pods.v6 else hulls.v6)
        virtual = _virtual_blocks(inventory)
        self._virtual = AddressSet(() if self._services.v4 else virtual.v4, () if self._services.v6 else virtual.v6)

    def end(self, address: Address) -> ExternalEnd | UnknownEnd:
        """The end that an address without owner is: external only where it can be a peer outside the cluster."""
        reason = _unroutable(address)
        if not reason and address in self._services:
            reason = "inside the range of Services, but no known Service has it: add the Services to the manifests"
        if not reason and address in self._pods:
            reason = f"inside the range of pods, but no known pod had it: {_SNAPSHOT}"
        if not reason and address in self._concluded:
            reason = f"between the addresses of one node's pods, but no known pod had it: {_SNAPSHOT}"
        if not reason and address in self._virtual:
            reason = "between the addresses of Services, but no known Service has it: add the Services to the manifests"
        return UnknownEnd(address, reason) if reason else ExternalEnd(address)


def _unroutable(address: Address) -> str:
    """Why an address cannot be a peer (RFC 6890, RFC 4291); empty where it can."""
    if address.is_unspecified:
        return "the unspecified address: a host that has none yet"
    if address.is_multicast or address == _BROADCAST:
        return "a multicast or broadcast address: nobody's own, no policy can name its members"
    if address.is_loopback:
        return "a loopback address: it never leaves its host or pod"
    if address.is_link_local and address not in _LOCAL_SERVICES:
        return "a link-local address: it is meaningful on one link only"
    return ""


def _hulls(inventory: Inventory) -> AddressSet:
    """For each node the span of its pods' addresses, where they share a block with no node in it."""
    by_node: dict[tuple[str, int], list[Address]] = defaultdict(list)
    for pod in inventory.pods:
        if pod.node and not pod.host_network:
            for address in pod.addresses:
                by_node[pod.node, address.version].append(address)
    blocks = {_block(address) for node in inventory.nodes for address in node.addresses}
    spans = []
    for addresses in by_node.values():
        low, high = min(addresses, key=int), max(addresses, key=int)
        if _block(low) == _block(high) and _block(low) not in blocks:
            spans.append((low, high))
    return AddressSet.of(*spans)


def _virtual_blocks(inventory: Inventory) -> AddressSet:
    """For each family the smallest block of all ClusterIPs, where no pod and no node has an address of it.

    Services that are reached from outside are left out: some of their addresses are not the cluster's.
    """
    inside = [address for one in inventory.services if not one.external for address in one.addresses]
    pods = (address for pod in inventory.pods for address in pod.addresses)
    nodes = (address for node in inventory.nodes for address in node.addresses)
    others = AddressSet.collect(chain(pods, nodes))
    blocks = []
    for version, shortest in _SERVICE_PREFIX.items():
        found = [address for address in inside if address.version == version]
        if found:
            low, high = min(found, key=int), max(found, key=int)
            prefix = low.max_prefixlen - (int(low) ^ int(high)).bit_length()
            if prefix >= shortest:
                blocks.append(ip_network(f"{low}/{prefix}", strict=False))
    return AddressSet.collect(block for block in blocks if not AddressSet.of(block) & others)


def _block(address: Address) -> tuple[int, int]:
    return address.version, int(address) >> (address.max_prefixlen - _HULL_PREFIX[address.version])
