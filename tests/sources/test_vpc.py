"""AWS VPC flow logs, by the fields and examples of Amazon's guide, in other numbers."""

from __future__ import annotations

import pytest

from netpol.sources.kinds import Kind, kind_of
from tests.sources.logs import flows_of, rows

V2 = "2 123456789010 eni-1235b8ca123456789 {} {} {} 1700000000 1700000060 {} OK\n"
CUSTOM = (
    "version srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status "
    "tcp-flags pkt-srcaddr pkt-dstaddr\n"
)


def custom(source: str, destination: str, ports: str, counts: str, flags: int, action: str = "ACCEPT") -> str:
    return f"5 {source} {destination} {ports} 6 {counts} 1700000000 1700000060 {action} OK {flags} - -\n"


def test_version_2_without_a_heading_tells_no_handshake() -> None:
    text = V2.format("10.0.0.1 10.0.0.2", "40000 5432", "6 10 5000", "ACCEPT")
    text += V2.format("10.0.0.2 10.0.0.1", "5432 40000", "6 9 9000", "ACCEPT")
    assert kind_of(text.encode()) is Kind.VPC
    table, _ = flows_of(text.encode())
    (flow,) = table
    assert (flow.outcome.label, flow.direction.label, flow.two_way) == ("midstream", "port", True)
    assert (flow.packets, flow.bytes) == (19, 14000)


@pytest.mark.parametrize(
    ("there", "back", "outcome"),
    [
        (("8 900", 3), ("7 5000", 19), "established"),
        (("2 120", 3), ("1 60", 18), "established"),
        (("9 5000", 2), ("7 5000", 18), "established"),
        (("2 100", 6), ("1 60", 18), "refused"),
        (("1 60", 2), ("1 40", 4), "refused"),
        (("4 240", 2), None, "unanswered"),
        (("2 120", 2), ("1 60", 18), "unanswered"),
    ],
)
def test_tcp_flags_tell_what_became_of_it(there: tuple[str, int], back: tuple[str, int] | None, outcome: str) -> None:
    text = CUSTOM + custom("10.0.0.1", "10.0.0.2", "40000 80", *there)
    if back:
        text += custom("10.0.0.2", "10.0.0.1", "80 40000", *back)
    table, tally = flows_of(text.encode())
    assert not tally.damaged
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, outcome): (1, "syn")}


def test_two_interfaces_and_either_order_make_one_connection() -> None:
    there = custom("10.0.0.1", "10.0.0.2", "40000 80", "8 900", 3)
    back = custom("10.0.0.2", "10.0.0.1", "80 40000", "7 5000", 19)
    table, _ = flows_of((CUSTOM + back + there + there + back).encode())
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "established"): (1, "syn")}


def test_what_was_rejected_is_an_attempt() -> None:
    text = CUSTOM + custom("10.0.0.1", "10.0.0.2", "40000 80", "3 900", 3, "REJECT")
    table, _ = flows_of(text.encode())
    assert rows(table) == {("10.0.0.1", "10.0.0.2", 6, 80, "unanswered"): (1, "syn")}


def test_the_packets_own_addresses_count_where_they_are_told() -> None:
    line = custom("10.0.9.9", "10.0.0.2", "40000 80", "8 900", 3).replace("- -", "10.0.0.1 -")
    table, _ = flows_of((CUSTOM + line).encode())
    assert [key[:2] for key in rows(table)] == [("10.0.0.1", "10.0.0.2")]


def test_gaps_are_counted_and_skipped_records_are_a_loss() -> None:
    text = (
        "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1700000000 1700000060 - NODATA\n"
        "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1700000000 1700000060 - SKIPDATA\n"
    )
    table, tally = flows_of(text.encode())
    assert not len(table)
    assert tally.lost == 1
    assert sum(tally.passed_over.values()) == 2


def test_what_cloudwatch_exports_has_the_time_of_delivery_before_it() -> None:
    text = "2023-11-14T22:20:00.000Z " + V2.format("10.0.0.1 10.0.0.2", "40000 5432", "6 10 5000", "ACCEPT")
    assert kind_of(text.encode()) is Kind.VPC
    table, tally = flows_of(text.encode())
    assert (len(table), tally.used) == (1, 1)


VERSION_8 = (
    "account-id action az-id bytes dstaddr dstport ecs-cluster-name encryption-status end flow-direction instance-id "
    "interface-id log-status packets pkt-dst-aws-service pkt-dstaddr pkt-src-aws-service pkt-srcaddr protocol region "
    "reject-reason resource-id srcaddr srcport start sublocation-id sublocation-type subnet-id tcp-flags traffic-path "
    "type version vpc-id\n"
)


def test_fields_of_later_versions_in_any_order_are_read_and_those_that_say_nothing_are_dashes() -> None:
    line = (
        "- ACCEPT - 5000 10.0.0.2 80 - 0 1700000060 egress - eni-1 OK 8 - 10.0.0.2 - 10.0.0.1 6 - - - 10.0.0.9 40000 "
        "1700000000 - - - 3 - - 8 -\n"
    )
    table, tally = flows_of((VERSION_8 + line).encode())
    assert not tally.damaged
    assert [(key[:2], key[3]) for key in rows(table)] == [(("10.0.0.1", "10.0.0.2"), 80)]


def test_small_packets_without_a_syn_among_them_carry_data() -> None:
    """An acknowledgement has at most 52 bytes, a SYN 60: what the default format does not tell apart."""
    lines = custom("10.0.0.1", "10.0.0.2", "40000 6379", "10 570", 0)
    lines += custom("10.0.0.2", "10.0.0.1", "6379 40000", "10 560", 0)
    (flow,) = flows_of((CUSTOM + lines).encode())[0]
    assert (flow.outcome.label, flow.two_way) == ("midstream", True)
    default = V2.format("10.0.0.1 10.0.0.2", "40000 6379", "6 10 570", "ACCEPT")
    default += V2.format("10.0.0.2 10.0.0.1", "6379 40000", "6 10 560", "ACCEPT")
    (flow,) = flows_of(default.encode())[0]
    assert not flow.two_way


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("5 10.0.0.1 10.0.0.2\n", "not the 15 fields that were announced"),
        (custom("10.0.0.1", "ten", "1 2", "1 60", 2), "a value that is none"),
        (custom("10.0.0.1", "10.0.0.2", "1 -", "1 60", 2), "dstport is no number"),
        (custom("10.0.0.1", "10.0.0.2", "1 2", "1 60", 2, "MAYBE"), "an action that is none"),
        ("version srcaddr dstaddr\n", "a heading without srcport, dstport, protocol, start, end, action"),
        (custom("10.0.0.1", "fd00::1", "1 2", "1 60", 2), "addresses of two families"),
    ],
)
def test_broken_records_are_named(line: str, says: str) -> None:
    _, tally = flows_of((CUSTOM + line).encode())
    assert tally.places == [f"log: line 2: {says}"]
