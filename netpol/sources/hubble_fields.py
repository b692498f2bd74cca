"""The fields of Hubble's records that say something about who talked to whom: api/v1/flow/flow.proto of cilium/cilium.

In protobuf's JSON, zeros, false and empty messages are left out, and readers of other versions write enums as numbers.
"""

from __future__ import annotations

import msgspec


class Flags(msgspec.Struct):
    """Those that say something about a connection."""

    FIN: bool = False
    SYN: bool = False
    RST: bool = False
    PSH: bool = False
    ACK: bool = False


class Ports(msgspec.Struct):
    """TCP, UDP or SCTP."""

    source_port: int = 0
    destination_port: int = 0
    flags: Flags | None = None


class Message(msgspec.Struct):
    """ICMP."""

    type: int = 0


class Layer4(msgspec.Struct):
    """One of these."""

    TCP: Ports | None = None
    UDP: Ports | None = None
    SCTP: Ports | None = None
    ICMPv4: Message | None = None
    ICMPv6: Message | None = None


class Addresses(msgspec.Struct):
    """Of a packet."""

    source: str = ""
    destination: str = ""


class Dns(msgspec.Struct):
    """What Cilium's DNS proxy saw: a question, or its answer."""

    query: str = ""
    ips: list[str] = []
    ttl: int = 0
    rcode: int = 0
    qtypes: list[str] = []


class Header(msgspec.Struct):
    """Of HTTP."""

    key: str = ""
    value: str = ""


class Http(msgspec.Struct):
    """What Cilium's HTTP proxy saw."""

    url: str = ""
    headers: list[Header] = []


class Layer7(msgspec.Struct):
    """What a proxy saw."""

    type: str = ""
    dns: Dns | None = None
    http: Http | None = None


class Flow(msgspec.Struct):
    """The fields of a flow that say something about who talked to whom."""

    time: str = ""
    verdict: str | int = ""
    IP: Addresses | None = None
    l4: Layer4 | None = None
    l7: Layer7 | None = None
    Type: str | int = ""
    is_reply: bool | None = None
    reply: bool = False


class Lost(msgspec.Struct):
    """How many events the observer itself missed; 64 bits are text in protobuf's JSON."""

    num_events_lost: int | str = 0


class Record(Flow):
    """A line: a flow bare, a flow in its wrapper, or something else that the observer tells."""

    flow: Flow | None = None
    lost_events: Lost | None = None
    node_status: dict[str, object] | None = None
    agent_event: dict[str, object] | None = None
    debug_event: dict[str, object] | None = None
