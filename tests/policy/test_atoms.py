"""Atoms of addresses and numbers of port sets, against membership asked one by one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.ports import PortMap, PortSet
from netpol.policy import matching
from netpol.policy.atoms_addresses import AddressAtoms, bits
from netpol.policy.atoms_ports import ALL, EMPTY, PortNumbers

if TYPE_CHECKING:
    from netpol.model.flow import Address

BLOCKS = (
    IPBlock.parse("0.0.0.0/0", ["10.0.0.0/8"]),
    IPBlock.parse("0.0.0.0/0"),
    IPBlock.parse("10.0.0.0/24", ["10.0.0.0/32", "10.0.0.255/32"]),
    IPBlock.parse("10.0.0.128/25"),
    IPBlock.parse("255.255.255.255/32"),
    IPBlock.parse("::/0", ["fd00::/8"]),
    IPBlock.parse("fd00::/64"),
    IPBlock.parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"),
)
EDGES: tuple[Address, ...] = tuple(
    kind(value)
    for block in BLOCKS
    for kind, ranges, top in (
        (IPv4Address, block.addresses.v4, 2**32),
        (IPv6Address, block.addresses.v6, 2**128),
    )
    for pair in ranges
    for edge in pair
    for value in (edge - 1, edge, edge + 1)
    if 0 <= value < top
)


@settings(deadline=None)
@given(blocks=st.lists(st.sampled_from(BLOCKS)), addresses=st.lists(st.sampled_from(EDGES), max_size=3))
def test_the_blocks_that_cover_are_those_that_match(blocks: list[IPBlock], addresses: list[Address]) -> None:
    atoms = AddressAtoms(blocks)
    found = {atoms.blocks[position] for position in bits(atoms.covering(addresses))}
    assert found == {block for block in blocks if matching.block_matches(block, addresses)}


@settings(deadline=None)
@given(blocks=st.lists(st.sampled_from(BLOCKS)))
def test_atoms_divide_all_addresses(blocks: list[IPBlock]) -> None:
    atoms = AddressAtoms(blocks)
    found = list(atoms.atoms.values())
    assert sum(some.size for some in found) == AddressSet.ALL.size
    united = AddressSet.EMPTY
    for some in found:
        united |= some
    assert united == AddressSet.ALL
    for mask, some in atoms.atoms.items():
        for first, last in some.ranges():
            assert atoms.covering([first]) == atoms.covering([last]) == mask


def test_without_blocks_there_is_one_atom() -> None:
    atoms = AddressAtoms([])
    assert atoms.atoms == {0: AddressSet.ALL}
    assert atoms.covering([ip_address("192.0.2.1")]) == 0


def _port_sets(*items: int | tuple[int, int]) -> st.SearchStrategy[PortSet]:
    return st.lists(st.sampled_from(items)).map(lambda chosen: PortSet.of(*chosen))


MAPS = st.builds(
    PortMap,
    _port_sets(80, 81, (82, 90), (1, 65535)),
    _port_sets(53, (1, 65535)),
    st.just(PortSet.EMPTY) | st.just(PortSet.ALL),
)


@settings(deadline=None)
@given(left=st.lists(MAPS, min_size=1, max_size=6), right=MAPS)
def test_unions_and_meets_are_those_of_the_sets(left: list[PortMap], right: PortMap) -> None:
    numbers = PortNumbers()
    array = np.array([numbers.number(ports) for ports in left], np.int32)
    number = numbers.number(right)
    united = numbers.union(array, number)
    met = numbers.meet(array, np.full_like(array, number))
    assert [numbers[int(value)] for value in united] == [ports | right for ports in left]
    assert [numbers[int(value)] for value in met] == [ports & right for ports in left]
    assert numbers.meet(np.full_like(array, number), array).tolist() == met.tolist()


def test_equal_sets_have_one_number() -> None:
    numbers = PortNumbers()
    assert (numbers.number(PortMap.EMPTY), numbers.number(PortMap.ALL)) == (EMPTY, ALL)
    first = numbers.number(PortMap(tcp=PortSet.of(80, 81)))
    assert numbers.number(PortMap(tcp=PortSet.of((80, 81)))) == first
    assert len(numbers) == 3
