"""Which entry holds an address or a name, against looking at every entry."""

from __future__ import annotations

import tracemalloc
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from netpol.model.host_name import HostName
from netpol.threats.addresses import Ranges
from netpol.threats.domains import Domains, Reach

if TYPE_CHECKING:
    from netpol.model.flow import Address

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
FEW = st.integers(0, 40).map(IPv4Address)
LABEL = st.sampled_from("abc")
NAME = st.lists(LABEL, min_size=1, max_size=4).map(lambda labels: HostName(".".join(labels)))


@given(st.lists(st.tuples(FEW, FEW)), st.lists(st.tuples(V4, V4)), st.lists(st.tuples(V6, V6)), st.lists(FEW | V4 | V6))
def test_ranges(
    few: list[tuple[IPv4Address, IPv4Address]],
    four: list[tuple[IPv4Address, IPv4Address]],
    six: list[tuple[IPv6Address, IPv6Address]],
    asked: list[IPv4Address | IPv6Address],
) -> None:
    pairs: list[tuple[Address, Address]] = [*few, *four, *six]
    entries = [(one, other) if int(one) <= int(other) else (other, one) for one, other in pairs]
    ranges = Ranges()
    for line, (first, last) in enumerate(entries, 1):
        ranges.add(first.version, int(first), int(last), line)
    for one in [*asked, *(end for pair in entries for end in pair)]:
        holding = {
            line
            for line, (first, last) in enumerate(entries, 1)
            if first.version == one.version and int(first) <= int(one) <= int(last)
        }
        found = ranges.line(one)
        assert found in holding if holding else found is None


@given(st.lists(st.tuples(NAME, st.sampled_from([Reach.SELF, Reach.BELOW, Reach.SELF | Reach.BELOW]))), NAME)
def test_domains(entries: list[tuple[HostName, Reach]], asked: HostName) -> None:
    domains = Domains()
    for line, (name, reach) in enumerate(entries, 1):
        domains.add(name, reach, line)
    holding = [
        line
        for line, (name, reach) in enumerate(entries, 1)
        if (Reach.SELF in reach and asked == name) or (Reach.BELOW in reach and asked.endswith(f".{name}"))
    ]
    found = domains.line(asked)
    assert found in holding if holding else found is None


def test_what_is_added_later_is_found_too() -> None:
    ranges, domains = Ranges(), Domains()
    assert ranges.line(IPv4Address("10.0.0.1")) is None
    assert domains.line(HostName("a.example")) is None
    ranges.add(4, int(IPv4Address("10.0.0.0")), int(IPv4Address("10.0.0.9")), 1)
    domains.add(HostName("a.example"), Reach.SELF, 2)
    assert ranges.line(IPv4Address("10.0.0.1")) == 1
    assert domains.line(HostName("a.example")) == 2


def test_a_large_list_takes_tens_of_bytes_an_entry() -> None:
    tracemalloc.start()
    ranges, domains = Ranges(), Domains()
    for number in range(100_000):
        network = ip_network((number << 12, 28))
        ranges.add(4, int(network.network_address), int(network.broadcast_address), number + 1)
        domains.add(HostName(f"host-{number}.example"), Reach.SELF, number + 1)
    assert ranges.line(IPv4Address((77 << 12) + 3)) == 78
    assert ranges.line(IPv4Address((77 << 12) + 16)) is None
    assert domains.line(HostName("host-99999.example")) == 100_000
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 150 * 100_000
    assert most < 300 * 100_000
