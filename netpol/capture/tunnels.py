"""Tunnels: VXLAN (RFC 7348), Geneve (RFC 8926), GRE (RFC 2784, 2890), IP in IP (RFC 2003, 4213).

An ordinary UDP packet may go to a tunnel's port. It is only opened if its header has the bits that the RFC demands
and what follows is a frame or packet that tunnels carry; otherwise it stays what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.capture.cursor import CUT, DEEPEST
from netpol.capture.link import ETHERNET, VLAN_TAGS
from netpol.capture.views import one_of
from netpol.model.flow import UDP

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.capture.cursor import Block, Cursor, Datagrams
    from netpol.capture.views import Ints, Mask, Structured

_VXLAN_PORTS = (4789, 8472)
_GENEVE_PORT: Final = 6081
TUNNEL_PORTS = np.zeros(1 << 16, np.bool_)
"""bool[65536] by UDP destination port; 8472 is what Linux and flannel use for VXLAN."""
TUNNEL_PORTS[[*_VXLAN_PORTS, _GENEVE_PORT]] = True

_IPV4, _IPV6, _GRE = 4, 41, 47
TUNNEL_PROTOCOLS = np.zeros(256, np.bool_)
"""bool[256] by IP protocol number."""
TUNNEL_PROTOCOLS[[_IPV4, _IPV6, _GRE]] = True

_BRIDGED = 0x6558
_ETHERNET_HEADER = 14
_CARRIED = (0x0806, 0x8035, 0x8847, 0x8848, 0x88CC, *VLAN_TAGS)
_VXLAN = np.dtype([("flags", "u1"), ("policy", "u1"), ("group", ">u2"), ("network", ">u4")])
_GENEVE = np.dtype([("version", "u1"), ("flags", "u1"), ("ethertype", ">u2"), ("network", ">u4")])
_GRE_HEADER = np.dtype([("flags", ">u2"), ("ethertype", ">u2")])
_ETHERTYPE = np.dtype(">u2")
_BYTE = np.dtype("u1")


class _Headers(NamedTuple):
    """Tunnel headers: how many bytes were judged; for each whether it is one, its length, what follows."""

    judged: int
    good: Mask
    length: Ints
    ethertype: Ints


def open_tunnels(block: Block, datagrams: Datagrams, port: Structured, candidates: Mask) -> Mask:
    """Puts what tunnels carry back into the block's queues.

    Args:
        block: The block.
        datagrams: Packets whose transport headers are captured.
        port: [n], destination ports.
        candidates: Packets that may be tunnels.

    Returns:
        bool[n]: the packets that are no tunnels and stay.
    """
    stay = ~candidates
    udp = candidates & (datagrams.protocol == UDP)
    ways: tuple[tuple[Mask, Callable[[Block, Cursor], Mask]], ...] = (
        (udp & one_of(port, _VXLAN_PORTS), _vxlan),
        (udp & (port == _GENEVE_PORT), _geneve),
        (datagrams.protocol == _IPV4, _ip_in_ip(4)),
        (datagrams.protocol == _IPV6, _ip_in_ip(6)),
        (datagrams.protocol == _GRE, _gre),
    )
    for mask, way in ways:
        chosen = np.flatnonzero(mask)
        if len(chosen):
            opened = way(block, datagrams.cursor.take(mask))
            stay[chosen[~opened]] = True
    return stay


def _vxlan(block: Block, cursor: Cursor) -> Mask:
    """The I flag set and everything reserved zero; the group policy extension may be there."""
    at_header = cursor.moved(8)
    fields = block.fetch(at_header.at, _VXLAN)
    group = fields["flags"] & 0x80 != 0
    good = fields["flags"] & 0x7F == 0x08
    good &= (fields["policy"] & np.where(group, 0xB7, 0xFF) == 0) & (group | (fields["group"] == 0))
    good &= fields["network"] & 0xFF == 0
    return _hand_on(block, at_header, _Headers(8, good, np.full(len(cursor), 8), np.full(len(cursor), _BRIDGED)))


def _geneve(block: Block, cursor: Cursor) -> Mask:
    at_header = cursor.moved(8)
    fields = block.fetch(at_header.at, _GENEVE)
    good = (fields["version"] >> 6 == 0) & (fields["flags"] & 0x3F == 0) & (fields["network"] & 0xFF == 0)
    length = 8 + 4 * (fields["version"] & 0x3F).astype(np.int64)
    return _hand_on(block, at_header, _Headers(8, good, length, fields["ethertype"].astype(np.int64)))


def _gre(block: Block, cursor: Cursor) -> Mask:
    """Version 0 without source routes; version 1 is PPTP's own."""
    fields = block.look(cursor, _GRE_HEADER)
    flags = fields["flags"].astype(np.int64)
    good = flags & 0x4FFF == 0
    length = 4 + 4 * ((flags >> 15) + (flags >> 13 & 1) + (flags >> 12 & 1))
    return _hand_on(block, cursor, _Headers(4, good, length, fields["ethertype"].astype(np.int64)))


