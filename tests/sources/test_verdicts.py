"""Logs that know verdicts but no outcomes, and a tracer that knows outcomes but no refusals."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from netpol.names.table import Names
from netpol.sources.kinds import Kind, kind_of
from tests.sources.logs import flows_of, rows

TIME = "2023-11-14T22:13:20.123456789Z"


def gke(disposition: str = "allow", direction: str = "egress", **connection: Any) -> dict[str, Any]:
    return {
        "connection": {
            "src_ip": "10.0.0.1",
            "dest_ip": "10.0.0.2",
            "src_port": 40000,
            "dest_port": 80,
            "protocol": "tcp",
            "direction": direction,
            **connection,
        },
        "disposition": disposition,
        "count": 3,
        "timestamp": TIME,
        "node_name": "node-a",
    }


def vpc_cni(verdict: str = "ACCEPT") -> dict[str, Any]:
    return {
        "level": "info",
        "ts": TIME,
        "logger": "ebpf-client",
        "msg": "Flow Info: ",
        "Src IP": "10.0.0.1",
        "Src Port": 40000,
        "Dest IP": "10.0.0.2",
        "Dest Port": 80,
        "Proto": "TCP",
        "Verdict": verdict,
    }


def gadget(kind: str, source: tuple[str, int], destination: tuple[str, int], **more: Any) -> dict[str, Any]:
    ends = {
        name: {"addr": address, "version": 4, "port": port, "proto": "TCP"}
        for name, (address, port) in (("src", source), ("dst", destination))
    }
    return {"timestamp": TIME, "type": kind, "proc": {"comm": "curl"}, **ends, **more}


def text(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in records).encode()


CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)


@pytest.mark.parametrize(
    ("records", "kind", "connections"),
    [
        ([gke(), gke(direction="ingress")], Kind.GKE, 3),
        ([{"insertId": "x", "jsonPayload": gke(), "timestamp": TIME}], Kind.GKE, 3),
        ([vpc_cni()], Kind.VPC_CNI, 1),
    ],
)
def test_what_was_let_through_may_have_come_to_nothing(
    records: list[dict[str, Any]], kind: Kind, connections: int
) -> None:
    assert kind_of(text(*records)) is kind
    table, tally = flows_of(text(*records))
    assert not tally.damaged
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "unknown"): (connections, "tracked")}


@pytest.mark.parametrize("record", [gke("deny"), vpc_cni("DENY")])
def test_what_was_denied_is_an_attempt(record: dict[str, Any]) -> None:
    table, _ = flows_of(text(record))
    assert [key[4] for key in rows(table)] == ["unanswered"]


def test_other_entries_are_counted() -> None:
    for record in (vpc_cni("EXPIRED"), gke("audit"), gke(protocol="icmp")):
        table, tally = flows_of(text(record))
        assert not len(table)
        assert sum(tally.passed_over.values()) == 1


def test_a_connection_that_both_its_ends_told_of_is_one() -> None:
    events = [
        gadget("connect", CLIENT, SERVER),
        gadget("accept", SERVER, CLIENT),
        gadget("close", CLIENT, SERVER),
        gadget("close", SERVER, CLIENT),
    ]
    assert kind_of(text(*events)) is Kind.INSPEKTOR
    table, tally = flows_of(text(*events))
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "established"): (1, "tracked")}
    assert tally.passed_over == {"Inspektor Gadget: not the beginning of a connection": 2}


def test_names_come_from_the_tracer_of_dns() -> None:
    answer = gadget(
        "", ("10.0.0.9", 53), ("10.0.0.1", 5353), qr="R", name="api.partner.example.", qtype="A", rcode="Success",
        addresses="198.51.100.20,198.51.100.21",
    )  # fmt: skip
    names = Names()
    flows_of(text(answer), names=names)
    time = 1_700_000_000_123_456_789
    found = names.towards([ip_address("10.0.0.1")], ip_address("198.51.100.21"), 6, 443, time, time)
    assert [each.name for each in found.candidates] == ["api.partner.example"]


BROKEN = [gke(src_ip="ten"), gke(dest_port=99999), gke(dest_ip="fd00::1"), {**gke(), "timestamp": "now"}]


@pytest.mark.parametrize("broken", [*BROKEN, vpc_cni() | {"ts": 7}])
def test_broken_entries_are_named(broken: dict[str, Any]) -> None:
    _, tally = flows_of(text(broken))
    assert len(tally.places) == 1
