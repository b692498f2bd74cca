"""Link layers: from the start of a frame to the start of its IP packet.

Sources: the LINKTYPE_ registry (draft-ietf-opsawg-pcaplinktype), IEEE 802.1Q and 802.1ad, RFC 1042 (SNAP), RFC 3032
    (MPLS),
RFC 2516 (PPPoE), RFC 1661 and 1662 (PPP).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.views import counted, one_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.capture.cursor import Block, Cursor
    from netpol.capture.views import Ints, Mask

ETHERNET: Final = 1
"""LINKTYPE_ETHERNET."""

_IPV4, _IPV6 = 0x0800, 0x86DD
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
_MPLS = (0x8847, 0x8848)
_PPPOE = 0x8864
_LONGEST_802_3 = 1500
_MOST_TAGS = 8
_MOST_KINDS = 32
_CUT_LINK = "malformed link header"
_NOT_IP = "not IP: "
_OTHERS = "not IP: other ethertypes"
_ETHERTYPES = {
    0x0806: "ARP",
    0x0842: "Wake-on-LAN",
    0x2000: "CDP",
    0x8035: "RARP",
    0x8137: "IPX",
    0x8809: "LACP",
    0x8863: "PPPoE discovery",
    0x888E: "EAPOL",
    0x8892: "PROFINET",
    0x88A4: "EtherCAT",
    0x88CA: "TIPC",
    0x88CC: "LLDP",
    0x88E5: "MACsec",
    0x88E7: "provider backbone",
    0x88F7: "PTP",
    0x8902: "CFM",
    0x8906: "FCoE",
    0x9000: "loopback test",
}
_BYTE = np.dtype("u1")
_SHORT = np.dtype(">u2")
_WORD = np.dtype(">u4")
_LLC = np.dtype([("sap", ">u2"), ("control", "u1"), ("oui_high", "u1"), ("oui_low", ">u2"), ("ethertype", ">u2")])


def decode_frames(block: Block, linktype: int, cursor: Cursor) -> None:
    """Moves frames of one LINKTYPE_ to the block's IP packets, or drops and counts them."""
    decoder = _DECODERS.get(linktype)
    if decoder is None:
        block.drop(_bounded(block, f"linktype {linktype}", "other linktypes"), len(cursor))
    else:
        decoder(block, cursor)


def _ethernet(block: Block, cursor: Cursor) -> None:
    _typed(block, cursor, type_at=12, header=14)


def _cooked(block: Block, cursor: Cursor) -> None:
    _typed(block, cursor, type_at=14, header=16)


def _cooked_2(block: Block, cursor: Cursor) -> None:
    _typed(block, cursor, type_at=0, header=20)


def _cisco_hdlc(block: Block, cursor: Cursor) -> None:
    _typed(block, cursor, type_at=2, header=4)


def _typed(block: Block, cursor: Cursor, *, type_at: int, header: int) -> None:
    """A header of fixed length with an EtherType in it."""
    held = block.held(cursor, header, _CUT_LINK)
    if held is not None:
        cursor = cursor.take(held)
    by_ethertype(block, cursor.moved(header), block.look(cursor, _SHORT, type_at), 0)


def by_ethertype(block: Block, cursor: Cursor, ethertype: Ints, tags: int) -> None:
    """What follows an EtherType, or a length where one could stand."""
    rest = _take_ip(block, cursor, ethertype == _IPV4, ethertype == _IPV6)
    if rest is None:
        return
    cursor, ethertype = cursor.take(rest), ethertype[rest].astype(np.int64)
    vlan, mpls, pppoe = one_of(ethertype, VLAN_TAGS), one_of(ethertype, _MPLS), ethertype == _PPPOE
    llc = ethertype <= _LONGEST_802_3
    other = ~(vlan | mpls | pppoe | llc)
    if vlan.any():
        _vlan(block, cursor.take(vlan), tags)
    if mpls.any():
        _mpls(block, cursor.take(mpls))
    if pppoe.any():
        _pppoe(block, cursor.take(pppoe))
    if llc.any():
        _llc(block, cursor.take(llc), tags)
    for kind, count in counted(ethertype[other]):
        name = _ETHERTYPES.get(kind, f"ethertype 0x{kind:04x}")
        block.drop(_bounded(block, _NOT_IP + name, _OTHERS), count)


def _take_ip(block: Block, cursor: Cursor, version_4: Mask, version_6: Mask) -> Mask | None:
    """Hands IP packets on; returns the others, or None if there are none."""
    fours = np.count_nonzero(version_4)
    if fours == len(cursor):
        if fours:
            block.packets.append((4, cursor))
        return None
    if fours:
        block.packets.append((4, cursor.take(version_4)))
    sixes = np.count_nonzero(version_6)
    if sixes:
        block.packets.append((6, cursor.take(version_6)))
    return ~(version_4 | version_6) if fours + sixes < len(cursor) else None


def _vlan(block: Block, cursor: Cursor, tags: int) -> None:
    if tags == _MOST_TAGS:
        block.drop("too many VLAN tags", len(cursor))
        return
    held = block.held(cursor, 4, _CUT_LINK)
    if held is not None:
        cursor = cursor.take(held)
    by_ethertype(block, cursor.moved(4), block.look(cursor, _SHORT, 2), tags + 1)


