"""Sets of ports and addresses obey the laws of sets, and agree with Python's own sets and the ipaddress module."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, summarize_address_range
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.errors import InputError
from netpol.model import intervals
from netpol.model.cidr import AddressSet
from netpol.model.flow import ICMP, SCTP, TCP, UDP
from netpol.model.ports import PortMap, PortSet

_ENDS = st.one_of(st.integers(1, 12), st.integers(65525, 65535), st.integers(1, 65535))
_PAIRS = st.lists(st.tuples(_ENDS, _ENDS).map(lambda pair: (min(pair), max(pair))), max_size=5)
PORTS = _PAIRS.map(lambda pairs: PortSet.of(*pairs))
MAPS = st.builds(PortMap, PORTS, PORTS, PORTS)
_V4 = st.one_of(st.integers(0, 20), st.integers(2**32 - 20, 2**32 - 1)).map(IPv4Address)
_V6 = st.one_of(st.integers(0, 20), st.integers(2**128 - 20, 2**128 - 1)).map(IPv6Address)
_ADDRESS_RANGES = st.one_of(*(st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair))) for ends in (_V4, _V6)))
ADDRESSES = st.lists(_ADDRESS_RANGES, max_size=5).map(AddressSet.collect)
ALL: dict[type, Any] = {PortSet: PortSet.ALL, PortMap: PortMap.ALL, AddressSet: AddressSet.ALL}
TRIPLES = st.one_of(*(st.tuples(sets, sets, sets) for sets in (PORTS, MAPS, ADDRESSES)))

Triple = tuple[PortSet, PortSet, PortSet]  # or three PortMaps, or three AddressSets: they share their operators


@given(TRIPLES)
def test_union_and_intersection_are_a_distributive_lattice(sets: Triple) -> None:
    a, b, c = sets
    assert a | b == b | a
    assert a & b == b & a
    assert a | (b | c) == (a | b) | c
    assert a & (b & c) == (a & b) & c
    assert a | (b & c) == (a | b) & (a | c)
    assert a & (b | c) == (a & b) | (a & c)


@given(TRIPLES)
def test_identity_absorption_and_idempotence(sets: Triple) -> None:
    a, b, _ = sets
    whole = ALL[type(a)]
    nothing = a - a
    assert not nothing
    assert a | nothing == a & whole == a | a == a & a == a
    assert a | (a & b) == a & (a | b) == a
    assert a | whole == whole
    assert a & nothing == nothing


@given(TRIPLES)
def test_complement_and_de_morgan(sets: Triple) -> None:
    a, b, _ = sets
    assert ~~a == a
    assert ~(a | b) == ~a & ~b
    assert ~(a & b) == ~a | ~b
    assert a | ~a == ALL[type(a)]
    assert not a & ~a
    assert a - b == a & ~b


@given(TRIPLES)
def test_inclusion_is_what_union_and_difference_say(sets: Triple) -> None:
    a, b, _ = sets
    assert (a <= b) is (a | b == b) is (not a - b)
    assert a & b <= a <= a | b


@given(TRIPLES)
def test_equal_sets_have_equal_hashes_however_they_came_about(sets: Triple) -> None:
    a, b, _ = sets
    again = (a - b) | (a & b)
    assert again == a
    assert hash(again) == hash(a)


@given(_PAIRS, _PAIRS)
def test_ports_agree_with_python_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    small = [
        [(first % 40 + 1, first % 40 + 1 + (last - first) % 9) for first, last in pairs] for pairs in (left, right)
    ]
    a, b = (PortSet.of(*pairs) for pairs in small)
    x, y = ({port for first, last in pairs for port in range(first, last + 1)} for pairs in small)
    for ours, theirs in ((a, x), (a | b, x | y), (a & b, x & y), (a - b, x - y)):
        assert {port for first, last in ours for port in range(first, last + 1)} == theirs
        assert len(ours) == len(theirs)
        assert {port for port in range(1, 60) if port in ours} == theirs
        assert bool(ours) is bool(theirs)


@given(PORTS)
def test_port_ranges_are_canonical_and_round_trip(ports: PortSet) -> None:
    ranges = list(ports)
    assert PortSet.of(*reversed(ranges)) == ports
    assert all(first <= last for first, last in ranges)
    assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(ranges))


@given(MAPS)
def test_a_port_map_is_its_protocols(ports: PortMap) -> None:
    assert PortMap.of(dict(ports)) == ports
    assert len(ports) == sum(len(found) for _, found in ports)
    assert list(ports.to_json()) == [name for name in ("TCP", "UDP", "SCTP") if name in ports.to_json()]
    for number, name in ((TCP, "TCP"), (UDP, "UDP"), (SCTP, "SCTP")):
        assert ports.to_json().get(name, []) == [list(pair) for pair in ports[number]]
        assert ((number, 80) in ports) is (80 in ports[number])
    assert not ports[ICMP]


@given(ADDRESSES)
def test_cidrs_are_the_smallest_exact_cover(addresses: AddressSet) -> None:
    blocks = list(addresses.cidrs())
    assert AddressSet.collect(blocks) == addresses
    assert sum(block.num_addresses for block in blocks) == addresses.size
    v4 = [block for block in blocks if isinstance(block, IPv4Network)]
    v6 = [block for block in blocks if isinstance(block, IPv6Network)]
    assert blocks == v4 + v6
    # Neither can be merged any further, says the standard library.
    assert v4 == list(collapse_addresses(v4))
    assert v6 == list(collapse_addresses(v6))
    for first, last in addresses.ranges():
        assert (first in addresses) is (last in addresses) is True


@given(st.lists(st.integers(0, 255), max_size=40))
def test_addresses_collapse_as_the_standard_library_does(numbers: list[int]) -> None:
    hosts = [IPv4Network((0x0A000000 + number, 32)) for number in numbers]
    assert list(AddressSet.collect(hosts).cidrs()) == list(collapse_addresses(hosts))


@given(_V6, _V6)
def test_a_range_splits_as_the_standard_library_does(one: IPv6Address, other: IPv6Address) -> None:
    first, last = min(one, other), max(one, other)
    assert list(AddressSet.of((first, last)).cidrs()) == list(summarize_address_range(first, last))


@given(_PAIRS)
def test_normalising_is_idempotent(pairs: list[tuple[int, int]]) -> None:
    once = intervals.normalise(pairs)
    assert intervals.normalise(once) == once


def test_families_never_meet() -> None:
    every_v4, every_v6 = AddressSet.of("0.0.0.0/0"), AddressSet.of("::/0")
    assert not every_v4 & every_v6
    assert every_v4 | every_v6 == AddressSet.ALL
    assert IPv6Address("::1") not in every_v4
    assert IPv4Address("0.0.0.1") not in every_v6
    # A mapped address is an IPv6 address: it never stands for the IPv4 one.
    assert IPv6Address("::ffff:10.0.0.1") not in AddressSet.of("10.0.0.1")


@pytest.mark.parametrize("item", [0, 65536, (5, 4), (0, 10), -1])
def test_what_is_no_port_is_refused(item: int | tuple[int, int]) -> None:
    with pytest.raises(InputError):
        PortSet.of(item)


def test_a_protocol_without_ports_is_refused() -> None:
    with pytest.raises(InputError, match="ICMP"):
        PortMap.of({ICMP: PortSet.ALL})
