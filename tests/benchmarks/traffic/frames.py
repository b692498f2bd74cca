"""Packets to bytes on a link: headers as structured arrays, one layout for all packets that are built alike.

Checksums are 0: no reader that is measured with these files looks at them.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tests.benchmarks.traffic.packets import DNS_A, DNS_AAAA, DNS_QUERY, PING_PAYLOAD, SYN, Packets
from tests.benchmarks.traffic.plan import Kind, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Fields = list[tuple[Any, ...]]


class Link(StrEnum):
    """The link layers that can be written."""

    ETHER = "ether"
    SLL2 = "sll2"
    RAW = "raw"


LINKTYPE: Final = {Link.ETHER: 1, Link.SLL2: 276, Link.RAW: 101}
"""Registry numbers (tcpdump.org/linktypes.html)."""


class Top(IntEnum):
    """What follows the IP header, or replaces it."""

    TCP_SYN = 0
    TCP = 1
    DNS_QUERY = 2
    DNS_A = 3
    DNS_AAAA = 4
    PING = 5
    ARP = 6


_LINK_FIELDS: Final[dict[Link, Fields]] = {
    Link.ETHER: [("mac_to", ">u8"), ("mac_from", ">u4"), ("type", ">u2")],  # the address pair as 8 + 4 bytes
    Link.SLL2: [
        *[("type", ">u2"), ("reserved", ">u2"), ("interface", ">u4"), ("arphrd", ">u2")],
        *[("packet_type", "u1"), ("address_length", "u1"), ("address", ">u8")],
    ],
    Link.RAW: [],
}
_IPV4: Final[Fields] = [
    *[("version", "u1"), ("tos", "u1"), ("length", ">u2"), ("id", ">u2"), ("fragment", ">u2"), ("ttl", "u1")],
    *[("protocol", "u1"), ("checksum", ">u2"), ("source", ">u4"), ("destination", ">u4")],
]
_IPV6: Final[Fields] = [
    *[("version", "u1"), ("class", "u1"), ("label", ">u2"), ("length", ">u2"), ("protocol", "u1"), ("ttl", "u1")],
    *[("source_high", ">u8"), ("source", ">u8"), ("destination_high", ">u8"), ("destination", ">u8")],
]
_PORTS: Final[Fields] = [("source_port", ">u2"), ("destination_port", ">u2")]
_TCP: Final[Fields] = [
    *_PORTS,
    *[("sequence", ">u4"), ("acknowledgement", ">u4"), ("offset", "u1"), ("flags", "u1")],
    *[("window", ">u2"), ("checksum", ">u2"), ("urgent", ">u2")],
]
_UDP: Final[Fields] = [*_PORTS, ("length", ">u2"), ("checksum", ">u2")]
_DNS: Final[Fields] = [*_UDP, ("id", ">u2")]
_TOP_FIELDS: Final[dict[Top, Fields]] = {
    Top.TCP_SYN: [*_TCP, ("options", "u1", 20)],
    Top.TCP: [*_TCP, ("options", "u1", 12)],
    Top.DNS_QUERY: [*_DNS, ("message", "u1", DNS_QUERY - 2)],
    Top.DNS_A: [*_DNS, ("message", "u1", DNS_A - 2)],
    Top.DNS_AAAA: [*_DNS, ("message", "u1", DNS_AAAA - 2)],
    Top.PING: [
        *[("type", "u1"), ("code", "u1"), ("checksum", ">u2"), ("identifier", ">u2"), ("sequence", ">u2")],
        ("data", "u1", PING_PAYLOAD),
    ],
    Top.ARP: [
        *[("hardware", ">u2"), ("protocol", ">u2"), ("sizes", ">u2"), ("operation", ">u2"), ("mac", "u1", 6)],
        *[("source", ">u4"), ("target_mac", "u1", 6), ("target", ">u4")],
    ],
}
_TOP_HAS_PAYLOAD: Final = np.array([top in {Top.TCP, Top.TCP_SYN} for top in Top])
_SYN_OPTIONS: Final = np.frombuffer(
    b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x10\x01\x00\x00\x00\x00\x01\x03\x03\x07", np.uint8
)
_OPTIONS: Final = np.frombuffer(b"\x01\x01\x08\x0a\x00\x00\x10\x02\x00\x00\x20\x02", np.uint8)
_QUESTION: Final = b"\x07backend\x04shop\x03svc\x07cluster\x05local\x00"
_DNS_COUNTS: Final = {Top.DNS_QUERY: b"\x01\x00\0\x01\0\0\0\0\0\0", Top.DNS_A: b"\x85\x80\0\x01\0\x01\0\0\0\0"}
_ANSWER_A: Final = b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\x60\x05\x07"
_ANSWER_AAAA: Final = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x1e\0\x10" + bytes.fromhex("fd00001000960000000000000000000a")
_POD_NETWORK_SIX: Final = 0xFD00_0010_0244_0000
_NODES: Final = 8
_VXLAN_PORT: Final = 4_789


class Headers:
    """How the packets of one plan look on one link."""

    def __init__(self, plan: Plan, link: Link) -> None:
        self._plan = plan
        self._link = link
        self._sizes = np.zeros(32, np.int64)
        for shape in (tunnel + family + top for tunnel in (0, 16) for family in (0, 8) for top in Top):
            self._sizes[shape] = _layout(link, shape).itemsize

    def shape(self, packets: Packets) -> NDArray[np.int64]:
        """Per packet, a number that stands for its layout: what is on top, 8 for IPv6, 16 for a tunnel."""
        kind = self._plan.kind[packets.conversation]
        top = np.where((packets.flags & SYN) != 0, int(Top.TCP_SYN), int(Top.TCP))
        lookup = kind == Kind.LOOKUP
        top[lookup] = np.searchsorted([DNS_QUERY, DNS_A, DNS_AAAA], packets.payload[lookup]) + Top.DNS_QUERY
        top[kind == Kind.PING] = Top.PING
        top[kind == Kind.ARP] = Top.ARP
        six, tunnelled = self._plan.six[packets.conversation], self._plan.tunnelled[packets.conversation]
        shape: NDArray[np.int64] = top + 8 * six + 16 * tunnelled
        return shape

    def lengths(self, packets: Packets) -> NDArray[np.int64]:
        """Length of each frame on the wire in bytes."""
        shape = self.shape(packets)
        return self._sizes[shape] + np.where(_TOP_HAS_PAYLOAD[shape & 7], packets.payload, 0)

    def groups(self, packets: Packets) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Places of packets that are built alike, and their headers as bytes (packets x header length)."""
        shape = self.shape(packets)
        for one in np.unique(shape):
            places = np.flatnonzero(shape == one)
            headers = self._build(int(one), packets.take(places))
            yield places, headers.view(np.uint8).reshape(len(places), -1)

    def _build(self, shape: int, packets: Packets) -> NDArray[Any]:
        """Headers of packets of one shape."""
        plan, top = self._plan, Top(shape & 7)
        six, tunnelled = bool(shape & 8), bool(shape & 16)
        client, server = plan.client[packets.conversation], plan.server[packets.conversation]
        sender = np.where(packets.from_client, client, server)
        receiver = np.where(packets.from_client, server, client)
        out = np.zeros(len(packets), _layout(self._link, shape))
        above = _top_length(top) + np.where(_TOP_HAS_PAYLOAD[top], packets.payload, 0)
        ethertype = 0x0806 if top == Top.ARP else 0x86DD if six else 0x0800
        if tunnelled:
            inner = 14 + (40 if six else 20) + above
            if self._link != Link.RAW:
                _fill_link(out["link"], self._link, 0x0800, sender % _NODES, receiver % _NODES)
            nodes = np.uint32(0xC0A8_0A0A) + np.arange(_NODES, dtype=np.uint32)  # 192.168.10.10 and on
            _fill_ipv4(out["outer_ip"], 17, 20 + 16 + inner, nodes[sender % _NODES], nodes[receiver % _NODES])
            udp = out["outer_udp"]
            udp["source_port"] = 49_152 + (client * 31 + server) % 16_384
            udp["destination_port"] = _VXLAN_PORT
            udp["length"] = 16 + inner
            out["vxlan"] = 0x0800_0000_0000_0100  # RFC 7348: the I flag, VNI 1
            _fill_link(out["inner_link"], Link.ETHER, ethertype, sender, receiver)
        elif self._link != Link.RAW:
            _fill_link(out["link"], self._link, ethertype, sender, receiver)
        protocol = {Top.PING: 1, Top.TCP: 6, Top.TCP_SYN: 6}.get(top, 17)
        if six:
            _fill_ipv6(out["ip"], protocol, above, sender, receiver)
        elif top != Top.ARP:
            _fill_ipv4(out["ip"], protocol, 20 + above, plan.hosts[sender], plan.hosts[receiver])
        self._fill_top(out["top"], top, packets, sender, receiver)
        return out

    def _fill_top(
        self, out: NDArray[Any], top: Top, packets: Packets, sender: NDArray[np.int64], receiver: NDArray[np.int64]
    ) -> None:
        plan = self._plan
        client_port, server_port = plan.client_port[packets.conversation], plan.server_port[packets.conversation]
        if top == Top.ARP:
            out["hardware"], out["protocol"], out["sizes"], out["operation"] = 1, 0x0800, 0x0604, 1
            out["source"], out["target"] = plan.hosts[sender], plan.hosts[receiver]
            return
        if top == Top.PING:
            out["type"] = np.where(packets.from_client, 8, 0)
            out["identifier"], out["sequence"] = client_port, 1
            return
        out["source_port"] = np.where(packets.from_client, client_port, server_port)
        out["destination_port"] = np.where(packets.from_client, server_port, client_port)
        if top in {Top.TCP, Top.TCP_SYN}:
            out["sequence"], out["acknowledgement"] = packets.sequence, packets.acknowledgement
            out["offset"], out["flags"], out["window"] = _top_length(top) // 4 << 4, packets.flags, 501
            out["options"] = _SYN_OPTIONS if top == Top.TCP_SYN else _OPTIONS
            return
        out["length"], out["id"] = _top_length(top), packets.sequence
        out["message"] = _dns_message(top)
        if top == Top.DNS_QUERY:  # the second question from one socket, and so the one with the odd place, is AAAA
            out["message"][packets.sequence != client_port, -3] = 28


