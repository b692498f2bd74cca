"""Zeek's own logs say what the captures say that Zeek read them from."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.flows.assemble import assemble
from netpol.names.table import Names
from netpol.sources.kinds import Kind, kind_of
from tests.sources.logs import flows_of, rows

ZEEK = Path(__file__).resolve().parents[3] / "shared" / "data" / "captures" / "zeek"
PAIRS = [
    ("pcapng-multi-interface.pcapng", "core.pcapng-pktsrc"),
    ("http/get.pcap", "core.tcp.reassembly-known-ports"),
    ("wikipedia.pcap", "opt.basic"),
    ("tunnels/vxlan-encapsulated-http.pcap", "core.tunnels.analyzer-confirmation"),
    ("tunnels/geneve.pcap", "core.tunnels.geneve"),
]


def log(name: str) -> bytes:
    path = ZEEK / "expected" / name / "conn.log"
    if not path.is_file():
        pytest.skip("the third-party captures are not here")
    return path.read_bytes().replace(b"XXXXXXXXXX.XXXXXX", b"1700000000.000000")  # times that Zeek's tests blot out


def as_json(text: bytes) -> bytes:
    """The same log as Zeek's JSON writer puts it: numbers as numbers, unset fields left out."""
    out = []
    names: list[str] = []
    kinds: list[str] = []
    for line in text.decode().splitlines():
        if line.startswith("#fields"):
            names = line.split("\t")[1:]
        elif line.startswith("#types"):
            kinds = line.split("\t")[1:]
        elif not line.startswith("#"):
            row: dict[str, Any] = {}
            for name, kind, value in zip(names, kinds, line.split("\t"), strict=True):
                if value in {"-", "(empty)"}:
                    continue
                number = {"time": float, "interval": float, "count": int, "port": int, "double": float}.get(kind, str)
                row[name] = value.split(",") if kind.startswith(("set", "vector")) else number(value)
            out.append(json.dumps(row))
    return ("\n".join(out) + "\n").encode()


@pytest.mark.parametrize(("capture", "name"), PAIRS)
@pytest.mark.parametrize("written", ["tsv", "json"])
def test_a_log_says_what_its_capture_says(capture: str, name: str, written: str) -> None:
    text = log(name)
    if written == "json":
        text = as_json(text)
        assert kind_of(text) is Kind.ZEEK_JSON
    table, tally = flows_of(text)
    whole = rows(assemble(read_packets([ZEEK / capture], Tally())))
    assert not tally.damaged
    known = {key: value for key, value in rows(table).items() if value[1] != "unknown"}
    assert known == {key: whole.get(key) for key in known}
    assert sum(value[0] for value in rows(table).values()) == sum(value[0] for value in whole.values())


HEADER = """#separator \\x09
#set_separator\t,
#empty_field\t(empty)
#unset_field\t-
#path\tconn
#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes
"""


def entry(history: str, state: str = "SF", proto: str = "tcp", uid: str = "C1", port: int = 80) -> str:
    return f"1700000000.5\t{uid}\t10.0.0.1\t40000\t10.0.0.2\t{port}\t{proto}\t1.5\t{state}\t{history}\t5\t300\t4\t400\n"


@pytest.mark.parametrize(
    ("history", "state", "outcome", "direction"),
    [
        ("ShADadFf", "SF", "established", "syn"),
        ("Sr", "REJ", "refused", "syn"),
        ("S", "S0", "unanswered", "syn"),
        ("ShR", "RSTO", "refused", "syn"),
        ("ShAR", "RSTO", "established", "syn"),
        ("hAdD", "SF", "midstream", "synack"),
        ("-", "SF", "established", "syn"),
        ("-", "REJ", "refused", "syn"),
        ("-", "S0", "unanswered", "syn"),
        ("-", "SHR", "midstream", "synack"),
    ],
)
def test_the_letters_of_a_history_and_the_states_without_one(
    history: str, state: str, outcome: str, direction: str
) -> None:
    text = HEADER + entry(history, state)
    if state in {"REJ", "S0"} and history in {"S", "-"}:
        text = text.replace("\t4\t400\n", "\t0\t0\n" if state == "S0" else "\t1\t40\n")
    table, _ = flows_of(text.encode())
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, outcome): (1, direction)}


