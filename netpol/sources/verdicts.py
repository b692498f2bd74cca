"""Logs of verdicts: that somebody tried to connect, and what policy said to it, but not what came of it.

GKE's network policy logs (Cloud Logging's entries, and the nodes' own `policy_action.log`): Google Kubernetes Engine
documentation, "Use network policy logging". The AWS VPC CNI's network policy agent: aws/aws-network-policy-agent,
pkg/ebpf/events/events.go: its "Flow Info" lines (fields of their own, since version 1.2 one message), and what it sends
to CloudWatch Logs, which exports it with the time before it. Where a connection was let through, its outcome is not
known: a port scan is let through, too.
"""

from __future__ import annotations

import re
from dataclasses import replace
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
    direction: str = ""


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
    msg: str = ""
    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0
    protocol: str = ""
    verdict: str = ""


AGENTS_MESSAGE: Final = re.compile(
    r"Flow Info: Src IP: (?P<source>\S{2,45}) Src Port: (?P<sport>\d{1,5}) Dest IP: (?P<destination>\S{2,45}) "
    r"Dest Port: (?P<dport>\d{1,5}) Proto:? (?P<protocol>\S{1,16}) Verdict:? (?P<verdict>\S{1,16})"
    r"(?: Direction:? \S{1,16})?",
    re.ASCII,
)
"""The agent writes colons for IPv6 alone."""
CLOUDWATCH: Final = re.compile(
    r"(?:(?P<time>\S{20,35}) )?Node: [^;]{0,253};SIP: (?P<source>[^;]{2,45});SPORT: (?P<sport>\d{1,5});"
    r"DIP: (?P<destination>[^;]{2,45});DPORT: (?P<dport>\d{1,5});PROTOCOL: (?P<protocol>[^;]{1,16});"
    r"PolicyVerdict: (?P<verdict>\S{1,16})",
    re.ASCII,
)

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
        return Passed("GKE: not a verdict", foreign=connection is None)
    ends = end_of(connection.src_ip, connection.src_port), end_of(connection.dest_ip, connection.dest_port)
    allowed = payload.disposition == "allow"
    said = _whole(ends, connection.protocol, of_rfc3339(payload.timestamp or entry.timestamp), allowed=allowed)
    if isinstance(said, Passed):
        return said
    count = max(1, min(int(payload.count), 1 << 31))
    key = (said.protocol, *ends, allowed) if connection.direction else None
    return replace(said, connections=count, key=key, teller=connection.direction)


def read_vpc_cni(line: bytes) -> Whole | Passed:
    """The same of a line of the VPC CNI's agent: of its own file, or as CloudWatch Logs exports it.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    if not line.startswith(b"{"):
        return _of_cloudwatch(line.decode("ascii"))
    entry = _vpc_cni.decode(line)
    if entry.verdict:
        ends = end_of(entry.source, entry.source_port), end_of(entry.destination, entry.destination_port)
        return _of_agent(entry.ts, ends, entry.protocol, entry.verdict)
    told = AGENTS_MESSAGE.fullmatch(entry.msg)
    if told is None:
        return Passed("VPC CNI: not a flow", foreign=not entry.msg)
    return _of_agent(entry.ts, _ends(told), told["protocol"], told["verdict"])


def _of_cloudwatch(line: str) -> Whole | Passed:
    told = CLOUDWATCH.fullmatch(line)
    if told is None:
        raise ValueError("not a line of the VPC CNI's agent")
    return _of_agent(told["time"] or "", _ends(told), told["protocol"], told["verdict"])


def _ends(told: re.Match[str]) -> tuple[End, End]:
    return end_of(told["source"], int(told["sport"])), end_of(told["destination"], int(told["dport"]))


def _of_agent(time: str, ends: tuple[End, End], protocol: str, verdict: str) -> Whole | Passed:
    if verdict not in {"ACCEPT", "DENY"}:
        return Passed("VPC CNI: not a verdict")
    return _whole(ends, protocol, of_rfc3339(time), allowed=verdict == "ACCEPT")


def _whole(ends: tuple[End, End], protocol: str, time: int, *, allowed: bool) -> Whole | Passed:
    number = _PROTOCOLS.get(protocol.lower())
    if number is None:
        return Passed("a protocol without ports")
    client, server = ends
    if client.family != server.family:
        raise ValueError("addresses of two families")
    outcome = Outcome.UNKNOWN if allowed else Outcome.UNANSWERED
    return Whole(protocol=number, client=client, server=server, outcome=outcome, first=time, last=time)
