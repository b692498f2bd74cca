"""What the existing policies allow on purpose, and nobody was seen to do: the candidates for removal.

On purpose means that a policy isolates an end and a rule of it lets the connection pass; between ends that nothing
isolates everything is allowed, and says nothing about anybody's intentions. Worked out by the exact engine between
workloads and between workloads and addresses outside; addresses that today's policies do not tell apart count as used
on a port when one of them was. Replicas among themselves are left out, and so are hostNetwork
pods, which are their node's address.

Beside each stands what becomes of it once the learned policies are applied. Policies only ever add to each other: what
an existing policy selects and allows stays open, however little the learned policy for the same pods allows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.model.cidr import AddressSet
from netpol.model.inventory import Pod
from netpol.model.ports import PortMap, PortSet
from netpol.policy.atoms_ports import EMPTY, PortNumbers
from netpol.policy.classes import Partition, Side
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_places import Places
from netpol.policy.connectivity_rows import Rows
from netpol.policy.existing_beyond import Beyond, area_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.tiers import Policy
    from netpol.policy.connectivity_places import Place
    from netpol.policy.connectivity_rows import CodedRow
    from netpol.policy.existing_beyond import BeyondRow
    from netpol.policy.existing_rules import RuleBook, RuleKey
    from netpol.policy.existing_watch import Contact
    from netpol.policy.verdict import Way

_BITS: Final = 21
"""For the number of a set of ports: three of them in one code of 63 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A connection that is allowed today and was not seen.

    Attributes:
        ports: Where it is allowed and was not seen.
        declared: Those of them that the destination declares: where it can be met.
        closed: What of them the learned policies close.
        kept_open: What of them the learned policies would close, were it not for existing policies that stay.
        rules: The rules that allow any of it today.
        keeping: The rules that keep it open.
    """

    source: str
    destination: str
    ports: PortMap
    declared: PortMap
    closed: PortMap
    kept_open: PortMap
    rules: tuple[RuleKey, ...]
    keeping: tuple[RuleKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """The policy sets that are compared.

    Attributes:
        today: All existing policies.
        after: What the cluster has once the result is applied.
        result: The same without those that are not netpol's.
    """

    today: tuple[Policy, ...]
    after: tuple[Policy, ...]
    result: tuple[Policy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The rules of NetworkPolicies, looked up: those of today, those that stay and are not netpol's, and netpol's."""

    today: RuleBook
    foreign: RuleBook
    result: RuleBook


def allowed_unseen(sets: Sets, books: Books, contacts: Iterable[Contact], inventory: Inventory) -> tuple[Open, ...]:
    """All of it, sorted by source and destination."""
    finder = _Finder(sets, books, _Seen(contacts), inventory)
    found = [row for position in range(len(finder.places.groups)) for row in finder.of(position)]
    return tuple(sorted(found, key=lambda row: (row.source, row.destination)))


class _Seen:
    """The ports that were used between workloads, and between workloads and addresses."""

    def __init__(self, contacts: Iterable[Contact]) -> None:
        between: defaultdict[tuple[WorkloadRef, WorkloadRef], set[tuple[int, int]]] = defaultdict(set)
        outside: defaultdict[tuple[WorkloadRef, Way], defaultdict[tuple[int, int], set[Address]]] = defaultdict(
            lambda: defaultdict(set)
        )
        for contact in contacts:
            if contact.used:
                port = (contact.protocol, contact.port)
                source, destination = contact.source, contact.destination
                if isinstance(source, Pod) and isinstance(destination, Pod):
                    between[source.workload, destination.workload].add(port)
                elif isinstance(source, Pod) and not isinstance(destination, Pod):
                    outside[source.workload, "egress"][port].add(destination)
                elif isinstance(destination, Pod) and not isinstance(source, Pod):
                    outside[destination.workload, "ingress"][port].add(source)
        self._between = {ends: _port_map(ports) for ends, ports in between.items()}
        self._outside = {
            end: {port: AddressSet.collect(addresses) for port, addresses in ports.items()}
            for end, ports in outside.items()
        }

    def between(self, source: WorkloadRef, destination: WorkloadRef) -> PortMap:
        return self._between.get((source, destination), PortMap.EMPTY)

    def outside(self, workload: WorkloadRef, way: Way, area: AddressSet) -> PortMap:
        used = self._outside.get((workload, way), {})
        return _port_map(port for port, addresses in used.items() if addresses & area)