def test_a_log_that_was_put_together_from_rotated_ones_has_headings_in_it() -> None:
    other = HEADER.replace("#path\tconn", "#path\tdns").replace("conn_state\thistory", "query\trcode")
    asked = entry("2", "a.example").replace("\tSF\t", "\ta.example\t")
    text = HEADER + entry("ShADadFf") + "#close\t2023-11-14-22-00-00\n" + other + asked + HEADER
    text += entry("ShADadFf", uid="C2") + "#close\t2023-11-14-23-00-00\n"
    table, tally = flows_of(text.encode())
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "established"): (2, "syn")}
    assert not tally.damaged
    assert tally.records == 3


def test_each_entry_is_a_connection_though_ports_are_used_again() -> None:
    table, _ = flows_of((HEADER + entry("ShADadFf") + entry("ShADadFf", uid="C2")).encode())
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "established"): (2, "syn")}


def test_who_began_what_zeek_did_not_see_begin_is_not_taken_from_zeek() -> None:
    table, _ = flows_of((HEADER + entry("DdAa", "OTH", port=50000)).encode())
    ((key, value),) = rows(table).items()
    assert (key[3], key[4], value[1]) == (None, "midstream", "unknown")


def test_what_cannot_be_read_is_counted_with_its_line_and_the_rest_is_used() -> None:
    broken = [
        "only\ttwo\n",
        entry("ShADadFf").replace("10.0.0.1", "ten"),
        entry("ShADadFf").replace("1700000000.5", "yesterday"),
        entry("ShADadFf").replace("40000", "400000"),
        entry("ShADadFf").replace("\t5\t300", "\t-5\t300"),
        entry("ShADadFf").replace("10.0.0.2", "fd00::2"),
    ]
    table, tally = flows_of((HEADER + "".join(broken) + entry("ShADadFf")).encode())
    assert len(table) == 1
    assert sum(tally.damaged.values()) == len(broken)
    assert tally.places[0].startswith("log: line 7: ")


def test_names_come_from_the_other_logs() -> None:
    dns = (
        '{"ts":1700000000.1,"uid":"D","id.orig_h":"10.0.0.1","id.orig_p":5353,"id.resp_h":"10.0.0.9","id.resp_p":53,'
        '"proto":"udp","trans_id":7,"query":"api.partner.example","qtype_name":"A","rcode":0,'
        '"answers":["alias.partner.example","198.51.100.20"],"TTLs":[60.0,30.0]}\n'
    )
    ssl = (
        '{"ts":1700000001.0,"uid":"T","id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"198.51.100.20",'
        '"id.resp_p":8443,"version":"TLSv13","server_name":"api.partner.example"}\n'
    )
    names = Names()
    for text in (dns, ssl):
        flows_of(text.encode(), names=names)
    time = 1_700_000_001_000_000_000
    found = names.towards([ip_address("10.0.0.1")], ip_address("198.51.100.20"), 6, 8443, time, time)
    assert [(each.name, each.grade.name) for each in found.candidates] == [("api.partner.example", "STRONG")]


def test_an_answer_whose_name_no_message_can_hold_is_counted() -> None:
    answer = (
        '{"ts":1700000000.1,"id.orig_h":"10.0.0.1","id.orig_p":5353,"id.resp_h":"10.0.0.9","id.resp_p":53,'
        '"trans_id":7,"query":"%s","qtype_name":"A","rcode":0,"answers":["198.51.100.20"],"TTLs":[60.0]}\n'
    )
    names = Names()
    flows_of(
        "".join(answer % name for name in ("api.example", "a" * 64 + ".example", "a..example")).encode(), names=names
    )
    assert names.tally["DNS answers in flow logs whose names no message can hold"] == 2
    assert names.tally["DNS answers"] == 1
