"""Logs of verdicts: that somebody tried to connect, and what policy said to it, but not what came of it.

GKE's network policy logs (Cloud Logging's entries, and the nodes' own `policy_action.log`): Google Kubernetes Engine
documentation, "Use network policy logging". The AWS VPC CNI's network policy agent: aws/aws-network-policy-agent, its
"Flow Info" lines. Where a connection was let through, its outcome is unknown: a port scan is let through, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from netpol.model.flow import SCTP, TCP, UDP, Outcome
from netpol.sources.builder import Whole, end_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_rfc3339

if TYPE_CHECKING:
    from netpol.sources.builder import End

UNTOLD: Final = ("whether a connection worked", "packets and bytes")

_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "6": TCP, "17": UDP, "132": SCTP}


class _Connection(msgspec.Struct):
    src_ip: str = ""
    dest_ip: str = ""
    src_port: int = 0
    dest_port: int = 0
    protocol: str = ""


class _Payload(msgspec.Struct):
    connection: _Connection | None = None
    disposition: str = ""
    count: int | str = 1
    timestamp: str = ""


class _Entry(msgspec.Struct):
    jsonPayload: _Payload | None = None  # noqa: N815 - Google's name
    connection: _Connection | None = None
    disposition: str = ""
    count: int | str = 1
    timestamp: str = ""


_AGENTS_NAMES: Final = {
    "source": "Src IP",
    "source_port": "Src Port",
    "destination": "Dest IP",
    "destination_port": "Dest Port",
    "protocol": "Proto",
    "verdict": "Verdict",
}


class _Agent(msgspec.Struct, rename=_AGENTS_NAMES):
    ts: str = ""
    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0
    protocol: str = ""
    verdict: str = ""


_gke: Final = msgspec.json.Decoder(_Entry)
_vpc_cni: Final = msgspec.json.Decoder(_Agent)


def read_gke(line: bytes) -> Whole | Passed:
    """The connection of one entry; its egress and its ingress entry are about the same.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    entry = _gke.decode(line)
    payload = entry.jsonPayload or _Payload(entry.connection, entry.disposition, entry.count, entry.timestamp)
    connection = payload.connection
    if connection is None or payload.disposition not in {"allow", "deny"}:
        return Passed("GKE: not a verdict")
    ends = end_of(connection.src_ip, connection.src_port), end_of(connection.dest_ip, connection.dest_port)
    allowed = payload.disposition == "allow"
    count = max(1, min(int(payload.count), 1 << 31))
    return _whole(ends, connection.protocol, of_rfc3339(payload.timestamp or entry.timestamp), allowed, count)


def read_vpc_cni(line: bytes) -> Whole | Passed:
    """The same of a line of the VPC CNI's agent.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    entry = _vpc_cni.decode(line)
    if entry.verdict not in {"ACCEPT", "DENY"}:
        return Passed("VPC CNI: not a verdict")
    ends = end_of(entry.source, entry.source_port), end_of(entry.destination, entry.destination_port)
    return _whole(ends, entry.protocol, of_rfc3339(entry.ts), entry.verdict == "ACCEPT", 1)


def _whole(
    ends: tuple[End, End],
    protocol: str,
    time: int,
    allowed: bool,  # noqa: FBT001 - a verdict is nothing else
    count: int,
) -> Whole | Passed:
    number = _PROTOCOLS.get(protocol.lower())
    if number is None:
        return Passed("a protocol without ports")
    client, server = ends
    if client.family != server.family:
        raise ValueError("addresses of two families")
    return Whole(
        protocol=number,
        client=client,
        server=server,
        outcome=Outcome.UNKNOWN if allowed else Outcome.UNANSWERED,
        first=time,
        last=time,
        connections=count,
        key=(number, client, server, allowed),
    )
