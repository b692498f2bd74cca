"""What each workload needs outside the cluster: by name where the evidence carries one, else by address."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING

from netpol.egress.naming import address_key
from netpol.egress.places import Places, platform_of_names
from netpol.egress.selection import BY_DEFAULT, Selection
from netpol.egress.sharing import portions, together
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.outside import Grade, Need
from netpol.names.found import MOST_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from netpol.egress.attempts import Attempt, Attempts
    from netpol.egress.naming import Naming
    from netpol.egress.sharing import Portion
    from netpol.graph.observation import Evidence, Observation
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.inventory import Inventory, Pod, WorkloadRef
    from netpol.model.platform import Platform
    from netpol.names.found import Found

_Contact = tuple["WorkloadRef", "Address", int, int]
"""A workload, an outside address, protocol and port."""

OLDER = "known only from connections that were older than the capture"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformUse:
    """What one workload used of the platform below the cluster: no need outside, and no entry of an allowlist.

    Attributes:
        addresses: Ascending, IPv4 before IPv6.
        first_seen: Packet time, nanoseconds since the Unix epoch.
        last_seen: Packet time, nanoseconds since the Unix epoch.
    """

    workload: WorkloadRef
    platform: Platform
    protocol: int
    port: int
    addresses: tuple[Address, ...]
    connections: int
    bytes: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What leaves the cluster.

    Attributes:
        needs: By workload, name (addresses without one last), protocol and port.
        platform: By workload, platform, protocol and port.
        attempts: What was tried outside and is not learned.
        passed_over: Workloads of system namespaces that use something outside too, and were not asked for, sorted.
    """

    needs: tuple[Need, ...] = ()
    platform: tuple[PlatformUse, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    passed_over: tuple[WorkloadRef, ...] = ()


@dataclass(slots=True)
class _Sum:
    """A need that grows."""

    portions: list[Portion] = field(default_factory=list)
    addresses: set[Address] = field(default_factory=set)
    remarks: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Led:
    """Which names led a workload to one address.

    Attributes:
        more: How many there are beyond those that are known by name, at least.
    """

    names: set[HostName] = field(default_factory=set)
    more: int = 0
    _first: list[HostName] | None = None

    def add(self, found: Found) -> None:
        """What is known of one port."""
        self.names.update((item.name for item in found.candidates), found.sharing)
        self.more = max(self.more, found.more)
        self._first = None

    @property
    def count(self) -> int:
        """How many, at least."""
        return len(self.names) + self.more

    @property
    def first(self) -> list[HostName]:
        """As many as a need lists, and one, since it does not list its own; by the alphabet."""
        if self._first is None:
            self._first = nsmallest(MOST_NAMES + 1, self.names)
        return self._first


def needs_of(
    observations: Iterable[Observation],
    names: Naming,
    inventory: Inventory,
    *,
    selection: Selection = BY_DEFAULT,
    attempts: Attempts | None = None,
) -> Needs:
    """What each workload needs; evidence of its replicas adds up.

    Args:
        observations: Those that were admitted, in any order.
        names: What the captures say about names.
        inventory: Tells the cluster's own namespaces and its API server.
        selection: Whose needs.
        attempts: What was tried and not learned, collected for the same selection.
    """
    places = Places(inventory)
    contacts: defaultdict[_Contact, list[tuple[Evidence, Found]]] = defaultdict(list)
    used: list[tuple[Platform, Observation]] = []
    passed_over: set[WorkloadRef] = set()
    for item in observations:
        source, end = item.source, item.destination
        if not isinstance(source, PodEnd) or not isinstance(end, ExternalEnd | NodeEnd):
            continue
        if not selection.takes(source.pod.workload):
            if selection.passes_over(source.pod.workload):
                passed_over.add(source.pod.workload)
            continue
        platform = places.platform(item)
        if platform is None:
            found = _found(names, source.pod, item, end.address)
            platform = platform_of_names(found.candidates)
        if platform is not None:
            used.append((platform, item))
        else:
            contacts[source.pod.workload, end.address, item.protocol, item.port].append((item.evidence, found))
    return Needs(
        needs=_needs(contacts, places),
        platform=_platform(used),
        attempts=attempts.listed(names, places) if attempts else (),
        passed_over=tuple(sorted(passed_over)),
    )


def _found(names: Naming, pod: Pod, item: Observation, server: Address) -> Found:
    evidence = item.evidence
    return names.towards(pod.addresses, server, item.protocol, item.port, evidence.first_seen, evidence.last_seen)


def _needs(contacts: Mapping[_Contact, Sequence[tuple[Evidence, Found]]], places: Places) -> tuple[Need, ...]:
    sums: defaultdict[tuple[WorkloadRef, HostName | Address, int, int], _Sum] = defaultdict(_Sum)
    led: defaultdict[tuple[WorkloadRef, Address], _Led] = defaultdict(_Led)
    for (workload, address, protocol, port), replicas in contacts.items():
        named = [(evidence, places.outside(found)) for evidence, found in replicas]
        shared = named[0][1] if len(named) == 1 else together(found for _, found in named)
        if shared.candidates or shared.sharing or shared.more:
            led[workload, address].add(shared)
        remarks = {*shared.remarks, *_remarks(replicas, places)}
        for evidence, found in named:
            # A replica that the captures show no name for means what its siblings mean.
            for portion in portions(found if found.candidates else shared, evidence):
                total = sums[workload, portion.name or address, protocol, port]
                total.portions.append(portion)
                total.addresses.add(address)
                total.remarks.update(remarks)
    needs = (_need((workload, protocol, port), total, led) for (workload, _, protocol, port), total in sums.items())
    return tuple(sorted(needs, key=need_key))


def _remarks(replicas: Sequence[tuple[Evidence, Found]], places: Places) -> Iterator[str]:
    for name in sorted({item.name for _, found in replicas for item in found.candidates}):
        if places.is_own_name(name):
            yield f"the cluster's own name {name} leads there"
    for service in sorted({service for evidence, _ in replicas for service in evidence.services}):
        yield f"reached through the Service {service}"
    if all(evidence.midstream == evidence.connections for evidence, _ in replicas):
        yield OLDER


def _need(place: tuple[WorkloadRef, int, int], total: _Sum, led: Mapping[tuple[WorkloadRef, Address], _Led]) -> Need:
    workload, protocol, port = place
    name = total.portions[0].name
    there = [led[workload, address] for address in total.addresses if (workload, address) in led]
    most = max((item.count for item in there), default=0)
    sharing = {other for item in there for other in item.first} - {name} if name else set()
    remarks = total.remarks
    if name and max(most - 1, len(sharing)) > MOST_NAMES:
        remarks = {*remarks, f"{most:,} names lead to one of its addresses: {MOST_NAMES} of the others are listed"}
    elif not name and most > MOST_NAMES:
        remarks = {*remarks, f"{most:,} names lead there, too many to tell which was meant"}
    return Need(
        workload=workload,
        name=name,
        protocol=protocol,
        port=port,
        grade=Grade(min(portion.grade for portion in total.portions)),
        addresses=tuple(sorted(total.addresses, key=address_key)),
        sharing=tuple(sorted(sharing)[:MOST_NAMES]),
        remarks=tuple(sorted(remarks)),
        connections=sum(portion.connections for portion in total.portions),
        bytes=sum(portion.bytes for portion in total.portions),
        first_seen=min(portion.first_seen for portion in total.portions),
        last_seen=max(portion.last_seen for portion in total.portions),
    )


def need_key(need: Need) -> tuple[WorkloadRef, bool, str, tuple[int, int], int, int]:
    """The order in which needs are listed."""
    return need.workload, need.name is None, need.name or "", address_key(need.addresses[0]), need.protocol, need.port


def _platform(used: Iterable[tuple[Platform, Observation]]) -> tuple[PlatformUse, ...]:
    parts: defaultdict[tuple[WorkloadRef, str, int, int], list[tuple[Platform, Observation]]] = defaultdict(list)
    for platform, item in used:
        if isinstance(item.source, PodEnd):
            parts[item.source.pod.workload, str(platform), item.protocol, item.port].append((platform, item))
    found = []
    for (workload, _, protocol, port), group in sorted(parts.items()):
        addresses = {item.destination.address for _, item in group if not isinstance(item.destination, PodEnd)}
        evidence = group[0][1].evidence
        for _, item in group[1:]:
            evidence += item.evidence
        found.append(
            PlatformUse(
                workload=workload,
                platform=group[0][0],
                protocol=protocol,
                port=port,
                addresses=tuple(sorted(addresses, key=address_key)),
                connections=evidence.connections,
                bytes=evidence.bytes,
                first_seen=evidence.first_seen,
                last_seen=evidence.last_seen,
            )
        )
    return tuple(found)
