from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netpol.errors import InputError
from netpol.model import prefix_tree
from netpol.model.cidr import AddressSet
from netpol.model.prefixes import NO_PEERS, Bound, Prefix, bounded, waste

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 5
BASES = {4: int(IPv4Address("8.8.8.0")), 6: int(IPv6Address("2600::"))}
"""Where the small universe of 2^WIDTH addresses lies: in no special-purpose range."""

offsets = st.sets(st.integers(0, (1 << WIDTH) - 1), min_size=1)
versions = st.sampled_from([4, 6])


def addresses(version: int, some: set[int]) -> AddressSet:
    kind = IPv4Address if version == 4 else IPv6Address
    return AddressSet.collect(kind(BASES[version] + offset) for offset in some)


def every_choice(seen: frozenset[int], never: frozenset[int]) -> dict[int, int]:
    """For each number of blocks the fewest addresses that any such set of disjoint blocks covers: by trying all."""

    @cache
    def below(first: int, bits: int) -> tuple[tuple[int, int], ...]:
        block = frozenset(range(first, first + (1 << bits)))
        inside = block & seen
        if not inside:
            return ((0, 0),)
        best: dict[int, int] = {}
        if inside == block or not block & never:
            best[1] = 1 << bits
        if bits:
            half = 1 << (bits - 1)
            for count, covered in below(first, bits - 1):
                for other, more in below(first + half, bits - 1):
                    total = covered + more
                    best[count + other] = min(total, best.get(count + other, total))
        return tuple(best.items())

    return dict(below(0, WIDTH))


def covered(prefixes: list[Prefix]) -> int:
    return sum(prefix.network.num_addresses for prefix in prefixes)


def check(prefixes: list[Prefix], seen: AddressSet, never: AddressSet) -> None:
    """What holds of every set of blocks: it covers, it counts right, it is disjoint, and it touches nothing barred."""
    union = AddressSet.collect(prefix.network for prefix in prefixes)
    assert seen <= union
    assert union.size == covered(prefixes)
    assert [prefix.unseen for prefix in prefixes] == [
        (AddressSet.of(prefix.network) - seen).size for prefix in prefixes
    ]
    assert not (union - seen) & (never | NO_PEERS)
    keys = [(prefix.network.version, int(prefix.network.network_address)) for prefix in prefixes]
    assert keys == sorted(keys)


@settings(deadline=None, max_examples=40)
@given(versions, offsets, st.sets(st.integers(0, (1 << WIDTH) - 1), max_size=4), st.integers(1, 40))
def test_at_most_so_many_blocks_waste_as_little_as_any_choice(
    version: int, some: set[int], barred: set[int], most: int
) -> None:
    seen, never = addresses(version, some), addresses(version, barred)
    found = bounded(seen, Bound(max_prefixes=most), never=never)
    check(found, seen, never)
    choices = every_choice(frozenset(some), frozenset(barred))
    fewest = min(choices)
    assert len(found) <= max(most, fewest)
    assert covered(found) == min(total for count, total in choices.items() if count <= max(most, fewest))


@settings(deadline=None, max_examples=40)
@given(
    versions,
    offsets,
    st.sets(st.integers(0, (1 << WIDTH) - 1), max_size=4),
    st.fractions(0, Fraction(9, 10), max_denominator=20),
)
@example(4, {0, 1, 2}, set(), Fraction(1, 4))
def test_at_most_so_much_waste_takes_as_few_blocks_as_any_choice(
    version: int, some: set[int], barred: set[int], share: Fraction
) -> None:
    seen, never = addresses(version, some), addresses(version, barred)
    found = bounded(seen, Bound(max_waste=share), never=never)
    check(found, seen, never)
    assert waste(found, version) <= share
    choices = every_choice(frozenset(some), frozenset(barred))
    assert len(found) == min(count for count, total in choices.items() if Fraction(total - len(some), total) <= share)


@settings(deadline=None, max_examples=40)
@given(versions, offsets, st.integers(1, 40), st.fractions(0, Fraction(9, 10), max_denominator=20))
def test_beyond_exact_work_a_choice_still_keeps_its_bound_and_is_on_the_hull(
    version: int, some: set[int], most: int, share: Fraction
) -> None:
    seen = addresses(version, some)
    choices = every_choice(frozenset(some), frozenset())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "EXACT_WORK", {32: 0, 128: 0})
        few = bounded(seen, Bound(max_prefixes=most))
        little = bounded(seen, Bound(max_waste=share))
    for found in (few, little):
        check(found, seen, AddressSet.EMPTY)
        # Nobody covers fewer addresses with as many blocks.
        assert covered(found) == min(total for count, total in choices.items() if count <= len(found))
    assert len(few) <= most
    assert waste(little, version) <= share


