"""Threat lists, each format as its makers publish it."""

from __future__ import annotations

import hashlib
import json
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.errors import InputError
from netpol.model.host_name import HostName
from netpol.threats.lists import Limits, ThreatList, Threats, load
from netpol.threats.stix import values_of

if TYPE_CHECKING:
    from pathlib import Path

UUID = "8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"


def listed(tmp_path: Path, content: str | bytes, limits: Limits | None = None) -> ThreatList:
    path = tmp_path / "list"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(path, limits or Limits())


def address(found: ThreatList, text: str) -> int | None:
    return found.address(ip_address(text))


def host(found: ThreatList, text: str) -> int | None:
    return found.host(HostName(text))


def test_plain_entries_of_every_kind(tmp_path: Path) -> None:
    found = listed(
        tmp_path,
        "# a list\n\n198.51.100.20\n203.0.113.0/25 ; SBL1\n2001:db8::/32\n192.0.2.4-192.0.2.6\nevil.example\n"
        "bad[.]example # seen today\nEVIL2.Example.\n",
    )
    assert [address(found, one) for one in ("198.51.100.20", "198.51.100.21", "203.0.113.127", "203.0.113.128")] == [
        3, None, 4, None,
    ]  # fmt: skip
    assert [address(found, one) for one in ("2001:db8::1", "2001:db9::", "192.0.2.3", "192.0.2.5")] == [
        5, None, None, 6,
    ]  # fmt: skip
    assert [host(found, one) for one in ("evil.example", "bad.example", "evil2.example")] == [7, 8, 9]
    assert found.entries.bad == 0


def test_an_address_may_be_mapped_and_have_a_port(tmp_path: Path) -> None:
    found = listed(
        tmp_path,
        "::ffff:198.51.100.20\n198.51.100.21:80\n[2001:db8::1]:443\n198.51.100.22:8080 # seen\n"
        "::ffff:203.0.113.0/120\n198[.]51[.]100[.]23:80\n300.1.1.1:80\n",
    )
    four = ("198.51.100.20", "198.51.100.21", "198.51.100.22", "203.0.113.200", "203.0.114.0", "198.51.100.23")
    assert [address(found, one) for one in four] == [1, 2, 4, 5, None, 6]
    assert [address(found, one) for one in ("2001:db8::1", "2001:db8::1:443", "2001:db8::80")] == [3, None, None]
    assert found.entries.bad == 1


def test_a_listed_address_is_found_behind_nat64(tmp_path: Path) -> None:
    found = listed(tmp_path, "198.51.100.20\n203.0.113.0/24\n64:ff9b::192.0.2.1\n")
    # RFC 6052, 2.4, has 192.0.2.33 as 64:ff9b::192.0.2.33.
    asked = ("64:ff9b::198.51.100.20", "64:ff9b::c633:6415", "64:ff9b::cb00:7107", "64:ff9b::192.0.2.1", "192.0.2.1")
    assert [address(found, one) for one in asked] == [1, None, 2, 3, None]
    assert address(found, "64:ff9b:1::198.51.100.20") is None
    assert ip_address("64:ff9b::198.51.100.20") in Threats([found]).addresses
    assert ip_address("64:ff9b::198.51.100.21") not in Threats([found]).addresses


def test_a_plain_name_stands_for_itself_and_only_what_says_so_for_names_below(tmp_path: Path) -> None:
    found = listed(tmp_path, "a.example\n*.b.example\n.c.example\n||d.example^\n")
    lines = {
        "a.example": 1, "x.a.example": None,
        "b.example": None, "x.b.example": 2, "y.x.b.example": 2,
        "c.example": 3, "x.c.example": 3,
        "d.example": 4, "x.d.example": 4, "nod.example": None, "example": None,
    }  # fmt: skip
    assert {name: host(found, name) for name in lines} == lines


def test_hosts_files_name_hosts_and_not_where_they_lead(tmp_path: Path) -> None:
    found = listed(
        tmp_path,
        "127.0.0.1 localhost\n::1 localhost ip6-loopback\nfe80::1%lo0 localhost\n255.255.255.255 broadcasthost\n"
        "0.0.0.0 0.0.0.0\n0.0.0.0 evil.example www.evil.example # both\n127.0.0.1\tbad.example\n",
    )
    assert [host(found, one) for one in ("evil.example", "www.evil.example", "bad.example")] == [6, 6, 7]
    assert address(found, "127.0.0.1") is None
    assert host(found, "m.evil.example") is None
    assert found.entries.bad == 0


