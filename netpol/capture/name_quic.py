"""QUIC Initial packets (RFC 9000, RFC 9001; version 2: RFC 9369): the ClientHello that their CRYPTO frames carry.

Their keys follow from the connection ID that the client chose, which is in the packet: whoever sees it can read it.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.capture.name_tls import LONGEST_HELLO

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALLEST_DATAGRAM: Final = 1200
"""Bytes of UDP payload that a client's datagram with an Initial packet has at least (RFC 9000, 14.1)."""

_LONGEST_ID: Final = 20
_TAG: Final = 16
_SAMPLE: Final = 16
_MOST_PACKETS: Final = 8
"""Coalesced packets of one datagram that are looked at."""
_MOST_FRAMES: Final = 512
_MOST_PARTS: Final = 64
"""Parts of a ClientHello that are kept. Clients cut it in a handful; Chrome shuffles about ten."""


class _Version(NamedTuple):
    salt: bytes
    label: bytes
    initial: int


VERSIONS: Final = {
    1: _Version(bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"), b"quic", 0),
    0x6B3343CF: _Version(bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"), b"quicv2", 1),
}
"""By version number: the salt of the initial secrets, what labels start with, and the type number of Initial."""


class Keys(NamedTuple):
    """How a client protects its Initial packets (AEAD_AES_128_GCM)."""

    key: bytes
    iv: bytes
    header: bytes


class Initial(NamedTuple):
    """An Initial packet, still protected.

    Attributes:
        version: QUIC version number.
        connection: The destination connection ID.
        packet: From its first byte to its last.
        number_at: Where its packet number starts.
    """

    version: int
    connection: bytes
    packet: bytes
    number_at: int


class _Short(Exception):  # noqa: N818 - it never leaves this module
    """There is no more of it."""


def initials(datagram: bytes) -> Iterator[Initial]:
    """The Initial packets of a datagram; others with a long header may stand between (RFC 9000, 12.2)."""
    at = 0
    try:
        for _ in range(_MOST_PACKETS):
            if at >= len(datagram) or datagram[at] & 0xC0 != 0xC0:
                return
            version = int.from_bytes(_part(datagram, at + 1, 4))
            known = VERSIONS.get(version)
            if known is None:
                return
            kind = datagram[at] >> 4 & 3
            if kind == (known.initial + 3) % 4:  # Retry has no length, and nothing behind it
                return
            destination, behind = _identifier(datagram, at + 5)
            _, behind = _identifier(datagram, behind)
            if kind == known.initial:
                token, behind = _variable(datagram, behind)
                behind += token
            size, behind = _variable(datagram, behind)
            end = behind + size
            packet = _part(datagram, at, end - at)
            if kind == known.initial:
                yield Initial(version, destination, packet, behind - at)
            at = end
    except _Short:
        return


def client_keys(version: int, connection: bytes) -> Keys:
    """Keys of a client's Initial packets (RFC 9001, 5.2).

    Args:
        version: One of VERSIONS.
        connection: The destination connection ID of the client's first Initial packet.
    """
    known = VERSIONS[version]
    secret = _expand(hmac.digest(known.salt, connection, "sha256"), b"client in", 32)
    return Keys(
        _expand(secret, known.label + b" key", 16),
        _expand(secret, known.label + b" iv", 12),
        _expand(secret, known.label + b" hp", 16),
    )


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, 7.1) for no more than one block of output."""
    label = b"tls13 " + label
    info = size.to_bytes(2) + bytes([len(label)]) + label + b"\0"
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]


def unprotected(initial: Initial, keys: Keys) -> bytes | None:
    """The frames of a packet (RFC 9001, 5.3 and 5.4), None where it is not protected with these keys."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - only captures with QUIC need it
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    packet, at = initial.packet, initial.number_at
    sample = packet[at + 4 : at + 4 + _SAMPLE]
    if len(sample) < _SAMPLE:
        return None
    mask = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor().update(sample)  # noqa: S305 - RFC 9001, 5.4.3
    first = packet[0] ^ mask[0] & 0x0F
    width = (first & 3) + 1
    number = bytes(one ^ other for one, other in zip(packet[at : at + width], mask[1:], strict=False))
    header = bytes([first]) + packet[1:at] + number
    sealed = packet[at + width :]
    if len(sealed) < _TAG:
        return None
    # Initial packets are the first of their number space: the whole number is in the packet.
    nonce = (int.from_bytes(keys.iv) ^ int.from_bytes(number)).to_bytes(12)
    try:
        return AESGCM(keys.key).decrypt(nonce, sealed, header)
    except InvalidTag:
        return None


def crypto_parts(frames: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the CRYPTO frames; ends at a frame that an Initial packet may not have (RFC 9000, 12.4)."""
    at = 0
    try:
        for _ in range(_MOST_FRAMES):
            while at < len(frames) and not frames[at]:  # PADDING
                at += 1
            if at >= len(frames):
                return
            kind = frames[at]
            at += 1
            if kind == 6:
                offset, at = _variable(frames, at)
                size, at = _variable(frames, at)
                yield offset, _part(frames, at, size)
                at += size
            elif kind in {2, 3}:
                at = _behind_ack(frames, at, counts=kind == 3)
            elif kind != 1:  # PING; a connection that is closed says no more
                return
    except _Short:
        return


def _behind_ack(frames: bytes, at: int, *, counts: bool) -> int:
    _, at = _variable(frames, at)
    _, at = _variable(frames, at)
    ranges, at = _variable(frames, at)
    if ranges > len(frames):
        raise _Short
    for _ in range(1 + 2 * ranges + 3 * counts):
        _, at = _variable(frames, at)
    return at


class CryptoStream:
    """What came of a client's first CRYPTO stream, in whatever order."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(map(len, self._parts.values()))

    def add(self, offset: int, data: bytes) -> bool:
        """Keeps a part; False: it is too much, or too far, to be of a ClientHello."""
        if offset + len(data) > LONGEST_HELLO or (offset not in self._parts and len(self._parts) >= _MOST_PARTS):
            return False
        if len(data) > len(self._parts.get(offset, b"")):
            self._parts[offset] = data
        return True

    def start(self) -> bytes:
        """What there is from the beginning on without a gap."""
        whole = b""
        for offset in sorted(self._parts):
            if offset > len(whole):
                break
            whole += self._parts[offset][len(whole) - offset :]
        return whole


def _part(data: bytes, at: int, size: int) -> bytes:
    part = data[at : at + size]
    if len(part) < size:
        raise _Short
    return part


def _identifier(data: bytes, at: int) -> tuple[bytes, int]:
    size = _part(data, at, 1)[0]
    if size > _LONGEST_ID:
        raise _Short
    return _part(data, at + 1, size), at + 1 + size


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer (RFC 9000, 16), and what is behind it."""
    width = 1 << (_part(data, at, 1)[0] >> 6)
    value = int.from_bytes(_part(data, at, width)) & (1 << 8 * width - 2) - 1
    return value, at + width
