"""Calico: flows as Whisker and Goldmane tell them, and flow logs of Calico Enterprise and Cloud, an object a line.

goldmane/proto/api.proto and whisker-backend/pkg/apis/v1/flows.go of projectcalico/calico; "Flow log data types" of
Calico Enterprise's documentation. Flows are added up over time, nodes, clients' ports and, but for some of the
commercial editions' logs, replicas: an end is the name that pods of one controller share (`web-5d9f-*`), without an
address. It stands for one of these pods, whichever. `pub`, `pvt` and network sets have no address, and cannot be
used. The same flow is told by its source and by its destination: it counts once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from netpol.model.flow import SCTP, TCP, UDP, Outcome
from netpol.sources.builder import End, Whole, end_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_rfc3339, of_seconds

UNTOLD: Final = ("which replica", "addresses outside the cluster, where they are added up", "clients' ports")

_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "6": TCP, "17": UDP, "132": SCTP}
_LARGEST_EMPTY: Final = 100
"""Bytes of a TCP packet that carries nothing, with all options, in IPv6: larger ones on average carry data."""
_NO_PODS: Final = frozenset({"net", "ns", "hep", "network", "networkset", "hostendpoint"})


class Group(NamedTuple):
    """Pods by the name that Calico adds them up under.

    Attributes:
        name: Ends in `*` where it is what their names begin with.
    """

    namespace: str
    name: str


class Told(NamedTuple):
    """A flow whose ends may be names.

    Attributes:
        whole: All but the ends: `client` and `server` hold the port, and an address where one is told.
    """

    client: End | Group
    server: End | Group
    port: int
    whole: Whole


class _Fields(msgspec.Struct):
    start_time: int | float | str = 0
    end_time: int | float | str = 0
    action: str = ""
    reporter: str = ""
    source_ip: str | None = None
    source_name: str = ""
    source_name_aggr: str = ""
    source_namespace: str = ""
    source_type: str = ""
    dest_ip: str | None = None
    dest_name: str = ""
    dest_name_aggr: str = ""
    dest_namespace: str = ""
    dest_type: str = ""
    dest_port: int | str | None = None
    proto: int | str = ""
    protocol: int | str = ""
    packets_in: int | str = 0
    packets_out: int | str = 0
    bytes_in: int | str = 0
    bytes_out: int | str = 0
    num_flows_started: int | str = 0
    num_connections_started: int | str = 0


_decoder: Final = msgspec.json.Decoder(_Fields)
NOBODY: Final = Group("", "")


def read_line(line: bytes) -> Told | Passed:
    """The flow of one line.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    flow = _decoder.decode(line)
    action = flow.action.lower()
    if action not in {"allow", "deny"}:
        return Passed("Calico: neither allowed nor denied")
    protocol = _PROTOCOLS.get(str(flow.proto or flow.protocol).lower())
    if protocol is None:
        return Passed("Calico: a protocol without ports")
    port = int(flow.dest_port or 0)
    if not 0 < port <= 65535:
        return Passed("Calico: no port")
    ends = (
        _end(flow.source_ip, flow.source_namespace, flow.source_name, flow.source_name_aggr, flow.source_type),
        _end(flow.dest_ip, flow.dest_namespace, flow.dest_name, flow.dest_name_aggr, flow.dest_type),
    )
    if NOBODY in ends:
        return Passed("Calico: an end without address or name of its own")
    first, last = _time(flow.start_time), _time(flow.end_time)
    packets, size = _pair(flow.packets_in, flow.packets_out), _pair(flow.bytes_in, flow.bytes_out)
    outcome, two_way = _outcome(protocol, packets, size) if action == "allow" else (Outcome.UNANSWERED, False)
    nowhere = End(4, 0, 0, 0)
    whole = Whole(
        protocol=protocol,
        client=nowhere,
        server=nowhere,
        outcome=outcome,
        two_way=two_way,
        first=first,
        last=max(first, last),
        connections=max(1, min(int(flow.num_flows_started or flow.num_connections_started or 1), 1 << 31)),
        packets=sum(packets),
        bytes=sum(size),
        key=(protocol, *ends, port, first, action),
    )
    return Told(*ends, port, whole)


def _end(address: str | None, namespace: str, name: str, aggregated: str, kind: str) -> End | Group:
    """An address where it is told; else the name, if it is one of pods."""
    if address:
        return end_of(address)
    own = name if name not in {"", "-"} else aggregated
    if kind.lower() in _NO_PODS or namespace in {"", "-"} or own in {"", "-", "pub", "pvt"}:
        return NOBODY
    return Group(namespace, own)


def _outcome(protocol: int, packets: tuple[int, int], size: tuple[int, int]) -> tuple[Outcome, bool]:
    """What came of it: a SYN and the RST in answer are packets both ways, too, and carry nothing."""
    both = min(packets) > 0
    if protocol == UDP:
        return (Outcome.ESTABLISHED if both else Outcome.UNANSWERED), both
    carried = [each > count * _LARGEST_EMPTY for each, count in zip(size, packets, strict=True)]
    if both and any(carried):
        return Outcome.ESTABLISHED, all(carried)
    return (Outcome.UNKNOWN if both else Outcome.UNANSWERED), False


def _time(value: float | str) -> int:
    if isinstance(value, str) and not value.isdecimal():
        return of_rfc3339(value)
    return of_seconds(float(value))


def _pair(one: int | str, other: int | str) -> tuple[int, int]:
    pair = int(one), int(other)
    if min(pair) < 0 or max(pair) >= 1 << 50:
        raise ValueError("a count that is none")
    return pair
