"""As AWS VPC flow logs tell it: what the nodes' own interfaces carried, a record for each direction and minute.

Source: Amazon VPC user guide, "Flow log records" (fields of versions 2 to 8; `tcp-flags` is the OR of what was seen, of
FIN 1, SYN 2, RST 4, and 18 for SYN-ACK, while acknowledgements alone are 0) and "Flow log record examples". Pods have
the VPC's own addresses there (the VPC CNI), so what the sample shop sends through its tunnel counts as sent so. What
stays on a node never comes to its interface.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.sources.told.packets import ACK, FIN, RST, SYN, TCP, Packet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
CUSTOM = (
    "version interface-id pkt-srcaddr pkt-dstaddr srcaddr dstaddr srcport dstport protocol tcp-flags packets bytes "
    "start end action flow-direction traffic-path reject-reason log-status"
)
"""Of version 8, in another order."""

_MINUTE = 60


def cables(packets: Iterable[Packet]) -> dict[str, str]:
    """The interface of each capture that the tunnel goes over: the node's own."""
    seen = Counter(packet.place for packet in packets if packet.tunnelled)
    return {capture: interface for (capture, interface), _ in sorted(seen.items(), key=lambda each: each[1])}


def on_cables(packets: list[Packet]) -> list[Packet]:
    """What a VPC sees."""
    own = cables(packets)
    return [packet for packet in packets if own[packet.place[0]] == packet.place[1] and not packet.quoted]


def records(packets: list[Packet]) -> list[dict[str, Any]]:
    """One for each node, direction and minute."""
    found: dict[Any, dict[str, Any]] = {}
    for packet in on_cables(packets):
        ends = packet.sender, packet.receiver
        key = packet.place, packet.protocol, ends, packet.time // 10**9 // _MINUTE
        row = found.setdefault(
            key,
            {
                "version": 8, "account-id": "123456789010", "interface-id": f"eni-{packet.place[0].split('.')[0]}",
                "srcaddr": packet.sender.address, "dstaddr": packet.receiver.address, "srcport": packet.sender.port,
                "dstport": packet.receiver.port, "protocol": packet.protocol, "packets": 0, "bytes": 0, "tcp-flags": 0,
                "start": packet.time // 10**9, "end": 0, "action": "ACCEPT", "log-status": "OK",
                "flow-direction": "egress", "traffic-path": 1, "reject-reason": "-",
            },
        )  # fmt: skip
        row["packets"] += 1
        row["bytes"] += packet.size
        row["end"] = packet.time // 10**9
        row["tcp-flags"] |= _flags(packet) if packet.protocol == TCP else 0
        row["pkt-srcaddr"], row["pkt-dstaddr"] = row["srcaddr"], row["dstaddr"]
    return list(found.values())


def _flags(packet: Packet) -> int:
    both = SYN | ACK
    return packet.flags & (FIN | RST) | (packet.flags & both if packet.flags & SYN else 0)


def lines(rows: list[dict[str, Any]], fields: str = "") -> Iterator[str]:
    """In the format of a heading, which is written too; without one in the default format, and no heading."""
    if fields:
        yield fields
    for row in rows:
        version = {} if fields else {"version": 2}
        yield " ".join(str((row | version)[name]) for name in (fields or DEFAULT).split())
