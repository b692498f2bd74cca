"""TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), ICMP (RFC 792) and ICMPv6 (RFC 4443) headers to columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netpol.capture import packets
from netpol.capture.cursor import Columns, Payloads
from netpol.capture.tunnels import TUNNEL_PORTS, TUNNEL_PROTOCOLS, open_tunnels
from netpol.capture.unreachable import quote
from netpol.capture.views import counted, one_of
from netpol.model.flow import ICMP, ICMPV6, SCTP, TCP, UDP, protocol_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.capture.cursor import Block, Datagrams
    from netpol.capture.views import Ints, Mask, Structured

HEADER = np.dtype(
    [
        ("source_port", ">u2"),
        ("destination_port", ">u2"),
        ("sequence", ">u4"),
        ("acknowledgement", ">u4"),
        ("offset", "u1"),
        ("flags", "u1"),
        ("rest", "V6"),
    ]
)
"""The start of a TCP header; UDP, SCTP and ICMP fields are read from the same 20 bytes."""

_CHUNK = np.dtype([("kind", "u1"), ("flags", "u1"), ("length", ">u2"), ("tag", ">u4")])
_MOST_CHUNKS = 128
_INIT, _INIT_ACK, _DATA, _I_DATA = 1, 2, 0, 64


def _per_protocol(**sizes: int) -> NDArray[np.int64]:
    table = np.zeros(256, np.int64)
    for number in (ICMP, TCP, UDP, ICMPV6, SCTP):
        table[number] = sizes[protocol_name(number)]
    return table


_SMALLEST = _per_protocol(TCP=20, UDP=8, SCTP=12, ICMP=8, ICMPv6=4)
_NEEDED = _per_protocol(TCP=14, UDP=4, SCTP=20, ICMP=6, ICMPv6=6)
"""So much of the header must be captured: up to the flags, the ports, the initiate tag, the identifier."""


def _by_kind(*kinds: tuple[int, tuple[int, ...]], default: int = 0) -> NDArray[np.uint8]:
    table = np.full(256, default, np.uint8)
    for value, numbers in kinds:
        table[list(numbers)] = value
    return table


_ICMP_FLAGS = _by_kind(
    (packets.ICMP_REQUEST, (8, 10, 13, 15, 17)),
    (packets.ICMP_REPLY, (0, 9, 14, 16, 18)),
    (packets.ICMP_ERROR, (3, 4, 5, 11, 12)),
)
# Reports of multicast listeners (131, 143) answer nobody: they go to the group, whoever asked (RFC 3810, 5.2.14).
_ICMPV6_FLAGS = _by_kind(
    (packets.ICMP_REQUEST, (128, 130, 133, 135, 139)),
    (packets.ICMP_REPLY, (129, 134, 136, 140)),
    (packets.ICMP_ERROR, tuple(range(128))),
)
_SCTP_FLAGS = _by_kind(
    (packets.SCTP_DATA, (_DATA, _I_DATA)),
    (packets.SCTP_INIT, (_INIT,)),
    (packets.SCTP_INIT_ACK, (_INIT_ACK,)),
    (packets.SCTP_ABORT, (6,)),
    (packets.SCTP_SHUTDOWN, (7, 8, 14)),
    (packets.SCTP_COOKIE_ECHO, (10,)),
    (packets.SCTP_COOKIE_ACK, (11,)),
    default=packets.SCTP_OTHER,
)


def decode_transport(block: Block, datagrams: Datagrams) -> None:
    """Moves datagrams to the block's columns; opens tunnels; drops and counts what is cut or malformed."""
    if not len(datagrams):
        return
    datagrams = _long_enough(block, datagrams)
    fields = _header(block, datagrams)
    tcp = datagrams.protocol == TCP
    if tcp.all():
        _tcp_only(block, datagrams, fields)
        return
    tunnelled = TUNNEL_PROTOCOLS[datagrams.protocol]
    tunnelled |= (datagrams.protocol == UDP) & TUNNEL_PORTS[fields["destination_port"].astype(np.uint16)]
    if tunnelled.any():
        stay = open_tunnels(block, datagrams, fields["destination_port"], tunnelled)
        datagrams, fields, tcp = datagrams.take(stay), fields[stay], tcp[stay]
    good = _tcp_fits(block, datagrams, fields, tcp)
    if not good.all():
        datagrams, fields, tcp = datagrams.take(good), fields[good], tcp[good]
    _mixed(block, datagrams, fields, tcp)


def _long_enough(block: Block, datagrams: Datagrams) -> Datagrams:
    """Without those whose transport header is cut off by the snapshot length or does not fit the IP packet."""
    fits = datagrams.size >= _SMALLEST[datagrams.protocol]
    if not fits.all():
        _drop_malformed(block, datagrams.protocol[~fits])
        datagrams = datagrams.take(fits)
    held = block.held(
        datagrams.cursor, np.minimum(_NEEDED[datagrams.protocol], datagrams.size), "IP packet longer than its frame"
    )
    return datagrams if held is None else datagrams.take(held)


def _header(block: Block, datagrams: Datagrams) -> Structured:
    if datagrams.header is not None:
        return datagrams.header.view(HEADER) if datagrams.header.dtype != HEADER else datagrams.header
    return block.fetch(datagrams.cursor.at, HEADER)