def _ip_in_ip(version: int) -> Callable[[Block, Cursor], Mask]:
    ethertype = 0x0800 if version == 4 else 0x86DD

    def way(block: Block, cursor: Cursor) -> Mask:
        count = len(cursor)
        headers = _Headers(0, np.ones(count, np.bool_), np.zeros(count, np.int64), np.full(count, ethertype))
        return _hand_on(block, cursor, headers)

    return way


def _hand_on(block: Block, cursor: Cursor, headers: _Headers) -> Mask:
    """Queues what follows tunnel headers.

    Where the snapshot length cut what would have told whether it is a tunnel, the packet is dropped as cut: to call
    it the tunnel's own conversation would invent a flow.

    Returns:
        bool[n]: the packets that are tunnels.
    """
    fixed, good, length, ethertype = headers
    bridged = ethertype == _BRIDGED
    ip = (ethertype == 0x0800) | (ethertype == 0x86DD)
    unseen = cursor.end < cursor.at + fixed
    good = good & (bridged | ip) & ~unseen
    behind = cursor.at + length
    need = behind + np.where(bridged, _ETHERNET_HEADER, 1)
    good &= need <= cursor.wire_end
    cut = (good & (cursor.end < need)) | (
        unseen & (cursor.wire_end >= cursor.at + fixed) & (cursor.end < cursor.wire_end)
    )
    judged = good & ~cut
    inner_type, version_at = ethertype.copy(), behind.copy()
    judged_bridged = judged & bridged
    inner_type[judged_bridged] = block.fetch(behind[judged_bridged] + 12, _ETHERTYPE)
    version_at[judged_bridged] += _ETHERNET_HEADER
    plausible = one_of(inner_type, _CARRIED) | (inner_type <= 1500)
    for kind, version in ((0x0800, 4), (0x86DD, 6)):
        its = np.flatnonzero(judged & (inner_type == kind))
        seen = version_at[its] < cursor.end[its]
        plausible[its] = True
        plausible[its[seen]] = block.fetch(version_at[its[seen]], _BYTE) >> 4 == version
    judged &= plausible
    block.drop(CUT, np.count_nonzero(cut))
    block.tally.truncated += int(np.count_nonzero(cut))
    opened: Mask = judged | cut
    if cursor.depth == DEEPEST:
        block.drop("too many tunnels in tunnels", np.count_nonzero(judged))
        return opened
    inner = cursor.moved(length, deeper=1)
    for mask, queue, kind in (
        (judged & bridged, block.frames, ETHERNET),
        (judged & (ethertype == 0x0800), block.packets, 4),
        (judged & (ethertype == 0x86DD), block.packets, 6),
    ):
        if mask.any():
            queue.append((kind, inner.take(mask)))
    return opened
