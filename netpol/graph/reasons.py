"""Why a connection is not learned, and the counts of such connections."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.flow import Flow

EXAMPLE_PORTS = 8


class Reason(Enum):
    """A stable id and what it means; asked in this order, so that every connection has exactly one.

    First what must never be allowed, whatever came of it; then what needs no rule at all, then what did not
    demonstrably work, then what cannot be attributed or named, and at the end what only the whole picture shows.
    """

    THREAT_LIST = ("threat-list", "a threat list names the address, or a name that led there")
    METADATA = ("cloud-metadata", "a pod read cloud metadata, which often holds the machine's credentials")
    KUBELET = ("kubelet-api", "a pod spoke to a kubelet, which can run commands in every pod of its node")
    NO_PORTS = ("no-ports", "a protocol without ports, which a NetworkPolicy cannot name")
    LOCAL_ADDRESS = ("local-address", "a loopback, multicast, broadcast or other address that is no peer for a policy")
    BOTH_OUTSIDE = ("both-outside", "neither end is in the cluster")
    SELF = ("self", "a pod to itself, which no policy can block")
    OWN_NODE = ("own-node", "a pod and its own node, which is always allowed")
    NO_SUBJECT = ("no-subject", "neither end is a pod with an address of its own, and policies apply to no other")
    REFUSED = ("refused", "the connection was refused")
    UNANSWERED = ("unanswered", "nobody answered")
    UNKNOWN_OUTCOME = ("unknown-outcome", "the log does not tell whether it worked")
    UNKNOWN_DIRECTION = ("unknown-direction", "it is not known who opened the connection")
    WEAK_DIRECTION = ("weak-direction", "who opened the connection is only a guess")
    MIDSTREAM_ONE_WAY = ("midstream-one-way", "older than the capture, and no data went both ways")
    AMBIGUOUS_END = ("ambiguous-end", "more than one owner held the address at that time")
    UNKNOWN_END = ("unknown-end", "an address of the cluster of which no owner is known at that time")
    UNMAPPED_SERVICE = ("unmapped-service", "a Service's address, and which pod answered is not known")
    UNLABELLED = ("unlabelled", "a pod without any lasting label that a selector could name it by")
    EPHEMERAL_PORT = ("ephemeral-port", "a port that is chosen anew each time")
    SCAN = ("scan", "a new connection of a source that scans")

    def __init__(self, identifier: str, text: str) -> None:
        self.identifier = identifier
        self.text = text


NEEDLESS = frozenset(
    {Reason.NO_PORTS, Reason.LOCAL_ADDRESS, Reason.BOTH_OUTSIDE, Reason.SELF, Reason.OWN_NODE, Reason.NO_SUBJECT}
)
"""Connections that no NetworkPolicy can or need speak of."""


def first_reason(reasons: Iterable[Reason]) -> Reason:
    """The one that is asked first."""
    return min(reasons, key=list(Reason).index)


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of connections that were left out.

    Attributes:
        flows: Rows of the flow table.
        first_seen: Packet time, nanoseconds since the epoch.
        last_seen: Packet time, nanoseconds since the epoch.
        ports: The lowest few (IP protocol number, port).
        more_ports: There were others.
    """

    connections: int = 0
    packets: int = 0
    bytes: int = 0
    flows: int = 0
    first_seen: int = 0
    last_seen: int = 0
    ports: tuple[tuple[int, int | None], ...] = ()
    more_ports: bool = False

    def add(self, flow: Flow) -> None:
        """Counts one more flow."""
        self.first_seen = min(self.first_seen, flow.first_seen) if self.flows else flow.first_seen
        self.last_seen = max(self.last_seen, flow.last_seen)
        self.flows += 1
        self.connections += flow.connections
        self.packets += flow.packets
        self.bytes += flow.bytes
        port = (flow.protocol, flow.port)
        if port not in self.ports:
            ports = sorted({*self.ports, port}, key=lambda item: (item[0], item[1] or 0))
            self.more_ports = self.more_ports or len(ports) > EXAMPLE_PORTS
            self.ports = tuple(ports[:EXAMPLE_PORTS])