def test_an_address_with_a_score_is_an_address(tmp_path: Path) -> None:
    found = listed(tmp_path, "# ipsum: address, in how many lists\n198.51.100.1\t9\n198.51.100.2\t8\n")
    assert address(found, "198.51.100.2") == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("first_seen,dst_ip,dst_port,malware\n2026-01-01,198.51.100.7,443,x\n", 2),
        ('# "first_seen_utc","dst_ip","dst_port"\n"2026-01-01 00:00:00","198.51.100.7","443"\n', 2),
        ('# "first_seen","ioc_id","ioc_value","reporter"\n"2026","1","198.51.100.7:443","abuse.example"\n', 2),
        ("IP Address;Score\n198.51.100.7;100\n", 2),
        ("domain\tip\n-\t198.51.100.7\n", 2),
        ("198.51.100.7,9\n198.51.100.8,8\n", 1),
        ("# made today, by us\n# dst_ip,note\n# end of header\n198.51.100.7,x\n", 4),
    ],
)
def test_tables_hold_what_their_headings_say(tmp_path: Path, text: str, line: int) -> None:
    found = listed(tmp_path, text)
    assert address(found, "198.51.100.7") == line
    assert host(found, "abuse.example") is None


def test_a_table_that_does_not_say_what_it_lists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 columns, not one"):
        listed(tmp_path, "evil.example,reporter.example\nbad.example,reporter.example\n")
    with pytest.raises(InputError, match="no column"):
        listed(tmp_path, "a,b\nc,d\n")


def bundle(*patterns: str, **more: object) -> str:
    objects = [
        {
            "type": "indicator",
            "id": f"indicator--{UUID[:-2]}{number:02}",
            "pattern_type": "stix",
            "pattern": one,
            **more,
        }
        for number, one in enumerate(patterns)
    ]
    return json.dumps({"type": "bundle", "id": f"bundle--{UUID}", "objects": objects}, indent=1)


def test_stix_indicators(tmp_path: Path) -> None:
    text = bundle(
        "[ipv4-addr:value = '198.51.100.7']",
        "[domain-name:value = 'evil.example' OR ipv6-addr:value='2001:db8::7'] OR [ipv4-addr:value = '203.0.113.0/24']",
        "[url:value = 'http://x.example/']",
        "[ipv4-addr:value = '192.0.2.1' AND domain-name:value = 'no.example']",
        modified="2026-05-01T00:00:00Z",
    )
    found = listed(tmp_path, text)
    lines = {number: 1 + text[: text.index(f"indicator--{UUID[:-2]}{number:02}")].count("\n") for number in range(2)}
    assert address(found, "198.51.100.7") == lines[0]
    assert [address(found, "2001:db8::7"), address(found, "203.0.113.9"), host(found, "evil.example")] == [lines[1]] * 3
    assert address(found, "192.0.2.1") is None
    assert sum(found.entries.passed_over.values()) == 2
    assert found.version == "2026-05-01T00:00:00Z"


def test_revoked_indicators_and_other_languages_are_counted(tmp_path: Path) -> None:
    text = json.loads(bundle("[ipv4-addr:value = '198.51.100.7']", "[ipv4-addr:value = '198.51.100.8']", "alert"))
    text["objects"][1]["revoked"] = True
    text["objects"][2]["pattern_type"] = "snort"
    found = listed(tmp_path, json.dumps(text))
    assert address(found, "198.51.100.8") is None
    assert sorted(found.entries.passed_over.values()) == [1, 1]


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("[ipv4-addr:value='1.2.3.4']", ["1.2.3.4"]),
        (r"[domain-name:value = 'a\'b\\c']", ["a'b\\c"]),
        ("[ipv4-addr:value IN ('1.2.3.4', '1.2.3.5')]", ["1.2.3.4", "1.2.3.5"]),
        ("[ipv4-addr:value ISSUBSET '1.2.3.0/24']", ["1.2.3.0/24"]),
        ("[domain-name:value = 'x] OR [y']", ["x] OR [y"]),
        ("[ipv4-addr:value != '1.2.3.4']", None),
        ("[ipv4-addr:value NOT = '1.2.3.4']", None),
        ("[ipv4-addr:value = '1.2.3.4'] FOLLOWEDBY [ipv4-addr:value = '1.2.3.5']", None),
        ("[ipv4-addr:value = '1.2.3.4'] REPEATS 5 TIMES", None),
        ("[ipv4-addr:value = '1.2.3.4'", None),
        ("([ipv4-addr:value = '1.2.3.4'])", None),
        ("[domain-name:value LIKE '%.example']", None),
        ("", None),
        ("[]", None),
    ],
)
def test_the_subset_of_the_pattern_grammar(pattern: str, values: list[str] | None) -> None:
    assert values_of(pattern) == values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no address, block or host name"),
        (b"# nothing\n", "no address, block or host name"),
        (b"what is this\n", "line 1: 'what is this'"),
        (b"{}", "no STIX bundle"),
        (b'{"type": "bundle"}', "no STIX bundle"),
        (b'{"type": "bundle", "objects": []}', "no address"),
        (b"[1, 2]", "no STIX bundle"),
        (b"{", "not valid JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"\x1f\x8b\x08\x00\x00", "a binary file"),
    ],
)
def test_what_is_no_list_is_refused_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        listed(tmp_path, content)
    assert str(refused.value).startswith(str(tmp_path / "list"))


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError):
            load(path)


