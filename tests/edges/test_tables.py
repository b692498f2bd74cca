"""The tables say what the timeline says."""

from __future__ import annotations

from ipaddress import ip_address

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netpol.cluster.timeline import BEGINNING, FOREVER, SKEW
from netpol.edges.tables import FIRST_SIX, PORTS, Numbers, spans
from netpol.model.flow import AMBIGUOUS_TENANCY, NO_TENANCY
from tests.cluster.test_timeline import pod, timeline

SECOND = 10**9
moments = st.integers(0, 40).map(lambda number: number * SECOND)
lives = st.lists(st.tuples(st.none() | moments, st.none() | moments), max_size=4)


def looked_up(table: list[tuple[int, int, int, int, int]], first: int, last: int) -> int:
    """What the join of the text makes of them."""
    found = [row for row in table if row[0] <= first < row[1]]
    assert len(found) <= 1
    if not found or last < found[0][2]:
        return NO_TENANCY
    return AMBIGUOUS_TENANCY if last >= found[0][3] else found[0][4]


@given(lives, moments, moments, st.sampled_from([-1, 0, 1]))
def test_spans_are_the_timeline(tenants: list[tuple[int | None, int | None]], one: int, other: int, step: int) -> None:
    line = timeline(pods=[pod(f"p{n}", "10.0.0.1", started=a, ended=b) for n, (a, b) in enumerate(tenants)])
    tenancies = [(one.start, one.end, index) for index, one in enumerate(line.tenancies_list)]
    first, last = sorted((one, other))
    first, last = first + step, last + step
    assert looked_up(spans(tenancies) if tenancies else [], first, last) == line.find(
        ip_address("10.0.0.1"), first, last
    )


def test_who_was_always_there() -> None:
    ((since, until, met_from, met_until, label),) = spans([(BEGINNING, FOREVER, 7)])
    assert since < -(2**62)
    assert until == met_until == 2**63 - 1
    assert (met_from, label) == (BEGINNING - SKEW, 7)


@given(st.lists(st.integers(0, 2**128 - 1), max_size=20), st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_addresses_and_their_numbers(six: list[int], four: list[int]) -> None:
    texts = [str(ip_address(number)) for number in four]
    numbers = Numbers([(value >> 64, value & (2**64 - 1)) for value in six], [*texts, "no address"])
    addresses = [*(ip_address(value.to_bytes(16, "big")) for value in six), *map(ip_address, texts)]
    places = [number for address in addresses if (number := numbers.find(address)) is not None]
    assert len(places) == len(addresses)
    assert all(
        (number >= FIRST_SIX) == (address.version == 6) for number, address in zip(places, addresses, strict=True)
    )
    order = sorted(addresses, key=lambda address: (address.version, int(address)))
    assert sorted(places) == [numbers.find(address) for address in order]
    family, high, low = numbers.words(np.array(places, np.int64) * PORTS)
    found = [int(one) << 64 | int(other) for one, other in zip(high, low, strict=True)]
    assert found == [int(address) for address in addresses]
    assert family.tolist() == [address.version for address in addresses]
