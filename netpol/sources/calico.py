"""Calico: flows as Whisker and Goldmane tell them, and flow logs of Calico Enterprise and Cloud, an object a line.

goldmane/proto/api.proto, goldmane/pkg/emitter and whisker-backend/pkg/apis/v1/flows.go of projectcalico/calico; "Flow
log data types" of Calico Enterprise's documentation. Flows are added up over time, nodes, clients' ports and, but for
some of the commercial editions' logs, replicas: an end is the name that pods of one controller share (`web-5d9f-*`),
without an address. It stands for one of these pods, whichever. `pub`, `pvt` and network sets have no address, and
cannot be used. The same flow is told by its source and by its destination: it counts once.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from netpol.model.flow import SCTP, TCP, UDP
from netpol.sources.builder import End, Whole, end_of
from netpol.sources.calico_outcome import Counts, outcome_of
from netpol.sources.tally import Passed
from netpol.sources.times import of_rfc3339, of_seconds

UNTOLD: Final = (
    "which replica",
    "addresses outside the cluster and of nodes, where they are added up",
    "clients' ports",
    "whether connections worked that carried little, where it counts no connections (Whisker)",
)

_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "6": TCP, "17": UDP, "132": SCTP}
_ACTIONS: Final = {"1": "allow", "2": "deny", "3": "pass"}
_REPORTERS: Final = {"1": "src", "2": "dst"}
_TYPES: Final = {
    "1": "pod",
    "wep": "pod",
    "workloadendpoint": "pod",
    "2": "host",
    "hep": "host",
    "hostendpoint": "host",
    "3": "set",
    "ns": "set",
    "networkset": "set",
    "4": "network",
    "net": "network",
    "network": "network",
}
"""How the protobuf (numbers, names) and the commercial editions' logs call what an end is."""
_NETWORKS: Final = frozenset({"pub", "pvt", "PUBLIC NETWORK", "PRIVATE NETWORK"})
"""The second two: as Whisker shows the first two."""
_NOT_NAMESPACED: Final = frozenset({"", "-", "Global"})
_AUTOMATIC: Final = "-auto-hep"
"""Ends the names of the host endpoints that Calico makes for nodes by itself."""


class Group(NamedTuple):
    """Pods by the name that Calico adds them up under.

    Attributes:
        name: Ends in `*` where it is what their names begin with.
        told: The address of one of them, where the flow tells it beside the name; port 0.
    """

    namespace: str
    name: str
    told: End | None = None


class Host(NamedTuple):
    """A node by its name."""

    name: str


class Told(NamedTuple):
    """A flow whose ends may be names.

    Attributes:
        whole: All but the ends: `client` and `server` hold nothing yet.
    """

    client: End | Group | Host
    server: End | Group | Host
    port: int
    whole: Whole


class _Fields(msgspec.Struct):
    start_time: int | float | str = 0
    end_time: int | float | str = 0
    action: str | int = ""
    reporter: str | int = ""
    source_ip: str | None = None
    source_name: str | None = ""
    source_name_aggr: str | None = ""
    source_namespace: str | None = ""
    source_type: str | int | None = ""
    source_port: int | str | None = None
    dest_ip: str | None = None
    dest_name: str | None = ""
    dest_name_aggr: str | None = ""
    dest_namespace: str | None = ""
    dest_type: str | int | None = ""
    dest_port: int | str | None = None
    proto: int | str | None = ""
    protocol: int | str | None = ""
    packets_in: int | str = 0
    packets_out: int | str = 0
    bytes_in: int | str = 0
    bytes_out: int | str = 0
    num_flows_started: int | str | None = None
    num_connections_started: int | str | None = None


class _Line(_Fields):
    """A flow, or a message of Goldmane around one: a result with its flow, a flow with its key."""

    flow: dict[str, Any] | None = None
    Key: dict[str, Any] | None = None


_decoder: Final = msgspec.json.Decoder(_Line)


