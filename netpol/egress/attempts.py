"""What workloads tried outside and is not learned: the addresses that the counts of an admission do not keep."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.graph.judge import is_no_peer
from netpol.graph.reasons import Reason
from netpol.model.endpoint import ExternalEnd, PodEnd
from netpol.model.flow import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netpol.graph.judge import Accepted
    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.flow import Address
    from netpol.model.inventory import WorkloadRef

Port = tuple[int, int | None]
"""(IP protocol number, port; None for a protocol without ports, and where nobody knows which port is the server's)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one workload tried outside and is not learned for one reason: the same ports at each of the addresses.

    Attributes:
        addresses: Ascending, IPv4 before IPv6.
        ports: Ascending.
        first_seen: Packet time, nanoseconds since the Unix epoch.
        last_seen: Packet time, nanoseconds since the Unix epoch.
    """

    workload: WorkloadRef
    reason: Reason
    addresses: tuple[Address, ...]
    ports: tuple[Port, ...]
    connections: int
    first_seen: int
    last_seen: int


@dataclass(slots=True)
class _Tally:
    ports: set[Port]
    connections: int
    first_seen: int
    last_seen: int


class Attempts:
    """Collects them while an admission is made: `watch` is its `Watcher`.

    Attributes:
        unattributed: Connections to outside addresses of clients that are no pod: nodes, pods in their host's network,
            addresses of which no owner is known.
    """

    def __init__(self, wants: Callable[[WorkloadRef], bool]) -> None:
        """Args: wants: says whose attempts are kept."""
        self._wants = wants
        self._tallies: dict[tuple[WorkloadRef, Reason, Address], _Tally] = {}
        self.unattributed = 0

    def watch(self, flow: ResolvedFlow, decision: Accepted | Reason) -> None:
        """Takes note of a flow that is not learned, if it is one of a pod with an address outside."""
        if not isinstance(decision, Reason):
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
                self._enter((source.pod.workload, decision, address), flow)

    def _enter(self, key: tuple[WorkloadRef, Reason, Address], flow: ResolvedFlow) -> None:
        row = flow.flow
        tally = self._tallies.setdefault(key, _Tally(set(), 0, row.first_seen, row.last_seen))
        tally.ports.add((row.protocol, row.port))
        tally.connections += row.connections
        tally.first_seen = min(tally.first_seen, row.first_seen)
        tally.last_seen = max(tally.last_seen, row.last_seen)

    def listed(self) -> tuple[Attempt, ...]:
        """One for all addresses that were tried in the same way; by workload, reason and address."""
        alike: defaultdict[tuple[WorkloadRef, Reason, tuple[Port, ...]], list[Address]] = defaultdict(list)
        for (workload, reason, address), tally in self._tallies.items():
            ports = tuple(sorted(tally.ports, key=lambda port: (port[0], port[1] or 0)))
            alike[workload, reason, ports].append(address)
        reasons = list(Reason)
        found = [self._attempt(*key, addresses) for key, addresses in alike.items()]
        return tuple(
            sorted(
                found,
                key=lambda item: (item.workload, reasons.index(item.reason), *map(address_key, item.addresses[:1])),
            )
        )

    def _attempt(
        self, workload: WorkloadRef, reason: Reason, ports: tuple[Port, ...], addresses: Iterable[Address]
    ) -> Attempt:
        ordered = tuple(sorted(addresses, key=address_key))
        tallies = [self._tallies[workload, reason, address] for address in ordered]
        return Attempt(
            workload=workload,
            reason=reason,
            addresses=ordered,
            ports=ports,
            connections=sum(tally.connections for tally in tallies),
            first_seen=min(tally.first_seen for tally in tallies),
            last_seen=max(tally.last_seen for tally in tallies),
        )


def address_key(address: Address) -> tuple[int, int]:
    """Orders addresses: IPv4 before IPv6, ascending."""
    return address.version, int(address)
