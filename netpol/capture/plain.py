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

from netpol.capture.cursor import Columns
from netpol.capture.tunnels import TUNNEL_PORTS
from netpol.capture.views import HEAD
from netpol.model.flow import TCP, UDP

if TYPE_CHECKING:
    from netpol.capture.records import Records
    from netpol.capture.views import Mask

FEWEST: Final = 64
"""Records below which the detour costs more than it saves."""

_IPV4 = 0x0800
_IP_HEADER, _TCP_HEADER, _UDP_HEADER = 20, 20, 8
_FLAGS_HELD = 14
"""So much of a TCP header must be captured: up to the flags."""


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

    def __init__(self, mask: Mask, columns: Columns) -> None:
        self.mask = mask
        self._columns = columns

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
    begin = layout.packet
    assert begin + _IP_HEADER + _TCP_HEADER <= HEAD  # noqa: S101 - three constants
    heads = records.heads
    ethertype = heads[:, layout.ethertype : layout.ethertype + 2].view(">u2")[:, 0]
    first, second, third, fourth = heads[:, begin : begin + 32].view(">u8").T.astype(np.uint64, order="C")
    last = heads[:, begin + 32 : begin + 34].view(">u2")[:, 0].astype(np.uint16)

    total = (first >> np.uint64(32)).astype(np.uint16)
    protocol = (second >> np.uint64(48)).astype(np.uint8)
    ports = third.astype(np.uint32)
    tcp, udp = protocol == TCP, protocol == UDP
    # Bytes above the transport header; a TCP header says its own length, in words of four bytes.
    transport = (last >> np.uint16(10)) & np.uint16(60)
    transport *= tcp
    above = total.astype(np.int32)
    above -= transport
    above -= udp * np.uint8(_UDP_HEADER)
    above -= _IP_HEADER

    plain = (first >> np.uint64(56) == 0x45) & (first & np.uint64(0x3FFF) == 0)
    plain &= ethertype == _IPV4
    plain &= (tcp & (transport >= _TCP_HEADER)) | (udp & ~TUNNEL_PORTS[ports & np.uint32(0xFFFF)])
    plain &= above >= 0
    plain &= records.captured >= tcp * np.uint8(_FLAGS_HELD - _UDP_HEADER) + np.uint8(begin + _IP_HEADER + _UDP_HEADER)
    plain &= records.wire >= total + np.int64(begin)
    if 2 * np.count_nonzero(plain) < len(records):
        return None
    sequence, acknowledgement = (fourth >> np.uint64(32)).astype(np.uint32), fourth.astype(np.uint32)
    flags = last.astype(np.uint8)
    sequence *= tcp
    acknowledgement *= tcp
    flags *= tcp
    return Plain(
        plain,
        Columns(
            family=4,
            rows=np.arange(len(records)),
            source=second.astype(np.uint32),
            destination=(third >> np.uint64(32)).astype(np.uint32),
            protocol=protocol,
            source_port=(ports >> np.uint32(16)).astype(np.uint16),
            destination_port=ports.astype(np.uint16),
            flags=flags,
            sequence=sequence,
            acknowledgement=acknowledgement,
            payload=above.astype(np.uint32),
        ),
    )
