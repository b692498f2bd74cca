"""Captures told anew as Hubble would tell them, one record a packet; written from Hubble's flow.proto.

What Hubble does not tell is dropped: sequence numbers, sizes, and everything that is not TCP, UDP or ICMP.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from netpol.capture.packets import PacketBatch, Tally
from netpol.capture.read import read_packets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_NAMES = ((FIN, "FIN"), (SYN, "SYN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"))


def lines_of(*captures: Path) -> Iterator[str]:
    """A line for each packet; who opened a connection is known where its SYN was seen, as to Cilium's own table."""
    opened: set[tuple[Any, ...]] = set()
    for batch in read_packets(list(captures), Tally()):
        if isinstance(batch, PacketBatch):
            yield from _lines(batch, opened)


def _lines(batch: PacketBatch, opened: set[tuple[Any, ...]]) -> Iterator[str]:
    for row in range(len(batch)):
        protocol = int(batch.protocol[row])
        if protocol not in {6, 17}:
            continue
        source, destination = _address(batch, "source", row), _address(batch, "destination", row)
        ends = (source, int(batch.source_port[row])), (destination, int(batch.destination_port[row]))
        flags = int(batch.flags[row]) if protocol == 6 else 0
        if protocol == 17 and (17, *reversed(ends)) not in opened:
            opened.add((17, *ends))
        if flags & SYN and not flags & ACK:
            opened.add((6, *ends))
        reply = None
        if (protocol, *ends) in opened:
            reply = False
        elif (protocol, *reversed(ends)) in opened:
            reply = True
        pushed = flags | (PSH if int(batch.payload[row]) else 0)
        yield json.dumps(record(int(batch.time[row]), protocol, ends, pushed if protocol == 6 else 0, reply=reply))


def _address(batch: PacketBatch, name: str, row: int) -> str:
    value = getattr(batch, name)[row]
    return str(IPv4Address(int(value)) if batch.family == 4 else IPv6Address(int(value[0]) << 64 | int(value[1])))


def record(
    time: int,
    protocol: int,
    ends: tuple[tuple[str, int], tuple[str, int]],
    flags: int = 0,
    *,
    reply: bool | None = None,
    verdict: str = "FORWARDED",
) -> dict[str, Any]:
    """One flow in its wrapper, as protobuf's JSON writes it: zeros, false and empty messages' fields left out."""
    (source, source_port), (destination, destination_port) = ends
    ports = {"source_port": source_port, "destination_port": destination_port}
    layer: dict[str, Any] = {name: value for name, value in ports.items() if value}
    if protocol == 6:
        layer["flags"] = {name: True for bit, name in _NAMES if flags & bit}
    flow: dict[str, Any] = {
        "time": stamp(time),
        "verdict": verdict,
        "IP": {"source": source, "destination": destination, "ipVersion": "IPv6" if ":" in source else "IPv4"},
        "l4": {{6: "TCP", 17: "UDP", 132: "SCTP"}[protocol]: layer},
        "Type": "L3_L4",
        "node_name": "node-a",
    }
    if reply is not None:
        flow["is_reply"] = reply
    return {"flow": flow, "node_name": "node-a", "time": flow["time"]}


def stamp(time: int) -> str:
    """RFC 3339 with nanoseconds, trailing zeros left out, as Go writes it."""
    seconds, rest = divmod(time, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"
