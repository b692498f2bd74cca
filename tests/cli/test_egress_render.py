"""What is printed of needs: the figures by hand, the shapes by the parsers of others."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from ipaddress import ip_address

import pytest

from netpol.cli.egress_render import FIELDS, Terminal, render
from netpol.egress.attempts import Attempt
from netpol.egress.needs import Needs, PlatformUse
from netpol.graph.reasons import Reason
from netpol.model.flow import ICMP, TCP, UDP
from netpol.model.host_name import HostName
from netpol.model.inventory import WorkloadRef
from netpol.model.outside import Grade, Need
from netpol.model.platform import Kind, Platform
from netpol.model.wildcard import Depth, Wildcard

NOON = 1_790_000_000_123_456_789
"""2026-09-21, 14:13:20.123456 UTC."""
API = WorkloadRef(namespace="shop", name="api", kind="Deployment")


def need(name: str | None, *addresses: str, connections: int = 1) -> Need:
    return Need(
        workload=API,
        name=HostName(name) if name else None,
        protocol=TCP,
        port=443,
        grade=Grade.STRONG if name else Grade.NONE,
        addresses=tuple(map(ip_address, addresses or ("198.51.100.1",))),
        connections=connections,
        bytes=1234 * connections,
        first_seen=NOON,
        last_seen=NOON + 10**9,
    )


NAMED = replace(
    need("api.partner.example", "198.51.100.20", "2001:db8::20", connections=3),
    sharing=(HostName("other.example"),),
    remarks=("one", "another"),
)
PLAIN = need(None, "203.0.113.9")
CDN = [
    replace(
        need(f"{letter}.cdn.example", f"198.51.100.{index}"),
        wildcard=Wildcard(parent=HostName("cdn.example"), depth=Depth.ONE),
    )
    for index, letter in enumerate("abcd")
]
ALL = Needs(
    needs=(NAMED, *CDN, PLAIN),
    platform=(
        PlatformUse(
            workload=API,
            platform=Platform(Kind.METADATA, "AWS"),
            protocol=TCP,
            port=80,
            addresses=(ip_address("169.254.169.254"),),
            connections=2,
            bytes=100,
            first_seen=NOON,
            last_seen=NOON,
        ),
    ),
    attempts=(
        Attempt(
            workload=API,
            reason=Reason.UNANSWERED,
            names=(),
            addresses=tuple(ip_address(f"192.0.2.{last}") for last in range(1, 6)),
            ports=((ICMP, None), *((TCP, port) for port in range(1, 10)), (UDP, 514)),
            connections=7,
            first_seen=NOON,
            last_seen=NOON,
        ),
    ),
)


def printed(name: str, needs: Needs = ALL, width: int | None = None) -> str:
    return "".join(render(name, needs, Terminal(width)))


def test_json_is_an_array_of_one_object_a_line_for_each_need() -> None:
    text = printed("json")
    rows = json.loads(text)
    assert len(text.splitlines()) == len(rows) + 2
    assert rows[0] == {
        "workload": "shop/api[Deployment]",
        "name": "api.partner.example",
        "protocol": "TCP",
        "port": 443,
        "grade": "strong",
        "connections": 3,
        "bytes": 3702,
        "first_seen": "2026-09-21T14:13:20.123456Z",
        "last_seen": "2026-09-21T14:13:21.123456Z",
        "addresses": ["198.51.100.20", "2001:db8::20"],
        "sharing": ["other.example"],
        "wildcard": None,
        "remarks": ["one", "another"],
    }
    assert [row["name"] for row in rows[1:]] == [
        "a.cdn.example",
        "b.cdn.example",
        "c.cdn.example",
        "d.cdn.example",
        None,
    ]
    assert {row["wildcard"] for row in rows[1:5]} == {"*.cdn.example"}
    assert (rows[-1]["name"], rows[-1]["grade"], rows[-1]["addresses"]) == (None, "none", ["203.0.113.9"])
    assert all(tuple(row) == FIELDS for row in rows)


def test_csv_says_the_same() -> None:
    rows = list(csv.DictReader(io.StringIO(printed("csv"))))
    whole = json.loads(printed("json"))
    assert [row["name"] or None for row in rows] == [row["name"] for row in whole]
    assert rows[0]["addresses"].split() == whole[0]["addresses"]
    assert rows[0]["sharing"] == "other.example"
    assert rows[0]["remarks"] == "one; another"
    assert rows[1]["wildcard"] == "*.cdn.example"


@pytest.mark.parametrize(("name", "text"), [("json", "[]\n"), ("csv", f"{','.join(FIELDS)}\n")])
def test_nothing_is_still_valid(name: str, text: str) -> None:
    assert printed(name, Needs()) == text


@pytest.mark.parametrize("name", ["table", "md"])
def test_nothing_is_said_in_words(name: str) -> None:
    assert printed(name, Needs()) == "No workload was seen to need anything outside the cluster.\n"


def test_the_table_shows_all_and_one_row_for_a_pattern() -> None:
    lines = printed("table").splitlines()
    assert lines[0].split() == [
        "WORKLOAD", "NAME", "PORT", "GRADE", "CONNECTIONS", "BYTES", "ADDRESSES", "FIRST-SEEN", "LAST-SEEN",
        "SHARED-WITH", "REMARKS",
    ]  # fmt: skip
    assert lines[2].startswith("shop/api[Deployment]   *.cdn.example         TCP/443   strong   4             4,936")
    assert "   198.51.100.0,198.51.100.1 and 2 more   " in lines[2]
    assert lines[2].endswith("open-ended: 4 names of this kind were seen, any other is meant too")
    assert lines[1].split()[:8] == [
        "shop/api[Deployment]", "api.partner.example", "TCP/443", "strong", "3", "3,702", "198.51.100.20,2001:db8::20",
        "2026-09-21T14:13:20Z",
    ]  # fmt: skip
    assert lines[3].split() == [
        "shop/api[Deployment]", "203.0.113.9", "TCP/443", "none", "1", "1,234", "2026-09-21T14:13:20Z",
        "2026-09-21T14:13:21Z",
    ]  # fmt: skip
    assert len(lines) == 4 + 4 + 4


def test_what_is_no_need_is_listed_behind() -> None:
    text = printed("table")
    assert "The platform's own, and in no allowlist:\n" in text
    assert "cloud metadata (AWS)   TCP/80   2             169.254.169.254" in text
    assert "Tried outside, and not learned:\n" in text
    assert "192.0.2.1,192.0.2.2 and 3 more   ICMP,TCP/1,TCP/2,TCP/3 and 7 more" in text
    assert "   nobody answered   " in text


@pytest.mark.parametrize("width", [20, 70, 80, 81, 100, 120, 132, 250])
def test_a_narrow_terminal_shows_the_columns_that_fit_and_tells_of_the_others(width: int) -> None:
    terminal = Terminal(width)
    lines = "".join(render("table", ALL, terminal)).splitlines()
    shown = lines[0].split()
    assert shown[:4] == ["WORKLOAD", "NAME", "PORT", "GRADE"]
    assert width < 80 or shown[4] == "CONNECTIONS"
    whole = printed("table").splitlines()[0].split()
    assert set(whole) - set(shown) <= set(terminal.left_out)
    assert sorted(shown, key=whole.index) == shown
    assert width < 70 or max(map(len, lines[:4])) <= width


def test_a_column_that_fits_is_shown_behind_one_that_does_not() -> None:
    lines = "".join(render("table", ALL, Terminal(112))).splitlines()
    assert lines[0].split()[-2:] == ["BYTES", "FIRST-SEEN"]


def test_columns_of_which_nobody_has_anything_are_not_there() -> None:
    assert "SHARED-WITH" not in printed("table", Needs(needs=(PLAIN,)))


def test_markdown_escapes_what_could_be_markup() -> None:
    text = printed("md")
    assert text.startswith("| WORKLOAD | NAME |")
    assert "\\*.cdn.example" in text
    assert "shop/api\\[Deployment\\]" in text
