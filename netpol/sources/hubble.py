"""Hubble (Cilium): flows as `hubble observe -o json` prints them and as its exporter writes them, a line each.

Shape and meaning: cilium/cilium api/v1/flow/flow.proto and api/v1/observer/observer.proto, in protobuf's JSON with the
names of the proto. proto3 leaves out zeros and false; a field mask can leave out anything. `is_reply` is a wrapper:
absent, it is not known, unless the deprecated `reply` is true: that this is false says nothing. A record is about one
packet that Cilium saw at one place, so a connection is in the log once for each node and place; records of one 5-tuple
are joined by it. What policy dropped is an attempt, whatever else is said of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from netpol.flows.records import ACK, DATA, FIN, RST, SEEN, SYN, SYNACK
from netpol.model.flow import ICMP, ICMPV6, SCTP, TCP, UDP
from netpol.sources.builder import Entry, end_of, identity_of
from netpol.sources.hubble_fields import Flow, Record
from netpol.sources.tally import Passed
from netpol.sources.times import of_rfc3339

if TYPE_CHECKING:
    from netpol.sources.builder import End
    from netpol.sources.hubble_fields import Flags

UNTOLD: Final = (
    "bytes on the wire",
    "packets that Cilium's monitor aggregated",
    "what a Service's address and the pod behind it have in common: a connection counts under both",
)

_FORWARDED: Final = frozenset({"FORWARDED", "REDIRECTED", "AUDIT", "TRACED"})
_VERDICTS: Final[dict[str | int, str]] = {
    1: "FORWARDED",
    2: "DROPPED",
    3: "ERROR",
    4: "AUDIT",
    5: "REDIRECTED",
    6: "TRACED",
    7: "TRANSLATED",
}
_TYPES: Final[dict[str | int, str]] = {1: "L3_L4", 2: "L7", 3: "SOCK"}
"""Readers of other versions write enums as numbers."""
_ASKS: Final = {ICMP: 8, ICMPV6: 128}
_ANSWERS: Final = {ICMP: 0, ICMPV6: 129}


_decoder: Final = msgspec.json.Decoder(Record)


def read_line(line: bytes) -> Entry | Flow | Passed:
    """What one line says: of a connection, of a name (a flow with `l7`), or nothing that can be used.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    record = _decoder.decode(line)
    if record.lost_events is not None:
        return Passed("Hubble: events lost", max(0, int(record.lost_events.num_events_lost)))
    if record.node_status is not None or record.agent_event is not None or record.debug_event is not None:
        return Passed("Hubble: not a flow")
    flow: Flow = record.flow or record
    flow.verdict = _VERDICTS.get(flow.verdict, flow.verdict)
    flow.Type = _TYPES.get(flow.Type, flow.Type)
    if flow.is_reply is None and flow.reply:
        flow.is_reply = True
    return _flow(flow)


def _flow(flow: Flow) -> Entry | Flow | Passed:
    unusable = _why_not(flow)
    if unusable:
        return Passed(f"Hubble: {unusable}", foreign=flow.IP is None and flow.l4 is None)
    if flow.l7 is not None and (flow.l7.dns is not None or flow.l7.http is not None):
        return flow
    packet = _Packet.of(flow)
    if packet is None:
        return Passed("Hubble: no layer 4")
    if packet.sender.family != packet.receiver.family:
        raise ValueError("addresses of two families")
    if flow.verdict == "DROPPED":
        return packet.attempt(flow) or Passed("Hubble: dropped, and not the beginning of a connection")
    return packet.entry(flow) if flow.verdict in _FORWARDED else Passed("Hubble: no verdict")


def _why_not(flow: Flow) -> str:
    """Why a flow says nothing that can be used; empty where it may."""
    if flow.Type == "SOCK" or flow.verdict == "TRANSLATED":
        return "translation at a socket"
    if flow.verdict == "ERROR":
        return "verdict ERROR"
    if flow.IP is None or not flow.IP.source or not flow.IP.destination:
        return "no addresses"
    return "" if flow.time else "no time"


class _Packet(msgspec.Struct, frozen=True):
    """One packet of a flow record.

    Attributes:
        events: Its sender's, as in `netpol.flows.records`.
    """

    protocol: int
    sender: End
    receiver: End
    events: int

    @classmethod
    def of(cls, flow: Flow) -> _Packet | None:
        """The packet that a flow is about, None where it tells no addresses or nothing of layer 4.

        Raises:
            ValueError: An address or a port is none.
        """
        addresses, layer = flow.IP, flow.l4
        if addresses is None or layer is None:
            return None
        for protocol, ports in ((TCP, layer.TCP), (UDP, layer.UDP), (SCTP, layer.SCTP)):
            if ports is not None:
                sender = end_of(addresses.source, ports.source_port)
                receiver = end_of(addresses.destination, ports.destination_port)
                events = _tcp_events(ports.flags) if protocol == TCP else SEEN | DATA
                return cls(protocol, sender, receiver, events)
        for protocol, message in ((ICMP, layer.ICMPv4), (ICMPV6, layer.ICMPv6)):
            if message is not None:
                asks, answers = message.type == _ASKS[protocol], message.type == _ANSWERS[protocol]
                events = SEEN | (SYN if asks else 0) | (SYNACK if answers else 0)
                return cls(protocol, end_of(addresses.source), end_of(addresses.destination), events)
        return None

    def entry(self, flow: Flow) -> Entry:
        """What a packet that was let through says."""
        answers = bool(self.events & SYNACK)
        reply = flow.is_reply if flow.is_reply is not None else answers
        time = of_rfc3339(flow.time)
        one, other = (self.receiver, self.sender) if reply else (self.sender, self.receiver)
        handshake = self.protocol == TCP
        return Entry(
            one=one,
            other=other,
            protocol=self.protocol,
            first=time,
            last=time,
            events_of_one=0 if reply else self.events,
            events_of_other=self.events if reply else 0,
            opened=handshake and bool(self.events & SYN),
            answered=handshake and answers,
            tracked=flow.is_reply is not None,
            identity=_identity(one, other),
        )

    def attempt(self, flow: Flow) -> Entry | None:
        """What a packet that was dropped says: that its sender tried; None where it does not show that."""
        begins = bool(self.events & SYN) if self.protocol == TCP else not flow.is_reply
        if flow.is_reply or not begins:
            return None
        time = of_rfc3339(flow.time)
        return Entry(
            one=self.sender,
            other=self.receiver,
            protocol=self.protocol,
            first=time,
            last=time,
            events_of_one=self.events & (SEEN | SYN | DATA),
            opened=self.protocol == TCP,
            tracked=flow.is_reply is not None,
            identity=_identity(self.sender, self.receiver),
        )


def _identity(client: End, server: End) -> tuple[int, int]:
    """Hubble tells no sequence numbers: the 5-tuple has to stand for them, so a port that is used again is not told."""
    return identity_of(f"{client}{server}")


def _tcp_events(flags: Flags | None) -> int:
    """Events of the sender; data is what is pushed, because Hubble does not tell sizes."""
    if flags is None:
        return SEEN
    if flags.RST:
        return SEEN | RST
    if flags.SYN:
        return SEEN | (SYNACK if flags.ACK else SYN)
    return SEEN | (ACK if flags.ACK else 0) | (FIN if flags.FIN else 0) | (DATA if flags.PSH else 0)