def _drop_malformed(block: Block, protocols: NDArray[np.uint8]) -> None:
    for protocol, count in counted(protocols):
        block.drop(f"malformed {protocol_name(protocol)}", count)


def _tcp_fits(block: Block, datagrams: Datagrams, fields: Structured, tcp: Mask) -> Mask:
    header = (fields["offset"] >> 4).astype(np.int64) * 4
    good: Mask = ~tcp | ((header >= 20) & (header <= datagrams.size))
    block.drop("malformed TCP", np.count_nonzero(~good))
    return good


def _tcp_only(block: Block, datagrams: Datagrams, fields: Structured) -> None:
    header = (fields["offset"] >> 4).astype(np.int64) * 4
    payload = datagrams.size - header
    good = (payload >= 0) & (header >= 20)
    if not good.all():
        block.drop("malformed TCP", np.count_nonzero(~good))
        datagrams, fields, payload = datagrams.take(good), fields[good], payload[good]
    block.columns.append(
        Columns(
            family=datagrams.family,
            rows=datagrams.cursor.rows,
            source=datagrams.source,
            destination=datagrams.destination,
            protocol=datagrams.protocol,
            source_port=fields["source_port"].astype(np.uint16),
            destination_port=fields["destination_port"].astype(np.uint16),
            flags=fields["flags"].copy(),
            sequence=fields["sequence"].astype(np.uint32),
            acknowledgement=fields["acknowledgement"].astype(np.uint32),
            payload=payload.astype(np.uint32),
        )
    )
    _note_payloads(block, datagrams)


def _mixed(block: Block, datagrams: Datagrams, fields: Structured, tcp: Mask) -> None:
    protocol = datagrams.protocol
    udp, sctp = protocol == UDP, protocol == SCTP
    ported = tcp | udp | sctp
    payload = datagrams.size - np.where(tcp, (fields["offset"] >> 4).astype(np.int64) * 4, _SMALLEST[protocol])
    source_port = fields["source_port"] * ported
    destination_port = fields["destination_port"] * ported
    flags = fields["flags"] * tcp
    sequence = fields["sequence"] * tcp
    acknowledgement = fields["acknowledgement"] * tcp
    if sctp.any():
        acknowledgement[sctp] = fields["sequence"][sctp]
        flags[sctp], sequence[sctp], payload[sctp] = _chunks(block, datagrams.take(sctp))
    for number, table, echoes in ((ICMP, _ICMP_FLAGS, (0, 8)), (ICMPV6, _ICMPV6_FLAGS, (128, 129))):
        icmp = protocol == number
        if icmp.any():
            kind = fields["source_port"][icmp] >> 8
            flags[icmp] = table[kind]
            identifier = (fields["sequence"][icmp] >> 16) * (one_of(kind, echoes) & (datagrams.size[icmp] >= 8))
            source_port[icmp] = destination_port[icmp] = identifier
            quote(block, datagrams.take(icmp), number, fields["source_port"][icmp])
    block.columns.append(
        Columns(
            family=datagrams.family,
            rows=datagrams.cursor.rows,
            source=datagrams.source,
            destination=datagrams.destination,
            protocol=protocol,
            source_port=source_port.astype(np.uint16),
            destination_port=destination_port.astype(np.uint16),
            flags=flags,
            sequence=sequence.astype(np.uint32),
            acknowledgement=acknowledgement.astype(np.uint32),
            payload=payload.astype(np.uint32),
        )
    )
    _note_payloads(block, datagrams)


def _note_payloads(block: Block, datagrams: Datagrams) -> None:
    """Says where the payloads of the packets are that were decoded last, if names are read."""
    if block.payloads is not None:
        columns, cursor = block.columns[-1], datagrams.cursor
        at = cursor.at + datagrams.size - columns.payload
        block.payloads.append(Payloads(columns, None, at.__getitem__, cursor.end))


def _chunks(block: Block, datagrams: Datagrams) -> tuple[NDArray[np.uint8], NDArray[np.uint32], Ints]:
    """Flags, initiate tags and bytes of user data of SCTP packets, from as many chunks as were captured."""
    at, stop = datagrams.cursor.at + 12, datagrams.cursor.end
    flags = np.zeros(len(at), np.uint8)
    tag = np.zeros(len(at), np.uint32)
    payload = np.zeros(len(at), np.int64)
    active = np.flatnonzero(at + 4 <= stop)
    for _ in range(_MOST_CHUNKS):
        if not len(active):
            break
        fields = block.fetch(at[active], _CHUNK)
        kind, length = fields["kind"], fields["length"].astype(np.int64)
        flags[active] |= _SCTP_FLAGS[kind]
        opens = one_of(kind, (_INIT, _INIT_ACK)) & (at[active] + 8 <= stop[active])
        tag[active[opens]] = fields["tag"][opens]
        data = one_of(kind, (_DATA, _I_DATA))
        payload[active[data]] += np.maximum(length - np.where(kind == _DATA, 16, 20), 0)[data]
        at[active] += (length + 3) // 4 * 4
        active = active[(length >= 4) & (at[active] + 4 <= stop[active])]
    return flags, tag, np.minimum(payload, datagrams.size)
