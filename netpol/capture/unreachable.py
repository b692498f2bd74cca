"""What ICMP errors quote: the start of the packet that could not be delivered (RFC 792, RFC 4443)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.capture.cursor import Quoted
from netpol.capture.views import one_of
from netpol.model.flow import ICMP, ICMPV6, PORT_PROTOCOLS, TCP

if TYPE_CHECKING:
    from netpol.capture.cursor import Addresses, Block, Datagrams
    from netpol.capture.views import Ints, Mask, Structured

_UNREACHABLE, _UNREACHABLE_V6, _PARAMETER_PROBLEM_V6 = 3 << 8, 1 << 8, 4 << 8
_TOO_BIG: Final = 4
_UNKNOWN_NEXT_HEADER: Final = 1
_QUOTE_AT = 8
_ENOUGH = 8
_MOST_EXTENSIONS = 8
_IPV4 = np.dtype(
    [
        ("version", "u1"), ("skip", "V5"), ("fragment", ">u2"), ("life", "u1"), ("protocol", "u1"), ("checksum", "V2"),
        ("source", ">u4"), ("destination", ">u4"),
    ]
)  # fmt: skip
_IPV6 = np.dtype(
    [
        ("version", "u1"),
        ("skip", "V5"),
        ("next", "u1"),
        ("life", "u1"),
        ("source", ">u8", (2,)),
        ("destination", ">u8", (2,)),
    ]
)
_EXTENSION = np.dtype([("next", "u1"), ("length", "u1"), ("fragment", ">u2")])
_START = np.dtype([("source_port", ">u2"), ("destination_port", ">u2"), ("sequence", ">u4")])


class _Origin(NamedTuple):
    """Quoted packets: what their IP headers say, and where their transport headers start."""

    family: int
    rows: Ints
    at: Ints
    protocol: Structured
    source: Addresses
    destination: Addresses


def quote(block: Block, errors: Datagrams, protocol: int, kind_and_code: Structured) -> None:
    """Adds what those ICMP or ICMPv6 packets quote that say that something cannot be reached.

    Args:
        block: The block.
        errors: ICMP packets, of any type.
        protocol: ICMP or ICMPV6.
        kind_and_code: uint16[n], type in the upper half.
    """
    kind = kind_and_code & 0xFF00
    code = kind_and_code & 0xFF
    if protocol == ICMP:
        refused = (kind == _UNREACHABLE) & (code != _TOO_BIG)
    else:
        refused = (kind == _UNREACHABLE_V6) | ((kind == _PARAMETER_PROBLEM_V6) & (code == _UNKNOWN_NEXT_HEADER))
    if not refused.any():
        return
    errors = errors.take(refused)
    at, end = errors.cursor.at + _QUOTE_AT, errors.cursor.end
    if protocol == ICMP:
        _quote_ipv4(block, errors.cursor.rows, at, end)
    elif protocol == ICMPV6:
        _quote_ipv6(block, errors.cursor.rows, at, end)


def _quote_ipv4(block: Block, rows: Ints, at: Ints, end: Ints) -> None:
    held = at + 20 <= end
    rows, at, end = rows[held], at[held], end[held]
    fields = block.fetch(at, _IPV4)
    header = (fields["version"] & 15).astype(np.int64) * 4
    good = (fields["version"] >> 4 == 4) & (header >= 20) & (fields["fragment"] & 0x1FFF == 0)
    good &= at + header + _ENOUGH <= end
    fields = fields[good]
    source, destination = fields["source"].astype(np.uint32), fields["destination"].astype(np.uint32)
    _add(block, _Origin(4, rows[good], (at + header)[good], fields["protocol"].copy(), source, destination))


def _quote_ipv6(block: Block, rows: Ints, at: Ints, end: Ints) -> None:
    held = at + 40 <= end
    rows, at, end = rows[held], at[held], end[held]
    fields = block.fetch(at, _IPV6)
    good = fields["version"] >> 4 == 6
    at, protocol = at + 40, fields["next"].copy()
    for _ in range(_MOST_EXTENSIONS):
        good &= at + _ENOUGH <= end
        active = np.flatnonzero(good & one_of(protocol, (0, 43, 44, 60)))
        if not len(active):
            break
        header = block.fetch(at[active], _EXTENSION)
        fragment = protocol[active] == 44
        good[active[fragment & (header["fragment"] & 0xFFF8 != 0)]] = False
        at[active] += np.where(fragment, 8, (header["length"].astype(np.int64) + 1) * 8)
        protocol[active] = header["next"]
    good &= at + _ENOUGH <= end
    source, destination = fields["source"][good].astype(np.uint64), fields["destination"][good].astype(np.uint64)
    _add(block, _Origin(6, rows[good], at[good], protocol[good], source, destination))


def _add(block: Block, origin: _Origin) -> None:
    family, rows, at, protocol, source, destination = origin
    if not len(rows):
        return
    fields = block.fetch(at, _START)
    ported: Mask = one_of(protocol, PORT_PROTOCOLS)
    kind = fields["source_port"] >> 8
    echo = ((protocol == ICMP) & one_of(kind, (0, 8))) | ((protocol == ICMPV6) & one_of(kind, (128, 129)))
    identifier = (fields["sequence"] >> 16) * echo
    block.quoted.append(
        Quoted(
            family=family,
            rows=rows,
            source=source,
            destination=destination,
            protocol=protocol,
            source_port=(fields["source_port"] * ported + identifier).astype(np.uint16),
            destination_port=(fields["destination_port"] * ported + identifier).astype(np.uint16),
            sequence=(fields["sequence"] * (protocol == TCP)).astype(np.uint32),
        )
    )
