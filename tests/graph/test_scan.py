from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from netpol.graph import scan
from netpol.graph.scan import Contacts

if TYPE_CHECKING:
    import random

MINUTE = 60 * 1_000_000_000


def walked(*steps: tuple[int, str]) -> int | None:
    """Each step: minute and `+` answered, `s` answered without payload, `-` failed, all to targets of their own."""
    contacts = Contacts()
    for index, (minute, kind) in enumerate(steps):
        target = (str(index),)
        if kind == "-":
            contacts.fail(target, minute * MINUTE)
        else:
            contacts.answer(target, minute * MINUTE, silent=kind == "s")
    return contacts.scanning_since()


def test_four_failures_in_a_row_are_a_scan_from_the_first() -> None:
    # Jung et al.: the ratio is 4**4 = 256 after four failures, above 0.99 / 0.01 = 99; after three it is 64.
    assert scan.BOUND == 4
    assert walked((1, "-"), (2, "-"), (3, "-")) is None
    assert walked((1, "-"), (2, "-"), (3, "-"), (4, "-")) == 1 * MINUTE


def test_successes_in_between_delay_the_verdict_and_the_change_point_is_the_last_low() -> None:
    assert walked((1, "+"), (3, "+"), (5, "-"), (6, "-"), (7, "-"), (8, "-")) is None
    steps = [(1, "+"), (3, "+"), *((minute, "-") for minute in range(5, 11))]
    assert walked(*steps) == 5 * MINUTE


def test_a_long_good_life_does_not_buy_the_right_to_scan() -> None:
    good = [(minute, "+") for minute in range(400)]
    assert walked(*good, *((minute, "-") for minute in range(500, 505))) == 500 * MINUTE


def test_open_ports_that_a_connect_scan_finds_first_belong_to_it() -> None:
    assert walked((1, "+"), (10, "s"), (10, "s"), *((10, "-"),) * 9) == 10 * MINUTE
    # A silent connection long before is not part of it.
    assert walked((1, "s"), (10, "s"), *((10, "-"),) * 9) == 10 * MINUTE


def test_a_target_that_answered_once_is_no_failure() -> None:
    contacts = Contacts()
    for index in range(10):
        contacts.fail((str(index),), index)
        contacts.answer((str(index),), 100 + index, silent=False)
    assert contacts.scanning_since() is None


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from("+s-"), st.integers(0, 15)), max_size=40), st.randoms())
def test_the_order_of_the_calls_does_not_matter(steps: list[tuple[int, str, int]], shuffler: random.Random) -> None:
    def run(order: list[tuple[int, str, int]]) -> int | None:
        contacts = Contacts()
        for minute, kind, target in order:
            if kind == "-":
                contacts.fail((str(target),), minute)
            else:
                contacts.answer((str(target),), minute, silent=kind == "s")
        return contacts.scanning_since()

    shuffled = list(steps)
    shuffler.shuffle(shuffled)
    assert run(shuffled) == run(steps)


def test_memory_is_bounded_and_the_earliest_failures_are_kept() -> None:
    contacts = Contacts()
    for time in reversed(range(10 * scan.KEPT_FAILURES)):
        contacts.fail((str(time),), time)
    assert len(contacts.failed) <= 2 * scan.KEPT_FAILURES
    assert contacts.scanning_since() == 0
