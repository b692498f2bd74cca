"""Link layers, IP, tunnels and transports: packets made by scapy, whose fields are the expected values."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6MLReport2,
    ICMPv6ND_NS,
    ICMPv6ParamProblem,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.sctp import (
    SCTP,
    SCTPChunkCookieAck,
    SCTPChunkCookieEcho,
    SCTPChunkData,
    SCTPChunkInit,
    SCTPChunkInitAck,
    SCTPChunkParamStateCookie,
    SCTPChunkSACK,
    SCTPChunkShutdown,
)
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet as Built
from scapy.packet import Raw

if TYPE_CHECKING:
    from tests.capture.conftest import Decode, MakeFrame

TCP4 = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=80, seq=7, ack=9, flags="PA") / Raw(b"hello")
TCP6 = IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=40000, dport=80, seq=7, ack=9, flags="PA") / Raw(b"hello")
ENDS4 = ("10.0.0.1", "10.0.0.2", 6, 40000, 80)
ENDS6 = ("fd00::1", "fd00::2", 6, 40000, 80)
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
OUTER = IP(src="192.0.2.1", dst="192.0.2.2")
OUTER6 = IPv6(src="2001:db8::1", dst="2001:db8::2")

LINKS = {
    "ethernet": (1, ETHER),
    "802.1Q": (1, ETHER / Dot1Q(vlan=5)),
    "priority tag": (1, ETHER / Dot1Q(vlan=0)),
    "802.1ad": (1, ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6)),
    "QinQ 9100": (1, Ether(type=0x9100) / Dot1Q(vlan=5) / Dot1Q(vlan=6)),
    "MPLS": (1, ETHER / MPLS(label=16, s=0, ttl=9) / MPLS(label=17, s=1, ttl=9)),
    "PPPoE": (1, ETHER / PPPoE(sessionid=1) / PPP()),
    "cooked": (113, CookedLinux()),
    "cooked with VLAN": (113, CookedLinux(proto=0x8100) / Dot1Q(vlan=5)),
    "cooked 2": (276, CookedLinuxV2()),
    "raw": (101, None),
    "raw as on BSD": (12, None),
    "raw as on OpenBSD": (14, None),
    "PPP": (9, PPP()),
    "PPP in HDLC": (9, HDLC() / PPP()),
    "PPP in HDLC, link type of its own": (50, HDLC() / PPP()),
}


@pytest.mark.parametrize("name", LINKS)
def test_link_layers(name: str, decode: Decode) -> None:
    linktype, link = LINKS[name]
    frames = [bytes(inner if link is None else link / inner) for inner in (TCP4, TCP6)]
    result = decode(*frames, linktype=linktype)
    assert result.tally.undecoded == {}
    (four,), (six,) = result.by_family[4], result.by_family[6]
    assert (four.ends, four.payload, four.length) == (ENDS4, 5, len(frames[0]))
    assert (six.ends, six.payload, six.length) == (ENDS6, 5, len(frames[1]))
    assert {(each.flags, each.sequence, each.acknowledgement) for each in (four, six)} == {(0x18, 7, 9)}


@pytest.mark.parametrize(("linktype", "inner", "ends"), [(228, TCP4, ENDS4), (229, TCP6, ENDS6)])
def test_link_types_of_one_version(linktype: int, inner: Built, ends: object, decode: Decode) -> None:
    assert decode(bytes(inner), linktype=linktype).only.ends == ends


@pytest.mark.parametrize("linktype", [0, 108])
@pytest.mark.parametrize("order", ["<", ">"])
def test_loopback_of_every_system(linktype: int, order: str, decode: Decode) -> None:
    frames = [struct.pack(order + "I", 2) + bytes(TCP4)]
    frames += [struct.pack(order + "I", family) + bytes(TCP6) for family in (24, 28, 30)]
    frames.append(struct.pack(order + "I", 7) + bytes(20))
    result = decode(*frames, linktype=linktype)
    assert [packet.ends for packet in result.packets] == [ENDS4, ENDS6, ENDS6, ENDS6]
    assert result.tally.undecoded == {"not IP: loopback of another family": 1}


def test_compressed_ppp_protocol(decode: Decode) -> None:
    assert decode(b"\x21" + bytes(TCP4), linktype=9).only.ends == ENDS4


def test_snap_carries_ip(decode: Decode) -> None:
    snap = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800)
    assert decode(bytes(Dot3() / snap / TCP4)).only.ends == ENDS4


def test_what_is_not_ip_is_counted_by_name(decode: Decode) -> None:
    spanning_tree = bytes(12) + b"\x00\x26\x42\x42\x03" + bytes(35)
    lldp = bytes(12) + b"\x88\xcc" + bytes(40)
    mine = bytes(12) + b"\x12\x34" + bytes(40)
    result = decode(bytes(ETHER / ARP()), bytes(ETHER / ARP()), spanning_tree, lldp, mine)
    expected = {"not IP: ARP": 2, "not IP: STP": 1, "not IP: LLDP": 1, "not IP: ethertype 0x1234": 1}
    assert result.tally.undecoded == expected


def test_traffic_does_not_decide_how_many_reasons_there_are(decode: Decode) -> None:
    result = decode(*(bytes(12) + struct.pack(">H", 0x9001 + kind) + bytes(40) for kind in range(2000)))
    assert len(result.tally.undecoded) < 40
    assert sum(result.tally.undecoded.values()) == 2000


def test_endless_tags_are_given_up(decode: Decode) -> None:
    assert decode(bytes(12) + b"\x81\0\0\1" * 100 + b"\x08\0").tally.undecoded == {"too many VLAN tags": 1}


def test_ip_options(decode: Decode) -> None:
    packet = IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_Router_Alert()]) / TCP4[TCP]
    result = decode(bytes(ETHER / packet), bytes(ETHER / TCP4))
    assert [(each.ends, each.payload) for each in result.packets] == [(ENDS4, 5)] * 2


def test_padding_is_not_payload(decode: Decode) -> None:
    empty = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=80)
    packet = decode(bytes(ETHER / empty) + bytes(6)).only
    assert (packet.payload, packet.length) == (0, 60)


def test_an_offloaded_packet_is_as_long_as_its_frame(decode: Decode, frame: MakeFrame) -> None:
    four = bytes(ETHER / IP(src="10.0.0.1", dst="10.0.0.2", len=0) / TCP(sport=40000, dport=80))
    six = bytes(ETHER / IPv6(src="fd00::1", dst="fd00::2", plen=0) / TCP(sport=40000, dport=80))
    result = decode(frame(four, wire=30_000), frame(six, wire=90_000))
    assert [packet.payload for packet in result.packets] == [30_000 - 54, 90_000 - 74]


EXTENSIONS = {
    "hop by hop": IPv6ExtHdrHopByHop(),
    "routing": IPv6ExtHdrRouting(addresses=["fd00::9"]),
    "destination options": IPv6ExtHdrDestOpt(),
    "atomic fragment": IPv6ExtHdrFragment(id=5),
    "authentication": AH(nh=6, payloadlen=4, spi=1, icv=b"123456789012"),
    "all of them": IPv6ExtHdrHopByHop()
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrRouting()
    / IPv6ExtHdrFragment(nh=51)
    / AH(nh=6, payloadlen=4, icv=bytes(12)),
}


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extension_headers(name: str, decode: Decode) -> None:
    packet = IPv6(src="fd00::1", dst="fd00::2") / EXTENSIONS[name] / TCP6[TCP]
    result = decode(bytes(ETHER / packet), bytes(ETHER / TCP6))
    assert [(each.ends, each.payload) for each in result.packets] == [(ENDS6, 5)] * 2


def test_endless_extension_headers_are_given_up(decode: Decode) -> None:
    packet = IPv6(nh=0) / Raw(b"\0\0" + bytes(6))
    data = bytes(packet) + bytes(8) * 40
    data = data[:4] + struct.pack(">H", len(data) - 40) + data[6:]
    assert decode(data, linktype=101).tally.undecoded == {"too many extension headers": 1}


def test_authentication_header_in_ipv4(decode: Decode) -> None:
    packet = IP(src="10.0.0.1", dst="10.0.0.2") / AH(nh=6, payloadlen=4, icv=bytes(12)) / TCP4[TCP]
    assert decode(bytes(ETHER / packet)).only.ends == ENDS4


def test_protocols_without_ports(decode: Decode) -> None:
    result = decode(*(bytes(ETHER / IP(proto=number, src="10.0.0.1") / Raw(bytes(20))) for number in (2, 50, 89, 112)))
    assert [packet.ends[2:] for packet in result.packets] == [(number, 0, 0) for number in (2, 50, 89, 112)]


TUNNELS = {
    "VXLAN": OUTER / UDP(sport=5, dport=4789) / VXLAN(vni=7, flags=8) / ETHER,
    "VXLAN of flannel": OUTER / UDP(sport=5, dport=8472) / VXLAN(vni=7, flags=8) / ETHER,
    "VXLAN over IPv6": OUTER6 / UDP(sport=5, dport=4789) / VXLAN(vni=7, flags=8) / ETHER,
    "VXLAN with group policy": OUTER / UDP(sport=5, dport=4789) / VXLAN(vni=7, flags=0x88, gpid=77) / ETHER,
    "VXLAN with VLAN": OUTER / UDP(sport=5, dport=4789) / VXLAN(vni=7, flags=8) / ETHER / Dot1Q(vlan=3),
    "Geneve": OUTER / UDP(sport=5, dport=6081) / GENEVE(vni=7) / ETHER,
    "Geneve with IP": OUTER / UDP(sport=5, dport=6081) / GENEVE(vni=7),
    "GRE": OUTER / GRE(),
    "GRE with everything": OUTER / GRE(chksum_present=1, key_present=1, seqnum_present=1),
    "GRE with Ethernet": OUTER / GRE(proto=0x6558) / ETHER,
    "IP in IP": OUTER,
    "IP in IPv6": OUTER6,
    "VXLAN in GRE": OUTER / GRE() / OUTER / UDP(dport=4789) / VXLAN(vni=7, flags=8) / ETHER,
}


@pytest.mark.parametrize("name", TUNNELS)
@pytest.mark.parametrize(("inner", "ends"), [(TCP4, ENDS4), (TCP6, ENDS6)])
def test_tunnels(name: str, inner: Built, ends: object, decode: Decode) -> None:
    data = bytes(ETHER / TUNNELS[name] / inner)
    packet = decode(data).only
    assert (packet.ends, packet.payload, packet.length, packet.flags) == (ends, 5, len(data), 0x18)


def test_geneve_options_are_passed_over(decode: Decode) -> None:
    header = bytes([2, 0, 0x65, 0x58, 0, 0, 7, 0]) + bytes(8)
    packet = OUTER / UDP(dport=6081) / Raw(header + bytes(ETHER / TCP4))
    assert decode(bytes(ETHER / packet)).only.ends == ENDS4


NOT_TUNNELS = {
    "text to the VXLAN port": UDP(sport=5, dport=4789) / Raw(b"GET / HTTP/1.0 and much more text than a header needs"),
    "VXLAN without its flag": UDP(sport=5, dport=4789) / Raw(bytes(8) + bytes(ETHER / TCP4)),
    "VXLAN with reserved bits": UDP(sport=5, dport=4789) / Raw(b"\x08\0\0\1\0\0\7\0" + bytes(ETHER / TCP4)),
    "VXLAN with what Ethernet does not carry": UDP(sport=5, dport=4789) / Raw(b"\x08\0\0\0\0\0\7\0" + b"\xff" * 60),
    "VXLAN with wrong IP version": UDP(sport=5, dport=4789)
    / Raw(b"\x08\0\0\0\0\0\7\0" + bytes(12) + b"\x08\0" + bytes(60)),
    "VXLAN with nothing in it": UDP(sport=5, dport=4789) / Raw(b"\x08\0\0\0\0\0\7\0"),
    "half a VXLAN header": UDP(sport=5, dport=4789) / Raw(b"\x08\0\0"),
    "Geneve of another version": UDP(sport=5, dport=6081) / Raw(b"\x40\0\x65\x58\0\0\7\0" + bytes(ETHER / TCP4)),
    "Geneve options beyond the end": UDP(sport=5, dport=6081) / Raw(b"\x3f\0\x65\x58\0\0\7\0" + bytes(ETHER / TCP4)),
    "PPTP": GRE(version=1, proto=0x880B) / Raw(bytes(40)),
    "GRE of something else": GRE(proto=0x1234) / Raw(bytes(40)),
}


@pytest.mark.parametrize("name", NOT_TUNNELS)
def test_what_only_looks_like_a_tunnel_stays_what_it_is(name: str, decode: Decode) -> None:
    inner = NOT_TUNNELS[name]
    packet = decode(bytes(ETHER / OUTER / inner)).only
    protocol, port = (17, inner.dport) if UDP in inner else (47, 0)
    assert packet.ends[:3] == ("192.0.2.1", "192.0.2.2", protocol)
    assert packet.destination_port == port


def test_arp_in_a_tunnel_is_no_udp_conversation(decode: Decode) -> None:
    packet = OUTER / UDP(dport=4789) / VXLAN(vni=7, flags=8) / ETHER / ARP()
    assert decode(bytes(ETHER / packet)).tally.undecoded == {"not IP: ARP": 1}


def test_tunnels_in_tunnels_without_end_are_given_up(decode: Decode) -> None:
    packet = TCP4
    for _ in range(9):
        packet = IP() / packet
    assert decode(bytes(packet), linktype=101).tally.undecoded == {"too many tunnels in tunnels": 1}


@pytest.mark.parametrize(
    ("inner", "needed"),
    [
        (TCP4, 20 + 14),
        (TCP6, 40 + 14),
        (IP() / UDP() / Raw(bytes(50)), 20 + 4),
        (IP() / ICMP(id=3) / Raw(bytes(50)), 20 + 6),
        (IP() / SCTP() / SCTPChunkInit(init_tag=3), 20 + 20),
        (OUTER / UDP(dport=4789) / VXLAN(vni=7, flags=8) / ETHER / TCP4, 20 + 8 + 8 + 14 + 20 + 14),
        (OUTER / GRE() / TCP4, 20 + 4 + 20 + 14),
    ],
)
def test_a_packet_cut_by_the_snapshot_length_decodes_if_its_ports_and_flags_are_there(
    inner: Built, needed: int, decode: Decode, frame: MakeFrame
) -> None:
    data = bytes(ETHER / inner)
    whole = decode(data).only
    for length in range(len(data)):
        result = decode(frame(data[:length], wire=len(data)))
        if length >= 14 + needed:
            assert result.only == whole
        else:
            assert (result.tally.undecoded, result.tally.truncated) == ({"cut by snaplen": 1}, 1), length


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"\x43" + bytes(TCP4)[1:], "malformed IPv4"),
        (b"\x65" + bytes(TCP4)[1:], "malformed IPv4"),
        (bytes(TCP4)[:2] + b"\0\x13" + bytes(TCP4)[4:], "malformed IPv4"),
        (bytes(TCP4)[:15], "malformed IPv4"),
        (bytes(TCP4)[:30], "IP packet longer than its frame"),
        (bytes(TCP4)[:2] + b"\0\x1e" + bytes(TCP4)[4:], "malformed TCP"),
        (bytes(TCP4)[:32] + b"\x40" + bytes(TCP4)[33:], "malformed TCP"),
        (bytes(TCP4)[:32] + b"\xf0" + bytes(TCP4)[33:], "malformed TCP"),
        (bytes(IP(len=25) / UDP()), "malformed UDP"),
        (bytes(IP(len=30) / SCTP()), "malformed SCTP"),
        (bytes(IP(len=24) / ICMP()), "malformed ICMP"),
    ],
)
def test_malformed_packets_are_counted_by_what_is_wrong(packet: bytes, reason: str, decode: Decode) -> None:
    good = bytes(ETHER / TCP4)
    result = decode(good, bytes(ETHER)[:12] + b"\x08\0" + packet, good)
    assert result.tally.undecoded == {reason: 1}
    assert len(result.packets) == 2


@pytest.mark.parametrize(
    ("chunks", "flags", "tag", "payload"),
    [
        (SCTPChunkInit(init_tag=77), 1, 77, 0),
        (SCTPChunkInitAck(init_tag=78, params=[SCTPChunkParamStateCookie(cookie=b"12345")]), 2, 78, 0),
        (SCTPChunkCookieEcho(cookie=b"123"), 4, 0, 0),
        (SCTPChunkCookieEcho(cookie=b"123") / SCTPChunkData(data=b"hello"), 4 | 16, 0, 5),
        (SCTPChunkCookieAck() / SCTPChunkSACK() / SCTPChunkData(data=b"1234567"), 8 | 128 | 16, 0, 7),
        (SCTPChunkData(data=b"hello") / SCTPChunkData(data=b"there!!"), 16, 0, 12),
        (SCTPChunkShutdown(), 64, 0, 0),
        (Raw(b"\x06\0\0\x04"), 32, 0, 0),
        (Raw(b"\x40\0\0\x18" + bytes(20)), 16, 0, 4),
        (Raw(b"\0\0\0\0" * 3), 16, 0, 0),
    ],
)
def test_sctp_chunks(chunks: Built, flags: int, tag: int, payload: int, decode: Decode) -> None:
    packet = decode(bytes(ETHER / IP() / SCTP(sport=1, dport=2, tag=99) / chunks)).only
    assert packet.ends[2:] == (132, 1, 2)
    assert (packet.flags, packet.sequence, packet.acknowledgement, packet.payload) == (flags, tag, 99, payload)


@pytest.mark.parametrize(
    ("message", "flags", "identifier"),
    [
        (IP() / ICMP(type=8, id=7), 1, 7),
        (IP() / ICMP(type=0, id=7), 2, 7),
        (IP() / ICMP(type=13, id=7), 1, 0),
        (IP() / ICMP(type=14, id=7), 2, 0),
        (IP() / ICMP(type=11) / Raw(bytes(28)), 4, 0),
        (IP() / ICMP(type=42) / Raw(bytes(4)), 0, 0),
        (IPv6() / ICMPv6EchoRequest(id=7), 1, 7),
        (IPv6() / ICMPv6EchoReply(id=7), 2, 7),
        (IPv6() / ICMPv6ND_NS(), 1, 0),
        (IPv6() / ICMPv6MLReport(), 0, 0),  # to the group that it names, which asked nobody
        (IPv6() / ICMPv6MLReport2(), 0, 0),
        (IPv6() / ICMPv6DestUnreach() / Raw(bytes(48)), 4, 0),
    ],
)
def test_icmp_messages(message: Built, flags: int, identifier: int, decode: Decode) -> None:
    packet = decode(bytes(message), linktype=101).only
    assert (packet.flags, packet.source_port, packet.destination_port) == (flags, identifier, identifier)


def test_many_kinds_at_once_keep_their_order(decode: Decode) -> None:
    kinds = [
        TCP4,
        IP() / UDP(),
        TUNNELS["VXLAN"] / TCP4,
        IP() / ICMP(id=4),
        IP() / SCTP() / SCTPChunkInit(),
        OUTER / TCP6,
    ]
    alone = [decode(bytes(ETHER / each)).only for each in kinds]
    result = decode(*(bytes(ETHER / each) for each in kinds * 5))
    assert result.by_family[4] == [each for each in alone if "." in each.source] * 5
    assert result.by_family[6] == [each for each in alone if ":" in each.source] * 5


QUOTED = (
    (TCP4, ("10.0.0.1", "10.0.0.2", 6, 40000, 80, 7)),
    (
        IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=5, dport=53) / Raw(b"x" * 9),
        ("10.0.0.1", "10.0.0.2", 17, 5, 53, 0),
    ),
    (IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=4), ("10.0.0.1", "10.0.0.2", 1, 4, 4, 0)),
    (
        IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_Router_Alert()]) / TCP4[TCP],
        ("10.0.0.1", "10.0.0.2", 6, 40000, 80, 7),
    ),
)


@pytest.mark.parametrize(("quoted", "expected"), QUOTED)
def test_unreachables_quote_the_packet_that_was_refused(
    quoted: Built, expected: tuple[object, ...], decode: Decode
) -> None:
    error = IP(src="10.0.0.9", dst="10.0.0.1") / ICMP(type=3, code=3)
    for around in (ETHER, ETHER / OUTER / UDP(dport=4789) / VXLAN(vni=7, flags=8) / ETHER):
        result = decode(bytes(around / error / quoted))
        assert result.only.ends == ("10.0.0.9", "10.0.0.1", 1, 0, 0)
        assert [tuple(quote)[1:] for quote in result.quotes] == [expected]


def test_unreachables_of_ipv6(decode: Decode) -> None:
    around = IPv6(src="fd00::2", dst="fd00::1")
    extended = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrDestOpt() / TCP6[TCP]
    frames = [bytes(around / ICMPv6DestUnreach(code=code) / quoted) for code in range(5) for quoted in (TCP6, extended)]
    frames.append(bytes(around / ICMPv6ParamProblem(code=1) / TCP6))
    result = decode(*frames, linktype=101)
    assert [tuple(quote)[1:] for quote in result.quotes] == [(*ENDS6, 7)] * 11


@pytest.mark.parametrize(
    "error",
    [
        IP() / ICMP(type=3, code=4) / TCP4,
        IP() / ICMP(type=11) / TCP4,
        IP() / ICMP(type=3, code=1) / Raw(bytes(TCP4)[:27]),
        IP() / ICMP(type=3, code=1) / Raw(b"\x60" + bytes(TCP4)[1:]),
        IP() / ICMP(type=3, code=1) / (IP(frag=9) / TCP4[TCP]),
        IPv6() / ICMPv6ParamProblem(code=0) / TCP6,
        IPv6() / ICMPv6DestUnreach() / Raw(bytes(TCP6)[:47]),
    ],
)
def test_what_refuses_nothing_or_quotes_too_little_is_an_ordinary_packet(error: Built, decode: Decode) -> None:
    result = decode(bytes(error), linktype=101)
    assert (len(result.packets), result.quotes) == (1, [])
