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


def message(verdict: str = "ACCEPT", colon: str = "") -> dict[str, Any]:
    """The same since version 1.2 of the agent."""
    told = (
        "Flow Info: Src IP: 10.0.0.1 Src Port: 40000 Dest IP: 10.0.0.2 Dest Port: 80 "
        f"Proto{colon} TCP Verdict{colon} {verdict} Direction{colon} egress"
    )
    return {"level": "info", "ts": "2023-11-14T22:13:20.123Z", "caller": "events/events.go:217", "msg": told}


CLOUDWATCH = (
    b"2023-11-14T22:13:20.123Z Node: ip-10-0-0-9.ec2.internal;SIP: 10.0.0.1;SPORT: 40000;DIP: 10.0.0.2;DPORT: 80;"
    b"PROTOCOL: TCP;PolicyVerdict: ACCEPT\n"
)


def test_later_versions_of_the_agent_write_one_message_and_other_lines_between() -> None:
    other = {"level": "info", "ts": "2023-11-14T22:13:20.123Z", "caller": "cmd/main.go:1", "msg": "Starting manager"}
    for told in (text(*[other] * 50, message()), text(message(colon=":"), other), CLOUDWATCH):
        assert kind_of(told) is Kind.VPC_CNI
        table, tally = flows_of(told)
        assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "unknown"): (1, "tracked")}
        assert tally.passed_over.get("VPC CNI: not a flow", 0) == told.count(b"Starting manager")


def test_what_one_node_says_twice_happened_twice() -> None:
    table, _ = flows_of(text(gke(), gke(), gke(direction="ingress"), gke(direction="ingress")))
    assert list(rows(table).values()) == [(6, "tracked")]


@pytest.mark.parametrize("record", [gke("deny"), message("DENY"), vpc_cni("DENY")])
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


@pytest.mark.parametrize(
    ("error", "outcome"), [("ECONNREFUSED", "refused"), ("ETIMEDOUT", "unanswered"), ("EHOSTUNREACH", "unanswered")]
)
def test_why_a_connection_failed_is_told_by_its_error(error: str, outcome: str) -> None:
    table, _ = flows_of(text(gadget("connect", CLIENT, SERVER, error=error)))
    assert [key[4] for key in rows(table)] == [outcome]


def test_older_versions_name_the_operation_and_count_nanoseconds() -> None:
    event = gadget("normal", CLIENT, SERVER, operation="connect") | {"timestamp": 1_700_000_000_123_456_789}
    assert kind_of(text(event)) is Kind.INSPEKTOR
    (flow,) = flows_of(text(event))[0]
    assert (flow.outcome.label, flow.first_seen) == ("established", 1_700_000_000_123_456_789)


def test_an_answer_is_a_connection_to_whoever_answers() -> None:
    asked = gadget("", CLIENT, ("10.0.0.9", 53), qr="Q", name="a.example.", qtype="A")
    answer = gadget("", ("10.0.0.9", 53), CLIENT, qr="R", name="a.example.", qtype="A", rcode="NameError", addresses="")
    for event in (asked, answer):
        event["src"]["proto"] = event["dst"]["proto"] = "UDP"
    table, tally = flows_of(text(asked, answer))
    assert rows(table) == {("10.0.0.1", "10.0.0.9", 17, 53, "established"): (1, "tracked")}
    assert (tally.used, tally.passed_over) == (1, {"Inspektor Gadget: DNS question": 1})


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
