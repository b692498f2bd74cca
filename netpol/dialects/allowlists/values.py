"""What the writers of allowlists take beside the needs, and what they yield."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from netpol.graph.selectors import Naming, Selectors
from netpol.model.cidr import AddressSet
from netpol.model.prefixes import Prefix, bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.labels import LabelSelector
    from netpol.model.outside import Need
    from netpol.model.prefixes import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is known beside the needs; `of` takes it from a cluster.

    Attributes:
        selectors: How each workload's pods are named by labels, several for a union; a workload that no lasting label
            names exactly has none.
        sources: The addresses that each workload's pods have, ascending, IPv4 before IPv6; no address is of two.
        never: What no block is ever widened over: the cluster's own ranges and addresses, what threat lists name.
        bound: How far sets of addresses may be from what was seen; None: exact. It holds for each set by itself: the
            addresses of one workload on the same ports where a format tells workloads apart, of all where it does not.
    """

    selectors: Mapping[WorkloadRef, Sequence[LabelSelector]] = field(default_factory=dict)
    sources: Mapping[WorkloadRef, Sequence[Address]] = field(default_factory=dict)
    never: AddressSet = AddressSet.EMPTY
    bound: Bound | None = None

    @classmethod
    def of(
        cls,
        needs: Iterable[Need],
        inventory: Inventory,
        bound: Bound | None = None,
        never: AddressSet = AddressSet.EMPTY,
    ) -> Self:
        """The options for these needs of this cluster; `never`: what else no block is widened over."""
        workloads = {need.workload for need in needs}
        holders: defaultdict[Address, set[WorkloadRef]] = defaultdict(set)
        for pod in inventory.pods:
            if pod.ended is None and not (pod.host_network or pod.finished):
                for address in pod.addresses:
                    holders[address].add(pod.workload)
        sources: defaultdict[WorkloadRef, list[Address]] = defaultdict(list)
        for address in sorted(holders, key=address_key):
            if len(holders[address]) == 1:
                sources[next(iter(holders[address]))].append(address)
        selectors = Selectors(inventory)
        exact = {one: found for one in workloads if (found := selectors.of(one)).naming is not Naming.SHARED}
        return cls(
            selectors={workload: found.selectors for workload, found in exact.items()},
            sources={workload: tuple(sources[workload]) for workload in workloads},
            never=own_addresses(inventory) | never,
            bound=bound,
        )

    @property
    def most(self) -> int | None:
        """The most blocks of a family in one set, None for any number."""
        return self.bound.max_prefixes if self.bound else None

    def prefixes(self, addresses: Iterable[Address]) -> list[Prefix]:
        """The blocks for these addresses, within the bound."""
        return bounded(AddressSet.collect(addresses), self.bound, never=self.never)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowlist:
    """One allowlist.

    Attributes:
        text: All of it, with a line end at its end; ASCII.
        remarks: What it cannot say and leaves out, or says more widely, and why: one sentence each, sorted, nothing in
            it from the wire that is not a valid host name.
    """

    text: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to write an allowlist.

    Attributes:
        summary: A line for help texts and tables.
        suffix: Of a file that holds it, with the dot.
        write: The writer.
        together: It holds for all workloads at once and does not tell them apart.
        bounded: It has blocks of addresses, which a bound may widen.
    """

    summary: str
    suffix: str
    write: Callable[[Sequence[Need], Options], Allowlist]
    together: bool = False
    bounded: bool = True


def own_addresses(inventory: Inventory) -> AddressSet:
    """The cluster's own ranges and addresses: pods, Services, nodes."""
    nodes = (address for node in inventory.nodes for address in node.addresses)
    pods = (address for pod in inventory.pods for address in pod.addresses)
    services = (address for service in inventory.services for address in service.addresses)
    ranges = (*inventory.pod_cidrs, *inventory.service_cidrs)
    return AddressSet.collect([*ranges, *nodes, *pods, *services])


def address_key(address: Address) -> tuple[int, int]:
    """By which addresses are put in order: IPv4 first, then ascending."""
    return address.version, int(address)
