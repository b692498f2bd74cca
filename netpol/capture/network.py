"""IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200), from the IP header to the transport header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.cursor import Cursor, Datagrams, FragmentPart
from netpol.capture.transport import decode_transport

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.capture.cursor import Block
    from netpol.capture.views import Ints

_IPV4 = np.dtype(
    [
        ("version", "u1"),
        ("service", "u1"),
        ("total", ">u2"),
        ("identification", ">u2"),
        ("fragment", ">u2"),
        ("life", "u1"),
        ("protocol", "u1"),
        ("checksum", ">u2"),
        ("source", ">u4"),
        ("destination", ">u4"),
        ("transport", "V20"),
    ]
)
_IPV6 = np.dtype(
    [
        ("version", ">u4"),
        ("payload", ">u2"),
        ("next", "u1"),
        ("life", "u1"),
        ("source", ">u8", (2,)),
        ("destination", ">u8", (2,)),
        ("transport", "V20"),
    ]
)
_EXTENSION = np.dtype([("next", "u1"), ("length", "u1"), ("fragment", ">u2"), ("identification", ">u4")])
_PLAIN_HEADER = 0x45
_OFFSET, _MORE, _OFFSET_OR_MORE = 0x1FFF, 0x2000, 0x3FFF
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
_MOST_EXTENSIONS = 16
_BAD_IPV4, _BAD_IPV6 = "malformed IPv4", "malformed IPv6"


def _table(*protocols: int) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(protocols)] = True
    return table


_EXTENSIONS_4 = _table(_AUTHENTICATION)
_EXTENSIONS_6 = _table(0, 43, _FRAGMENT, _AUTHENTICATION, 60, 135, 139, 140)
"""Hop-by-hop, routing, fragment, authentication, destination options, mobility, host identity, shim6 (IANA)."""


def decode_packets(block: Block, version: int, cursor: Cursor) -> None:
    """Moves IP packets to the block's columns, fragments and queues, or drops and counts them."""
    if version == 4:
        _ipv4(block, cursor)
    else:
        _ipv6(block, cursor)


def _ipv4(block: Block, cursor: Cursor) -> None:
    held = block.held(cursor, 20, _BAD_IPV4)
    if held is not None:
        cursor = cursor.take(held)
    fields = block.look(cursor, _IPV4)
    total = fields["total"].astype(np.int64)
    plain = bool((fields["version"] == _PLAIN_HEADER).all())
    header = np.full(len(total), 20) if plain else (fields["version"] & 15).astype(np.int64) * 4
    if not total.all():  # offloaded: the card was to fill it in
        total = np.where(total == 0, cursor.wire_end - cursor.at, total)
    good = total >= header
    if not plain:
        good &= (fields["version"] >> 4 == 4) & (header >= 20)
    if not good.all():
        block.drop(_BAD_IPV4, np.count_nonzero(~good))
        cursor, fields, total, header = cursor.take(good), fields[good], total[good], header[good]
    ip_end = cursor.at + total
    datagrams = Datagrams(
        family=4,
        cursor=Cursor(
            cursor.rows,
            cursor.at + header,
            np.minimum(cursor.end, ip_end),
            np.minimum(cursor.wire_end, ip_end),
            cursor.depth,
        ),
        source=fields["source"].astype(np.uint32),
        destination=fields["destination"].astype(np.uint32),
        protocol=fields["protocol"].copy(),
        size=total - header,
        header=fields["transport"] if plain else None,
    )
    fragment = fields["fragment"] & _OFFSET_OR_MORE
    if fragment.any():
        later = fragment & _OFFSET != 0
        first = (fragment != 0) & ~later
        identification = fields["identification"].astype(np.int64)
        offset = (fragment & _OFFSET).astype(np.int64) * 8
        more = fragment & _MORE != 0
        for which, is_first in ((first, True), (later, False)):
            its = datagrams.take(which)
            block.fragments.append(FragmentPart(is_first, its, identification[which], offset[which], more[which]))
        datagrams = datagrams.take(~later)
    if (datagrams.protocol == _AUTHENTICATION).any():
        datagrams = skip_extensions(block, datagrams, _EXTENSIONS_4)
    decode_transport(block, datagrams)


