"""As Calico tells it: Whisker's API, Goldmane's own messages, and the flow logs of Calico Enterprise and Cloud.

Sources: projectcalico/calico, goldmane/proto/api.proto (FlowKey, Flow), whisker-backend/pkg/apis/v1/flows.go and
handlers/v1/protoconvert.go (the names of its JSON; `PUBLIC NETWORK` for `pub`), goldmane/pkg/emitter (Go's JSON of the
protobuf structs: enums are numbers); for the commercial editions "Flow log data types" and "Configure flow log
aggregation" of docs.tigera.io. Felix counts packets of each direction from conntrack; each end that is a pod reports.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from tests.sources.told.packets import TCP
from tests.sources.told.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.sources.told.connections import Connection, Snapshot

_INTERVAL = 15


@dataclass(frozen=True, slots=True)
class _End:
    """A pod by the name that its controller gave to all of them, or a network."""

    name: str
    namespace: str
    kind: str
    address: str = ""


@dataclass(slots=True)
class _Flow:
    start: int
    reporter: str
    protocol: str
    source: _End
    destination: _End
    port: int
    started: int = 0
    there: tuple[int, int] = (0, 0)
    back: tuple[int, int] = (0, 0)


def _flows(found: Iterable[Connection], snapshot: Snapshot, *, addresses: bool) -> Iterator[_Flow]:
    flows: dict[Any, _Flow] = {}
    for connection in found:
        ends = [
            _end(each.address, connection.first, snapshot, addresses=addresses)
            for each in (connection.client, connection.server)
        ]
        start = connection.first // 10**9 // _INTERVAL * _INTERVAL
        protocol = "tcp" if connection.protocol == TCP else "udp"
        for reporter, end in zip(("src", "dst"), ends, strict=True):
            if end.kind != "wep":
                continue
            key = start, reporter, protocol, *ends, connection.server.port
            flow = flows.setdefault(key, _Flow(start, reporter, protocol, ends[0], ends[1], connection.server.port))
            flow.started += connection.outcome != "midstream"
            flow.there = flow.there[0] + connection.there[0], flow.there[1] + connection.there[1]
            flow.back = flow.back[0] + connection.back[0], flow.back[1] + connection.back[1]
    yield from flows.values()


def _end(address: str, time: int, snapshot: Snapshot, *, addresses: bool) -> _End:
    told = address if addresses else ""
    pod = snapshot.pod(address, time)
    if pod is not None:
        return _End(f"{pod.base}*", pod.namespace, "wep", told)
    private = any(ip_address(address) in block for block in _PRIVATE)
    return _End("pvt" if private else "pub", "-", "net", told)


_PRIVATE = [ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


def whisker(found: Iterable[Connection], snapshot: Snapshot) -> Iterator[str]:
    """Items of Whisker's list of flows, a line each."""
    shown = {"pub": "PUBLIC NETWORK", "pvt": "PRIVATE NETWORK"}
    for flow in _flows(found, snapshot, addresses=False):
        inwards = flow.reporter == "dst"
        row: dict[str, Any] = {
            "start_time": rfc3339(flow.start * 10**9), "end_time": rfc3339((flow.start + _INTERVAL) * 10**9),
            "action": "Allow", "reporter": flow.reporter.title(), "protocol": flow.protocol, "dest_port": flow.port,
            "policies": {"enforced": None, "pending": None},
        }  # fmt: skip
        for side, end in (("source", flow.source), ("dest", flow.destination)):
            row |= {
                f"{side}_name": shown.get(end.name, end.name), f"{side}_namespace": end.namespace, f"{side}_labels": "",
            }  # fmt: skip
        yield json.dumps(row | _counts(flow, inwards=inwards))


_ENUMS = {"src": 1, "dst": 2, "wep": 1, "net": 4}


def goldmane(found: Iterable[Connection], snapshot: Snapshot, *, names: bool) -> Iterator[str]:
    """Flows of Goldmane: as its emitter posts them, or (`names`) results of its API in protobuf's JSON."""
    words = {"src": "Src", "dst": "Dst", "wep": "WorkloadEndpoint", "net": "Network"}
    for number, flow in enumerate(_flows(found, snapshot, addresses=False)):
        enum = words if names else _ENUMS
        key: dict[str, Any] = {
            "proto": flow.protocol, "dest_port": flow.port, "reporter": enum[flow.reporter],
            "action": "Allow" if names else 1, "policies": {},
        }  # fmt: skip
        for side, end in (("source", flow.source), ("dest", flow.destination)):
            key |= {f"{side}_name": end.name, f"{side}_namespace": end.namespace, f"{side}_type": enum[end.kind]}
        row: dict[str, Any] = {"start_time": flow.start, "end_time": flow.start + _INTERVAL}
        row |= _counts(flow, inwards=flow.reporter == "dst")
        row |= {"num_connections_started": flow.started}
        row = {name: value for name, value in row.items() if value}
        if not names:
            yield json.dumps({"Key": key, **row})
            continue
        row = {name: str(value) for name, value in row.items()}  # protobuf's JSON: 64 bits are text
        key["dest_port"] = str(flow.port)
        yield json.dumps(_camel({"id": str(number + 1), "flow": {"key": key, **row}}))


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel_name(name): _camel(each) for name, each in value.items()}
    return value


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    # The proto's field is named `Key`, and protobuf's JSON leaves a first capital as it is.
    return "Key" if name == "key" else first + "".join(map(str.title, others))


def enterprise(found: Iterable[Connection], snapshot: Snapshot, *, addresses: bool) -> Iterator[str]:
    """Flow logs of the commercial editions; by default replicas are added up, and addresses are null."""
    for flow in _flows(found, snapshot, addresses=addresses):
        row: dict[str, Any] = {
            "start_time": flow.start, "end_time": flow.start + _INTERVAL, "host": "node-a", "action": "allow",
            "reporter": flow.reporter, "proto": flow.protocol, "dest_port": flow.port, "source_port": None,
            "num_flows": max(1, flow.started), "num_flows_started": flow.started, "num_flows_completed": 0,
            "policies": None, "http_requests_allowed_in": 0, "original_source_ips": None,
        }  # fmt: skip
        for side, end in (("source", flow.source), ("dest", flow.destination)):
            row |= {
                f"{side}_ip": end.address or None, f"{side}_name": "-", f"{side}_name_aggr": end.name,
                f"{side}_namespace": end.namespace, f"{side}_type": end.kind, f"{side}_labels": None,
            }  # fmt: skip
        yield json.dumps(row | _counts(flow, inwards=flow.reporter == "dst"))


def _counts(flow: _Flow, *, inwards: bool) -> dict[str, int]:
    """In and out are the reporter's own: what its pod receives and sends."""
    received, sent = (flow.there, flow.back) if inwards else (flow.back, flow.there)
    return {"packets_in": received[0], "packets_out": sent[0], "bytes_in": received[1], "bytes_out": sent[1]}