def read_line(line: bytes) -> Told | Passed:
    """The flow of one line; one of Whisker's stream of events has `data:` before it.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    line = line.removeprefix(b"data:")
    fields = _decoder.decode(line)
    if fields.flow is not None or fields.Key is not None:
        return _read(_of_goldmane(msgspec.json.decode(line)))
    return _read(fields)


def _of_goldmane(message: dict[str, Any]) -> _Fields:
    """The fields of a flow and of its key; where none were started, protobuf leaves the count out."""
    flow = message.get("flow") or message
    key = flow.get("Key") or flow.get("key")
    if not isinstance(key, dict):
        raise ValueError("a flow without a key")  # noqa: TRY004 - what is wrong is the log
    row = {_snake(name): value for part in (flow, key) for name, value in part.items()}
    return msgspec.convert({"num_connections_started": 0, **row}, _Fields)


def _snake(name: str) -> str:
    """Protobuf's JSON has `destPort` where Go's has `dest_port`."""
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)


def _read(flow: _Fields) -> Told | Passed:
    action = _word(flow.action, _ACTIONS)
    if action not in {"allow", "deny"}:
        return Passed("Calico: neither allowed nor denied", foreign=not action)
    protocol = _PROTOCOLS.get(str(flow.proto or flow.protocol).lower())
    if protocol is None:
        return Passed("Calico: a protocol without ports")
    port = _whole(flow.dest_port or 0)
    if not 0 < port <= 65535:
        return Passed("Calico: no port")
    ends = (
        _end(flow.source_ip, flow.source_namespace, flow.source_name, flow.source_name_aggr, flow.source_type),
        _end(flow.dest_ip, flow.dest_namespace, flow.dest_name, flow.dest_name_aggr, flow.dest_type),
    )
    client, server = ends
    if isinstance(client, Passed):
        return client
    if isinstance(server, Passed):
        return server
    family = next((each.family for each in (_told(client), _told(server)) if each is not None), None)
    first, last = _time(flow.start_time), _time(flow.end_time)
    started = flow.num_flows_started if flow.num_flows_started is not None else flow.num_connections_started
    counts = Counts(
        packets=_pair(flow.packets_in, flow.packets_out),
        size=_pair(flow.bytes_in, flow.bytes_out),
        started=None if started is None else _whole(started),
        family=family,
        source_tells=_word(flow.reporter, _REPORTERS) != "dst",
    )
    outcome, two_way = outcome_of(protocol, counts, allowed=action == "allow")
    nowhere = End(4, 0, 0, 0)
    whole = Whole(
        protocol=protocol,
        client=nowhere,
        server=nowhere,
        outcome=outcome,
        two_way=two_way,
        first=first,
        last=max(first, last),
        connections=max(1, min(counts.started or 1, 1 << 31)),
        packets=sum(counts.packets),
        bytes=sum(counts.size),
        key=(protocol, *ends, port, str(flow.source_port), first, action),
        teller=_word(flow.reporter, _REPORTERS),
    )
    return Told(client, server, port, whole)


def _end(
    address: str | None, namespace: str | None, name: str | None, aggregated: str | None, kind: str | int | None
) -> End | Group | Host | Passed:
    """An address where it is told, with the name if it is a pod's; else the name, if it is one of pods or of a node."""
    told = end_of(address) if address and address != "-" else None
    own = name if name not in {None, "", "-"} else aggregated
    what = _TYPES.get(str(kind or "").lower(), "")
    if told is not None:
        pod = what == "pod" and namespace and own
        return Group(str(namespace), str(own), told) if pod else told
    if own in {None, "", "-"}:
        return Passed("Calico: an end without address and name", unplaced=True)
    if what == "network" or own in _NETWORKS:
        return Passed("Calico: an end outside, whose address is not told (public or private network)", unplaced=True)
    if what == "set":
        return Passed("Calico: an end in a network set, whose address is not told", unplaced=True)
    if what == "host" or namespace is None or namespace in _NOT_NAMESPACED:
        # Without namespace and type, as Whisker tells it, this may be a set too: then no node has the name.
        return Host(str(own).removesuffix(_AUTOMATIC))
    return Group(namespace, str(own))


def _told(end: End | Group | Host) -> End | None:
    return end.told if isinstance(end, Group) else end if isinstance(end, End) else None


def _word(value: str | int, numbers: dict[str, str]) -> str:
    text = str(value).lower()
    return numbers.get(text, text)


def _time(value: float | str) -> int:
    if isinstance(value, str) and not value.isdecimal():
        return of_rfc3339(value)
    return of_seconds(float(value))


def _whole(value: int | str) -> int:
    number = int(value)
    if not 0 <= number < 1 << 50:
        raise ValueError("a count that is none")
    return number


def _pair(one: int | str, other: int | str) -> tuple[int, int]:
    return _whole(one), _whole(other)
