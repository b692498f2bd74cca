"""Which packets an agent wants, in plain words: what its BPF program must agree with.

Written from the RFCs and from what `netpol.capture.live_filter` promises, packet by packet, without looking at how the
program does it.
"""

from __future__ import annotations

from typing import Final

SHORT, MIDDLE, LONG, NOT = 256, 2048, 4096, 0
SAMPLE, BULK = "sample", "bulk"
"""Taken or not by chance."""

_TUNNELS: Final = {4789: "vxlan", 8472: "vxlan", 6081: "geneve"}
_CARRIED: Final = (0x0806, 0x8035, 0x8847, 0x8848, 0x88CC)


class _DatagramError(Exception):
    """What looked like a tunnel is an ordinary datagram."""


def wanted(packet: bytes, version: int, level: int = 0) -> int | str:  # noqa: C901, PLR0911, PLR0912 - case by case
    """Bytes that are wanted, NOT, SAMPLE or BULK."""
    if len(packet) < (20 if version == 4 else 40) or packet[0] >> 4 != version:
        return SHORT
    if version == 4:
        header = (packet[0] & 15) * 4
        total = int.from_bytes(packet[2:4], "big") or len(packet)
        protocol, fragment = packet[9], int.from_bytes(packet[6:8], "big") & 0x1FFF
        if fragment:
            return MIDDLE if protocol == 17 and fragment * 8 <= 4096 else NOT
        if header < 20:
            return SHORT
        at = header
        if protocol != 51:
            return _transport(packet, at, total, protocol, level)
    else:
        size = int.from_bytes(packet[4:6], "big")
        total = size + 40 if size else len(packet)
        at, protocol = 40, packet[6]
    for _ in range(4):
        if protocol not in {0, 43, 44, 51, 60, 135, 139, 140}:
            break
        if len(packet) < at + 8:
            return SHORT
        if protocol == 44:
            offset = int.from_bytes(packet[at + 2 : at + 4], "big") & 0xFFF8
            if offset:
                return MIDDLE if packet[at] == 17 and offset <= 4096 else NOT
            protocol, at = packet[at], at + 8
        elif protocol == 51:
            protocol, at = packet[at], at + (packet[at + 1] + 2) * 4
        else:
            protocol, at = packet[at], at + (packet[at + 1] + 1) * 8
    return _transport(packet, at, total, protocol, level)


def _transport(packet: bytes, at: int, total: int, protocol: int, level: int) -> int | str:  # noqa: PLR0911 - the same
    body = packet[at:]
    if protocol == 50:
        return BULK
    if protocol in {4, 41} and level == 0:
        return wanted(body, 4 if protocol == 4 else 6, 1) if len(packet) >= at else SHORT
    if protocol == 6:
        return _tcp(body, total - at)
    if protocol == 17:
        return _udp(body, level)
    if protocol == 132:
        if len(body) < 16:
            return SHORT
        return MIDDLE if body[12] in {1, 2, 6, 7, 8, 10, 11, 14} else BULK
    if protocol == 47 and level == 0:
        try:
            return _gre(body)
        except _DatagramError:
            return SHORT
    return SHORT


def _tcp(segment: bytes, size: int) -> int | str:
    if len(segment) < 20:
        return SHORT
    dns = b"\x00\x35" in {segment[0:2], segment[2:4]}
    if segment[13] & 7:
        return LONG if dns else SHORT
    header = (segment[12] >> 4) * 4
    if dns:
        return LONG if size > header else SAMPLE
    payload = segment[header:]
    hello = len(payload) >= 6 and payload[:2] == b"\x16\x03" and payload[5] == 1
    return LONG if hello else SAMPLE


def _udp(datagram: bytes, level: int) -> int | str:  # noqa: PLR0911 - the same
    if len(datagram) < 8:
        return SHORT
    source, destination = int.from_bytes(datagram[0:2], "big"), int.from_bytes(datagram[2:4], "big")
    kind = _TUNNELS.get(destination)
    if kind is not None:
        if level:
            return SHORT
        try:
            return _vxlan(datagram) if kind == "vxlan" else _geneve(datagram)
        except _DatagramError:
            pass
    if 53 in {source, destination}:
        return LONG
    for port in (destination, source):
        if port == 443:
            if len(datagram) < 9:
                return SHORT
            long, short = datagram[8] >> 6 == 3, datagram[8] >> 6 == 1
            return MIDDLE if long else BULK if short else SHORT
        if port == 51820:
            return BULK if datagram[8:12] == b"\4\0\0\0" else SHORT
    return SHORT


def _vxlan(datagram: bytes) -> int | str:
    if len(datagram) < 8 + 8 + 14:
        raise _DatagramError
    header = datagram[8:16]
    grouped = header[0] == 0x88 and header[1] & 0xB7 == 0
    if not (grouped or header[:4] == b"\x08\0\0\0") or header[7]:
        raise _DatagramError
    return _frame(datagram[16:])


def _geneve(datagram: bytes) -> int | str:
    if len(datagram) < 16:
        raise _DatagramError
    header = datagram[8:16]
    if header[0] & 0xC0 or header[1] & 0x3F or header[7]:
        raise _DatagramError
    return _carried(datagram, 16 + (header[0] & 0x3F) * 4, int.from_bytes(header[2:4], "big"))


def _gre(packet: bytes) -> int | str:
    if len(packet) < 4 or int.from_bytes(packet[:2], "big") & 0x4FFF:
        return SHORT
    length = 4 + sum(4 for bit in (0x80, 0x20, 0x10) if packet[0] & bit)
    return _carried(packet, length, int.from_bytes(packet[2:4], "big"))


def _carried(packet: bytes, at: int, ethertype: int) -> int | str:
    if ethertype == 0x6558:
        if len(packet) < at:
            raise _DatagramError
        return _frame(packet[at:])
    if ethertype in {0x0800, 0x86DD}:
        return wanted(packet[at:], 4 if ethertype == 0x0800 else 6, 1)
    raise _DatagramError


def _frame(frame: bytes) -> int | str:
    for header in (14, 18):
        if len(frame) < header:
            raise _DatagramError
        ethertype = int.from_bytes(frame[header - 2 : header], "big")
        if ethertype in {0x0800, 0x86DD}:
            return wanted(frame[header:], 4 if ethertype == 0x0800 else 6, 1)
        if ethertype in {0x8100, 0x88A8, 0x9100}:
            continue
        if ethertype <= 1500 or ethertype in _CARRIED:
            return NOT
        raise _DatagramError
    return SHORT