def _llc(block: Block, cursor: Cursor, tags: int) -> None:
    """IEEE 802.3 with LLC; SNAP carries EtherTypes."""
    held = block.held(cursor, 3, _CUT_LINK)
    if held is not None:
        cursor = cursor.take(held)
    fields = block.look(cursor, _LLC)
    snap = (fields["sap"] == 0xAAAA) & (fields["control"] == 3) & (cursor.end - cursor.at >= 8)
    oui = fields["oui_high"].astype(np.int64) << 16 | fields["oui_low"]
    typed = snap & ((oui == 0) | (oui == 0xF8) | ((oui == 0x0C) & (fields["ethertype"] == 0x2000)))
    inner_types = fields["ethertype"].astype(np.int64)
    typed &= inner_types > _LONGEST_802_3
    ip = (fields["sap"] == 0x0606) & (fields["control"] == 3)
    if typed.any():
        by_ethertype(block, cursor.take(typed).moved(8), inner_types[typed], tags)
    if ip.any():
        block.packets.append((4, cursor.take(ip).moved(3)))
    spanning_tree = fields["sap"] == 0x4242
    block.drop(_NOT_IP + "STP", np.count_nonzero(spanning_tree))
    block.drop(_NOT_IP + "LLC", np.count_nonzero(~(typed | ip | spanning_tree)))


def _mpls(block: Block, cursor: Cursor) -> None:
    """Pops labels; what follows the last one is told by its first half byte."""
    for _ in range(_MOST_TAGS):
        if not len(cursor):
            return
        held = block.held(cursor, 5, _CUT_LINK)
        if held is not None:
            cursor = cursor.take(held)
        bottom = block.look(cursor, _WORD) & 0x100 != 0
        if bottom.any():
            _by_version(block, cursor.take(bottom).moved(4), _NOT_IP + "MPLS")
        cursor = cursor.take(~bottom).moved(4)
    block.drop("too many MPLS labels", len(cursor))


def _pppoe(block: Block, cursor: Cursor) -> None:
    held = block.held(cursor, 8, _CUT_LINK)
    if held is not None:
        cursor = cursor.take(held)
    _ppp(block, cursor.moved(6))


def _ppp(block: Block, cursor: Cursor) -> None:
    """PPP with or without HDLC address and control, and with or without protocol field compression."""
    held = block.held(cursor, 4, _CUT_LINK)
    if held is not None:
        cursor = cursor.take(held)
    framed = block.look(cursor, _SHORT) == 0xFF03
    cursor = cursor.moved(2 * framed.astype(np.int64))
    protocol = block.look(cursor, _SHORT).astype(np.int64)
    compressed = protocol & 0x100 != 0
    protocol = np.where(compressed, protocol >> 8, protocol)
    cursor = cursor.moved(np.where(compressed, 1, 2))
    rest = _take_ip(block, cursor, protocol == 0x21, protocol == 0x57)
    if rest is not None:
        block.drop(_NOT_IP + "PPP control", np.count_nonzero(rest))


def _raw(block: Block, cursor: Cursor) -> None:
    _by_version(block, cursor, "neither IPv4 nor IPv6")


def _by_version(block: Block, cursor: Cursor, otherwise: str) -> None:
    held = block.held(cursor, 1, _CUT_LINK)
    if held is not None:
        cursor = cursor.take(held)
    version = block.look(cursor, _BYTE) >> 4
    rest = _take_ip(block, cursor, version == 4, version == 6)
    if rest is not None:
        block.drop(otherwise, np.count_nonzero(rest))


def _only(version: int) -> Callable[[Block, Cursor], None]:
    return lambda block, cursor: block.packets.append((version, cursor))


def _null(block: Block, cursor: Cursor) -> None:
    """An address family in the byte order of whoever captured; every system has its own for IPv6."""
    held = block.held(cursor, 4, _CUT_LINK)
    if held is not None:
        cursor = cursor.take(held)
    family = block.look(cursor, _WORD).astype(np.uint32)
    family = np.minimum(family, family.byteswap())
    rest = _take_ip(block, cursor.moved(4), family == 2, one_of(family, (10, 24, 28, 30)))
    if rest is not None:
        block.drop(_NOT_IP + "loopback of another family", np.count_nonzero(rest))


def _bounded(block: Block, reason: str, lump: str) -> str:
    """The reason itself, unless too many different ones were met: traffic must not decide how long the list gets."""
    known = block.tally.undecoded
    kind = reason.split(maxsplit=1)[0]
    if reason in known or sum(each.startswith(kind) for each in known) < _MOST_KINDS:
        return reason
    return lump


_DECODERS: dict[int, Callable[[Block, Cursor], None]] = {
    0: _null,
    ETHERNET: _ethernet,
    9: _ppp,
    12: _raw,
    14: _raw,
    50: _ppp,
    51: _pppoe,
    101: _raw,
    104: _cisco_hdlc,
    108: _null,
    113: _cooked,
    228: _only(4),
    229: _only(6),
    276: _cooked_2,
}
