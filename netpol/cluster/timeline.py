"""Takes an Inventory; tells who held an address at a time.

Each address has tenancies, half-open spans of time with one owner each. A flow belongs to an owner only if no other
held the address at any time between a moment before its first packet and a moment after its last, because the clocks of
a node and of the API server differ. It may end later than its owner: peers go on sending to a pod that is gone. It may
not begin earlier, because then somebody unknown began it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.cluster.columns import AddressIndex, PortIndex, TenancyIndex
from netpol.cluster.declared import declared_ports
from netpol.cluster.networks import node_own_addresses
from netpol.cluster.ranges import UnownedRanges
from netpol.model.cidr import AddressSet
from netpol.model.flow import AMBIGUOUS_TENANCY, NO_TENANCY, Address
from netpol.model.inventory import Inventory, Node, Pod, Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

SKEW: Final = 2_000_000_000
"""Nanoseconds by which clocks may differ: NTP keeps nodes within milliseconds, Kubernetes writes whole seconds."""
WHOLE_SECOND: Final = 1_000_000_000
"""What Kubernetes cuts off: a job that began and ended within one second was there for some of it."""
BEGINNING, FOREVER = -(2**62), 2**62
"""Nanoseconds since the epoch of a tenancy whose start or end is not known."""


@dataclass(frozen=True, slots=True)
class Virtual:
    """A virtual address: the Services that share it, at least one, sorted."""

    services: tuple[Service, ...]


@dataclass(frozen=True, slots=True)
class Outside:
    """An address that a Service's endpoints name without a pod: a server that the cluster does not run."""

    services: tuple[str, ...]


Owner = Pod | Node | Virtual | Outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """One owner of one address for one span of time.

    Attributes:
        start: Nanoseconds since the epoch, BEGINNING where it is not known.
        end: The first nanosecond at which it no longer held the address, FOREVER where none is known.
    """

    address: Address
    owner: Owner
    start: int = BEGINNING
    end: int = FOREVER

    @property
    def label(self) -> str:
        """How the owner is named in messages and reports."""
        owner = self.owner
        if isinstance(owner, Pod):
            return f"pod {owner.namespace}/{owner.name}"
        if isinstance(owner, Node):
            return f"node {owner.name}"
        if isinstance(owner, Virtual):
            return f"service {owner.services[0].namespace}/{owner.services[0].name}"
        return f"endpoint of {owner.services[0]}"


