"""What workloads tried outside and is not learned: the addresses that the counts of an admission do not keep."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.egress.naming import address_key
from netpol.graph.judge import is_no_peer
from netpol.graph.reasons import Reason
from netpol.model.endpoint import ExternalEnd, PodEnd
from netpol.model.flow import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netpol.egress.naming import Naming
    from netpol.egress.places import Places
    from netpol.graph.judge import Accepted
    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.inventory import Pod, WorkloadRef

Port = tuple[int, int | None]
"""(IP protocol number, port; None for a protocol without ports, and where nobody knows which port is the server's)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one workload tried outside and is not learned for one reason: the same ports at each of the addresses.

    Attributes:
        names: Those that led it there, sorted; none where so many addresses were tried that it was a scan.
        addresses: Ascending, IPv4 before IPv6.
        ports: Ascending.
        first_seen: Packet time, nanoseconds since the Unix epoch.
        last_seen: Packet time, nanoseconds since the Unix epoch.
    """

    workload: WorkloadRef
    reason: Reason
    names: tuple[HostName, ...]
    addresses: tuple[Address, ...]
    ports: tuple[Port, ...]
    connections: int
    first_seen: int
    last_seen: int


MANY = 256
"""More addresses than this, that one workload tried in vain, were not asked for by name."""


@dataclass(slots=True)
class _Tally:
    clients: set[Address]
    ports: set[Port]
    connections: int
    first_seen: int
    last_seen: int


class Attempts:
    """Collects them while an admission is made: `watch` is its `Watcher`.

    Attributes:
        unattributed: Connections to outside addresses of clients that are no pod: nodes, pods in their host's network,
            addresses of which no owner is known.
        elsewhere: Connections of which neither end is the cluster's: many where its description is not the captures'.
    """

    def __init__(self, wants: Callable[[WorkloadRef], bool]) -> None:
        """Args: wants: says whose attempts are kept."""
        self._wants = wants
        self._tallies: dict[tuple[WorkloadRef, Reason, Address], _Tally] = {}
        self.unattributed = 0
        self.elsewhere = 0

    def watch(self, flow: ResolvedFlow, decision: Accepted | Reason) -> None:
        """Takes note of a flow that is not learned, if it is one of a pod with an address outside."""
        if not isinstance(decision, Reason):
            return
        if decision is Reason.BOTH_OUTSIDE:
            self.elsewhere += flow.flow.connections
            return
        source, others = flow.source, [item.end for item in flow.destinations]
        if flow.flow.direction is Direction.UNKNOWN and isinstance(source, ExternalEnd):
            # Then the ends stand in the order of their addresses: either may be the client.
            source, others = others[0], [source]
        outside = [end.address for end in others if isinstance(end, ExternalEnd) and not is_no_peer(end.address)]
        if not outside:
            return
        if not isinstance(source, PodEnd) or source.pod.host_network:
            self.unattributed += flow.flow.connections if not isinstance(source, ExternalEnd) else 0
        elif self._wants(source.pod.workload):
            for address in outside:
                self._enter((source.pod.workload, decision, address), source.pod, flow)

    def _enter(self, key: tuple[WorkloadRef, Reason, Address], pod: Pod, flow: ResolvedFlow) -> None:
        row = flow.flow
        tally = self._tallies.setdefault(key, _Tally(set(), set(), 0, row.first_seen, row.last_seen))
        tally.clients.update(pod.addresses)
        tally.ports.add((row.protocol, row.port))
        tally.connections += row.connections
        tally.first_seen = min(tally.first_seen, row.first_seen)
        tally.last_seen = max(tally.last_seen, row.last_seen)

    def listed(self, names: Naming, places: Places) -> tuple[Attempt, ...]:
        """One for all addresses that were tried in the same way; by workload, reason and address.

        Args:
            names: What the captures say about names.
            places: Tells which names are the cluster's own, and say nothing.
        """
        spread = Counter((workload, reason) for workload, reason, _ in self._tallies)
        alike: defaultdict[tuple[WorkloadRef, Reason, tuple[HostName, ...], tuple[Port, ...]], list[Address]]
        alike = defaultdict(list)
        for (workload, reason, address), tally in self._tallies.items():
            ports = tuple(sorted(tally.ports, key=lambda port: (port[0], port[1] or 0)))
            led = _names(tally, address, ports[0], names, places) if spread[workload, reason] <= MANY else ()
            alike[workload, reason, led, ports].append(address)
        found = [self._attempt(*key, addresses) for key, addresses in alike.items()]
        return tuple(sorted(found, key=_order))

    def _attempt(
        self,
        workload: WorkloadRef,
        reason: Reason,
        names: tuple[HostName, ...],
        ports: tuple[Port, ...],
        addresses: Iterable[Address],
    ) -> Attempt:
        ordered = tuple(sorted(addresses, key=address_key))
        tallies = [self._tallies[workload, reason, address] for address in ordered]
        return Attempt(
            workload=workload,
            reason=reason,
            names=names,
            addresses=ordered,
            ports=ports,
            connections=sum(tally.connections for tally in tallies),
            first_seen=min(tally.first_seen for tally in tallies),
            last_seen=max(tally.last_seen for tally in tallies),
        )


def _names(tally: _Tally, address: Address, port: Port, names: Naming, places: Places) -> tuple[HostName, ...]:
    found = places.outside(
        names.towards(
            sorted(tally.clients, key=address_key), address, port[0], port[1] or 0, tally.first_seen, tally.last_seen
        )
    )
    return tuple(sorted({*(item.name for item in found.candidates), *found.sharing}))


def _order(item: Attempt) -> tuple[WorkloadRef, int, tuple[int, int]]:
    return item.workload, list(Reason).index(item.reason), address_key(item.addresses[0])
