from __future__ import annotations

import random
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from netpol.errors import InputError
from netpol.model.cidr import AddressSet, IPBlock, is_strict_subset, parse_cidr


@pytest.mark.parametrize("text", ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0", "2001:DB8::/32"])
def test_blocks_are_read(text: str) -> None:
    assert parse_cidr(text) == ip_network(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.5/8", "bits set beyond"),
        ("::10.0.0.0/100", "bits set beyond"),
        ("010.0.0.0/8", "not a CIDR"),
        ("10.0.0.0/08", "not a CIDR"),
        ("10.0.0.0/+8", "not a CIDR"),
        ("10.0.0.0/33", "not a CIDR"),
        ("10.0.0.0/255.0.0.0", "not a CIDR"),
        ("10.0.0.0", "not a CIDR"),
        ("10.0.0/24", "not a CIDR"),
        ("", "not a CIDR"),
        (" 10.0.0.0/8", "not a CIDR"),
        ("10.0.0.0/8\n", "not a CIDR"),
        ("fe80::%eth0/64", "not a CIDR"),
        ("::ffff:10.0.0.0/104", "IPv4-mapped"),
        ("\u0661\u0660.0.0.0/8", "not a CIDR"),
    ],
)
def test_what_the_api_server_refuses_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_cidr(text)


def test_the_remedy_for_host_bits_names_both_meanings() -> None:
    with pytest.raises(InputError) as caught:
        parse_cidr("10.0.0.5/8")
    assert caught.value.remedy == "Write 10.0.0.0/8 for the block or 10.0.0.5/32 for the address"


def test_the_prefix_length_of_a_single_address_follows_its_family() -> None:
    assert str(AddressSet.of("10.0.0.1", "2001:db8::1")) == "10.0.0.1/32,2001:db8::1/128"


def test_siblings_merge_without_waste() -> None:
    hosts = [f"10.0.0.{host}" for host in (0, 1, 2, 3, 5)]
    assert [str(block) for block in AddressSet.of(*hosts).cidrs()] == ["10.0.0.0/30", "10.0.0.5/32"]


def test_many_scattered_addresses_are_covered_exactly() -> None:
    generator = random.Random(1)
    hosts = {IPv4Address(generator.getrandbits(18)) for _ in range(20_000)}
    covered = AddressSet.collect(hosts)
    assert covered.size == len(hosts)
    assert sum(block.num_addresses for block in covered.cidrs()) == len(hosts)


@pytest.mark.parametrize("item", ["10.0.0", "nonsense", "1.2.3.4/40"])
def test_what_is_no_address_is_refused(item: str) -> None:
    with pytest.raises(InputError):
        AddressSet.of(item)


def test_a_range_stays_in_one_family_and_goes_up() -> None:
    for pair in ((ip_address("::1"), ip_address("10.0.0.1")), (ip_address("10.0.0.2"), ip_address("10.0.0.1"))):
        with pytest.raises(InputError, match="not a range"):
            AddressSet.of(pair)


def test_an_exception_is_cut_out() -> None:
    block = IPBlock.parse("10.0.0.0/8", ["10.1.0.0/16", "10.0.0.0/24", "10.1.0.0/16"])
    assert str(block) == "10.0.0.0/8 except 10.0.0.0/24, 10.1.0.0/16"
    assert ip_address("10.2.0.1") in block
    assert ip_address("10.1.255.255") not in block
    assert ip_address("10.0.0.0") not in block
    assert ip_address("::1") not in block


def test_a_block_is_its_content_whatever_the_order() -> None:
    one = IPBlock.parse("10.0.0.0/8", ["10.1.0.0/16", "10.2.0.0/16"])
    other = IPBlock.parse("10.0.0.0/8", ["10.2.0.0/16", "10.1.0.0/16"])
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("cut", ["10.0.0.0/8", "0.0.0.0/0", "11.0.0.0/16", "2001:db8::/32"])
def test_an_exception_is_a_strict_subset(cut: str) -> None:
    with pytest.raises(InputError, match="strict subset"):
        IPBlock.parse("10.0.0.0/8", [cut])
    assert not is_strict_subset(ip_network(cut), ip_network("10.0.0.0/8"))
