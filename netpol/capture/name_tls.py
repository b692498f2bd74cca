"""ClientHello (RFC 8446, 4.1.2) in TLS records or in QUIC's CRYPTO frames: which server the client asks for."""

from __future__ import annotations

from typing import Final, NamedTuple

from netpol.capture.name_evidence import Trait

LONGEST_HELLO: Final = 1 << 16
"""Bytes of a handshake message that are waited for. Even with post-quantum key shares it has a few thousand."""

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_LONGEST_RECORD: Final = (1 << 14) + 256
_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_SERVER_NAME, _ALPN = 0, 16
_ENCRYPTED: Final = frozenset({0xFE0D, 0xFFCE})
"""encrypted_client_hello (RFC 9849) and encrypted_server_name, which was before it."""
_DNS_PROTOCOLS: Final = frozenset({b"dot", b"doq"})
"""ALPN of DNS over TLS and over QUIC (IANA)."""


class Hello(NamedTuple):
    """What a ClientHello says.

    Attributes:
        name: The server name as it is written, empty where there is none.
        traits: What else it shows.
    """

    name: bytes
    traits: Trait


class _Short(Exception):  # noqa: N818 - it never leaves this module
    """There is no more of it."""


class _Malformed(Exception):  # noqa: N818 - the same
    """It breaks its format's rules."""


class _Reader:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self.at : self.at + size]
        if len(part) < size:
            raise _Short
        self.at += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, width: int) -> bytes:
        return self.take(self.number(width))

    @property
    def left(self) -> bool:
        return self.at < len(self._data)


def handshake_of(stream: bytes) -> tuple[bytes, bool] | None:
    """The handshake bytes of the TLS records with which a stream begins.

    Returns:
        The bytes, and whether they are a whole message; None where the stream is no handshake.
    """
    message = bytearray()
    at = 0
    while at < len(stream):
        header = stream[at : at + _RECORD_HEADER]
        if header[0] != _HANDSHAKE or (len(header) > 1 and header[1] != 3):
            return None
        if len(header) < _RECORD_HEADER:
            break
        size = int.from_bytes(header[3:])
        if not 0 < size <= _LONGEST_RECORD:
            return None
        message += stream[at + _RECORD_HEADER : at + _RECORD_HEADER + size]
        at += _RECORD_HEADER + size
        if (need := message_size(message)) is not None and len(message) >= need:
            break
    need = message_size(message)
    if (message and message[0] != _CLIENT_HELLO) or (need is not None and need > LONGEST_HELLO):
        return None
    return bytes(message[:need]), need is not None and len(message) >= need


def message_size(message: bytes | bytearray) -> int | None:
    """Bytes of a handshake message with its header, by what it says; None where too little of it is there."""
    return _MESSAGE_HEADER + int.from_bytes(message[1:4]) if len(message) >= _MESSAGE_HEADER else None


def read_hello(message: bytes) -> Hello | None:
    """Reads a ClientHello, or the start of one.

    Args:
        message: The handshake message with its header. Where it is shorter than it says, what is there is read, and
            Trait.CUT is set if it does not hold a name.

    Returns:
        None where it is none, or breaks its format's rules.
    """
    if not message or message[0] != _CLIENT_HELLO:
        return None
    need = message_size(message)
    whole = need is not None and len(message) >= need
    found = _Extensions()
    try:
        body = _Reader(message[_MESSAGE_HEADER:need])
        body.take(2 + 32)
        for width in (1, 2, 1):  # session, cipher suites, compression methods
            body.vector(width)
        if body.left or not whole:
            _extensions(body, found)
    except _Short:
        if whole:
            return None
        found.traits |= Trait.CUT if not found.name else Trait.TLS
    except _Malformed:
        return None
    return Hello(found.name, found.traits)


class _Extensions:
    """What was found so far."""

    def __init__(self) -> None:
        self.name = b""
        self.traits = Trait.TLS


def _extensions(body: _Reader, found: _Extensions) -> None:
    end = body.number(2) + body.at
    while body.at < end:
        kind = body.number(2)
        size = body.number(2)
        if body.at + size > end:
            raise _Malformed
        value = body.take(size)
        try:
            _extension(kind, value, found)
        except _Short:
            raise _Malformed from None


def _extension(kind: int, value: bytes, found: _Extensions) -> None:
    if kind == _SERVER_NAME:
        found.name = _server_name(value)
    elif kind in _ENCRYPTED:
        found.traits |= Trait.ENCRYPTED_HELLO
    elif kind == _ALPN:
        protocols = _Reader(_Reader(value).vector(2))
        while protocols.left:
            if protocols.vector(1) in _DNS_PROTOCOLS:
                found.traits |= Trait.HIDES_DNS


def _server_name(value: bytes) -> bytes:
    """The first name of kind host_name (RFC 6066, 3)."""
    names = _Reader(_Reader(value).vector(2))
    while names.left:
        kind, name = names.number(1), names.vector(2)
        if not kind:
            return name
    return b""