@cache
def _layout(link: Link, shape: int) -> np.dtype[Any]:
    """The headers of a shape as one packed record."""
    top, six, tunnelled = Top(shape & 7), bool(shape & 8), bool(shape & 16)
    parts: list[tuple[str, Any]] = []
    if link != Link.RAW:
        parts.append(("link", np.dtype(_LINK_FIELDS[link])))
    if tunnelled:
        parts += [("outer_ip", np.dtype(_IPV4)), ("outer_udp", np.dtype(_UDP)), ("vxlan", ">u8")]
        parts.append(("inner_link", np.dtype(_LINK_FIELDS[Link.ETHER])))
    if top != Top.ARP:
        parts.append(("ip", np.dtype(_IPV6 if six else _IPV4)))
    parts.append(("top", np.dtype(_TOP_FIELDS[top])))
    return np.dtype(parts)


@cache
def _top_length(top: Top) -> int:
    return np.dtype(_TOP_FIELDS[top]).itemsize


@cache
def _dns_message(top: Top) -> NDArray[np.uint8]:
    """A DNS message without its id (RFC 1035, 4.1)."""
    counts = _DNS_COUNTS[Top.DNS_QUERY if top == Top.DNS_QUERY else Top.DNS_A]
    question = _QUESTION + (b"\0\x1c\0\x01" if top == Top.DNS_AAAA else b"\0\x01\0\x01")
    answer = {Top.DNS_A: _ANSWER_A, Top.DNS_AAAA: _ANSWER_AAAA}.get(top, b"")
    return np.frombuffer(counts + question + answer, np.uint8)


