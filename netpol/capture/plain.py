"""The plain majority: whole TCP and UDP packets over IPv4 without options, decoded in a few wide steps.

Most packets of most captures look like this. Their headers stand at fixed places, so four 64-bit words and two 16-bit
words of each frame hold every field, and one pass over each word is all that is needed. Whatever is the least bit
unusual (options, fragments, tunnels, tags, a length that does not fit) is left to the layers' own modules, which alone
decide what it is: a packet that is taken here is one that they would decode to the very same columns.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.capture.cursor import Columns, Payloads
from netpol.capture.tunnels import TUNNEL_PORTS
from netpol.capture.views import HEAD
from netpol.model.flow import TCP, UDP

if TYPE_CHECKING:
    from netpol.capture.records import Records
    from netpol.capture.views import Ints, Mask

FEWEST: Final = 64
"""Records below which the detour costs more than it saves."""

_PART: Final = 1 << 14
"""Records decoded at a time: few enough for their headers and what comes of them to stay in the second-level cache."""

_IPV4 = 0x0800
_IP_HEADER, _TCP_HEADER, _UDP_HEADER = 20, 20, 8
_FLAGS_HELD = 14
"""So much of a TCP header must be captured: up to the flags."""

_VERSION_AND_FRAGMENT: Final = np.uint64(0xFF00_0000_0000_3FFF)
_PLAIN_IP: Final = np.uint64(0x4500_0000_0000_0000)
"""In the first word of an IPv4 header: version 4, 20 bytes long, no fragment of anything."""


class _Layout(NamedTuple):
    """Where a link layer has its EtherType and its payload, bytes from the start of the frame."""

    ethertype: int
    packet: int


_LAYOUTS: Final = {1: _Layout(12, 14), 113: _Layout(14, 16), 276: _Layout(0, 20)}
"""By LINKTYPE_: Ethernet, Linux cooked, Linux cooked 2."""


class Plain:
    """The plain packets of a block, in columns that have room for the others too.

    Attributes:
        mask: bool[n], which records they are.
    """

    def __init__(self, mask: Mask, columns: Columns, records: Records, layout: _Layout) -> None:
        self.mask = mask
        self._columns = columns
        self._records = records
        self._packet_at = layout.packet

    def payloads(self) -> Payloads:
        """Where their payloads are."""
        return Payloads(self._columns, self.mask, self._start, self._records.at + self._records.captured)

    def _start(self, index: Ints) -> Ints:
        """int64[k]: where the payloads of the packets `index` start."""
        offset = self._records.heads[index, self._packet_at + _IP_HEADER + 12] >> 4
        header = np.where(self._columns.protocol[index] == TCP, offset.astype(np.int64) * 4, _UDP_HEADER)
        return self._records.at[index] + self._packet_at + _IP_HEADER + header

    def with_others(self, others: Columns | None) -> Columns:
        """Their columns together with those of other packets of family 4, rows ascending; to be asked once."""
        held = self.mask
        if others is not None:
            held = held.copy()
            held[others.rows] = True
            for name in _COLUMNS:
                getattr(self._columns, name)[others.rows] = getattr(others, name)
        if held.all():
            return self._columns
        return Columns(family=4, **{name: getattr(self._columns, name)[held] for name in _COLUMNS})


_COLUMNS: Final = tuple(each.name for each in fields(Columns) if each.name != "family")


def decode_plain(records: Records) -> Plain | None:
    """The plain packets among the records, None where there is nothing to gain."""
    layout = _LAYOUTS.get(records.linktype) if isinstance(records.linktype, int) else None
    if layout is None or len(records) < FEWEST:
        return None
    mask = np.empty(len(records), np.bool_)
    columns = _empty(len(records))
    for begin in range(0, len(records), _PART):
        part = slice(begin, begin + _PART)
        _decode_part(records, layout, part, mask, columns)
    return Plain(mask, columns, records, layout) if 2 * np.count_nonzero(mask) >= len(records) else None


def _empty(count: int) -> Columns:
    bytes_, shorts = np.empty((2, count), np.uint8), np.empty((2, count), np.uint16)
    words = np.empty((5, count), np.uint32)
    return Columns(
        family=4,
        rows=np.arange(count),
        source=words[0],
        destination=words[1],
        protocol=bytes_[0],
        source_port=shorts[0],
        destination_port=shorts[1],
        flags=bytes_[1],
        sequence=words[2],
        acknowledgement=words[3],
        payload=words[4],
    )


def _decode_part(records: Records, layout: _Layout, part: slice, mask: Mask, columns: Columns) -> None:
    """Writes what `part` of the records hold; where the mask says no, it means nothing."""
    begin = layout.packet
    assert begin + _IP_HEADER + _TCP_HEADER <= HEAD  # noqa: S101 - three constants
    heads = records.heads[part]
    ethertype = heads[:, layout.ethertype : layout.ethertype + 2].view(">u2")[:, 0]
    first, second, third, fourth = heads[:, begin : begin + 32].view(">u8").T.astype(np.uint64, order="C")
    last = heads[:, begin + 32 : begin + 34].view(">u2")[:, 0].astype(np.uint16)

    total = (first >> np.uint64(32)).astype(np.uint16)
    protocol = (second >> np.uint64(48)).astype(np.uint8)
    ports = third.astype(np.uint32)
    tcp = protocol == TCP
    udp = np.flatnonzero(protocol == UDP)
    # A TCP header says its own length, in words of four bytes.
    headers = (last >> np.uint16(10)) & np.uint16(60)
    captured = records.captured[part]
    plain = np.greater_equal(headers, _TCP_HEADER, out=mask[part])
    plain &= tcp
    plain &= captured >= begin + _IP_HEADER + _FLAGS_HELD
    plain[udp] = ~TUNNEL_PORTS[ports[udp] & np.uint32(0xFFFF)] & (captured[udp] >= begin + _IP_HEADER + _UDP_HEADER)
    headers += np.uint16(_IP_HEADER)
    headers[udp] = _IP_HEADER + _UDP_HEADER
    plain &= first & _VERSION_AND_FRAGMENT == _PLAIN_IP
    plain &= ethertype == _IPV4
    plain &= total >= headers
    plain &= records.wire[part] >= total + np.int64(begin)

    columns.source[part] = second
    columns.destination[part] = third >> np.uint64(32)
    columns.protocol[part] = protocol
    columns.source_port[part] = ports >> np.uint32(16)
    columns.destination_port[part] = ports
    np.multiply(last.astype(np.uint8), tcp, out=columns.flags[part])
    np.multiply((fourth >> np.uint64(32)).astype(np.uint32), tcp, out=columns.sequence[part])
    np.multiply(fourth.astype(np.uint32), tcp, out=columns.acknowledgement[part])
    np.subtract(total, headers, out=columns.payload[part])