def _ipv6(block: Block, cursor: Cursor) -> None:
    held = block.held(cursor, 40, _BAD_IPV6)
    if held is not None:
        cursor = cursor.take(held)
    fields = block.look(cursor, _IPV6)
    good = fields["version"] >> 28 == 6
    if not good.all():
        block.drop(_BAD_IPV6, np.count_nonzero(~good))
        cursor, fields = cursor.take(good), fields[good]
    size = fields["payload"].astype(np.int64)
    transport = cursor.at + 40
    if not size.all():  # a jumbogram (RFC 2675), or offloaded; with no next header it is really empty
        size = np.where((size == 0) & (fields["next"] != 59), np.maximum(cursor.wire_end - transport, 0), size)
    ip_end = transport + size
    datagrams = Datagrams(
        family=6,
        cursor=Cursor(
            cursor.rows, transport, np.minimum(cursor.end, ip_end), np.minimum(cursor.wire_end, ip_end), cursor.depth
        ),
        source=fields["source"].astype(np.uint64),
        destination=fields["destination"].astype(np.uint64),
        protocol=fields["next"].copy(),
        size=size,
        header=fields["transport"],
    )
    if _EXTENSIONS_6[datagrams.protocol].any():
        datagrams = skip_extensions(block, datagrams, _EXTENSIONS_6)
    decode_transport(block, datagrams)


def skip_extensions(block: Block, datagrams: Datagrams, extensions: NDArray[np.bool_]) -> Datagrams:
    """The same packets behind their extension headers; later fragments are set aside, broken packets are dropped."""
    at, protocol, size = datagrams.cursor.at.copy(), datagrams.protocol.copy(), datagrams.size.copy()
    keep = np.ones(len(at), np.bool_)
    active = np.flatnonzero(extensions[protocol])
    for _ in range(_MOST_EXTENSIONS):
        active = _held_part(block, datagrams.cursor, at, active, keep)
        if not len(active):
            break
        fields = block.fetch(at[active], _EXTENSION)
        length = (fields["length"].astype(np.int64) + 1) * 8
        kind = protocol[active]
        length[kind == _AUTHENTICATION] = (fields["length"][kind == _AUTHENTICATION].astype(np.int64) + 2) * 4
        length[kind == _FRAGMENT] = 8
        protocol[active] = fields["next"]
        at[active] += length
        size[active] -= length
        too_long = size[active] < 0
        block.drop(_BAD_IPV6, np.count_nonzero(too_long))
        keep[active[too_long]] = False
        fragment = (kind == _FRAGMENT) & ~too_long
        if fragment.any():
            now = _replaced(datagrams, at, protocol, size)
            _set_aside(block, now, active[fragment], fields[fragment], keep)
        active = active[keep[active] & extensions[protocol[active]]]
    block.drop("too many extension headers", len(active))
    keep[active] = False
    moved = _replaced(datagrams, at, protocol, size)
    return moved if keep.all() else moved.take(keep)


def _held_part(block: Block, cursor: Cursor, at: Ints, active: Ints, keep: NDArray[np.bool_]) -> Ints:
    """Those of the packets `active` that have the start of an extension header at `at`."""
    part = Cursor(cursor.rows[active], at[active], cursor.end[active], cursor.wire_end[active])
    held = block.held(part, _EXTENSION.itemsize, _BAD_IPV6)
    if held is None:
        return active
    keep[active[~held]] = False
    return active[held]


def _replaced(datagrams: Datagrams, at: Ints, protocol: NDArray[np.uint8], size: Ints) -> Datagrams:
    cursor = datagrams.cursor
    return Datagrams(
        datagrams.family,
        Cursor(cursor.rows, at, cursor.end, cursor.wire_end, cursor.depth),
        datagrams.source,
        datagrams.destination,
        protocol,
        size,
    )


def _set_aside(
    block: Block,
    datagrams: Datagrams,
    index: Ints,
    fields: np.ndarray[tuple[int, ...], np.dtype[np.void]],
    keep: NDArray[np.bool_],
) -> None:
    """Remembers first fragments and takes later ones out; a packet in one fragment (RFC 6946) is an ordinary packet."""
    later = fields["fragment"] & 0xFFF8 != 0
    first = ~later & (fields["fragment"] & 1 != 0)
    identification = fields["identification"].astype(np.int64)
    offset = (fields["fragment"] & 0xFFF8).astype(np.int64)
    more = fields["fragment"] & 1 != 0
    for which, is_first in ((first, True), (later, False)):
        if which.any():
            chosen = np.zeros(len(datagrams), np.bool_)
            chosen[index[which]] = True
            its = datagrams.take(chosen)
            block.fragments.append(FragmentPart(is_first, its, identification[which], offset[which], more[which]))
    keep[index[later]] = False
