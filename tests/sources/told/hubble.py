"""As Hubble tells it, a record a packet and place. Source: cilium/cilium, api/v1/flow/flow.proto and observer.proto.

`hubble observe -o jsonpb` writes protobuf's JSON with the proto's own names: zeros, false and what is not set are left
out. Sequence numbers, sizes and payload are not told, and nothing but TCP and UDP is written here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.sources.told.packets import ACK, FIN, PSH, RST, SYN, TCP, Packet, Socket
from tests.sources.told.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.sources.told.connections import Connection

_NAMES = ((FIN, "FIN"), (SYN, "SYN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"))


def lines(connections: Iterable[Connection], *, knows_the_old: bool = True) -> Iterator[str]:
    """In order of time.

    Args:
        connections: Whose packets are told.
        knows_the_old: Cilium's table goes back to before the capture; else `is_reply` is left out of what is older.
    """
    told: list[tuple[int, str]] = []
    for connection in connections:
        known = knows_the_old or connection.outcome != "midstream"
        clients = {connection.client, connection.hidden}
        for packet in connection.packets:
            if not packet.quoted:
                reply = (packet.sender not in clients) if known else None
                told.append((packet.time, json.dumps(_record(packet, reply=reply))))
    for _, line in sorted(told):
        yield line


def _record(packet: Packet, *, reply: bool | None) -> dict[str, Any]:
    # Linux pushes whatever ends a write; a segment in the middle of one is followed by one that is pushed.
    flags = packet.flags | (PSH if packet.payload else 0)
    node = packet.place[0].split(".")[0]
    return record(
        packet.time, packet.protocol, (packet.sender, packet.receiver), flags if packet.protocol == TCP else 0,
        reply=reply, node=node,
    )  # fmt: skip


def record(
    time: int,
    protocol: int,
    ends: tuple[tuple[str, int], tuple[str, int]],
    flags: int = 0,
    *,
    reply: bool | None = None,
    verdict: str = "FORWARDED",
    node: str = "node-a",
) -> dict[str, Any]:
    """One flow in its wrapper."""
    (source, source_port), (destination, destination_port) = map(Socket._make, ends)
    ports = {"source_port": source_port, "destination_port": destination_port}
    layer: dict[str, Any] = {name: value for name, value in ports.items() if value}
    if protocol == TCP:
        layer["flags"] = {name: True for bit, name in _NAMES if flags & bit}
    flow: dict[str, Any] = {
        "time": rfc3339(time),
        "verdict": verdict,
        "IP": {"source": source, "destination": destination, "ipVersion": "IPv6" if ":" in source else "IPv4"},
        "l4": {{6: "TCP", 17: "UDP", 132: "SCTP"}[protocol]: layer},
        "Type": "L3_L4",
        "node_name": node,
        "event_type": {"type": 4},
    }
    if reply is not None:
        flow["is_reply"] = reply
    return {"flow": flow, "node_name": node, "time": flow["time"]}
