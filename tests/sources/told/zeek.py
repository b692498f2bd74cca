"""As Zeek tells it: conn.log, dns.log and ssl.log, tab-separated or JSON.

Source: Zeek's documentation of Conn::Info (base/protocols/conn/main.zeek: `conn_state`, and `history`, a letter the
first time that something is seen, upper case from the originator), DNS::Info and SSL::Info, and of the ASCII and JSON
writers. Zeek knows nothing of address translation: each 5-tuple is a connection of its own. Whom it did not see open
a connection it takes for the originator by who sent first.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.sources.told.packets import ACK, FIN, RST, SYN, TCP, Packet, Socket
from tests.sources.told.text import epoch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.sources.told.connections import Connection

_TYPES = {
    "ts": "time", "uid": "string", "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
    "proto": "enum", "duration": "interval", "conn_state": "string", "history": "string", "orig_pkts": "count",
    "orig_ip_bytes": "count", "resp_pkts": "count", "resp_ip_bytes": "count", "tunnel_parents": "set[string]",
    "trans_id": "count", "query": "string", "qtype_name": "string", "rcode": "count", "answers": "vector[string]",
    "TTLs": "vector[interval]",
}  # fmt: skip
_CONN = (
    *("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "duration", "conn_state", "history"),
    *("orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes", "tunnel_parents"),
)
_DNS = (
    *("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "trans_id", "query", "qtype_name"),
    *("rcode", "answers", "TTLs"),
)
_KINDS = {1: "A", 28: "AAAA", 12: "PTR", 33: "SRV"}


def connections(found: Iterable[Connection]) -> list[dict[str, Any]]:
    """Entries of conn.log."""
    rows: list[dict[str, Any]] = []
    for connection in found:
        for ends, packets in _tuples(connection).items():
            rows.append(_entry(connection, ends, packets, len(rows)))
    return rows


def names(found: Iterable[Connection]) -> list[dict[str, Any]]:
    """Entries of dns.log: the answers."""
    rows: list[dict[str, Any]] = []
    for connection in found:
        for (one, other), packets in _tuples(connection).items():
            for packet in packets:
                if packet.dns is None or not packet.dns.answers:
                    continue
                told = packet.dns
                rows.append(
                    {
                        **_ids(packet.time, f"D{len(rows)}", one, other, packet.protocol),
                        "trans_id": told.number,
                        "query": told.name,
                        "qtype_name": _KINDS.get(told.kind, str(told.kind)),
                        "rcode": told.code,
                        "answers": list(told.addresses) or None,
                        "TTLs": [float(told.life)] * len(told.addresses) or None,
                    }
                )
    return rows


def _tuples(connection: Connection) -> dict[tuple[Socket, Socket], list[Packet]]:
    """Packets under each 5-tuple, as the place that saw most of them saw them."""
    clients = {connection.client, connection.hidden}
    places: dict[tuple[Socket, Socket], dict[Any, list[Packet]]] = defaultdict(lambda: defaultdict(list))
    for packet in connection.packets:
        ends = (packet.sender, packet.receiver) if packet.sender in clients else (packet.receiver, packet.sender)
        if not packet.quoted:
            places[ends][packet.place, packet.tunnelled].append(packet)
    return {ends: max(seen.values(), key=len) for ends, seen in places.items()}


def _ids(time: int, uid: str, one: Socket, other: Socket, protocol: int) -> dict[str, Any]:
    return {
        "ts": time, "uid": uid, "id.orig_h": one.address, "id.orig_p": one.port, "id.resp_h": other.address,
        "id.resp_p": other.port, "proto": "tcp" if protocol == TCP else "udp",
    }  # fmt: skip


def _entry(connection: Connection, ends: tuple[Socket, Socket], packets: list[Packet], number: int) -> dict[str, Any]:
    one, other = ends
    if connection.outcome == "midstream" and packets[0].sender == other:
        one, other = other, one
    sent = [[packet for packet in packets if (packet.sender == one) is mine] for mine in (True, False)]
    history = _history(packets, one)
    return {
        **_ids(packets[0].time, f"C{number}", one, other, connection.protocol),
        "duration": packets[-1].time - packets[0].time if len(packets) > 1 else None,
        "conn_state": _state(history) if connection.protocol == TCP else ("SF" if all(sent) else "S0"),
        "history": history,
        "orig_pkts": len(sent[0]), "orig_ip_bytes": sum(packet.size for packet in sent[0]),
        "resp_pkts": len(sent[1]), "resp_ip_bytes": sum(packet.size for packet in sent[1]),
        "tunnel_parents": None,
    }  # fmt: skip


def _history(packets: list[Packet], one: Socket) -> str:
    letters = ""
    for packet in packets:
        seen = ""
        if packet.protocol != TCP:
            seen = "D"
        elif packet.flags & SYN:
            seen = "H" if packet.flags & ACK else "S"
        elif packet.flags & RST:
            seen = "R"
        else:
            seen = ("D" if packet.payload else "A") + ("F" if packet.flags & FIN else "")
        for each in seen if packet.sender == one else seen.lower():
            letters += each if each not in letters else ""
    return letters


def _state(history: str) -> str:
    if "S" not in history:
        return "OTH"
    if "h" not in history:
        return "REJ" if "r" in history else "S0"
    if "R" in history:
        return "RSTO"
    if "r" in history:
        return "RSTR"
    return {(True, True): "SF", (True, False): "S2", (False, True): "S3"}.get(("F" in history, "f" in history), "S1")


def tsv(path: str, rows: list[dict[str, Any]]) -> str:
    """With its header and its closing line."""
    fields = _CONN if path == "conn" else _DNS
    head = [
        "#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", f"#path\t{path}",
        "#open\t2026-11-22-03-08-05", "\t".join(("#fields", *fields)), "\t".join(("#types", *map(_TYPES.get, fields))),  # type: ignore[arg-type]
    ]  # fmt: skip
    body = ["\t".join(_cell(name, row[name]) for name in fields) for row in rows]
    return "\n".join([*head, *body, "#close\t2026-11-22-03-08-20", ""])


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "(empty)" if _TYPES[name].startswith("set") else "-"
    if isinstance(value, list):
        return ",".join(f"{each:f}" if isinstance(each, float) else str(each) for each in value)
    return epoch(value) if name in {"ts", "duration"} else str(value)


def as_json(path: str, rows: list[dict[str, Any]], *, iso: bool = False) -> Iterator[str]:
    """A line each: what is not set is left out, numbers are numbers, times seconds or (`iso`) ISO 8601.

    Zeek's JSON::TS_ISO8601 has six digits and a Z.
    """
    for row in rows:
        written = {name: value for name, value in row.items() if value is not None}
        for name in {"ts", "duration"} & written.keys():
            written[name] = row[name] / 1e9
        if iso:
            moment = datetime.fromtimestamp(row["ts"] // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            written["ts"] = f"{moment}.{row['ts'] % 10**9 // 1000:06d}Z"
        if path != "conn":
            written["_path"] = path
        yield json.dumps(written)