def test_bad_lines_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    lines = ["198.51.100.7", *["!!", "300.1.1.1", "a b c", "\x1b[31m", "1.2.3.4/33", "::ffff:0:0/96", "-", "x y"]]
    found = listed(tmp_path, "\n".join(lines))
    # A line that begins with an exclamation mark is a comment.
    assert found.entries.bad == 7
    assert len(found.entries.bad_lines) == 5
    assert found.entries.bad_lines[0] == "line 3: '300.1.1.1'"
    assert found.entries.bad_lines[2] == "line 5: '\\x1b[31m'"


def test_urls_are_counted_and_name_nobody(tmp_path: Path) -> None:
    found = listed(tmp_path, "198.51.100.7\nhttp://code.example/malware\n@@||good.example^\n")
    assert host(found, "code.example") is None
    assert sorted(found.entries.passed_over.values()) == [1, 1]


def test_limits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 3 entries"):
        listed(tmp_path, "".join(f"198.51.100.{n}\n" for n in range(9)), Limits(entries=3))
    with pytest.raises(InputError, match="MiB"):
        listed(tmp_path, "198.51.100.1\n" * 100, Limits(bytes=100))
    with pytest.raises(InputError, match="MiB of JSON"):
        listed(tmp_path, bundle("x" * 5000), Limits(json_bytes=4500))
    found = listed(tmp_path, "1" * 5000 + "\n198.51.100.1\n" + "9" * 3000, Limits(line=100))
    assert (address(found, "198.51.100.1"), found.entries.bad) == (2, 2)


def test_versions(tmp_path: Path) -> None:
    for header, version in (
        ("# Version: 2026.11.1", "2026.11.1"),
        ("# Version: 7", "7"),
        ("# Last updated: 2026-11-01 10:00:00 UTC  #", "2026-11-01 10:00:00 UTC"),
        ("# made by us", ""),
    ):
        assert listed(tmp_path, f"{header}\n198.51.100.7\n").version == version
    content = "# a\n198.51.100.7\r\n" * 9 + "1" * 200_000
    assert listed(tmp_path, content).sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_names_with_other_letters_are_found_as_the_wire_has_them(tmp_path: Path) -> None:
    assert host(listed(tmp_path, "bücher.example\n"), "xn--bcher-kva.example") == 1


def test_several_lists_are_asked_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("198.51.100.7\n")
    (tmp_path / "b").write_text("x.example\n198.51.100.0/24\n")
    threats = Threats([load(tmp_path / "a"), load(tmp_path / "b")])
    match = threats.address(ip_address("198.51.100.7"))
    assert match
    assert match.list.name == str(tmp_path / "a")
    match = threats.address(ip_address("198.51.100.8"))
    assert match
    assert (match.list.name, match.line) == (str(tmp_path / "b"), 2)
    assert threats.has_names


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    check(tmp_path_factory.getbasetemp(), content)


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            ["198.51.100.7", "a.example", ",", ";", "\t", '"', "#", "\n", "ip", "domain", "::1", "{", "[", "'", " "]
        ),
        max_size=40,
    )
)
def test_nor_do_words_of_the_formats(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    check(tmp_path_factory.getbasetemp(), "".join(words).encode())


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["indicator", "stix"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "id", "pattern", "pattern_type", "revoked", "modified"]), inner)
        ),
    )
)
def test_nor_do_bundles_of_anything(tmp_path_factory: pytest.TempPathFactory, objects: object) -> None:
    wrapped = {"type": "bundle", "objects": [objects, {"type": "indicator", "pattern": objects, "id": objects}]}
    check(tmp_path_factory.getbasetemp(), json.dumps(wrapped).encode())


@given(st.text(alphabet="[]'\\ =OR()INvalue:ipv4-addr1.,", max_size=60))
def test_nor_do_patterns(pattern: str) -> None:
    values_of(pattern)


def check(folder: Path, content: bytes) -> None:
    path = folder / "fuzzed"
    path.write_bytes(content)
    try:
        found = load(path)
    except InputError as refused:
        message = str(refused)
    else:
        message = ""
    assert message.isprintable()
    if message:
        return
    assert len(found.entries)
    address(found, "198.51.100.7")
    host(found, "a.example")
