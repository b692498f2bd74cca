"""Which packets of a block may carry names: told by ports and first bytes, for all packets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.capture.name_evidence import wide
from netpol.capture.name_http import METHODS
from netpol.capture.name_quic import SMALLEST_DATAGRAM, VERSIONS
from netpol.capture.name_streams import Key, Segment
from netpol.capture.views import fetch, one_of
from netpol.model.flow import TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.capture.cursor import Payloads
    from netpol.capture.views import Bytes, Ints, Mask

DNS_PORT: Final = 53
ENCRYPTED_DNS_PORT: Final = 853
WATCHES: Final = 1 << 16

_SYN_ACK: Final = 0x12
_WORD = np.dtype("<u8")
_FIRST_FOUR: Final = np.uint64(0xFFFF_FFFF)
_METHOD_WORDS: Final = tuple(np.uint64(int.from_bytes(each, "little")) for each in METHODS)
_VERSION_WORDS: Final = tuple(np.uint64(int.from_bytes(each.to_bytes(4), "little")) for each in VERSIONS)


def pick(part: Payloads, index: Ints) -> Picked:
    """Some packets of a part; `index`: int64[k] into its columns."""
    its = part.columns
    at = part.start(index)
    size = its.payload[index].astype(np.int64)
    return Picked(
        row=its.rows[index],
        at=at,
        end=np.clip(part.end[index], at, at + size),
        size=size,
        source=wide(its.source[index]),
        destination=wide(its.destination[index]),
        source_port=its.source_port[index],
        destination_port=its.destination_port[index],
        sequence=its.sequence[index],
        flags=its.flags[index],
    )


class Picked(NamedTuple):
    """Packets that may carry names, one entry each in every column.

    Attributes:
        row: int64[n], which records of the block.
        at: int64[n], where the payload starts.
        end: int64[n], behind its last captured byte.
        size: int64[n], its bytes on the wire.
        source: uint64[n, 2].
        destination: uint64[n, 2].
    """

    row: Ints
    at: Ints
    end: Ints
    size: Ints
    source: NDArray[np.uint64]
    destination: NDArray[np.uint64]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    sequence: NDArray[np.uint32]
    flags: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.row)

    def segments(self, data: Bytes, time: Ints) -> Iterator[tuple[int, Segment]]:
        """(row, segment) of each packet."""
        ends = zip(self.source.tolist(), self.destination.tolist(), strict=True)
        columns = (
            *(self.row, time[self.row], self.at, self.end, self.size),
            *(self.source_port, self.destination_port, self.sequence, self.flags),
        )
        for (source, destination), row, now, at, end, size, from_port, to_port, sequence, flags in zip(
            ends, *(each.tolist() for each in columns), strict=True
        ):
            key = Key((source[0], source[1]), (destination[0], destination[1]), from_port, to_port)
            yield row, Segment(key, now, sequence, data[at:end].tobytes(), size, flags)


class Kinds(NamedTuple):
    """Indices into a part's columns, int64[k] each, ascending.

    Attributes:
        answers: UDP from port 53.
        questions: UDP to port 53.
        conversation: TCP from port 53: with payload, or the SYN-ACK.
        questions_tcp: TCP with payload to port 53.
        hidden: To port 853: UDP, or TCP with payload.
        hellos: TCP that begins as a TLS handshake.
        requests: TCP that begins as an HTTP request.
        initials: UDP that begins as a QUIC packet with a long header, of a version whose secrets are known.
        data: TCP with payload.
    """

    answers: Ints
    questions: Ints
    conversation: Ints
    questions_tcp: Ints
    hidden: Ints
    hellos: Ints
    requests: Ints
    initials: Ints
    data: Ints


def kinds_of(part: Payloads, data: Bytes) -> Kinds:
    """Sorts the packets of a part."""
    its = part.columns
    loaded = its.payload != 0
    if part.usable is not None:
        loaded &= part.usable
    tcp, udp = its.protocol == TCP, its.protocol == UDP
    tcp_data = np.flatnonzero(tcp & loaded)
    loaded_udp = np.flatnonzero(udp & loaded)
    from_53 = its.source_port[loaded_udp] == DNS_PORT
    to_53 = its.destination_port[loaded_udp] == DNS_PORT
    to_853 = its.destination_port[loaded_udp] == ENCRYPTED_DNS_PORT
    accepted = tcp & (its.source_port == DNS_PORT)
    if accepted.any():
        accepted &= loaded | (its.flags & _SYN_ACK == _SYN_ACK)
        if part.usable is not None:
            accepted &= part.usable
    tcp_to = its.destination_port[tcp_data]
    hidden = np.concatenate([loaded_udp[to_853], tcp_data[tcp_to == ENCRYPTED_DNS_PORT]])
    hellos, requests = _openings(part, data, tcp_data)
    large = loaded_udp[its.payload[loaded_udp] >= SMALLEST_DATAGRAM]
    return Kinds(
        answers=loaded_udp[from_53],
        questions=loaded_udp[to_53 & ~from_53],
        conversation=np.flatnonzero(accepted),
        questions_tcp=tcp_data[tcp_to == DNS_PORT],
        hidden=hidden,
        hellos=hellos,
        requests=requests,
        initials=_initials(part, data, large),
        data=tcp_data,
    )


def _openings(part: Payloads, data: Bytes, index: Ints) -> tuple[Ints, Ints]:
    """Those that begin as a ClientHello, and those that begin as a request."""
    if not len(index):
        return index, index
    word = fetch(data, part.start(index), _WORD)
    hello = (word & np.uint64(0xFFFF)) == np.uint64(0x0316)
    hello &= ((word >> np.uint64(40)) & np.uint64(0xFF) == 1) | (part.columns.payload[index] < 6)
    return index[hello], index[one_of(word & _FIRST_FOUR, _METHOD_WORDS)]  # type: ignore[arg-type]


def _initials(part: Payloads, data: Bytes, index: Ints) -> Ints:
    if not len(index):
        return index
    word = fetch(data, part.start(index), _WORD)
    long = (word & np.uint64(0xC0)) == np.uint64(0xC0)
    return index[long & one_of((word >> np.uint64(8)) & _FIRST_FOUR, _VERSION_WORDS)]  # type: ignore[arg-type]


def watch_number(key: Key) -> int:
    """Which of WATCHES a connection's direction falls on."""
    low = (key.source[1] ^ key.destination[1] * 31) & 0xFFFF
    return (key.source_port * 7 ^ key.destination_port * 13 ^ low) & (WATCHES - 1)


def watched(part: Payloads, index: Ints, watches: Mask) -> Ints:
    """Those of the packets that fall on a watch: all segments of the connections, and a few others."""
    its = part.columns
    source, destination = _low(its.source[index]), _low(its.destination[index])
    number = its.source_port[index].astype(np.uint32) * np.uint32(7)
    number ^= its.destination_port[index].astype(np.uint32) * np.uint32(13)
    number ^= (source ^ destination * np.uint32(31)) & np.uint32(0xFFFF)
    found: Ints = index[watches[number & np.uint32(WATCHES - 1)]]
    return found


def _low(addresses: NDArray[np.unsignedinteger]) -> NDArray[np.uint32]:
    column = addresses if addresses.ndim == 1 else addresses[:, 1]
    return column.astype(np.uint32)
