"""As logs of verdicts tell it: GKE's network policy logs, and those of the AWS VPC CNI's network policy agent.

Sources: Google Kubernetes Engine documentation, "Use network policy logging" (`policy_action.log` on the nodes, and
Cloud Logging's entries around it); aws/aws-network-policy-agent, pkg/ebpf/events/events.go: fields of their own until
1.2, one message after it, and another text in CloudWatch Logs. A line each time that a connection is let through.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.sources.told.packets import TCP
from tests.sources.told.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.sources.told.connections import Connection, Snapshot


def gke(found: Iterable[Connection], snapshot: Snapshot, *, entries: bool) -> Iterator[str]:
    """The nodes' own file, or Cloud Logging's `entries`."""
    for connection in found:
        for direction, end in (("egress", connection.client), ("ingress", connection.server)):
            pod = snapshot.pod(end.address, connection.first)
            if pod is None:
                continue
            told: dict[str, Any] = {
                "connection": {
                    "src_ip": connection.client.address, "dest_ip": connection.server.address,
                    "src_port": connection.client.port, "dest_port": connection.server.port,
                    "protocol": "tcp" if connection.protocol == TCP else "udp", "direction": direction,
                },
                "disposition": "allow",
                "policies": [{"name": "allow-all", "namespace": pod.namespace}],
                "count": 1,
                "timestamp": rfc3339(connection.first),
                "node_name": pod.node,
            }  # fmt: skip
            if entries:
                told = {"insertId": "x", "jsonPayload": told, "logName": "projects/p/logs/policy-action"}
                told |= {"timestamp": told["jsonPayload"].pop("timestamp"), "resource": {"type": "k8s_node"}}
            yield json.dumps(told)


def vpc_cni(found: Iterable[Connection], written: str) -> Iterator[str]:
    """The agent's file with `fields` of their own or one `message`, or what `cloudwatch` exports to S3."""
    for connection in found:
        values = [
            connection.client.address, connection.client.port, connection.server.address, connection.server.port,
            "TCP" if connection.protocol == TCP else "UDP", "ACCEPT",
        ]  # fmt: skip
        yield _WRITERS[written](rfc3339(connection.first // 10**6 * 10**6), values)


def _fields(time: str, values: list[Any]) -> str:
    names = ("Src IP", "Src Port", "Dest IP", "Dest Port", "Proto", "Verdict")
    head = {"level": "info", "ts": time, "logger": "ebpf-client", "msg": "Flow Info:  "}
    return json.dumps(head | dict(zip(names, values, strict=True)))


def _message(time: str, values: list[Any]) -> str:
    one, one_port, other, other_port, protocol, verdict = values
    colon = ":" if ":" in one else ""  # the agent writes IPv6 and IPv4 differently
    text = f"Flow Info: Src IP: {one} Src Port: {one_port} Dest IP: {other} Dest Port: {other_port} "
    text += f"Proto{colon} {protocol} Verdict{colon} {verdict} Direction{colon} egress"
    return json.dumps({"level": "debug", "ts": time, "caller": "events/events.go:221", "msg": text})


def _cloudwatch(time: str, values: list[Any]) -> str:
    one, one_port, other, other_port, protocol, verdict = values
    text = f"Node: node-a;SIP: {one};SPORT: {one_port};DIP: {other};DPORT: {other_port};PROTOCOL: {protocol};"
    return f"{time} {text}PolicyVerdict: {verdict}"


_WRITERS = {"fields": _fields, "message": _message, "cloudwatch": _cloudwatch}