@settings(deadline=None, max_examples=40)
@given(offsets, offsets)
def test_without_a_bound_the_blocks_are_exact_and_no_fewer_do(v4: set[int], v6: set[int]) -> None:
    seen = addresses(4, v4) | addresses(6, v6)
    found = bounded(seen)
    assert AddressSet.collect(prefix.network for prefix in found) == seen
    assert not any(prefix.unseen for prefix in found)
    exact = [every_choice(frozenset(some), frozenset(range(1 << WIDTH)) - some) for some in (v4, v6)]
    assert len(found) == sum(map(min, exact))
    assert found == bounded(seen, Bound(max_waste=Fraction(0)))


def test_each_family_has_the_bound_for_itself() -> None:
    seen = AddressSet.of("8.8.8.8", "8.8.8.11", "2600::1", "2600::1:0:0:0:1")
    found = bounded(seen, Bound(max_prefixes=1))
    assert [str(prefix.network) for prefix in found] == ["8.8.8.8/30", "2600::/63"]
    assert [prefix.unseen for prefix in found] == [2, 2**65 - 2]


@pytest.mark.parametrize(
    ("seen", "never", "expected"),
    [
        # A block would hold a pod.
        (("8.8.8.8", "8.8.8.11"), "8.8.8.9", ["8.8.8.8/32", "8.8.8.11/32"]),
        # What was seen is granted wherever it lies.
        (("8.8.8.8",), "8.8.8.0/24", ["8.8.8.8/32"]),
        # Inside one private range, not out of it.
        (("10.0.0.1", "10.255.255.254"), "8.8.8.8", ["10.0.0.0/8"]),
        (("10.0.0.1", "11.0.0.1"), "8.8.8.8", ["10.0.0.1/32", "11.0.0.1/32"]),
        (("9.255.255.255", "12.0.0.1"), "8.8.8.8", ["9.255.255.255/32", "12.0.0.1/32"]),
        # Addresses of clouds' own services stand in a range where nobody else is.
        (("169.254.169.253", "169.254.169.254"), "8.8.8.8", ["169.254.169.253/32", "169.254.169.254/32"]),
        (("2001:db8::1", "2001:db8:ffff::1"), "8.8.8.8", ["2001:db8::/32"]),
        (("2001:db8::1", "2001:db9::1"), "8.8.8.8", ["2001:db8::1/128", "2001:db9::1/128"]),
        (("::ffff:8.8.8.8", "::fffe:8.8.8.8"), "8.8.8.8", ["::fffe:808:808/128", "::ffff:808:808/128"]),
    ],
)
def test_no_block_reaches_where_it_must_not(seen: tuple[str, ...], never: str, expected: list[str]) -> None:
    found = bounded(AddressSet.of(*seen), Bound(max_prefixes=1), never=AddressSet.of(never))
    assert [prefix.network for prefix in found] == [
        IPv6Network(text) if ":" in text else IPv4Network(text) for text in expected
    ]


@pytest.mark.parametrize(
    "make",
    [
        Bound,
        lambda: Bound(max_prefixes=1, max_waste=Fraction(0)),
        lambda: Bound(max_prefixes=0),
        lambda: Bound(max_waste=Fraction(1)),
        lambda: Bound(max_waste=Fraction(-1, 2)),
    ],
)
def test_a_bound_is_one_number_in_its_range(make: Callable[[], Bound]) -> None:
    with pytest.raises(InputError):
        make()


@pytest.mark.parametrize("version", [4, 6])
def test_many_addresses_are_bounded_well_within_the_stated_work(version: int) -> None:
    # A stride that never lets two addresses share a small block.
    base, stride = BASES[version], 7919 if version == 4 else 7919 << 20
    kind = IPv4Address if version == 4 else IPv6Address
    seen = AddressSet.collect(kind(base + index * stride) for index in range(3000))
    found = bounded(seen, Bound(max_prefixes=50))
    check(found, seen, AddressSet.EMPTY)
    assert len(found) == 50
    half = bounded(seen, Bound(max_waste=Fraction(999, 1000)))
    assert waste(half, version) <= Fraction(999, 1000)
    assert math.isclose(waste(half, version), Fraction(999, 1000), rel_tol=0.01) or len(half) == 3000
