from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from netpol.egress.sharing import Portion, apportion, portions, together
from netpol.model.outside import Grade
from tests.egress.world import candidate, evidence, found

weights = st.lists(st.integers(1, 1000), min_size=1, max_size=8)


@given(st.integers(0, 10**6), weights)
def test_shares_add_up_and_none_is_a_whole_away_from_its_quota(total: int, parts: list[int]) -> None:
    shares = apportion(total, parts)
    assert sum(shares) == total
    assert all(abs(share - Fraction(total * part, sum(parts))) < 1 for share, part in zip(shares, parts, strict=True))


@given(st.integers(0, 10**6), weights)
def test_more_weight_is_never_a_smaller_share(total: int, parts: list[int]) -> None:
    ordered = sorted(parts, reverse=True)
    shares = apportion(total, ordered)
    assert all(one >= other for one, other in pairwise(shares))


def test_nothing_found_is_an_address() -> None:
    assert portions(found(), evidence(3, 300)) == [
        Portion(name=None, grade=Grade.NONE, connections=3, bytes=300, first_seen=10, last_seen=20)
    ]


def summary(parts: list[Portion]) -> list[tuple[str | None, Grade, int, int]]:
    return [(item.name, item.grade, item.connections, item.bytes) for item in parts]


def test_one_name_has_all_of_it_over_the_whole_time() -> None:
    (part,) = portions(found(candidate("a.example", 2, first=12, last=13)), evidence(5, 500))
    assert (part.connections, part.bytes, part.first_seen, part.last_seen) == (5, 500, 10, 20)
    assert part.grade is Grade.STRONG


def test_names_of_handshakes_split_the_connections_by_their_counts() -> None:
    parts = portions(found(candidate("a.example", 3), candidate("b.example", 1)), evidence(4, 1000))
    assert summary(parts) == [("a.example", Grade.STRONG, 3, 750), ("b.example", Grade.STRONG, 1, 250)]


def test_the_time_of_a_name_among_others_is_that_of_its_evidence_within_the_connections() -> None:
    parts = portions(
        found(candidate("a.example", 1, first=1, last=15), candidate("b.example", 1, first=17, last=99)), evidence(2)
    )
    assert [(item.first_seen, item.last_seen) for item in parts] == [(10, 15), (17, 20)]


def test_many_requests_in_one_connection_leave_each_name_one() -> None:
    parts = portions(found(candidate("a.example", 30), candidate("b.example", 1)), evidence(1, 100))
    assert [item.connections for item in parts] == [1, 1]
    assert sum(item.bytes for item in parts) == 100


def test_one_name_of_dns_alone_is_what_it_is() -> None:
    assert summary(portions(found(candidate("a.example")), evidence(2, 20))) == [("a.example", Grade.MEDIUM, 2, 20)]


def test_several_names_of_dns_alone_are_ambiguous_and_count_all() -> None:
    parts = portions(found(candidate("a.example"), candidate("b.example")), evidence(2, 20))
    assert summary(parts) == [("a.example", Grade.AMBIGUOUS, 2, 20), ("b.example", Grade.AMBIGUOUS, 2, 20)]


def test_what_no_handshake_names_may_be_for_the_other_names_that_led_there() -> None:
    parts = portions(found(candidate("a.example", 2), sharing=["b.example"]), evidence(5, 500))
    assert summary(parts) == [("a.example", Grade.STRONG, 5, 500), ("b.example", Grade.AMBIGUOUS, 3, 300)]


def test_names_beside_are_no_need_where_handshakes_name_every_connection() -> None:
    parts = portions(found(candidate("a.example", 5), sharing=["b.example"]), evidence(5))
    assert [item.name for item in parts] == ["a.example"]


def test_what_two_clients_know_adds_up() -> None:
    one = found(candidate("a.example", 1, Grade.MEDIUM, first=5, last=6), sharing=["b.example"], remarks=["x"])
    other = found(candidate("a.example", 2, first=7, last=8), candidate("b.example"), remarks=["y"])
    both = together([one, other])
    assert both == together([other, one])
    assert both == found(candidate("a.example", 3, first=5, last=8), candidate("b.example"), remarks=["x", "y"])