class _Finder:
    def __init__(self, sets: Sets, books: Books, seen: _Seen, inventory: Inventory) -> None:
        policies = (sets.today, sets.after, sets.result)
        partition = Partition([Side(policies=some, inventory=inventory) for some in policies])
        self.places = Places(partition)
        self._books = books
        self._seen = seen
        self._numbers = PortNumbers()
        today, after, result = (Connectivity(partition, side, self._numbers) for side in range(3))
        isolated = self._isolated(partition)

        def codes(sources: NDArray[np.intp], destinations: NDArray[np.intp]) -> NDArray[np.int64]:
            before = today.matrix(sources, destinations).astype(np.int64)
            later = after.matrix(sources, destinations).astype(np.int64)
            ours = result.matrix(sources, destinations).astype(np.int64)
            on_purpose = isolated["egress"][sources][:, None] | isolated["ingress"][destinations][None, :]
            code: NDArray[np.int64] = before << 2 * _BITS | later << _BITS | ours
            code[~on_purpose | (before == EMPTY)] = 0
            return code

        self._rows = Rows(self.places, codes)
        self._beyond = Beyond(sets.today, inventory, self._numbers, self._isolated)
        self._later = (after, result)
        self._parts: dict[int, NDArray[np.intp]] = {}

    def _isolated(self, partition: Partition) -> dict[Way, NDArray[np.bool_]]:
        """bool[classes]: whether an existing NetworkPolicy isolates the class."""
        found: dict[Way, NDArray[np.bool_]] = {}
        ways: tuple[Way, Way] = ("egress", "ingress")
        for way in ways:
            found[way] = np.zeros(len(partition), bool)
            for number, kind in enumerate(partition.kinds(0)):
                if kind.example is not None and not kind.example.host_network:
                    found[way][number] = bool(self._books.today.isolating(kind.example, way))
        return found

    def of(self, position: int) -> Iterator[Open]:
        """From one workload to others, and between it and addresses."""
        group = self.places.groups[position]
        if group.place.members[0].pod.host_network:
            return
        for pair in self._rows.to_workloads(position):
            if not self.places.groups[pair.other].place.members[0].pod.host_network:
                yield from self._between(pair.rows)
        yield from self._outside(position)

    def _between(self, rows: Iterable[CodedRow]) -> Iterator[Open]:
        for row in rows:
            source, destination = row.source.members[0].pod, row.destination.members[0].pod
            unseen = self._number(row.code >> 2 * _BITS) - self._seen.between(source.workload, destination.workload)
            if unseen:
                after, ours = self._number(row.code >> _BITS), self._number(row.code)
                kept = (unseen & after) - ours
                yield Open(
                    source=row.source.text,
                    destination=row.destination.text,
                    ports=unseen,
                    declared=unseen & _declared(row.destination),
                    closed=unseen - after,
                    kept_open=kept,
                    rules=self._rules(source, destination, unseen),
                    keeping=self._keeping(source, destination, kept) if kept else (),
                )

    def _outside(self, position: int) -> Iterator[Open]:
        for row in self._beyond.of(position):
            pod, area = row.place.members[0].pod, self._beyond.areas[row.area]
            address = next(area.ranges())[0]
            unseen = self._numbers[row.code] - self._seen.outside(pod.workload, row.way, area)
            if not unseen:
                continue
            after, kept, keeping = self._later_outside(row, unseen)
            there = row.way == "egress"
            source, destination = (pod, address) if there else (address, pod)
            ends = (row.place.text, area_text(area)) if there else (area_text(area), row.place.text)
            yield Open(
                source=ends[0],
                destination=ends[1],
                ports=unseen,
                declared=PortMap.EMPTY if there else unseen & _declared(row.place),
                closed=unseen - after,
                kept_open=kept,
                rules=self._rules(source, destination, unseen),
                keeping=keeping,
            )

    def _later_outside(self, row: BeyondRow, unseen: PortMap) -> tuple[PortMap, PortMap, tuple[RuleKey, ...]]:
        """Of the ports, those that stay allowed with any of the addresses, and those that others keep open."""
        partition, there = self.places.partition, row.way == "egress"
        numbers = [partition.member_of(member.pod) for member in row.place.members]
        classes = np.unique(partition.class_of[[number for number in numbers if number is not None]]).astype(np.intp)
        parts = self._parts_of(row.area)
        after, ours = (
            connectivity.matrix(classes, parts) if there else connectivity.matrix(parts, classes).T
            for connectivity in self._later
        )
        stays, kept = PortMap.EMPTY, PortMap.EMPTY
        keeping: set[RuleKey] = set()
        pod = row.place.members[0].pod
        for i, j in np.ndindex(after.shape):
            open_here = unseen & self._numbers[int(after[i, j])]
            kept_here = open_here - self._numbers[int(ours[i, j])]
            stays, kept = stays | open_here, kept | kept_here
            if kept_here:
                part = partition.outside[int(parts[j]) - partition.pod_classes] & self._beyond.areas[row.area]
                address = next(part.ranges())[0]
                source, destination = (pod, address) if there else (address, pod)
                keeping.update(self._keeping(source, destination, kept_here))
        return stays, kept, tuple(sorted(keeping))

    def _parts_of(self, area: int) -> NDArray[np.intp]:
        """The classes of addresses that all policies together divide an area into."""
        if area not in self._parts:
            partition, wanted = self.places.partition, self._beyond.areas[area]
            found = [number for number, some in enumerate(partition.outside) if some & wanted]
            self._parts[area] = np.array(found, np.intp) + partition.pod_classes
        return self._parts[area]

    def _number(self, code: int) -> PortMap:
        return self._numbers[code & ((1 << _BITS) - 1)]

    def _rules(self, source: Pod | Address, destination: Pod | Address, ports: PortMap) -> tuple[RuleKey, ...]:
        egress = self._books.today.admitting("egress", source, destination)
        ingress = self._books.today.admitting("ingress", destination, source)
        return tuple(rule.key for rule in (*egress, *ingress) if rule.covered & ports)

    def _keeping(self, source: Pod | Address, destination: Pod | Address, ports: PortMap) -> tuple[RuleKey, ...]:
        """The rules of others that let pass what netpol's policies for the same end do not."""
        found: list[RuleKey] = []
        sides: tuple[tuple[Way, Pod | Address, Pod | Address], ...] = (
            ("egress", source, destination),
            ("ingress", destination, source),
        )
        for way, subject, peer in sides:
            lacking = ports
            for rule in self._books.result.admitting(way, subject, peer):
                lacking -= rule.covered
            if isinstance(subject, Pod) and self._books.result.isolating(subject, way):
                rules = self._books.foreign.admitting(way, subject, peer)
                found += (rule.key for rule in rules if rule.covered & lacking)
        return tuple(found)


def _declared(place: Place) -> PortMap:
    return _port_map((port.protocol, port.port) for member in place.members for port in member.pod.ports)


def _port_map(ports: Iterable[tuple[int, int]]) -> PortMap:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for protocol, port in ports:
        found[protocol].append(port)
    by_protocol: Mapping[int, PortSet] = {protocol: PortSet.of(*numbers) for protocol, numbers in found.items()}
    return PortMap.of(by_protocol)
