"""A few sound lines of every kind of log, all about one connection from 10.0.0.1 to 10.0.0.2."""

from __future__ import annotations

import json
from typing import Any

from netpol.sources.kinds import Kind
from tests.sources.told.hubble import record
from tests.sources.told.packets import ACK, PSH, SYN

_T = 1_700_000_000_000_000_000
_TIME = "2023-11-14T22:13:20.123456789Z"
_CLIENT, _SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)


def _lines(*records: Any) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in records).encode()


_ENDPOINTS: dict[str, Any] = {
    name: {"addr": address, "version": 4, "port": port, "proto": "TCP"}
    for name, (address, port) in (("src", _CLIENT), ("dst", _SERVER))
}
_CONN = ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "duration", "conn_state", "history")
_ROW = (1700000000.5, "C1", "10.0.0.1", 40000, "10.0.0.2", 80, "tcp", 1.5, "SF", "ShADadFf")
_DNS = {
    "_path": "dns", "ts": 1700000000.5, "uid": "D1", "id.orig_h": "10.0.0.1", "id.orig_p": 5353,
    "id.resp_h": "10.0.0.9", "id.resp_p": 53, "proto": "udp", "trans_id": 7, "query": "a.example", "qtype_name": "A",
    "rcode": 0, "answers": ["198.51.100.20"], "TTLs": [60.0],
}  # fmt: skip
_SSL = {"_path": "ssl", "ts": 1700000001.5, "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 40000,
        "id.resp_h": "10.0.0.2", "id.resp_p": 80, "version": "TLSv13", "server_name": "a.example"}  # fmt: skip
_CALICO = {
    "start_time": 1700000000, "end_time": 1700000015, "source_ip": "10.0.0.1", "source_name": "-",
    "source_name_aggr": "web-*", "source_namespace": "shop", "source_type": "wep", "dest_ip": "10.0.0.2",
    "dest_name": "-", "dest_name_aggr": "api-*", "dest_namespace": "shop", "dest_type": "wep", "dest_port": 80,
    "proto": "tcp", "action": "allow", "reporter": "src", "num_flows_started": 1, "packets_in": 9, "packets_out": 9,
    "bytes_in": 2000, "bytes_out": 2000,
}  # fmt: skip
_KEY = {
    "source_name": "pub", "source_namespace": "-", "source_type": 4, "dest_name": "api-*", "dest_namespace": "shop",
    "dest_type": 1, "dest_port": 80, "proto": "tcp", "reporter": 2, "action": 1,
}  # fmt: skip
_GKE = {
    "connection": {"src_ip": "10.0.0.1", "dest_ip": "10.0.0.2", "src_port": 40000, "dest_port": 80, "protocol": "tcp",
                   "direction": "egress"},
    "disposition": "allow", "count": 1, "timestamp": _TIME,
}  # fmt: skip
_AGENT = {"level": "info", "ts": _TIME, "msg": "Flow Info:  ", "Src IP": "10.0.0.1", "Src Port": 40000,
          "Dest IP": "10.0.0.2", "Dest Port": 80, "Proto": "TCP", "Verdict": "ACCEPT"}  # fmt: skip
_MESSAGE = (
    "Flow Info: Src IP: 10.0.0.1 Src Port: 40000 Dest IP: 10.0.0.2 Dest Port: 80 Proto TCP Verdict ACCEPT "
    "Direction egress"
)
_TUPLES = "src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=40000"

SOUND: dict[Kind, bytes] = {
    Kind.HUBBLE: _lines(
        record(_T, 6, (_CLIENT, _SERVER), SYN, reply=False),
        record(_T + 1, 6, (_SERVER, _CLIENT), SYN | ACK, reply=True),
        record(_T + 2, 6, (_CLIENT, _SERVER), ACK | PSH, reply=False)["flow"],
        {"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "3"}, "time": _TIME},
    ),
    Kind.ZEEK: (
        "#separator \\x09\n#unset_field\t-\n#path\tconn\n" + "\t".join(("#fields", *_CONN)) + "\n"
        + "\t".join(map(str, _ROW)) + "\n" + "\t".join(map(str, _ROW)).replace("C1", "C2") + "\n#close\t2023\n"
    ).encode(),
    Kind.ZEEK_JSON: _lines(dict(zip(_CONN, _ROW, strict=True)), _DNS, _SSL),
    Kind.CONNTRACK: (
        f"[1700000000.100000]\t    [NEW] tcp      6 120 SYN_SENT {_TUPLES}\n"
        f"[1700000000.300000]\t [UPDATE] tcp      6 432000 ESTABLISHED {_TUPLES} [ASSURED]\n"
        f"tcp      6 431999 ESTABLISHED {_TUPLES} [ASSURED] mark=0 use=1\n"
        f"ipv4     2 udp      17 29 {_TUPLES} packets=9 bytes=800 mark=0\n"
    ).encode(),
    Kind.VPC: (
        b"version srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags\n"
        b"5 10.0.0.1 10.0.0.2 40000 80 6 9 900 1700000000 1700000060 ACCEPT OK 3\n"
        b"5 10.0.0.2 10.0.0.1 80 40000 6 9 9000 1700000000 1700000060 ACCEPT OK 19\n"
        b"5 - - - - - - - 1700000000 1700000060 - NODATA -\n"
    ),
    Kind.VPC_CNI: _lines(_AGENT, {"level": "info", "ts": _TIME, "msg": _MESSAGE}),
    Kind.GKE: _lines(_GKE, {"insertId": "x", "jsonPayload": _GKE, "timestamp": _TIME}),
    Kind.CALICO: _lines(_CALICO, {"Key": _KEY, "start_time": 1700000000, "packets_in": 9, "bytes_in": 2000}),
    Kind.INSPEKTOR: _lines(
        {"timestamp": _TIME, "type": "connect", "error": "", **_ENDPOINTS},
        {"timestamp": _T, "type": "normal", "operation": "accept", "src": _ENDPOINTS["dst"], "dst": _ENDPOINTS["src"]},
        {"timestamp": _TIME, "qr": "R", "name": "a.example.", "qtype": "A", "rcode": "Success",
         "addresses": "198.51.100.20", "src": {"addr": "10.0.0.9", "port": 53, "proto": "UDP"},
         "dst": {"addr": "10.0.0.1", "port": 5353, "proto": "UDP"}},
    ),
}  # fmt: skip
