"""What the wire says about names: DNS answers in columns, greetings one by one, and who takes them.

Addresses are pairs of 64-bit words, as in an IPv6 address; IPv4 addresses stand in them as IPv4-mapped ones (RFC 4291,
2.5.5.2), which are also what a dual-stack socket makes of them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netpol.capture.views import Bytes, Ints
    from netpol.model.flow import Address

MAPPED: Final = 0xFFFF_0000_0000
"""The lower half of ::ffff:0:0."""


_ODD: Final = tuple(np.uint64(secrets.randbits(64) | 1) for _ in range(4))
"""Secret, so that nobody can make exchanges that look like others."""


def packed(address: Address) -> tuple[int, int]:
    """The two words of an address; an IPv4-mapped one is the IPv4 address itself."""
    if isinstance(address, IPv4Address):
        return 0, MAPPED | int(address)
    return int(address) >> 64, int(address) & 0xFFFF_FFFF_FFFF_FFFF


def unpacked(high: int, low: int) -> Address:
    """The address of two words."""
    if not high and low >> 32 == MAPPED >> 32:
        return IPv4Address(low & 0xFFFF_FFFF)
    return IPv6Address(high << 64 | low)


def wide(addresses: NDArray[np.unsignedinteger]) -> NDArray[np.uint64]:
    """uint64[n, 2] of an address column of either family (uint32[n] or uint64[n, 2])."""
    if addresses.ndim == 2:
        return addresses.astype(np.uint64, copy=False)
    result = np.zeros((len(addresses), 2), np.uint64)
    np.bitwise_or(addresses, np.uint64(MAPPED), out=result[:, 1])
    return result


def exchanges(client: NDArray[np.uint64], port: NDArray[Any], number: NDArray[Any]) -> NDArray[np.uint64]:
    """uint64[n]: one word for each DNS exchange: uint64[n, 2] client addresses, their ports, the messages' numbers."""
    mixed: NDArray[np.uint64] = (client[:, 0] * _ODD[0]) ^ (client[:, 1] * _ODD[1])
    mixed ^= (port.astype(np.uint64) << np.uint64(16) | number.astype(np.uint64)) * _ODD[2]
    mixed ^= mixed >> np.uint64(31)
    mixed *= _ODD[3]
    return mixed ^ mixed >> np.uint64(29)


class AnswerOutcome(IntEnum):
    """What a DNS response says about its question."""

    ANSWERED = 0
    """Addresses, or records of another kind."""
    EMPTY = 1
    """The name is there, but holds nothing of the kind that was asked for (RFC 2308, NODATA)."""
    NO_NAME = 2
    """NXDOMAIN: above all the names that a resolver makes with its search domains."""
    FAILED = 3
    """SERVFAIL, REFUSED and the other errors."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Answers:
    """DNS responses, one entry per message in every column but the last three, which have one per address.

    Attributes:
        data: uint8[m], where the names stand; used again when the receiver returns.
        name_at: int64[n], where the name of the question starts: labels with their lengths, never compressed.
        name_size: int64[n], bytes of it, the root's zero included.
        time: int64[n], nanoseconds since the Unix epoch.
        client: uint64[n, 2], who was answered.
        exchange: uint64[n], mixed from the client, its port and the message's number: the same wherever a message was
            captured.
        kind: uint16[n], the type that was asked for.
        outcome: uint8[n], an AnswerOutcome.
        message: int64[r], which entry the address belongs to.
        address: uint64[r, 2], to which the name or one of its aliases leads.
        life: int64[r], seconds: the least TTL from the question to the address.
    """

    data: Bytes
    name_at: Ints
    name_size: Ints
    time: Ints
    client: NDArray[np.uint64]
    exchange: NDArray[np.uint64]
    kind: NDArray[np.uint16]
    outcome: NDArray[np.uint8]
    message: Ints
    address: NDArray[np.uint64]
    life: Ints

    def __len__(self) -> int:
        return len(self.time)


class Trait(IntFlag):
    """What else a greeting showed."""

    TLS = 1
    """A ClientHello, over TCP or inside QUIC."""
    ENCRYPTED_HELLO = 2
    """It carries Encrypted Client Hello: the name outside is the public name of whoever serves it (or is real, and the
    extension is grease: nobody can tell)."""
    CUT = 4
    """Not all of it was captured, and no name in what was."""
    PROXY = 8
    """An HTTP CONNECT: the name is of the far end, not of the server."""
    HIDES_DNS = 16
    """What follows is DNS: ALPN `dot` or `doq`."""
    HTTP = 32
    """An HTTP request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """How a client opened a connection, or an HTTP request inside one.

    Attributes:
        client: The two words of its address.
        server: The same for the server.
        protocol: TCP or UDP (QUIC).
        port: The server's.
        time: Packet time of the last packet that it took, nanoseconds since the Unix epoch.
        name: As the client wrote it, without a port; empty where it named nothing. Not validated.
    """

    client: tuple[int, int]
    server: tuple[int, int]
    protocol: int
    port: int
    time: int
    name: bytes
    traits: Trait


class NameSink(Protocol):
    """Takes evidence about names while captures are read: nearly in the order of time."""

    def take_answers(self, answers: Answers) -> None:
        """DNS responses; the columns may be kept, `data` may not."""
        ...

    def take_greetings(self, greetings: Sequence[Greeting]) -> None:
        """ClientHellos and HTTP requests."""
        ...

    def take_questions(self, clients: NDArray[np.uint64], exchange: NDArray[np.uint64], time: Ints) -> None:
        """Questions: uint64[n, 2], who asked; uint64[n], as in `Answers`; int64[n], packet times."""
        ...

    def take_hidden(self, client: tuple[int, int], server: tuple[int, int], protocol: int) -> None:
        """A client speaks to a port where nothing but encrypted DNS is spoken (RFC 7858, RFC 9250)."""
        ...

    def count(self, what: str, number: int) -> None:
        """Something that was read for names, or could not be."""
        ...