class Timeline:
    """Who held which address when. Implements netpol.flows' Knowledge.

    Attributes:
        inventory: What it was made of.
        tenancies_list: Every tenancy, sorted by address, start and owner; the index of one is what flows carry.
        unowned: What to think of an address that nobody is known to have held.
        conflicts: Addresses that more than one owner held at some time, sorted.
    """

    __slots__ = (
        "_addresses",
        "_at",
        "_declared",
        "_index",
        "_pods",
        "_virtual",
        "conflicts",
        "inventory",
        "tenancies_list",
        "unowned",
    )

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.tenancies_list = tuple(
            sorted(_tenancies(inventory), key=lambda one: (*_order(one.address), one.start, one.end, one.label))
        )
        self.unowned = UnownedRanges(inventory)
        self._at = _by_address(self.tenancies_list)
        self.conflicts = tuple(address for address, row in self._at.items() if row.overlaps)
        declared = declared_ports(inventory)
        self._addresses = AddressIndex([*self._at, *(address for address, _, _ in declared)])
        self._declared = PortIndex(self._addresses, declared)
        numbers = self._addresses.numbers
        tenants = self.tenancies_list
        self._index = TenancyIndex(
            np.array([numbers[one.address] for one in tenants], dtype=np.int64),
            np.array([one.start for one in tenants], dtype=np.int64),
            np.array([one.end for one in tenants], dtype=np.int64),
        )
        self._virtual = np.zeros(len(numbers) + 1, dtype=np.bool_)  # the last is for addresses that are not known
        self._virtual[[numbers[one.address] for one in tenants if isinstance(one.owner, Virtual)]] = True
        self._pods = np.zeros(len(numbers) + 1, dtype=np.bool_)
        self._pods[[numbers[one.address] for one in tenants if isinstance(one.owner, Pod)]] = True
        self._pods[[numbers[one.address] for one in tenants if not isinstance(one.owner, Pod)]] = False

    @classmethod
    def of(cls, inventory: Inventory) -> Timeline:
        """The timeline of a cluster."""
        return cls(inventory)

    def find(self, address: Address, first: int, last: int) -> int:
        """The tenancy of one address over one span: an index, NO_TENANCY or AMBIGUOUS_TENANCY.

        Args:
            address: The address.
            first: Nanoseconds since the epoch of the first packet.
            last: The same of the last.
        """
        met = self.meeting(address, first, last)
        if len(met) != 1:
            return AMBIGUOUS_TENANCY if met else NO_TENANCY
        return met[0] if self.tenancies_list[met[0]].start - SKEW <= first else AMBIGUOUS_TENANCY

    def meeting(self, address: Address, first: int, last: int) -> list[int]:
        """Every tenancy of an address that meets a span, give or take the skew of clocks."""
        row = self._at.get(address)
        if row is None:
            return []
        met = []
        for place in range(bisect_right(row.starts, last + SKEW) - 1, -1, -1):
            if row.latest_ends[place] <= first - SKEW:
                break
            if self.tenancies_list[row.first + place].end > first - SKEW:
                met.append(row.first + place)
        return met[::-1]

    def tenants(self, address: Address) -> tuple[Tenancy, ...]:
        """All tenancies of an address, by start."""
        row = self._at.get(address)
        return () if row is None else self.tenancies_list[row.first : row.first + len(row.starts)]

    def tenancies(
        self,
        family: NDArray[Any],
        address: NDArray[np.uint64],
        first: NDArray[np.int64],
        last: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        """`find` for columns.

        Args:
            family: uint8[n], 4 or 6.
            address: uint64[n, 2], high and low half; IPv4 is (0, value).
            first: int64[n], nanoseconds since the epoch.
            last: int64[n], the same.

        Returns:
            int32[n]: indices into tenancies_list, NO_TENANCY, AMBIGUOUS_TENANCY.
        """
        return self._index.find(self._addresses.find(family, address), first, last, SKEW)

    def declared(
        self, family: NDArray[Any], address: NDArray[np.uint64], protocol: NDArray[Any], port: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Whether the cluster's objects say that something listens there: bool[n] for columns as above."""
        return self._declared.contains(self._addresses.find(family, address), protocol, port)

    def virtual(self, family: NDArray[Any], address: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether it is a Service's virtual address, and no node's own: bool[n] for columns as above."""
        return self._virtual[self._addresses.find(family, address)]

    def pods(self, family: NDArray[Any], address: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether pods alone ever held it: bool[n] for columns as above."""
        return self._pods[self._addresses.find(family, address)]


@dataclass(frozen=True, slots=True)
class _Row:
    """The tenancies of one address: `first` and following in the list; `latest_ends[i]` is the latest end up to i."""

    first: int
    starts: list[int]
    latest_ends: list[int]
    overlaps: bool


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _by_address(tenancies: Sequence[Tenancy]) -> Mapping[Address, _Row]:
    places: dict[Address, list[int]] = defaultdict(list)
    for place, one in enumerate(tenancies):
        places[one.address].append(place)
    rows = {}
    for address, at in places.items():
        starts = [tenancies[place].start for place in at]
        ends = list(accumulate((tenancies[place].end for place in at), max))
        overlaps = any(start < end for start, end in zip(starts[1:], ends, strict=False))
        rows[address] = _Row(at[0], starts, ends, overlaps)
    return rows


def _tenancies(inventory: Inventory) -> Iterator[Tenancy]:
    """Pods and nodes hold addresses; a Service has one that no node holds; what is left of the endpoints is outside."""
    pods = list(_of_pods(inventory))
    yield from pods
    pod_addresses = {one.address for one in pods}
    nodes = list(_of_nodes(inventory, pod_addresses))
    yield from nodes
    # A load balancer may hand out the nodes' own addresses (k3s does): the node is who else speaks from there.
    held = {one.address for one in nodes}
    virtual: dict[Address, list[Service]] = defaultdict(list)
    outside: dict[Address, set[str]] = defaultdict(set)
    for service in inventory.services:
        for address in service.addresses:
            if address not in held:
                virtual[address].append(service)
        for endpoint in service.endpoints:
            if not endpoint.pod:
                outside[endpoint.address].add(f"{service.namespace}/{service.name}")
    for address, services in virtual.items():
        yield Tenancy(address=address, owner=Virtual(tuple(services)))
    for address in outside.keys() - held - pod_addresses - virtual.keys():
        yield Tenancy(address=address, owner=Outside(tuple(sorted(outside[address]))))


def _of_pods(inventory: Inventory) -> Iterator[Tenancy]:
    for pod in inventory.pods:
        # A hostNetwork pod's address is the node's; a finished pod of unknown end may have lost its address at any
        # time.
        if pod.host_network or (pod.finished and pod.ended is None):
            continue
        start = BEGINNING if pod.started is None else pod.started
        end = FOREVER if pod.ended is None else pod.ended
        if end == start:
            end += WHOLE_SECOND
        if start < end:
            for address in pod.addresses:
                yield Tenancy(address=address, owner=pod, start=start, end=end)


def _of_nodes(inventory: Inventory, pod_addresses: set[Address]) -> Iterator[Tenancy]:
    """A node holds its addresses before it joins; only where two had one after the other do the times matter."""
    holders: dict[Address, list[Node]] = defaultdict(list)
    for node in inventory.nodes:
        for address in node.addresses:
            holders[address].append(node)
    for address, nodes in holders.items():
        for node in nodes:
            shared = len(nodes) > 1 or address in pod_addresses
            start = node.started if shared and node.started is not None else BEGINNING
            yield Tenancy(address=address, owner=node, start=start, end=FOREVER if node.ended is None else node.ended)
    for address, owner in _own_in_pod_range(inventory).items():
        if address not in pod_addresses and address not in holders:
            yield Tenancy(address=address, owner=owner)


def _own_in_pod_range(inventory: Inventory) -> dict[Address, Node]:
    """The bridge's and tunnel's addresses of nodes whose network plugin certainly hands out the node's podCIDR.

    Certain is: pods of the node have addresses of it, none of that family has another, and the node's plugin does not
    name an address of its own in it (Cilium and Calico do, and then may give the first to a pod).
    """
    by_node: dict[str, list[Address]] = defaultdict(list)
    for pod in inventory.pods:
        if pod.node and not pod.host_network:
            by_node[pod.node].extend(pod.addresses)
    found: dict[Address, Node] = {}
    for node in inventory.nodes:
        for cidr in node.pod_cidrs:
            block = AddressSet.of(cidr)
            own = node_own_addresses((cidr,))
            family = [address for address in by_node[node.name] if own and address.version == own[0].version]
            certain = all(address in block for address in family) and not any(one in block for one in node.addresses)
            if family and certain:
                found.update(dict.fromkeys(own, node))
    return found
