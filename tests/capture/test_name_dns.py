"""DNS responses: what is expected by hand and by scapy, and the fast reader of many against the slow one of each."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, ip_address
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.capture import name_dns
from netpol.capture.name_dns import Expander, Response, read_response
from netpol.capture.name_dns_block import read_responses
from netpol.capture.name_dns_walk import Messages
from netpol.capture.name_evidence import AnswerOutcome, packed, unpacked
from netpol.capture.views import PAD

if TYPE_CHECKING:
    from collections.abc import Sequence

REPEATED = 20
"""Times that each message stands in a block, so that the fast reader does not leave the last few to the slow one."""


def wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def message(  # what a message is made of
    question: bytes,
    records: Sequence[bytes] = (),
    *,
    kind: int = 1,
    flags: int = 0x8180,
    count: int | None = None,
    questions: int = 1,
    its_class: int = 1,
) -> bytes:
    number = len(records) if count is None else count
    head = struct.pack(">HHHHHH", 7, flags, questions, number, 0, 0)
    return head + question + struct.pack(">HH", kind, its_class) + b"".join(records)


def record(
    owner: bytes, kind: int, data: bytes, life: int = 60, *, its_class: int = 1, size: int | None = None
) -> bytes:
    return owner + struct.pack(">HHIH", kind, its_class, life, len(data) if size is None else size) + data


HERE = b"\xc0\x0c"
NAME = wire("api.partner.example")
FOUR = bytes([198, 51, 100, 20])


def addresses(response: Response | str) -> list[tuple[str, int]]:
    assert isinstance(response, Response), response
    return [(str(unpacked(high, low)), life) for high, low, life in response.addresses]


def read_many(messages: Sequence[bytes], missing: Sequence[int]) -> tuple[list[Response | None], dict[str, int]]:
    """The fast reader's answer for each message, in the slow one's form."""
    sizes = np.array([len(each) for each in messages], np.int64)
    at = np.cumsum(sizes) - sizes
    data = np.frombuffer(b"".join(messages) + b"\x03" * PAD, np.uint8)
    found = read_responses(Messages(data, at, at + sizes, at + sizes + np.array(missing, np.int64)))
    result: list[Response | None] = [None] * len(messages)
    for position, index in enumerate(found.index.tolist()):
        its = np.flatnonzero(found.message == position)
        places = sorted(
            (int(high), int(low), int(life))
            for (high, low), life in zip(found.address[its].tolist(), found.life[its].tolist(), strict=True)
        )
        result[index] = Response(
            int(found.name_size[position]),
            int(found.kind[position]),
            AnswerOutcome(int(found.outcome[position])),
            tuple(places),
            (),
        )
    return result, found.counts


def agree(messages: Sequence[bytes], missing: Sequence[int]) -> None:
    many, cut = [*messages] * REPEATED, [*missing] * REPEATED
    fast, counts = read_many(many, cut)
    expected: dict[str, int] = {}
    for each, absent, got in zip(many, cut, fast, strict=True):
        slow = read_response(each, cut=absent > 0)
        remarks = (slow,) if isinstance(slow, str) else slow.remarks
        for remark in remarks:
            expected[remark] = expected.get(remark, 0) + 1
        if isinstance(slow, str):
            assert got is None, (each, slow)
        else:
            assert got == slow._replace(addresses=tuple(sorted(slow.addresses)), remarks=()), each
    assert counts == expected


def test_one_address() -> None:
    response = read_response(message(NAME, [record(HERE, 1, FOUR, 30)]), cut=False)
    assert addresses(response) == [("198.51.100.20", 30)]
    assert isinstance(response, Response)
    assert (response.outcome, response.kind, response.name_size) == (AnswerOutcome.ANSWERED, 1, len(NAME))


def test_aliases_are_followed_in_any_order_and_the_least_life_counts() -> None:
    edge = wire("edge.provider.example")
    records = [record(edge, 1, FOUR, 300), record(HERE, 5, b"\x03www\xc0\x10", 40)]
    records.append(record(wire("www.partner.example"), 5, edge, 90))
    response = read_response(message(NAME, records), cut=False)
    assert addresses(response) == [("198.51.100.20", 40)]


def test_addresses_of_other_names_do_not_count() -> None:
    other = record(wire("other.example"), 1, FOUR)
    assert addresses(read_response(message(NAME, [other]), cut=False)) == []


def test_names_are_compared_without_regard_to_case() -> None:
    records = [record(wire("API.Partner.EXAMPLE"), 1, FOUR)]
    assert addresses(read_response(message(NAME, records), cut=False)) == [("198.51.100.20", 60)]


def test_ipv6_mapped_addresses_are_what_they_map() -> None:
    mapped = record(HERE, 28, bytes(10) + b"\xff\xff" + FOUR)
    real = record(HERE, 28, ip_address("2001:db8::7").packed)
    response = read_response(message(NAME, [mapped, real], kind=28), cut=False)
    assert addresses(response) == [("198.51.100.20", 60), ("2001:db8::7", 60)]


@pytest.mark.parametrize(
    ("flags", "outcome"),
    [(0x8183, AnswerOutcome.NO_NAME), (0x8182, AnswerOutcome.FAILED), (0x8185, AnswerOutcome.FAILED),
     (0x8180, AnswerOutcome.EMPTY)],
)  # fmt: skip
def test_outcomes(flags: int, outcome: AnswerOutcome) -> None:
    response = read_response(message(NAME, flags=flags), cut=False)
    assert isinstance(response, Response)
    assert (response.outcome, response.addresses) == (outcome, ())


def test_service_bindings_give_their_hints_and_say_that_a_hello_may_be_encrypted() -> None:
    parameters = b"\0\1\0\3\2h2" + b"\0\4\0\x08" + FOUR + bytes([203, 0, 113, 9])
    parameters += b"\0\5\0\2zz" + b"\0\6\0\x10" + ip_address("2001:db8::9").packed
    response = read_response(message(NAME, [record(HERE, 65, b"\0\1\0" + parameters)], kind=65), cut=False)
    assert sorted(addresses(response)) == [("198.51.100.20", 60), ("2001:db8::9", 60), ("203.0.113.9", 60)]
    assert isinstance(response, Response)
    assert response.remarks == (name_dns.HELLO_OFFERED,)


def test_a_service_binding_that_names_another_host_is_told() -> None:
    other, itself = b"\0\0" + wire("svc.provider.example"), b"\0\0\0"
    for data, remarks in ((other, (name_dns.ALIAS_MODE,)), (itself, ())):
        response = read_response(message(NAME, [record(HERE, 65, data)], kind=65), cut=False)
        assert addresses(response) == []
        assert isinstance(response, Response)
        assert response.remarks == remarks


@pytest.mark.parametrize(
    "data",
    [b"\0\1\0\0\4\0\0", b"\0\1\0\0\4\0\3abc", b"\0\1\0\0\6\0\4abcd",
     b"\0\1\0\0\4\0\4abcd\0\4\0\4abcd", b"\0\1\0\0\4\0\x09abcd", b"\0", b"\0\1", b"\0\1\xc0\xff", b"\0\1\0\0\4\0"],
)  # fmt: skip
def test_malformed_service_bindings(data: bytes) -> None:
    assert read_response(message(NAME, [record(HERE, 65, data)], kind=65), cut=False) == name_dns.MALFORMED


def test_a_truncated_answer_is_said_to_be_and_what_it_has_counts() -> None:
    response = read_response(message(NAME, [record(HERE, 1, FOUR)], flags=0x8380), cut=False)
    assert addresses(response) == [("198.51.100.20", 60)]
    assert isinstance(response, Response)
    assert response.remarks == (name_dns.TRUNCATED,)
    assert read_response(message(NAME, flags=0x8380), cut=False) == name_dns.TRUNCATED


def test_whole_records_before_the_snapshot_length_count() -> None:
    whole = message(NAME, [record(HERE, 1, FOUR), record(HERE, 1, bytes([1, 2, 3, 4]))])
    response = read_response(whole[:-3], cut=True)
    assert addresses(response) == [("198.51.100.20", 60)]
    assert isinstance(response, Response)
    assert response.remarks == (name_dns.CUT,)
    assert read_response(whole[:-3], cut=False) == name_dns.MALFORMED
    assert read_response(whole[:20], cut=True) == name_dns.CUT


@pytest.mark.parametrize(
    "bad",
    [
        message(b"\xc0\x0c"),  # the question points to itself
        message(b"\x40" + bytes(64) + b"\0"),
        message((b"\x3f" + b"a" * 63) * 4 + b"\0"),  # 257 octets
        message(NAME, [record(b"\xc0\x25", 1, FOUR)]),  # an owner that points to itself
        message(NAME, [record(b"\xc0\x40", 1, FOUR)]),  # and one that points ahead
        message(NAME, [record(b"\xc0\x00", 1, FOUR)]),  # and one into the header
        message(NAME, [record(HERE, 1, FOUR + b"\0")]),
        message(NAME, [record(HERE, 28, FOUR)]),
        message(NAME, [record(HERE, 1, FOUR)], count=2),
        message(NAME, [record(HERE, 1, FOUR, size=40)]),
        message(NAME, [record(HERE, 5, b"\x01a\0\0")]),
        message(NAME, [record(HERE, 5, b"\x05a\0")]),
        message(NAME, count=65535),
        bytes(11),
    ],
)
def test_malformed_messages(bad: bytes) -> None:
    assert read_response(bad, cut=False) in {name_dns.MALFORMED, name_dns.NO_ANSWER}
    agree([bad], [0])


def test_what_is_no_answer() -> None:
    assert read_response(message(NAME, flags=0x0100), cut=False) == name_dns.NO_ANSWER
    assert read_response(message(NAME, flags=0xA800), cut=False) == name_dns.NO_ANSWER
    assert read_response(message(NAME, questions=2), cut=False) == name_dns.NO_QUESTION
    assert read_response(message(NAME, questions=0), cut=False) == name_dns.NO_QUESTION
    assert read_response(message(NAME, its_class=3), cut=False) == name_dns.OTHER_CLASS


def test_pointers_cannot_go_round() -> None:
    """Each of many records points to the one before it: only so many pointers are followed."""
    chain = [record(HERE, 16, b"")]
    at = 12 + len(NAME) + 4
    for _ in range(200):
        chain.append(record(struct.pack(">H", 0xC000 | at), 16, b""))
        at += 12
    built = message(NAME, chain)
    first = 12 + len(NAME) + 4
    names = Expander(built)
    assert names.name(first + 15 * 12)[0] == NAME
    assert read_response(built, cut=False) == name_dns.MALFORMED
    agree([built, message(NAME, chain[:16]), message(NAME, chain[:17])], [0, 0, 0])


def test_a_message_full_of_long_names_that_share_their_bytes_is_not_read_to_its_end() -> None:
    deep = wire(".".join(["b"] * 127))
    owners = [record(struct.pack(">H", 0xC00C + 2 * (each % 100)), 16, b"") for each in range(4000)]
    cheap = read_response(message(deep, owners), cut=False)
    assert isinstance(cheap, Response)  # every place was read once
    spelled = [record(deep, 16, b"") for _ in range(200)]
    assert read_response(message(deep, spelled), cut=False) == name_dns.MALFORMED


def test_aliases_through_many_pointers_agree() -> None:
    records = [record(HERE, 5, b"\x01a" + HERE)]
    at = 12 + len(NAME) + 4 + 12
    for _ in range(30):
        records.append(record(struct.pack(">H", 0xC000 | at), 5, b"\x01a" + struct.pack(">H", 0xC000 | at)))
        at += 16
    for count in (1, 5, 14, 15, 16, 17, 25):
        agree([message(NAME, [*records[:count], record(HERE, 1, FOUR)])], [0])


# The fast reader and the slow one

labels = st.sampled_from([b"a", b"www", b"api", b"A", b"example", b"x" * 63, b"_dns", b"caf\xc3\xa9", b"a.b", b"\0"])


@st.composite
def names(draw: st.DrawFn) -> bytes:
    """Mostly proper names, sometimes with a pointer at their end."""
    parts = b"".join(bytes([len(each)]) + each for each in draw(st.lists(labels, max_size=5)))
    end = draw(
        st.sampled_from([b"\0", b"\0", b"\xc0\x0c", b"\xc0\x10", b"\xc0\x0d", b"\xc0\x2a", b"\xff\xff", b"\xc0"])
    )
    return parts + end


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    question = draw(st.just(NAME) | names())
    records = []
    at = 12 + len(question) + 4
    owner = HERE
    for _ in range(draw(st.integers(0, 5))):
        its_owner = draw(st.sampled_from([owner, owner, HERE, question]) | names())
        kind = draw(st.sampled_from([1, 1, 28, 5, 5, 65, 16, 46]))
        exact: dict[int, st.SearchStrategy[bytes]] = {
            1: st.binary(min_size=4, max_size=4),
            28: st.binary(min_size=16, max_size=16),
            5: names(),
            65: st.just(b"\0\1\0\0\4\0\4" + FOUR),
        }
        data = draw(exact.get(kind, st.binary(max_size=20)))
        life = draw(st.sampled_from([0, 5, 60, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
        built = record(its_owner, kind, data, life, its_class=draw(st.sampled_from([1, 1, 1, 1, 3])))
        if kind == 5:
            place = struct.pack(">H", 0xC000 | (at + len(its_owner) + 10 & 0x3FFF))
            owner = draw(st.sampled_from([place, place, data]))
        records.append(built)
        at += len(built)
    built = message(
        question,
        records,
        kind=draw(st.sampled_from([1, 28, 65, 12])),
        flags=draw(st.sampled_from([0x8180, 0x8180, 0x8180, 0x8580, 0x8380, 0x8183, 0x8182, 0x0100, 0xA800])),
        count=draw(st.sampled_from([len(records)] * 4 + [len(records) + 1, max(0, len(records) - 1), 65535])),
        questions=draw(st.sampled_from([1, 1, 1, 1, 0, 2])),
    )
    return built + draw(st.sampled_from([b"", b"", record(b"\0", 41, b"")]))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, int]:
    """A message and how many of its bytes the snapshot length took."""
    data = bytearray(draw(responses() | st.binary(max_size=80)))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)):
        if place < len(data):
            data[place] = value
    absent = draw(st.sampled_from([0, 0, 0, 1, 5, 30]))
    keep = max(0, len(data) - draw(st.sampled_from([0, absent, 3])))
    return bytes(data[:keep]), absent


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some=st.lists(responses(), min_size=1, max_size=4))
def test_the_fast_reader_agrees_with_the_slow_one(some: list[bytes]) -> None:
    agree(some, [0] * len(some))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some=st.lists(damaged(), min_size=1, max_size=4))
def test_the_fast_reader_agrees_with_the_slow_one_on_damaged_messages(some: list[tuple[bytes, int]]) -> None:
    agree([data for data, _ in some], [absent for _, absent in some])


def test_many_records_and_long_names_agree() -> None:
    long = wire(".".join(["a" * 60] * 4))
    most = [record(HERE, 1, bytes([10, 0, each // 256, each % 256])) for each in range(200)]
    spelled = [record(long, 5, NAME), record(NAME, 1, FOUR)]
    deep = wire(".".join(["b"] * 127))
    agree([message(NAME, most), message(long, spelled), message(deep, [record(HERE, 1, FOUR)])], [0, 0, 0])


# scapy as an author of messages

PLAIN_LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(PLAIN_LABELS, min_size=1, max_size=5),
    aliases=st.lists(st.lists(PLAIN_LABELS, min_size=1, max_size=4), max_size=3, unique_by=tuple),
    places=st.lists(st.integers(0, (1 << 32) - 1), max_size=4),
    compress=st.booleans(),
)
def test_messages_that_scapy_makes(
    parts: list[str], aliases: list[list[str]], places: list[int], *, compress: bool
) -> None:
    dns: Any = pytest.importorskip("scapy.layers.dns")
    chain = [".".join(each) + "." for each in (parts, *aliases)]
    if len(set(chain)) < len(chain):
        return
    built = [dns.DNSRR(rrname=one, type="CNAME", rdata=other, ttl=30) for one, other in pairwise(chain)]
    built += [dns.DNSRR(rrname=chain[-1], type="A", rdata=str(IPv4Address(each)), ttl=60) for each in places]
    packet = dns.DNS(id=1, qr=1, rd=1, ra=1, qd=[dns.DNSQR(qname=chain[0], qtype="A")], an=built)
    raw = bytes(dns.dns_compress(packet) if compress else packet)
    response = read_response(raw, cut=False)
    life = 30 if aliases else 60
    expected = [unpacked(*packed(IPv4Address(each))) for each in places]
    assert addresses(response) == [(str(each), life) for each in expected]
    agree([raw], [0])
