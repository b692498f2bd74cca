"""A block of the kernel's ring buffer, copied out of it, as records.

Layout: Linux, Documentation/networking/packet_mmap.rst and include/uapi/linux/if_packet.h: TPACKET_V3. A block begins
with `struct tpacket_block_desc`; its packets form a chain by `tp_next_offset`, 0 in the last. Each begins with a
`struct tpacket3_hdr`, behind which stands a `struct sockaddr_ll`. All numbers are the machine's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.capture.lanes import walk
from netpol.capture.records import Records
from netpol.capture.views import HEAD, fetch, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.capture.views import Bytes, Ints, Mask, Structured

DESCRIPTION: Final = np.dtype(
    [
        ("version", "u4"),
        ("offset_to_private", "u4"),
        ("status", "u4"),
        ("packets", "u4"),
        ("first", "u4"),
        ("length", "u4"),
        ("number", "u8"),
    ]
)
"""The start of a block."""

_HEADER: Final = np.dtype(
    {
        "names": ["next", "seconds", "nanoseconds", "captured", "length", "network", "hardware", "protocol", "index"],
        "formats": ["u4", "u4", "u4", "u4", "u4", "u2", "u2", ">u2", "i4"],
        # tp_next_offset .. tp_len, tp_net; sll_hatype, sll_protocol and sll_ifindex from byte 48 on
        "offsets": [0, 4, 8, 12, 16, 26, 56, 50, 52],
        "itemsize": 68,
    }
)
_ETHERNET_DEVICES: Final = (1, 772)  # ARPHRD_ETHER, ARPHRD_LOOPBACK
_ETHERNET_HEADER: Final = 14
_ETHERNET, _RAW = 1, 101  # LINKTYPE_
_NOTHING: Final = np.empty(0, np.int64)
_SHORTEST: Final = 80
"""The least distance from one packet to the next: the headers above, rounded up."""
_ALIGNMENT: Final = 8
_LONGEST: Final = 1 << 16
_NANOSECONDS: Final = 1_000_000_000
_NUMBER: Final = np.dtype("u4")
_HEAD: Final = np.dtype(f"V{HEAD}")


class Found(NamedTuple):
    """Packets of one kind of device.

    Attributes:
        records: The packets: Ethernet frames whose addresses mean nothing, or IP packets where the device has no
            frames.
        interface: int64[n], the index of the interface that each came over.
    """

    records: Records
    interface: Ints


class _Chain:
    """How one packet leads to the next."""

    def __init__(self, data: Bytes, stop: int) -> None:
        self._data = data
        self._stop = stop

    def step(self, at: Ints) -> Ints:
        """Where the next ones would be; the last one leads out of the block."""
        following = fetch(self._data, np.minimum(at, self._stop), _NUMBER).astype(np.int64)
        return np.where(following < _SHORTEST, self._stop, at + following)

    def step_one(self, at: int) -> int:
        """The same for one."""
        following = int(self._data[at : at + 4].view(_NUMBER)[0])
        return self._stop if following < _SHORTEST else at + following

    def guess(self, begin: Ints, span: int, stop: int) -> Ints:
        """Places that look like headers: the address behind them is right, and they lead to another such place."""
        places = (begin + -begin % _ALIGNMENT)[:, None] + np.arange(0, span - _ALIGNMENT, _ALIGNMENT)
        good = places + _HEADER.itemsize < stop
        headers = fetch(self._data, np.minimum(places, self._stop).ravel(), _HEADER).reshape(places.shape)
        good &= _plausible(headers)
        first = np.argmax(good, axis=1)
        rows = np.arange(len(begin))
        return np.where(good[rows, first], places[rows, first], -1)


def _plausible(headers: Structured) -> Mask:
    good = (headers["next"] >= _SHORTEST) & (headers["next"] < _LONGEST) & (headers["next"] % _ALIGNMENT == 0)
    good &= (headers["captured"] <= headers["length"]) & (headers["nanoseconds"] < _NANOSECONDS)
    good &= (headers["network"] >= _SHORTEST) & (headers["index"] > 0)
    good &= headers["network"] + headers["captured"] <= headers["next"]
    result: Mask = good
    return result


def read_blocks(data: Bytes, places: Sequence[tuple[int, int]]) -> tuple[list[Found], int]:
    """The packets of blocks.

    Args:
        data: uint8[m], blocks one after the other and PAD bytes; the two bytes before each IP header are overwritten.
        places: Where each block begins and ends.

    Returns:
        The packets, and how many the blocks promise that are not there: 0 unless memory was overwritten.
    """
    starts, ends, promised = [_NOTHING], [_NOTHING], 0
    for begin, end in places:
        description = data[begin : begin + DESCRIPTION.itemsize].view(DESCRIPTION)[0]
        packets, first = int(description["packets"]), int(description["first"])
        promised += packets
        if packets and first >= DESCRIPTION.itemsize:
            at = walk(_Chain(data, end), begin + first, end)[:packets]
            starts.append(at)
            ends.append(np.full(len(at), end))
    at, stop = np.concatenate(starts), np.concatenate(ends)
    whole = at + _HEADER.itemsize <= stop
    at, stop = at[whole], stop[whole]
    headers = fetch(data, at, _HEADER)
    packet = at + headers["network"]
    whole = (headers["network"] >= _SHORTEST) & (packet + headers["captured"] <= stop)
    whole &= headers["nanoseconds"] < _NANOSECONDS
    if not whole.all():
        headers, packet = headers[whole], packet[whole]
    ethernet = one_of(headers["hardware"], _ETHERNET_DEVICES)
    found = [
        _records(data, headers[its], packet[its], header)
        for its, header in ((ethernet, _ETHERNET_HEADER), (~ethernet, 0))
        if its.any()
    ]
    return found, promised - len(packet)


def _records(data: Bytes, headers: Structured, packet: Ints, header: int) -> Found:
    """The packets at `packet`, each with a link header of so many bytes before it."""
    if header:
        for byte, place in enumerate((packet - 2, packet - 1)):
            data[place] = headers["protocol"].astype(np.uint16) >> np.uint16(8 * (1 - byte))
    at = packet - header
    records = Records(
        data=data,
        heads=fetch(data, at, _HEAD).view(np.uint8).reshape(len(at), HEAD),
        at=at,
        captured=headers["captured"].astype(np.int64) + header,
        wire=np.maximum(headers["length"], headers["captured"]).astype(np.int64) + header,
        time=headers["seconds"].astype(np.int64) * _NANOSECONDS + headers["nanoseconds"],
        linktype=_ETHERNET if header else _RAW,
    )
    return Found(records, headers["index"].astype(np.int64))
