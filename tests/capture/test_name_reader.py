"""From captures to evidence about names: over UDP and TCP, in pieces, in tunnels, cut, captured again, and damaged."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.capture import name_quic
from netpol.capture.name_evidence import AnswerOutcome, Answers, Greeting, Trait, packed, unpacked
from netpol.capture.packets import Limits, Tally
from netpol.capture.read import read_packets
from tests.capture.test_name_dns import HERE, NAME, message, record, wire
from tests.capture.test_name_handshakes import extension, hello_of, records, server_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from netpol.capture.views import Ints
    from tests.capture.conftest import Frame, MakeFrame, Write

POD, SERVER, RESOLVER = "10.244.1.7", "198.51.100.20", "10.96.0.10"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Answer(NamedTuple):
    time: int
    client: str
    name: bytes
    outcome: AnswerOutcome
    addresses: tuple[tuple[str, int], ...]


@dataclass
class Recorder:
    """A sink that keeps everything."""

    answers: list[Answer] = field(default_factory=list)
    greetings: list[Greeting] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    hidden: set[tuple[str, str, int]] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def take_answers(self, answers: Answers) -> None:
        for index in range(len(answers)):
            begin = int(answers.name_at[index])
            its = np.flatnonzero(answers.message == index)
            places = [
                (str(unpacked(*answers.address[each].tolist())), int(answers.life[each])) for each in its.tolist()
            ]
            self.answers.append(
                Answer(
                    int(answers.time[index]),
                    str(unpacked(*answers.client[index].tolist())),
                    answers.data[begin : begin + int(answers.name_size[index])].tobytes(),
                    AnswerOutcome(int(answers.outcome[index])),
                    tuple(places),
                )
            )

    def take_greetings(self, greetings: Sequence[Greeting]) -> None:
        self.greetings += greetings

    def take_questions(self, clients: NDArray[np.uint64], exchange: NDArray[np.uint64], time: Ints) -> None:
        assert len(clients) == len(exchange) == len(time)
        self.questions += [str(unpacked(*each)) for each in clients.tolist()]

    def take_hidden(self, client: tuple[int, int], server: tuple[int, int], protocol: int) -> None:
        self.hidden.add((str(unpacked(*client)), str(unpacked(*server)), protocol))

    def count(self, what: str, number: int) -> None:
        self.counts[what] += number

    @property
    def said(self) -> list[tuple[str, str, int, int, bytes]]:
        return [
            (str(unpacked(*each.client)), str(unpacked(*each.server)), each.protocol, each.port, each.name)
            for each in self.greetings
        ]


# Packets


def packet(source: str, destination: str, protocol: int, body: bytes, *, fragment: int = 0, number: int = 1) -> bytes:
    one, other = ip_address(source), ip_address(destination)
    if one.version == 6:
        return struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + one.packed + other.packed + body
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), number, fragment, 64, protocol, 0)
    return head + one.packed + other.packed + body


def ethernet(inside: bytes) -> bytes:
    return bytes(12) + (b"\x86\xdd" if inside[0] >> 4 == 6 else b"\x08\x00") + inside


def udp(source: str, destination: str, ports: tuple[int, int], body: bytes) -> bytes:
    return packet(source, destination, 17, struct.pack(">HHHH", *ports, 8 + len(body), 0) + body)


def tcp(ends: tuple[str, str], ports: tuple[int, int], sequence: int, body: bytes, flags: int = 0x18) -> bytes:
    head = struct.pack(">HHIIBBHHH", *ports, sequence & 0xFFFFFFFF, 0, 0x50, flags, 64, 0, 0)
    return packet(*ends, 6, head + body)


def answer_from(body: bytes, client: str = POD, server: str = RESOLVER) -> bytes:
    return udp(server, client, (53, 40000), body)


GOOD = message(NAME, [record(HERE, 1, ip_address(SERVER).packed, 30)])


@dataclass
class Reading:
    """Writes frames and reads them."""

    folder: Path
    write: Write

    def __call__(self, frames: Iterable[Frame | bytes], limits: Limits | None = None) -> Recorder:
        file = self.folder / "names.pcap"
        file.write_bytes(self.write(frames))
        return read([file], limits)


def read(files: Sequence[Path], limits: Limits | None = None) -> Recorder:
    recorder, tally = Recorder(), Tally()
    for batch in read_packets(files, tally, limits, names=recorder):
        assert len(batch)
    assert tally.packets == tally.decoded + sum(tally.undecoded.values())
    return recorder


@pytest.fixture(scope="session")
def reading(tmp_path_factory: pytest.TempPathFactory, pcap_bytes: Write) -> Reading:
    return Reading(tmp_path_factory.mktemp("names"), pcap_bytes)


# DNS


def test_answers_over_ipv4_and_ipv6(reading: Reading) -> None:
    six = udp("fd00::10", "fd00:10:244::7", (53, 40001), GOOD)
    found = reading([ethernet(answer_from(GOOD)), ethernet(six)])
    assert sorted((each.client, each.name, each.addresses) for each in found.answers) == [
        (POD, NAME, ((SERVER, 30),)),
        ("fd00:10:244::7", NAME, ((SERVER, 30),)),
    ]


def test_many_answers_take_the_wide_way(reading: Reading) -> None:
    clients = [f"10.244.{each // 200}.{each % 200}" for each in range(500)]
    found = reading([ethernet(answer_from(GOOD, client)) for client in clients])
    assert [each.client for each in found.answers] == clients
    assert {each.addresses for each in found.answers} == {((SERVER, 30),)}


def test_what_is_no_answer_of_dns(reading: Reading) -> None:
    found = reading(
        [
            ethernet(udp(RESOLVER, "224.0.0.251", (5353, 5353), GOOD)),
            ethernet(udp(RESOLVER, POD, (5355, 40000), GOOD)),
            ethernet(udp(POD, RESOLVER, (40000, 53), message(NAME, flags=0x0100))),
            ethernet(answer_from(message(NAME, flags=0x0100))),
            ethernet(answer_from(b"short")),
        ]
    )
    assert found.answers == []
    assert found.questions == [POD]
    assert found.counts == {"DNS messages from port 53 that are no answers": 1, "malformed DNS answers": 1}


def test_answers_in_tunnels(reading: Reading) -> None:
    inner = ethernet(answer_from(GOOD))
    vxlan = udp("192.0.2.11", "192.0.2.12", (50000, 8472), b"\x08\0\0\0\0\0\7\0" + inner)
    geneve = udp("192.0.2.11", "192.0.2.12", (50000, 6081), b"\0\0\x65\x58\0\0\7\0" + inner)
    bare = packet("192.0.2.11", "192.0.2.12", 4, answer_from(GOOD))
    found = reading([ethernet(each) for each in (vxlan, geneve, bare)])
    assert [(each.client, each.addresses) for each in found.answers] == [(POD, ((SERVER, 30),))] * 3


def test_answers_that_the_snapshot_length_cut(reading: Reading, frame: MakeFrame) -> None:
    whole = ethernet(answer_from(message(NAME, [record(HERE, 1, bytes([192, 0, 2, each])) for each in range(9)])))
    found = reading([frame(whole[: len(whole) - 40], START, len(whole)), frame(whole[:50], START, len(whole))])
    assert [len(each.addresses) for each in found.answers] == [6]
    assert found.counts == {"DNS answers cut by snaplen": 2}


def fragments(whole: bytes, cuts: Sequence[int], number: int = 7) -> list[bytes]:
    """An IPv4 packet in fragments that end at the given places of what it carries (multiples of 8)."""
    body, source, destination = whole[20:], str(IPv4Address(whole[12:16])), str(IPv4Address(whole[16:20]))
    ends = [*cuts, len(body)]
    return [
        packet(
            source,
            destination,
            whole[9],
            body[begin:end],
            fragment=begin // 8 | (0x2000 if end < len(body) else 0),
            number=number,
        )
        for begin, end in zip([0, *cuts], ends, strict=True)
    ]


LARGE = message(NAME, [record(HERE, 1, bytes([192, 0, each // 250, each % 250])) for each in range(150)])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 0, 2, 1, 1)])
def test_fragmented_answers(reading: Reading, order: Sequence[int]) -> None:
    parts = fragments(answer_from(LARGE), [1000, 2000])
    for limits in (None, Limits(block=64, smallest_block=64)):
        found = reading([ethernet(parts[each]) for each in order], limits)
        assert [len(each.addresses) for each in found.answers] == [150]


def test_an_incomplete_fragmented_answer_says_nothing(reading: Reading) -> None:
    parts = fragments(answer_from(LARGE), [1000, 2000])
    found = reading([ethernet(parts[0]), ethernet(parts[2])])
    assert (found.answers, found.counts) == ([], {})


def test_fragments_that_are_given_up_are_counted(reading: Reading) -> None:
    # Sixty-four pieces and no end; then a packet that TCP would never send in pieces.
    body = bytes(range(8))
    ends = (RESOLVER, POD)
    endless = [ethernet(packet(*ends, 17, body, fragment=0x2000 | 2 * each, number=9)) for each in range(65)]
    assert reading(endless).counts == {"fragmented packets given up for names: too long, too old or too many": 1}
    pieces = [packet(*ends, 6, bytes(24), fragment=0x2000), packet(*ends, 6, bytes(8), fragment=3)]
    found = reading([ethernet(each) for each in pieces])
    assert found.counts == {"fragmented TCP packets, not looked at for names": 1}


def prefixed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(each)) + each for each in messages)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 50, 1000])
@pytest.mark.parametrize("handshake", [True, False])
def test_answers_over_tcp(reading: Reading, size: int, *, handshake: bool) -> None:
    stream = prefixed(GOOD, message(NAME, flags=0x8183), LARGE[:200] if size == 0 else GOOD)
    ends, ports, base = (RESOLVER, POD), (53, 40000), 0xFFFFFFF0
    frames = [tcp(ends, ports, base - 1, b"", 0x12)] if handshake else []
    frames += [tcp(ends, ports, base + at, stream[at : at + size]) for at in range(0, len(stream), size)]
    for limits in (None, Limits(block=64, smallest_block=64)):
        found = reading([ethernet(each) for each in frames], limits)
        assert [each.outcome for each in found.answers] == [
            AnswerOutcome.ANSWERED,
            AnswerOutcome.NO_NAME,
            AnswerOutcome.ANSWERED,
        ]


def test_answers_over_tcp_out_of_order_and_again(reading: Reading) -> None:
    stream = prefixed(GOOD, LARGE)
    ends, ports = (RESOLVER, POD), (53, 40000)
    parts = [tcp(ends, ports, 1001 + at, stream[at : at + 400]) for at in range(0, len(stream), 400)]
    order = [0, 2, 1, 1, 0, *reversed(range(3, len(parts)))]
    frames = [tcp(ends, ports, 1000, b"", 0x12), *(parts[each] for each in order)]
    assert [len(each.addresses) for each in reading([ethernet(each) for each in frames]).answers] == [1, 150]


def test_an_answer_over_tcp_that_was_cut_does_not_hide_the_next(reading: Reading, frame: MakeFrame) -> None:
    ends, ports = (RESOLVER, POD), (53, 40000)
    stream = prefixed(LARGE, GOOD)
    first, second = (ethernet(tcp(ends, ports, 5 + at, stream[at : at + 1400])) for at in (0, 1400))
    found = reading([frame(first[:300], START, len(first)), frame(second, START, len(second)),
                     ethernet(tcp(ends, ports, 5 + 2800, stream[2800:]))])  # fmt: skip
    assert [len(each.addresses) for each in found.answers] == [12, 1]
    assert found.counts["DNS answers cut by snaplen"] == 1


def test_an_answer_over_tcp_of_which_the_rest_was_not_captured_is_counted(reading: Reading) -> None:
    ends, ports = (RESOLVER, POD), (53, 40000)
    whole, part = prefixed(GOOD), prefixed(GOOD)[:-3]
    found = reading([ethernet(tcp(ends, ports, 5, whole)), ethernet(tcp(ends, ports, 5 + len(whole), part))])
    assert len(found.answers) == 1
    assert found.counts["DNS over TCP connections of which a message was not all captured"] == 1


# Greetings

HELLO = hello_of(server_name(b"api.partner.example"), extension(21, bytes(1500)))
PARTNER = (POD, SERVER, 6, 8443, b"api.partner.example")


def segments(stream: bytes, size: int, ends: tuple[str, str] = (POD, SERVER), base: int = 77) -> list[bytes]:
    return [tcp(ends, (41000, 8443), base + at, stream[at : at + size]) for at in range(0, len(stream), size)]


def test_a_hello_in_one_segment_and_captured_again(reading: Reading) -> None:
    frames = [ethernet(each) for each in segments(records(HELLO, 9999), 9999)]
    assert reading(frames * 3).said == [PARTNER]


@pytest.mark.parametrize("size", [3, 6, 100, 700, 1460])
@pytest.mark.parametrize("record_size", [50, 16000])
def test_a_hello_over_segments_and_records(reading: Reading, size: int, record_size: int) -> None:
    stream = records(HELLO, record_size)
    if len(stream) / size > 60:
        size = 40
    frames = [ethernet(each) for each in segments(stream, size, base=0xFFFFFF00)]
    for limits in (None, Limits(block=64, smallest_block=64)):
        assert reading(frames, limits).said == [PARTNER]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(order=st.permutations(range(5)), again=st.lists(st.integers(0, 4), max_size=3))
def test_a_hello_in_any_order(reading: Reading, order: list[int], again: list[int]) -> None:
    parts = segments(records(HELLO, 9999), 350)
    assert len(parts) == 5
    noise = tcp((POD, "203.0.113.5"), (41001, 5432), 1, b"data")
    frames = [ethernet(parts[each]) for each in [*order, *again]] + [ethernet(noise)]
    for limits in (None, Limits(block=64, smallest_block=64)):
        assert reading(frames, limits).said == [PARTNER]


def test_cut_hellos(reading: Reading, frame: MakeFrame) -> None:
    early = ethernet(segments(records(HELLO, 9999), 9999)[0])
    late = hello_of(extension(21, bytes(600)), server_name(b"late.example"))
    too_late = ethernet(segments(records(late, 9999), 9999, base=9)[0])
    found = reading([frame(early[:200], START, len(early)), frame(too_late[:200], START, len(too_late))])
    assert found.said == [PARTNER, (POD, SERVER, 6, 8443, b"")]
    assert found.greetings[1].traits == Trait.TLS | Trait.CUT


def test_a_hello_whose_rest_was_not_captured_gives_what_it_has(reading: Reading) -> None:
    assert reading([ethernet(segments(records(HELLO, 9999), 500)[0])]).said == [PARTNER]


def test_a_connection_that_goes_on_is_not_waited_for(reading: Reading) -> None:
    parts = segments(records(HELLO, 9999) + bytes(200_000), 1000)
    found = reading([ethernet(each) for each in (parts[0], *parts[2:])])
    assert found.said == [PARTNER]
    assert found.counts["ClientHellos and requests given up: the rest did not come, or they were too many"] == 1


def test_requests(reading: Reading) -> None:
    ends, ports = (POD, SERVER), (42000, 8080)
    head = b"GET /" + b"x" * 900 + b" HTTP/1.1\r\nAccept: */*\r\nHost: api.partner.example:8080\r\n\r\n"
    frames = [tcp(ends, ports, 1, head), tcp(ends, ports, 1 + len(head), head.replace(b"api", b"www"))]
    frames += [tcp(ends, (42001, 8080), at, head[at : at + 300]) for at in range(0, len(head), 300)]
    proxied = b"CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n"
    frames.append(tcp(ends, (42002, 3128), 1, proxied))
    found = reading([ethernet(each) for each in frames])
    assert sorted(each[3:] for each in found.said) == [
        (3128, b"far.example"),
        (8080, b"api.partner.example"),
        (8080, b"api.partner.example"),
        (8080, b"www.partner.example"),
    ]
    assert [each.traits for each in found.greetings if each.port == 3128] == [Trait.HTTP | Trait.PROXY]


def test_http2_without_tls_is_counted_once_wherever_it_is_captured(reading: Reading) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    frames = [ethernet(tcp((POD, SERVER), (41000, 8080), 7, preface + bytes(9)))] * 2
    split = [ethernet(tcp((POD, SERVER), (41001, 8080), 7 + at, preface[at : at + 12])) for at in (0, 12)]
    found = reading([*frames, *split])
    assert found.counts == {"HTTP/2 connections without TLS, whose hosts are not read": 2}
    assert found.greetings == []


def test_encrypted_dns_by_its_port(reading: Reading) -> None:
    frames = [tcp((POD, "9.9.9.9"), (43000, 853), 1, b"x"), tcp((POD, "9.9.9.10"), (43000, 853), 1, b"", 0x02)]
    frames += [udp(POD, "94.140.14.14", (43000, 853), b"x"), udp("fd00::7", "2620:fe::fe", (43000, 853), b"x")]
    frames += [tcp(("9.9.9.9", POD), (853, 43000), 1, b"x")]
    assert reading([ethernet(each) for each in frames]).hidden == {
        (POD, "9.9.9.9", 6),
        (POD, "94.140.14.14", 17),
        ("fd00::7", "2620:fe::fe", 17),
    }


# QUIC


def variable(value: int) -> bytes:
    return struct.pack(">H", 0x4000 | value)


def sealed(  # what an Initial packet is made of
    frames: bytes,
    *,
    version: int = 1,
    number: int = 0,
    connection: bytes = bytes(range(8)),
    keys_of: bytes | None = None,
) -> bytes:
    """An Initial packet, protected as RFC 9001 (5.3, 5.4) says."""
    keys = name_quic.client_keys(version, keys_of or connection)
    first = 0xC0 | name_quic.VERSIONS[version].initial << 4 | 1
    plain = struct.pack(">H", number)
    head = bytes([first]) + version.to_bytes(4) + bytes([len(connection)]) + connection + b"\x02ab" + b"\0"
    head += variable(2 + len(frames) + 16) + plain
    nonce = (int.from_bytes(keys.iv) ^ number).to_bytes(12)
    body = AESGCM(keys.key).encrypt(nonce, frames, head)
    mask = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor().update(body[2:18])  # noqa: S305
    covered = (
        bytes([head[0] ^ mask[0] & 0x0F])
        + head[1:-2]
        + bytes(one ^ other for one, other in zip(plain, mask[1:], strict=False))
    )
    return covered + body


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + variable(offset) + variable(len(data)) + data


def datagram(*packets: bytes) -> bytes:
    whole = b"".join(packets)
    return udp(POD, SERVER, (44000, 4433), whole + bytes(max(0, 1200 - len(whole))))


QUIC = (POD, SERVER, 17, 4433, b"api.partner.example")


@pytest.mark.parametrize("version", sorted(name_quic.VERSIONS))
def test_a_hello_in_one_initial_packet(reading: Reading, version: int) -> None:
    hello = HELLO[:4] + HELLO[4:]
    small = hello_of(server_name(b"api.partner.example"))
    assert reading([ethernet(datagram(sealed(bytes(9) + crypto(0, small), version=version)))]).said == [QUIC]
    halves = [
        sealed(crypto(0, hello[:800]), version=version),
        sealed(crypto(800, hello[800:]), number=1, version=version),
    ]
    apart = [ethernet(datagram(each)) for each in halves]
    for frames in (apart, apart[::-1], [ethernet(datagram(*halves))], apart + apart):
        for limits in (None, Limits(block=64, smallest_block=64)):
            assert reading(frames, limits).said == [QUIC]


def test_crypto_frames_in_any_order_with_other_frames_between(reading: Reading) -> None:
    parts = [crypto(at, HELLO[at : at + 300]) for at in range(0, 1200, 300)] + [crypto(1200, HELLO[1200:])]
    frames = b"\x01" + parts[3] + b"\x02\0\0\0\0" + parts[1] + bytes(20) + parts[0] + b"\x03" + bytes(7) + parts[4]
    one, other = sealed(frames), sealed(parts[2] + bytes(900), number=1)
    assert reading([ethernet(datagram(one)), ethernet(datagram(other))]).said == [QUIC]


def test_the_clients_later_packets_have_the_servers_connection_id_and_the_first_keys(reading: Reading) -> None:
    one = sealed(crypto(0, HELLO[:800]) + bytes(400))
    other = sealed(crypto(800, HELLO[800:]) + bytes(400), number=1, connection=b"server", keys_of=bytes(range(8)))
    assert reading([ethernet(datagram(one)), ethernet(datagram(other))]).said == [QUIC]


def test_a_retry_starts_anew(reading: Reading) -> None:
    small = hello_of(server_name(b"api.partner.example"))
    frames = [
        sealed(crypto(0, HELLO[:800]) + bytes(400)),
        sealed(crypto(0, small) + bytes(1200), connection=b"retried"),
    ]
    assert reading([ethernet(datagram(each)) for each in frames]).said == [QUIC]


def test_quic_that_cannot_be_read_says_nothing(reading: Reading) -> None:
    good = sealed(crypto(0, HELLO[:1000]) + bytes(200))
    broken = bytearray(good)
    broken[-1] ^= 1
    unknown = good[:1] + b"\xff\0\0\x1d" + good[5:]
    short_header = b"\x40" + good[1:]
    found = reading(
        [ethernet(datagram(bytes(each))) for each in (broken, unknown, short_header, b"\xc0\0\0\0\1" + bytes(1300))]
    )
    assert found.said == []


def test_quic_without_the_rest_gives_what_it_has(reading: Reading) -> None:
    assert reading([ethernet(datagram(sealed(crypto(0, HELLO[:900]) + bytes(300))))]).said == [QUIC]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("version", sorted(name_quic.VERSIONS))
def test_tshark_opens_the_packets_that_these_tests_seal(reading: Reading, version: int) -> None:
    small = hello_of(server_name(b"api.partner.example"))
    reading([ethernet(datagram(sealed(crypto(0, small) + bytes(1000), version=version)))])
    command = ["tshark", "-n", "-r", str(reading.folder / "names.pcap"), "-d", "udp.port==4433,quic"]
    command += ["-T", "fields", "-e", "tls.handshake.extensions_server_name"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["api.partner.example"]


# Everything together


def everything() -> list[bytes]:
    """Frames of every kind that carries names."""
    frames = [ethernet(answer_from(GOOD)), *(ethernet(each) for each in fragments(answer_from(LARGE), [1000, 2000]))]
    frames += [ethernet(each) for each in segments(records(HELLO, 200), 350)]
    stream = prefixed(GOOD, LARGE)
    frames += [ethernet(tcp((RESOLVER, POD), (53, 40000), 5 + at, stream[at : at + 700])) for at in range(0, 2500, 700)]
    frames += [ethernet(datagram(sealed(crypto(0, HELLO[:800]) + bytes(400))))]
    frames += [ethernet(datagram(sealed(crypto(800, HELLO[800:]) + bytes(400), number=1)))]
    frames += [ethernet(tcp((POD, SERVER), (42000, 80), 1, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))]
    frames += [ethernet(udp(POD, RESOLVER, (40000, 53), message(NAME, flags=0x0100)))]
    frames += [ethernet(udp("192.0.2.1", "192.0.2.2", (50000, 8472), b"\x08\0\0\0\0\0\7\0" + frames[0]))]
    return frames


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    flips=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=40),
    keep=st.integers(20, 2000),
    block=st.sampled_from([64, 1000, 1 << 20]),
)
def test_damaged_packets_are_read_or_counted(
    reading: Reading, frame: MakeFrame, flips: list[tuple[int, int]], keep: int, block: int
) -> None:
    whole = everything()
    data = bytearray(b"".join(whole))
    for place, value in flips:
        data[place % len(data)] = value
    frames = []
    for each in whole:
        changed, data = bytes(data[: len(each)]), data[len(each) :]
        frames.append(frame(changed[:keep], START, len(changed)))
    found = reading(frames, Limits(block=block, smallest_block=64))
    assert all(count > 0 for count in found.counts.values())


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(order=st.permutations(range(len(everything()))), block=st.integers(64, 3000), rows=st.integers(1, 9))
def test_the_block_size_changes_nothing(reading: Reading, order: list[int], block: int, rows: int) -> None:
    some = everything()
    frames = [some[each] for each in order]
    whole, parts = reading(frames), reading(frames, Limits(block=block, smallest_block=64, rows=rows))
    assert sorted(whole.answers) == sorted(parts.answers)
    assert sorted(whole.said) == sorted(parts.said)
    assert whole.counts == parts.counts
    assert (whole.questions, whole.hidden) == (parts.questions, parts.hidden)


def test_nothing_is_read_twice_when_captures_are_merged(reading: Reading, pcap_bytes: Write) -> None:
    files = [reading.folder / "one.pcap", reading.folder / "two.pcap"]
    for file, client in zip(files, (POD, "10.244.1.8"), strict=True):
        file.write_bytes(pcap_bytes([ethernet(answer_from(GOOD, client))]))
    assert sorted(each.client for each in read(files).answers) == [POD, "10.244.1.8"]


# Real captures, by tshark

FIELDS = (
    *(
        "dns.flags.response",
        "udp.srcport",
        "tcp.srcport",
        "icmp.type",
        "icmpv6.type",
        "dns.qry.name",
        "dns.a",
        "dns.aaaa",
    ),
    *("dns.resp.type", "dns.count.answers", "http.host", "tls.handshake.extensions_server_name"),
)


def tshark_says(file: Path) -> tuple[list[tuple[str, ...]], set[str]]:
    """Names and addresses of the DNS answers, and the names in ClientHellos and requests."""
    command = ["tshark", "-n", "-r", str(file), "-T", "fields", "-E", "occurrence=a", "-E", "separator=|"]
    command += ["-Y", "(dns.flags.response == 1) || http.host || tls.handshake.extensions_server_name"]
    command += ["-d", "udp.port==8472,vxlan", "-d", "tcp.port==8443,tls"]
    for each in FIELDS:
        command += ["-e", each]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    answers, said = [], set()
    for line in lines:
        one = dict(zip(FIELDS, line.split("|"), strict=True))
        if one["dns.flags.response"] and not one["icmp.type"] and not one["icmpv6.type"]:
            if "53" in (one["udp.srcport"].split(",")[-1], one["tcp.srcport"].split(",")[-1]):
                answers.append(_answered(one))
        elif one["http.host"]:
            said |= {re.sub(r":[0-9]+$", "", host) for host in one["http.host"].split(",")}
        elif one["tls.handshake.extensions_server_name"]:
            said.add(one["tls.handshake.extensions_server_name"])
    return sorted(answers), said


def _answered(line: dict[str, str]) -> tuple[str, ...]:
    """The name and the addresses of the answer section: tshark lists those of the other sections behind them."""
    four, six, kinds = (line[each].split(",") if line[each] else [] for each in ("dns.a", "dns.aaaa", "dns.resp.type"))
    inside = kinds[: int(line["dns.count.answers"])]
    places = four[: inside.count("1")] + six[: inside.count("28")]
    return (line["dns.qry.name"].lower(), *sorted(str(packed(ip_address(place))) for place in places))


def we_say(file: Path) -> tuple[list[tuple[str, ...]], set[str]]:
    found = read([file])
    answers = [
        (
            b".".join(_labels(each.name)).decode("latin-1").lower(),
            *sorted(str(packed(ip_address(place))) for place, _ in each.addresses),
        )
        for each in found.answers
    ]
    return sorted(answers), {each.name.decode() for each in found.greetings if each.name}


@pytest.mark.skipif(not shutil.which("tshark") or not shutil.which("mergecap"), reason="tshark is not installed")
def test_names_of_real_captures_are_those_of_tshark(real_captures: list[Path], tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    subprocess.run(["mergecap", "-a", "-w", str(merged), *map(str, real_captures)], check=True)
    answers, said = we_say(merged)
    assert (answers, said) == tshark_says(merged)
    assert len(answers) > 15
    assert len(said) > 5


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("name", ["node-a.pcap", "node-b.pcapng.gz"])
def test_names_of_the_shop_are_those_of_tshark(name: str) -> None:
    """Each packet is there several times, some of them cut: tshark takes the first for the true one."""
    file = Path(__file__).parents[2] / "captures" / "shop" / name
    (answers, said), (their_answers, they_said) = we_say(file), tshark_says(file)
    assert set(answers) == set(their_answers) - {("",)}
    assert said - {"api"} == they_said - {"api"}
    assert len(set(answers)) > 8


def _labels(name: bytes) -> list[bytes]:
    labels, at = [], 0
    while name[at]:
        labels.append(name[at + 1 : at + 1 + name[at]])
        at += 1 + name[at]
    return labels


def test_wire_form_is_what_these_tests_take_it_for() -> None:
    assert _labels(wire("a.bc")) == [b"a", b"bc"]
