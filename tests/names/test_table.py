"""What names a connection: every grade, per client and time, and what is said where names are hidden."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.name_evidence import MAPPED, AnswerOutcome, Answers, Greeting, Trait, packed, unpacked
from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.capture.views import PAD
from netpol.model.outside import Grade
from netpol.names import evidence as remarks
from netpol.names.found import Asked, Candidate, Found, Hidden
from netpol.names.recent import MOMENT, Recent
from netpol.names.table import GRACE, LONGEST_LIFE, Limits, Names

SECOND = 1_000_000_000
T = 1_700_000_000 * SECOND
POD, OTHER_POD = "10.244.1.7", "10.244.1.8"
SERVER = "198.51.100.20"
API, WWW, CDN = "api.partner.example", "www.partner.example", "cdn.provider.example"


def pairs(*addresses: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.array([packed(ip_address(each)) for each in addresses], np.uint64).reshape(-1, 2)


def answer(  # what an answer is made of
    names: Names,
    name: str,
    *addresses: str,
    time: int = T,
    client: str = POD,
    life: int = 30,
    outcome: AnswerOutcome = AnswerOutcome.ANSWERED,
    number: int = 0,
) -> None:
    wire = b"".join(bytes([len(each)]) + each.encode("latin-1") for each in name.split(".")) + b"\0"
    names.take_answers(
        Answers(
            data=np.frombuffer(wire + bytes(PAD), np.uint8),
            name_at=np.array([0]),
            name_size=np.array([len(wire)]),
            time=np.array([time]),
            client=pairs(client),
            exchange=np.array([number or hash((name, time, client)) & 0xFFFFFFFF], np.uint64),
            kind=np.array([1], np.uint16),
            outcome=np.array([outcome], np.uint8),
            message=np.zeros(len(addresses), np.int64),
            address=pairs(*addresses),
            life=np.full(len(addresses), life),
        )
    )


def greet(
    names: Names, name: str, *, time: int = T + SECOND, client: str = POD, traits: Trait = Trait.TLS, port: int = 443,
    server: str = SERVER,
) -> None:  # fmt: skip
    names.take_greetings(
        [
            Greeting(
                client=packed(ip_address(client)),
                server=packed(ip_address(server)),
                protocol=6,
                port=port,
                time=time,
                name=name.encode("latin-1"),
                traits=traits,
            )
        ]
    )


def towards(
    names: Names, *clients: str, first: int = T, last: int = T + 10 * SECOND, port: int = 443, server: str = SERVER
) -> Found:
    whence = [ip_address(each) for each in clients or (POD,)]
    return names.towards(whence, ip_address(server), 6, port, first, last)


def graded(found: Found) -> list[tuple[str, Grade, int]]:
    return [(each.name, each.grade, each.handshakes) for each in found.candidates]


def test_greeting_and_answer_together_are_strong() -> None:
    names = Names()
    answer(names, API, SERVER)
    greet(names, API.upper() + ".")
    assert towards(names) == Found(
        candidates=(
            Candidate(name=API, grade=Grade.STRONG, handshakes=1, first=T, last=T + 30 * SECOND + GRACE),  # type: ignore[arg-type]
        )
    )


def test_one_of_the_two_alone_is_medium() -> None:
    names = Names()
    answer(names, API, SERVER)
    assert graded(towards(names)) == [(API, Grade.MEDIUM, 0)]
    greet(names, WWW, port=8443)
    assert graded(towards(names, port=8443)) == [(WWW, Grade.MEDIUM, 1)]
    assert towards(names, port=8443).sharing == (API,)


def test_several_names_of_one_address_are_ambiguous_unless_a_greeting_says_which() -> None:
    names = Names()
    for each in (WWW, API, CDN):
        answer(names, each, SERVER, "203.0.113.9")
    assert graded(towards(names)) == [(each, Grade.AMBIGUOUS, 0) for each in (API, CDN, WWW)]
    greet(names, WWW)
    found = towards(names)
    assert graded(found) == [(WWW, Grade.STRONG, 1)]
    assert found.sharing == (API, CDN)


def test_nothing_is_known_of_other_addresses_clients_and_ports() -> None:
    names = Names()
    answer(names, API, SERVER)
    greet(names, API)
    assert towards(names, server="198.51.100.21") == Found()
    assert towards(names, OTHER_POD) == Found()
    assert graded(towards(names, port=8443)) == [(API, Grade.MEDIUM, 0)]
    assert (
        names.towards([ip_address(POD)], ip_address(SERVER), 17, 443, T, T + SECOND).candidates[0].grade is Grade.MEDIUM
    )


def test_what_one_client_was_answered_says_nothing_about_another() -> None:
    names = Names()
    answer(names, API, SERVER, client=OTHER_POD)
    greet(names, API, client=POD)
    assert graded(towards(names, POD)) == [(API, Grade.MEDIUM, 1)]
    # The two together are one workload of which nobody has both.
    assert graded(towards(names, POD, OTHER_POD)) == [(API, Grade.MEDIUM, 1)]
    answer(names, API, SERVER, client=POD)
    assert graded(towards(names, POD, OTHER_POD)) == [(API, Grade.STRONG, 1)]


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, Grade.STRONG), (30 * SECOND + GRACE, Grade.STRONG), (30 * SECOND + GRACE + 1, Grade.MEDIUM),
     (-SECOND // 2, Grade.STRONG), (-2 * SECOND, Grade.MEDIUM)],
)  # fmt: skip
def test_an_answer_holds_until_its_life_and_a_grace_are_over(after: int, expected: Grade) -> None:
    names = Names()
    answer(names, API, SERVER)
    greet(names, API, time=T + after)
    assert graded(towards(names, first=T - 9 * SECOND, last=T + 900 * SECOND)) == [(API, expected, 1)]


def test_answers_of_another_time_do_not_count() -> None:
    names = Names()
    answer(names, API, SERVER)
    answer(names, WWW, SERVER, time=T + 5000 * SECOND)
    assert graded(towards(names)) == [(API, Grade.MEDIUM, 0)]
    assert graded(towards(names, first=T + 5000 * SECOND, last=T + 5001 * SECOND)) == [(WWW, Grade.MEDIUM, 0)]
    assert towards(names, first=T + 2000 * SECOND, last=T + 2001 * SECOND) == Found()


def test_a_life_of_centuries_is_not_believed() -> None:
    names = Names()
    answer(names, API, SERVER, life=0x7FFFFFFF)
    late = T + LONGEST_LIFE * SECOND + GRACE
    assert graded(towards(names, first=late, last=late)) == [(API, Grade.MEDIUM, 0)]
    assert towards(names, first=late + 1, last=late + 1) == Found()
    answer(names, WWW, SERVER, time=np.iinfo(np.int64).max - 5)
    assert graded(towards(names, first=np.iinfo(np.int64).max, last=np.iinfo(np.int64).max)) == [(WWW, Grade.MEDIUM, 0)]


def test_an_encrypted_hello_is_never_strong() -> None:
    ech = Trait.TLS | Trait.ENCRYPTED_HELLO
    names = Names()
    greet(names, "public.provider.example", traits=ech)
    assert graded(towards(names)) == [("public.provider.example", Grade.AMBIGUOUS, 1)]
    answer(names, API, SERVER)
    found = towards(names)
    assert graded(found) == [(API, Grade.MEDIUM, 0)]
    assert found.remarks == (remarks.ENCRYPTED_HELLO,)
    greet(names, API, traits=ech)
    assert graded(towards(names)) == [(API, Grade.MEDIUM, 1)]
    greet(names, API)
    assert graded(towards(names)) == [(API, Grade.STRONG, 2)]


def test_remarks_on_greetings_without_a_name() -> None:
    names = Names()
    greet(names, "")
    greet(names, "", port=8443, traits=Trait.TLS | Trait.CUT)
    greet(names, "far.example", port=3128, traits=Trait.HTTP | Trait.PROXY)
    greet(names, SERVER, port=80, traits=Trait.HTTP)
    greet(names, "[2001:db8::1]", port=80, traits=Trait.HTTP)
    assert towards(names) == Found(remarks=(remarks.NO_SERVER_NAME,))
    assert towards(names, port=8443) == Found(remarks=(remarks.CUT_HELLO,))
    assert towards(names, port=3128) == Found(remarks=(remarks.PROXY,))
    assert towards(names, port=80) == Found()
    assert not names.no_host_names


def test_hidden_dns_is_recognised_and_said() -> None:
    names = Names()
    names.take_hidden(packed(ip_address(POD)), packed(ip_address("192.0.2.53")), 6)
    greet(names, "dns.google", server="203.0.113.8")
    greet(names, "", server="1.1.1.1")
    greet(names, "x.example", server="203.0.113.7", port=8853, traits=Trait.TLS | Trait.HIDES_DNS)
    greet(names, "dns.google", server="203.0.113.8", traits=Trait.HTTP)
    greet(names, "abc.dns.nextdns.io", server="203.0.113.6", client=OTHER_POD)
    pod, other = ip_address(POD), ip_address(OTHER_POD)
    assert names.hidden == (
        Hidden(client=pod, server=ip_address("1.1.1.1"), protocol=6, way="DNS over HTTPS"),
        Hidden(client=pod, server=ip_address("192.0.2.53"), protocol=6, way="DNS over TLS"),
        Hidden(client=pod, server=ip_address("203.0.113.7"), protocol=6, way="DNS over TLS"),
        Hidden(client=pod, server=ip_address("203.0.113.8"), protocol=6, way="DNS over HTTPS"),
        Hidden(client=other, server=ip_address("203.0.113.6"), protocol=6, way="DNS over HTTPS"),
    )
    assert towards(names).remarks == (remarks.HIDDEN_DNS,)
    answer(names, API, SERVER)
    assert towards(names).remarks == (remarks.HIDDEN_DNS,)
    greet(names, API)
    assert towards(names).remarks == ()
    assert towards(names, "10.244.9.9").remarks == ()


def test_each_client_has_its_counts_and_each_message_counts_once() -> None:
    names = Names()
    for outcome in AnswerOutcome:
        for _ in range(2):  # captured at two places
            answer(names, API, outcome=outcome, number=int(outcome) + 1)
    clients = pairs(POD, POD, "fd00::7")
    names.take_questions(clients, np.array([1, 1, 2], np.uint64), np.array([T, T + 1, T]))
    names.take_questions(clients[:1], np.array([1], np.uint64), np.array([T + 5 * SECOND]))
    assert names.asked == (
        Asked(client=ip_address(POD), asked=2, answered=1, empty=1, no_name=1, failed=1),
        Asked(client=ip_address("fd00::7"), asked=1, answered=0, empty=0, no_name=0, failed=0),
    )
    assert sum(names.tally.values()) == 4


def test_everything_is_bounded_and_what_is_forgotten_is_said() -> None:
    names = Names(Limits(leases=64, greetings=64, clients=3, hidden=2))
    for each in range(400):
        answer(names, f"name-{each}.example", SERVER, time=T + each * 1000 * SECOND, client=f"10.0.{each % 7}.1")
        greet(names, f"host-{each}.example", time=T + each * 1000 * SECOND, client=f"10.0.{each % 7}.1")
        names.take_hidden((0, each), (0, 1), 6)
    assert len(names._texts) <= 4 * 65
    assert len(names.asked) == 3
    assert len(names.hidden) == 2
    assert names.tally["spans of DNS answers forgotten, too many"] >= 400 - 2 * 65
    assert remarks.FORGOTTEN in towards(names, "10.0.0.1").remarks
    late = T + 399 * 1000 * SECOND
    assert [each.handshakes for each in towards(names, "10.0.0.1", first=late, last=late + SECOND).candidates] == [1]


def test_names_that_are_no_host_names_are_counted_and_never_given() -> None:
    names = Names()
    answer(names, "\x1b[31m.example", SERVER)
    answer(names, "_dmarc.partner.example", SERVER)
    greet(names, "<script>alert(1)</script>.example")
    assert towards(names).candidates == ()
    assert names.tally["names that are no host names"] == 3
    assert sorted(names.no_host_names) == [
        "'<script>alert(1)</script>.example'",
        r"'\x1b[31m.example'",
        "'_dmarc.partner.example'",
    ]


def test_addresses_are_packed_and_unpacked() -> None:
    for each in ("0.0.0.0", "255.255.255.255", "198.51.100.20", "::", "2001:db8::1", "::fffe:1.2.3.4"):  # noqa: S104
        assert unpacked(*packed(ip_address(each))) == ip_address(each)
    assert unpacked(*packed(ip_address("::ffff:198.51.100.20"))) == ip_address("198.51.100.20")
    assert packed(ip_address("1.2.3.4")) == (0, MAPPED | 0x01020304)


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5 * SECOND)), max_size=10), max_size=4
    )
)  # fmt: skip
def test_recent_messages_are_known_as_a_plain_table_knows_them(parts: list[list[tuple[int, int]]]) -> None:
    recent, seen = Recent(8), dict[int, int]()
    for part in parts:
        part.sort(key=lambda each: each[1])
        keys = np.array([each[0] for each in part], np.uint64)
        times = np.array([each[1] for each in part], np.int64)
        got = recent.again(keys, times).tolist()
        firsts: dict[int, int] = {}
        for (key, time), again in zip(part, got, strict=True):
            before = [each[key] for each in (firsts, seen) if key in each]
            assert again == any(abs(time - each) <= MOMENT for each in before)
            firsts.setdefault(key, time)
        for (key, time), again in zip(part, got, strict=True):
            if not again:
                seen[key] = time


def test_the_pods_of_the_shop_that_call_the_partner() -> None:
    shop = Path(__file__).parents[2] / "captures" / "shop"
    names = Names()
    for _ in read_packets([shop], Tally(), names=names):
        pass
    pod, partner = ip_address("10.244.2.30"), ip_address("198.51.100.20")
    found = names.towards([pod], partner, 6, 8443, 0, 2**62)
    assert graded(found) == [(API, Grade.STRONG, 2)]
    assert (found.sharing, found.remarks) == ((), ())
    # The node that masquerades says the name too, and was answered nothing.
    assert graded(names.towards([ip_address("192.0.2.12")], partner, 6, 8443, 0, 2**62)) == [(API, Grade.MEDIUM, 2)]
    assert names.tally["DNS answers that there is no such name"] > 20


def answers_for_many(names: Names, count: int) -> list[str]:
    """A zone in which so many names have the one address."""
    found = sorted(f"n{index}.zone.example" for index in range(count))
    for name in found:
        answer(names, name, SERVER)
    return found


def test_any_number_of_names_may_lead_to_an_address_and_few_are_told() -> None:
    names = Names()
    zone = answers_for_many(names, 3000)
    found = towards(names)
    assert [(item.name, item.grade) for item in found.candidates] == [(name, Grade.AMBIGUOUS) for name in zone[:50]]
    assert (found.sharing, found.more) == ((), 2950)
    greet(names, zone[70])
    found = towards(names)
    assert graded(found) == [(zone[70], Grade.STRONG, 1)]
    assert (found.sharing, found.more) == (tuple(zone[:50]), 2949)


def test_some_names_alone_are_as_if_no_other_had_been_carried() -> None:
    names, alone = Names(), Names()
    zone = answers_for_many(names, 100)
    greet(names, API)
    answer(alone, zone[60], SERVER)
    asked: list[str] = []

    def wanted(name: str) -> bool:
        asked.append(name)
        return name == zone[60]

    part = names.among(wanted)
    assert towards(part) == towards(alone)
    assert sorted(asked) == sorted([API, *zone])


LETTERS = st.sampled_from([f"{letter}.example" for letter in "abcdef"])
TIMES = st.integers(min_value=0, max_value=900)


@given(
    st.lists(st.tuples(LETTERS, st.sampled_from([POD, OTHER_POD]), TIMES, st.integers(0, 400)), max_size=12),
    st.lists(st.tuples(LETTERS, st.sampled_from([POD, OTHER_POD]), TIMES), max_size=4),
    TIMES,
    TIMES,
)
@settings(deadline=None)
def test_few_spans_and_many_are_judged_alike(
    answers: list[tuple[str, str, int, int]], greetings: list[tuple[str, str, int]], one: int, other: int
) -> None:
    names = Names()
    for name, client, when, life in answers:
        answer(names, name, SERVER, time=T + when * SECOND, client=client, life=life)
    for name, client, when in greetings:
        greet(names, name, time=T + when * SECOND, client=client)
    first, last = sorted((T + one * SECOND, T + other * SECOND))
    one_by_one = towards(names, POD, OTHER_POD, first=first, last=last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remarks, "FEW", 0)
        assert towards(names, POD, OTHER_POD, first=first, last=last) == one_by_one