def _fill_link(
    out: NDArray[Any], link: Link, ethertype: int, sender: NDArray[np.int64], receiver: NDArray[np.int64]
) -> None:
    out["type"] = ethertype
    if link == Link.ETHER:  # locally administered addresses 02:00:00:00:hh:hh
        out["mac_to"] = np.uint64(0x0200_0000_0000_0200) | (receiver.astype(np.uint64) << np.uint64(16))
        out["mac_from"] = sender
    else:
        out["interface"], out["arphrd"], out["packet_type"], out["address_length"] = 2, 1, 4, 6
        out["address"] = np.uint64(0x0200_0000_0000_0000) | (sender.astype(np.uint64) << np.uint64(16))


def _fill_ipv4(
    out: NDArray[Any], protocol: int, length: NDArray[np.int64], source: NDArray[Any], destination: NDArray[Any]
) -> None:
    out["version"], out["fragment"], out["ttl"], out["protocol"] = 0x45, 0x4000, 64, protocol
    out["length"], out["source"], out["destination"] = length, source, destination


def _fill_ipv6(
    out: NDArray[Any], protocol: int, length: NDArray[np.int64], source: NDArray[Any], destination: NDArray[Any]
) -> None:
    out["version"], out["ttl"], out["protocol"], out["length"] = 0x60, 64, protocol, length
    out["source_high"] = out["destination_high"] = _POD_NETWORK_SIX
    out["source"], out["destination"] = source + 1, destination + 1
