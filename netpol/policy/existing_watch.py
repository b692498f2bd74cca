"""Observed flows put before the policies of today, while they pass by on their way to being learned.

Kept are the distinct contacts between concrete ends, and what today's policies deny of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.graph.judge import grounded
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.flow import PORT_PROTOCOLS, UDP, Direction, Outcome
from netpol.policy.replay import Blocked, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Address
    from netpol.model.inventory import Pod
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.verdict import Way

MOST_PORTS = 8
"""Of attempts, which a scan can make on every port there is, this many ports are kept."""

WORKED = frozenset({Outcome.ESTABLISHED, Outcome.MIDSTREAM})


@dataclass(slots=True)
class Contact:
    """All connections from one end to another on one port.

    Attributes:
        used: Connections that worked; datagrams that nobody answered too, which is how logs and metrics are sent.
        attempts: The others.
    """

    source: Pod | Address
    destination: Pod | Address
    protocol: int
    port: int
    used: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True, order=True)
class DeniedKey:
    """What today's policies deny between two ends, as they are printed.

    Attributes:
        policies: The policies that the denial is owed to, as text.
        worked: Whether the connections worked nevertheless: nothing enforced the policies while they were captured.
    """

    source: str
    destination: str
    way: Way
    policies: tuple[str, ...]
    worked: bool


@dataclass(slots=True)
class DeniedTally:
    """How often, and on which ports.

    Attributes:
        ports: (IP protocol number, port) to the ends that used it; of attempts without the ends.
        more_ports: There were others.
    """

    connections: int = 0
    ports: dict[tuple[int, int], dict[tuple[object, object], tuple[End, End]]] = field(default_factory=dict)
    more_ports: bool = False


class Watch:
    """Looks at flows as they pass.

    Attributes:
        contacts: The distinct contacts on known ports between known ends.
        denied: What today's policies deny.
        unresolved: Connections on which there is no verdict: an end, the direction or a port is not known.

    Args:
        today: Judges under the policies that there are.
    """

    def __init__(self, today: Evaluator) -> None:
        self._today = today
        self._contacts: dict[tuple[object, object, int, int], Contact] = {}
        self.denied: defaultdict[DeniedKey, DeniedTally] = defaultdict(DeniedTally)
        self.unresolved = 0

    def through(self, flows: Iterable[ResolvedFlow]) -> Iterator[ResolvedFlow]:
        """The same flows."""
        for flow in flows:
            self._see(flow)
            yield flow

    @property
    def contacts(self) -> Iterable[Contact]:
        """In the order in which they were met first."""
        return self._contacts.values()

    def _see(self, flow: ResolvedFlow) -> None:
        row = flow.flow
        verdict = judge(flow, self._today)
        if isinstance(verdict, Blocked):
            self._deny(verdict)
        elif verdict is not None:
            self.unresolved += row.connections
        if row.direction is Direction.UNKNOWN or row.protocol not in PORT_PROTOCOLS:
            return
        used = row.outcome in WORKED or (row.protocol == UDP and row.outcome is Outcome.UNANSWERED)
        source = _concrete(grounded(flow.source, row.client))
        for item in flow.destinations:
            destination = _concrete(grounded(item.end, row.server))
            if source is None or destination is None or not item.port:
                continue
            key = (_key(source), _key(destination), row.protocol, item.port)
            contact = self._contacts.get(key)
            if contact is None:
                contact = self._contacts[key] = Contact(source, destination, row.protocol, item.port)
            if used:
                contact.used += row.connections
            else:
                contact.attempts += row.connections

    def _deny(self, blocked: Blocked) -> None:
        flow, row = blocked.flow, blocked.flow.flow
        worked = row.outcome in WORKED
        key = DeniedKey(
            flow.source_text if isinstance(flow.source, PodEnd) else f"{flow.source_text} {row.client}",
            str(blocked.destination.end)
            if isinstance(blocked.destination.end, PodEnd)
            else f"{blocked.destination.end} {row.server}",
            blocked.blocked_by,
            tuple(map(str, blocked.policies)),
            worked,
        )
        tally = self.denied[key]
        tally.connections += row.connections
        port = (row.protocol, blocked.destination.port or 0)
        if not worked and port not in tally.ports and len(tally.ports) >= MOST_PORTS:
            # The lowest are kept, so that the order of flows does not matter.
            highest = max(tally.ports)
            tally.more_ports = True
            if port > highest:
                return
            del tally.ports[highest]
        ends = tally.ports.setdefault(port, {})
        if worked:
            source, destination = grounded(flow.source, row.client), grounded(blocked.destination.end, row.server)
            ends.setdefault((_key_of(source), _key_of(destination)), (source, destination))


def _concrete(end: End) -> Pod | Address | None:
    if isinstance(end, PodEnd):
        return end.pod
    return end.address if isinstance(end, NodeEnd | ExternalEnd) else None


def _key(end: Pod | Address) -> object:
    uid = getattr(end, "uid", None)
    return end if uid is None else uid


def _key_of(end: End) -> object:
    concrete = _concrete(end)
    return end if concrete is None else _key(concrete)
