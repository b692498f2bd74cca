"""As Inspektor Gadget tells it: `trace_tcp` and `trace_dns` as JSON, in `gadget run`'s names and in the older ones.

Sources: inspektor-gadget/inspektor-gadget, gadgets/trace_tcp (ebpf/connect.h: `connect` once the client's socket is
established, or with an error; ebpf/accept.h) and gadgets/trace_dns with their integration tests for the JSON; for the
older names pkg/gadgets/trace/tcp/types/types.go. Each event is told where it happened: the client's pod wrote to the
Service's address, the server's pod was called by what is left of the client's behind the nodes' rewriting.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.sources.told.packets import TCP, Socket
from tests.sources.told.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.sources.told.connections import Connection, Snapshot

_KINDS = {1: "A", 28: "AAAA", 12: "PTR", 33: "SRV"}
_CODES = {0: "Success", 2: "ServerFailure", 3: "NameError", 5: "Refused"}


def connections(found: Iterable[Connection], snapshot: Snapshot, *, older: bool) -> Iterator[str]:
    """`trace_tcp`: connections that began while it ran."""
    for connection in found:
        if connection.protocol != TCP or connection.outcome == "midstream":
            continue
        worked = connection.outcome == "established"
        if snapshot.pod(connection.client.address, connection.first) and (worked or not older):
            error = {"established": "", "refused": "ECONNREFUSED"}.get(connection.outcome, "ETIMEDOUT")
            yield _event(
                "connect", connection.established if worked else connection.last, connection.client,
                connection.asked or connection.server, error, older=older,
            )  # fmt: skip
        if worked and snapshot.pod(connection.server.address, connection.first):
            caller = connection.hidden or connection.client
            yield _event("accept", connection.established + 1000, connection.server, caller, "", older=older)


def _event(kind: str, time: int, source: Socket, destination: Socket, error: str, *, older: bool) -> str:
    told: dict[str, Any] = {"proc": {"comm": "server", "pid": 7}, "netns_id": 4026531840}
    for name, end in (("src", source), ("dst", destination)):
        told[name] = {"addr": end.address, "version": 6 if ":" in end.address else 4, "port": end.port, "proto": "TCP"}
    if older:
        for name in ("src", "dst"):
            told[name]["proto"] = 6
        return json.dumps({"type": "normal", "timestamp": time, "operation": kind, "comm": "server", **told})
    return json.dumps({**told, "timestamp": rfc3339(time), "type": kind, "type_raw": 0, "error": error, "error_raw": 0})


def answers(found: Iterable[Connection], snapshot: Snapshot) -> Iterator[str]:
    """`trace_dns`: questions and answers, in the pods that ask."""
    for connection in found:
        if snapshot.pod(connection.client.address, connection.first) is None:
            continue
        asked = connection.asked or connection.server
        seen = set()
        for packet in connection.packets:
            if packet.dns is None or (packet.dns.number, packet.dns.answers) in seen:
                continue
            seen.add((packet.dns.number, packet.dns.answers))
            ends = (asked, connection.client) if packet.dns.answers else (connection.client, asked)
            told: dict[str, Any] = {
                "timestamp": rfc3339(packet.time), "id": f"{packet.dns.number:04x}", "name": f"{packet.dns.name}.",
                "qr": "R" if packet.dns.answers else "Q", "qr_raw": packet.dns.answers,
                "qtype": _KINDS.get(packet.dns.kind, "UNASSIGNED"), "qtype_raw": packet.dns.kind,
                "rcode": _CODES.get(packet.dns.code, "") if packet.dns.answers else "",
                "pkt_type": "HOST" if packet.dns.answers else "OUTGOING", "addresses": ",".join(packet.dns.addresses),
            }  # fmt: skip
            for name, end in zip(("src", "dst"), ends, strict=True):
                protocol = "TCP" if connection.protocol == TCP else "UDP"
                told[name] = {"addr": end.address, "version": 4, "port": end.port, "proto": protocol}
            yield json.dumps(told)
