"""Later fragments get the ports of their first, in any order, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet import fragment as _fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.inet6 import fragment6 as _fragment6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from netpol.capture.packets import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from scapy.packet import Packet

    from tests.capture.conftest import Decode, MakeFrame

SECOND = 10**9
fragment: Callable[..., list[Packet]] = _fragment
fragment6: Callable[..., list[Packet]] = _fragment6
ENDS = ("10.0.0.1", "10.0.0.2", 17, 1000, 2000)
ENDS6 = ("fd00::1", "fd00::2", 17, 1000, 2000)


def _four(identification: int = 5, size: int = 2000, port: int = 2000) -> list[bytes]:
    packet = IP(src="10.0.0.1", dst="10.0.0.2", id=identification) / UDP(sport=1000, dport=port) / Raw(bytes(size))
    return [bytes(each) for each in fragment(packet, fragsize=800)]


def _six(identification: int = 5) -> list[bytes]:
    packet = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(id=identification) / UDP(sport=1000, dport=2000)
    return [bytes(each) for each in fragment6(packet / Raw(bytes(3000)), 1280)]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_every_order_gives_every_fragment_its_ports(order: tuple[int, ...], decode: Decode) -> None:
    for pieces, ends, payload in ((_four(), ENDS, 2000), (_six(), ENDS6, 3000)):
        assert len(pieces) == 3
        result = decode(*(pieces[index] for index in order), linktype=101)
        assert [packet.ends for packet in result.packets] == [ends] * 3
        assert sum(packet.payload for packet in result.packets) == payload
        assert sorted(packet.length for packet in result.packets) == sorted(len(piece) for piece in pieces)
        assert result.tally.undecoded == {}


def test_without_the_first_they_are_counted(decode: Decode) -> None:
    result = decode(*_four()[1:], *_six()[1:], linktype=101)
    assert (result.packets, result.tally.undecoded) == ([], {"fragment without its first": 4})


def test_other_packets_with_other_identifications_are_told_apart(decode: Decode) -> None:
    one, other = _four(1, port=2001), _four(2, port=2002)
    result = decode(one[0], other[0], one[1], other[1], linktype=101)
    assert [packet.destination_port for packet in result.packets] == [2001, 2002, 2001, 2002]


def test_an_old_first_fragment_means_another_packet(decode: Decode, frame: MakeFrame) -> None:
    first, second, third = _four()
    frames = (frame(first, 0), frame(second, 60 * SECOND), frame(third, 61 * SECOND))
    result = decode(*frames, linktype=101)
    assert (len(result.packets), result.tally.undecoded) == (2, {"fragment without its first": 1})
    result = decode(frame(third, 0), frame(second, 2 * SECOND), frame(first, 61 * SECOND), linktype=101)
    assert [packet.time for packet in result.packets] == [61 * SECOND, 2 * SECOND]
    assert result.tally.undecoded == {"fragment without its first": 1}


def test_the_tables_are_bounded(decode: Decode) -> None:
    pieces = [_four(identification) for identification in range(50)]
    limits = Limits(fragment_table=10)
    result = decode(*(each[0] for each in pieces), *(each[1] for each in pieces), limits=limits, linktype=101)
    assert (len(result.packets), result.tally.undecoded) == (60, {"fragment without its first": 40})
    result = decode(*(each[1] for each in pieces), *(each[0] for each in pieces), limits=limits, linktype=101)
    assert (len(result.packets), result.tally.undecoded) == (60, {"fragment without its first": 40})


def test_fragments_of_a_tunnel_belong_to_the_conversation_inside(decode: Decode) -> None:
    inner = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2) / Raw(bytes(1400))
    outer = IP(src="192.0.2.1", dst="192.0.2.2", id=9) / UDP(dport=4789, chksum=0) / VXLAN(vni=1, flags=8) / inner
    result = decode(*(bytes(each) for each in fragment(outer, fragsize=800)), linktype=101)
    assert [packet.ends for packet in result.packets] == [("10.0.0.1", "10.0.0.2", 6, 1, 2)] * 2
    assert [packet.payload for packet in result.packets] == [1400, 0]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(12)), rows=st.integers(1, 12))
def test_how_many_are_decoded_at_once_does_not_matter(order: list[int], rows: int, decode: Decode) -> None:
    frames = [*_four(1), *_six(2), *_four(3), *_six(4)]
    shuffled = [frames[index] for index in order]
    whole = decode(*shuffled, linktype=101)
    parts = decode(*shuffled, linktype=101, limits=Limits(rows=rows))
    assert whole.by_family == parts.by_family
    assert whole.tally == parts.tally
    assert len(whole.packets) == 12
