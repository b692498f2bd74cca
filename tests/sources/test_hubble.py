"""Hubble's records: what tells of a connection, what is left out, and what never becomes more than an attempt."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.names.table import Names
from netpol.sources.kinds import Kind, kind_of
from tests.sources.logs import flows_of, rows
from tests.sources.told.hubble import record
from tests.sources.told.packets import ACK, FIN, PSH, RST, SYN

T = 1_700_000_000_000_000_000
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)
THERE, BACK = (CLIENT, SERVER), (SERVER, CLIENT)


def text(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in records).encode()


def conversation(*, reply: bool = True) -> list[dict[str, Any]]:
    """A whole connection; without `reply` nobody says which packets answered."""

    def packet(index: int, ends: Any, flags: int, back: bool) -> dict[str, Any]:  # noqa: FBT001 - a column of a table
        return record(T + index * 1000, 6, ends, flags, reply=back if reply else None)

    return [
        packet(0, THERE, SYN, False),
        packet(1, BACK, SYN | ACK, True),
        packet(2, THERE, ACK, False),
        packet(3, THERE, ACK | PSH, False),
        packet(4, BACK, ACK | PSH, True),
        packet(5, THERE, ACK | FIN, False),
        packet(6, BACK, ACK | FIN, True),
    ]


ESTABLISHED = {("10.0.0.1", "10.0.0.2", 6, 80, "established"): (1, "syn")}


@pytest.mark.parametrize("reply", [True, False])
def test_a_connection_is_one_however_many_records_it_has(reply: bool) -> None:  # noqa: FBT001 - a column
    told = conversation(reply=reply)
    bare = [each["flow"] for each in told]
    for records in (told, bare, told + told, told[:3] + bare):
        table, tally = flows_of(text(*records))
        assert rows(table) == ESTABLISHED
        assert tally.used == len(records)


@settings(max_examples=40, deadline=None)
@given(st.permutations(conversation()), st.sets(st.integers(0, 6), max_size=3))
def test_records_of_two_nodes_may_come_in_any_order(mixed: list[dict[str, Any]], twice: set[int]) -> None:
    table, _ = flows_of(text(*mixed, *(mixed[index] for index in twice)))
    assert rows(table) == ESTABLISHED


def test_what_was_dropped_is_an_attempt_and_no_more() -> None:
    dropped = [record(T, 6, THERE, SYN, reply=False, verdict="DROPPED")] * 3
    table, _ = flows_of(text(*dropped))
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "unanswered"): (1, "syn")}
    whole = [{**each, "flow": {**each["flow"], "verdict": "DROPPED"}} for each in conversation()]
    table, tally = flows_of(text(*whole))
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "unanswered"): (1, "syn")}
    assert tally.passed_over["Hubble: dropped, and not the beginning of a connection"] == 6
    datagram = record(T, 17, THERE, reply=False, verdict="DROPPED")
    table, _ = flows_of(text(datagram))
    assert [key[4] for key in rows(table)] == ["unanswered"]


def test_a_reply_alone_is_no_connection_of_the_other_side() -> None:
    answer = record(T, 6, BACK, ACK | PSH, reply=True)
    table, _ = flows_of(text(answer))
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "midstream"): (1, "tracked")}
    assert not next(iter(table)).two_way


def test_a_connection_older_than_the_log_is_known_by_cilium_s_own_table() -> None:
    both = [record(T, 6, BACK, ACK | PSH, reply=True), record(T + 1, 6, THERE, ACK | PSH, reply=False)]
    table, _ = flows_of(text(*both))
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "midstream"): (1, "tracked")}
    assert next(iter(table)).two_way


def test_without_flags_nobody_knows_whether_it_worked() -> None:
    masked = conversation()
    for each in masked:
        del each["flow"]["l4"]["TCP"]["flags"]
    table, _ = flows_of(text(*masked))
    (flow,) = table
    assert (flow.outcome.label, flow.direction.label, flow.two_way) == ("midstream", "tracked", False)


def test_a_reset_refuses() -> None:
    table, _ = flows_of(text(record(T, 6, THERE, SYN, reply=False), record(T + 9, 6, BACK, RST | ACK, reply=True)))
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "refused"): (1, "syn")}


def test_zeros_that_proto3_leaves_out_are_zeros() -> None:
    told = record(T, 17, (("10.0.0.1", 0), ("10.0.0.2", 53)), reply=False)
    assert "source_port" not in told["flow"]["l4"]["UDP"]
    table, _ = flows_of(text(told))
    assert [(key[3], key[4]) for key in rows(table)] == [(53, "unanswered")]


def test_enums_of_another_version_are_numbers_and_the_deprecated_reply_counts_where_it_is_true() -> None:
    told = conversation(reply=False)
    for index, each in enumerate(told):
        each["flow"] |= {"verdict": 1, "Type": 1}
        if index in {1, 4, 6}:
            each["flow"]["reply"] = True
    table, tally = flows_of(text(*told))
    assert (rows(table), tally.used) == (ESTABLISHED, len(told))
    for number in (3, 7):
        told[0]["flow"]["verdict"] = number
        assert flows_of(text(told[0]))[1].used == 0


@pytest.mark.parametrize(
    ("verdict", "outcome"), [("FORWARDED", "unanswered"), ("AUDIT", "unanswered"), ("DROPPED", "unanswered")]
)
def test_a_policys_verdict_is_about_the_first_packet_alone(verdict: str, outcome: str) -> None:
    event = record(T, 6, THERE, SYN, reply=False, verdict=verdict)
    event["flow"] |= {"event_type": {"type": 5}, "policy_match_type": 4, "traffic_direction": "EGRESS"}
    table, _ = flows_of(text(event))
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, outcome): (1, "syn")}
    if verdict != "DROPPED":
        table, _ = flows_of(text(event, *conversation()))
        assert rows(table) == ESTABLISHED


def without(*fields: str) -> dict[str, Any]:
    told = conversation()[0]
    for name in fields:
        del told["flow"][name]
    return told


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (without("IP"), "Hubble: no addresses"),
        (without("l4"), "Hubble: no layer 4"),
        (without("time"), "Hubble: no time"),
        (without("verdict"), "Hubble: no verdict"),
        ({"flow": {**conversation()[0]["flow"], "verdict": "ERROR"}}, "Hubble: verdict ERROR"),
        ({"flow": {**conversation()[0]["flow"], "Type": "SOCK"}}, "Hubble: translation at a socket"),
        ({"node_status": {"state_change": "NODE_CONNECTED"}}, "Hubble: not a flow"),
    ],
)
def test_what_cannot_be_used_is_counted_with_its_reason(told: dict[str, Any], reason: str) -> None:
    table, tally = flows_of(text(told))
    assert not len(table)
    assert tally.passed_over == {reason: 1}


def test_events_that_hubble_lost_are_a_loss() -> None:
    lost = {"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "17"}, "node_name": "n"}
    _, tally = flows_of(text(lost, *conversation()))
    assert tally.lost == 17


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"flow": {"time": "2026-', "not JSON"),
        (b'{"flow": 7}', "a field of another type"),
        (text(record(T, 6, (("10.0.0.1", 99999), SERVER), SYN))[:-1], "a port beyond 65535"),
        (text(record(T, 6, (("ten", 1), SERVER), SYN))[:-1], "a value that is none"),
        (text(record(T, 6, (("fd00::1", 1), SERVER), SYN))[:-1], "addresses of two families"),
        (text(record(T, 6, THERE, SYN))[:-1].replace(b"2023-11", b"yester"), "not a time (RFC 3339)"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "a field of another type"),
        (b'{"agent_event": ' + b'{"a": ' * 100_000, "nested too deeply"),
        (b"{" + b" " * (1 << 21), "longer than 1 MiB"),
    ],
)
def test_broken_lines_are_named_and_the_rest_is_used(line: bytes, says: str) -> None:
    table, tally = flows_of(text(*conversation()) + line + b"\n" + text(*conversation()))
    assert rows(table) == ESTABLISHED
    assert tally.places == [f"log: line 8: {says}"]


def test_half_a_record_at_the_end_is_named() -> None:
    whole = text(*conversation())
    _, tally = flows_of(whole + whole[:40])
    assert tally.damaged == {"not JSON": 1}


def test_names_come_from_ciliums_proxies() -> None:
    answer = {
        "flow": {
            "time": "2023-11-14T22:13:20Z",
            "verdict": "FORWARDED",
            "IP": {"source": "10.0.0.9", "destination": "10.0.0.1"},
            "l4": {"UDP": {"source_port": 53, "destination_port": 5353}},
            "Type": "L7",
            "is_reply": True,
            "l7": {
                "type": "RESPONSE",
                "dns": {"query": "api.partner.example.", "ips": ["198.51.100.20"], "ttl": 30, "qtypes": ["A"]},
            },
        }
    }
    names = Names()
    flows_of(text(answer), names=names)
    found = names.towards([ip_address("10.0.0.1")], ip_address("198.51.100.20"), 6, 443, T, T)
    assert [each.name for each in found.candidates] == ["api.partner.example"]


def http(**changes: Any) -> dict[str, Any]:
    """A request that Cilium's HTTP proxy saw."""
    flow: dict[str, Any] = {
        "time": "2023-11-14T22:13:20Z",
        "verdict": "FORWARDED",
        "IP": {"source": "10.0.0.1", "destination": "198.51.100.20"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 8080}},
        "Type": "L7",
        "l7": {"type": "REQUEST", "http": {"method": "GET", "url": "http://api.partner.example:8080/v1", **changes}},
    }
    return {"flow": flow}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "api.partner.example"),
        ({"url": "/v1", "headers": [{"key": "Host", "value": "api.partner.example:8080"}]}, "api.partner.example"),
        ({"url": "/v1", "headers": [{"key": ":authority", "value": "other.example"}]}, "other.example"),
        ({"url": "/v1"}, None),
        ({"url": "http://[::1"}, None),
    ],
)
def test_a_request_names_its_host(changes: dict[str, Any], name: str | None) -> None:
    names = Names()
    _, tally = flows_of(text(http(**changes)), names=names)
    found = names.towards([ip_address("10.0.0.1")], ip_address("198.51.100.20"), 6, 8080, T, T)
    assert [each.name for each in found.candidates] == ([name] if name else [])
    assert tally.passed_over == ({} if name else {"Hubble: no name in a message": 1})


def test_a_message_that_was_dropped_names_nothing() -> None:
    names = Names()
    dropped = http()
    dropped["flow"]["verdict"] = "DROPPED"
    _, tally = flows_of(text(dropped), names=names)
    assert tally.passed_over == {"Hubble: a message that was dropped": 1}


FIELDS = ("flow", "IP", "l4", "TCP", "UDP", "flags", "time", "verdict", "source", "destination", "is_reply", "l7")
LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@settings(max_examples=200, deadline=None)
@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner)))
def test_any_json_is_read_or_counted(value: Any) -> None:
    _, tally = flows_of(text({"flow": value}) + json.dumps(value).encode(), kind=Kind.HUBBLE)
    assert tally.records >= 1


def test_the_kind_is_told_by_content() -> None:
    assert kind_of(text(*conversation())) is Kind.HUBBLE
    assert kind_of(text(conversation()[0]["flow"])) is Kind.HUBBLE
    assert kind_of(b'{"kind": "List", "items": []}\n') is None
    assert kind_of(b"") is None
