"""ClientHellos, HTTP requests and QUIC Initial packets, one at a time: examples of the RFCs, by hand, and damaged."""

from __future__ import annotations

import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture import name_quic
from netpol.capture.name_evidence import Trait
from netpol.capture.name_http import read_requests
from netpol.capture.name_tls import Hello, handshake_of, read_hello

TLS = Trait.TLS


def openssl_hello(name: str | None, protocols: list[str] | None = None) -> bytes:
    """The TLS records with which OpenSSL begins."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    if protocols:
        context.set_alpn_protocols(protocols)
    if name is None:
        context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def hello_of(*extensions: bytes) -> bytes:
    inside = b"".join(extensions)
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\x13\x01" + b"\1\0" + struct.pack(">H", len(inside)) + inside
    return b"\x01" + len(body).to_bytes(3) + body


def server_name(name: bytes) -> bytes:
    entry = b"\0" + struct.pack(">H", len(name)) + name
    return extension(0, struct.pack(">H", len(entry)) + entry)


def records(message: bytes, size: int) -> bytes:
    parts = [message[begin : begin + size] for begin in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in parts)


def whole(stream: bytes) -> bytes:
    handshake = handshake_of(stream)
    assert handshake is not None
    assert handshake[1]
    return handshake[0]


def test_what_openssl_says() -> None:
    assert read_hello(whole(openssl_hello("api.partner.example"))) == Hello(b"api.partner.example", TLS)
    assert read_hello(whole(openssl_hello(None))) == Hello(b"", TLS)
    assert read_hello(whole(openssl_hello("a.example", ["h2", "http/1.1"]))) == Hello(b"a.example", TLS)
    over_tls = read_hello(whole(openssl_hello("dns.example", ["dot"])))
    assert over_tls == Hello(b"dns.example", TLS | Trait.HIDES_DNS)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_hello_in_several_records(size: int) -> None:
    message = hello_of(server_name(b"api.partner.example"))
    assert whole(records(message, size)) == message
    assert handshake_of(records(message, size)[:-1]) == (message[:-1], False)


def test_encrypted_client_hello_is_seen() -> None:
    hello = read_hello(hello_of(server_name(b"public.example"), extension(0xFE0D, bytes(40))))
    assert hello == Hello(b"public.example", TLS | Trait.ENCRYPTED_HELLO)


def test_a_cut_hello_gives_what_it_has() -> None:
    message = hello_of(extension(23, b""), server_name(b"api.partner.example"), extension(21, bytes(200)))
    assert read_hello(message[:-100]) == Hello(b"api.partner.example", TLS)
    assert read_hello(message[:50]) == Hello(b"", TLS | Trait.CUT)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\x02\0\0\0",
        b"\x01\0\0\x05abcde",
        hello_of(b"\0\0\0\x09"),
        hello_of(extension(0, b"\0\x09\0\0\x01a")),
        hello_of(extension(16, b"\0\x03\x09a")),
    ],
)
def test_no_hello(bad: bytes) -> None:
    assert read_hello(bad) is None


@pytest.mark.parametrize(
    "stream", [b"\x17\x03\x03\0\1a", b"\x16\x03\x03\xff\xffa", b"\x16\x03\x03\0\0", b"\x16\x03\x03\0\4\x01\xff\xff\xff",
               b"\x16\x03\x03\0\1\x02", b"\x16\x02"]
)  # fmt: skip
def test_no_handshake(stream: bytes) -> None:
    assert handshake_of(stream) is None


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=300),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    keep=st.integers(0, 500),
)
def test_damaged_hellos_are_read_or_refused(data: bytes, flips: list[tuple[int, int]], keep: int) -> None:
    stream = bytearray(records(hello_of(server_name(b"api.partner.example"), extension(16, b"\0\3\2h2")), 60))
    for place, value in flips:
        if place < len(stream):
            stream[place] = value
    for each in (bytes(stream[:keep]), data, b"\x16\x03\x01" + data):
        handshake = handshake_of(each)
        if handshake:
            hello = read_hello(handshake[0])
            assert hello is None or Trait.TLS in hello.traits
    read_requests(data)
    read_requests(b"GET / HTTP/1.1\r\n" + data)
    list(name_quic.initials(data))
    list(name_quic.initials(b"\xc3\0\0\0\1" + data))
    list(name_quic.crypto_parts(data))


# HTTP


PIPELINED = (
    b"GET /1 HTTP/1.1\r\nHost: one.example\r\n\r\n"
    b"POST /2 HTTP/1.1\r\nHost: two.example\r\nContent-Length: 5\r\n\r\nabcde"
    b"GET /3 HTTP/1.1\r\nHost: three.example\r\n\r\n"
)


def hosts(data: bytes) -> list[tuple[bytes, bool]]:
    return [(each.name, Trait.PROXY in each.traits) for each in read_requests(data)[0]]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n", [(b"api.example", False)]),
        (b"GET / HTTP/1.1\r\nAccept: *\r\nhOsT:api.example:8080 \r\n\r\n", [(b"api.example", False)]),
        (b"GET / HTTP/1.0\r\n\r\n", [(b"", False)]),
        (b"GET http://user@Far.example:80/x HTTP/1.1\r\nHost: near.example\r\n\r\n", [(b"Far.example", False)]),
        (b"CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n", [(b"far.example", True)]),
        (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", [(b"[2001:db8::1]", False)]),
        (b"PUT /x HTTP/1.1\nHost: lf.example\n\n", [(b"lf.example", False)]),
        (PIPELINED, [(b"one.example", False), (b"two.example", False), (b"three.example", False)]),
        (b"GET / HTTP/1.1\r\nX: GET / HTTP/1.1\r\n\r\nrest", [(b"", False)]),
        (b"GET / SIP/2.0\r\nHost: x\r\n\r\n", []),
    ],
)
def test_requests(request_: bytes, expected: list[tuple[bytes, bool]]) -> None:
    assert hosts(request_) == expected


def test_a_request_waits_for_its_host() -> None:
    head = b"GET /a/long/path HTTP/1.1\r\nAccept: text/html\r\nHost: api.example\r\n\r\n"
    for end in range(4, len(head)):
        found, more = read_requests(head[:end])
        assert more or [each.name for each in found] == [b"api.example"], head[:end]


# QUIC

CONNECTION = bytes.fromhex("8394c8f03e515708")


def test_the_keys_of_rfc_9001_appendix_a() -> None:
    keys = name_quic.client_keys(1, CONNECTION)
    assert keys.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert keys.iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert keys.header.hex() == "9f50449e04a0e810283a1e9933adedd2"


def test_the_keys_of_rfc_9369_appendix_a() -> None:
    keys = name_quic.client_keys(0x6B3343CF, CONNECTION)
    assert keys.key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert keys.iv.hex() == "91f73e2351d8fa91660e909f"
    assert keys.header.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"
