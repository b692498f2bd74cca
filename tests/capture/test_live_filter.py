"""The agent's BPF program: held against what it promises, by an interpreter and by the kernel."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netpol.capture import bpf
from netpol.capture.bpf import Assembler, packed
from netpol.capture.decode import decode
from netpol.capture.fragments import FragmentTable
from netpol.capture.live_filter import BULK_SAMPLE, MOST_INTERFACES, live_program
from netpol.capture.packets import SCTP_COOKIE_ECHO, SCTP_INIT, SCTP_INIT_ACK, PacketBatch, Tally
from netpol.capture.records import Records
from netpol.capture.views import HEAD, PAD
from netpol.model.flow import ICMP, ICMPV6, SCTP, TCP, UDP
from tests.capture.bpf_machine import execute
from tests.capture.wanted import BULK, NOT, SAMPLE, SHORT, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_PORTS = st.sampled_from([53, 80, 443, 4789, 8472, 6081, 51820, 40000])

# Packets from the inside to the outside: bytes of one layer around the bytes of the next.


@st.composite
def tcp(draw: st.DrawFn) -> bytes:
    options = draw(st.integers(0, 10)) * 4
    payload = draw(
        st.sampled_from([b"", b"\x16\x03\1\2\0\1", b"\x16\x03\3\2\0\2", b"\x16\x03\1", b"GET / HTTP/1.1\r\n", b"z"])
    )
    flags = draw(st.integers(0, 255))
    offset = draw(st.sampled_from([(20 + options) // 4] * 8 + [0, 4, 15]))
    head = struct.pack("!HHIIBBHHH", draw(_PORTS), draw(_PORTS), 7, 8, offset << 4, flags, 9, 0, 0)
    return head + bytes(options) + payload


@st.composite
def sctp(draw: st.DrawFn) -> bytes:
    return struct.pack("!HHII", 5000, 6000, 1, 2) + bytes([draw(st.integers(0, 20)), 0, 0, 8]) + bytes(4)


@st.composite
def udp(draw: st.DrawFn, deeper: int) -> bytes:
    source, destination = draw(_PORTS), draw(_PORTS)
    payload = draw(st.sampled_from([b"", b"\x40abc", b"\xc0\0\0\0\1", b"\4\0\0\0key", b"\4\0\0", b"query"]))
    if deeper and destination in {4789, 8472}:
        flags = draw(st.sampled_from([b"\x08\0\0\0", b"\x88\x40\1\2", b"\x88\x08\1\2", b"\x0c\0\0\0", b"\x08\0\0\1"]))
        payload = flags + b"\0\0\7" + draw(st.sampled_from([b"\0", b"\0", b"\1"])) + draw(frame(deeper - 1))
    elif deeper and destination == 6081:
        options = draw(st.integers(0, 3))
        version = draw(st.sampled_from([0, 0, 0, 0x40]))
        ethertype, inner = draw(carried(deeper - 1))
        critical = draw(st.sampled_from([0, 0x80, 1]))
        payload = struct.pack("!BBHI", version | options, critical, ethertype, 7 << 8) + bytes(4 * options) + inner
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


@st.composite
def frame(draw: st.DrawFn, deeper: int) -> bytes:
    version = draw(st.sampled_from([4, 6]))
    tags = draw(st.sampled_from([b"", b"", b"\x81\0\0\5", b"\x81\0\0\5\x88\xa8\0\6"]))
    ethertype = draw(st.sampled_from([_ETHERTYPES[version]] * 4 + [0x0806, 100, 0x1234]))
    return bytes(12) + tags + struct.pack("!H", ethertype) + draw(ip(version, deeper))


@st.composite
def carried(draw: st.DrawFn, deeper: int) -> tuple[int, bytes]:
    version = draw(st.sampled_from([4, 6]))
    ethertype = draw(st.sampled_from([_ETHERTYPES[version], 0x6558, 0x1234]))
    return ethertype, draw(frame(deeper) if ethertype == 0x6558 else ip(version, deeper))


@st.composite
def gre(draw: st.DrawFn, deeper: int) -> bytes:
    flags = draw(st.sampled_from([0, 0x8000, 0x2000, 0x1000, 0xB000, 0x4000, 1]))
    length = sum(4 for bit in (0x8000, 0x2000, 0x1000) if flags & bit)
    ethertype, inner = draw(carried(deeper))
    return struct.pack("!HH", flags, ethertype) + bytes(length) + inner


@st.composite
def transport(draw: st.DrawFn, deeper: int) -> tuple[int, bytes]:
    kinds = [6, 17, 132, 1, 58, 50, 89] + ([4, 41, 47] if deeper else [])
    protocol = draw(st.sampled_from(kinds))
    ways = {6: tcp(), 17: udp(deeper), 132: sctp(), 4: ip(4, deeper - 1), 41: ip(6, deeper - 1), 47: gre(deeper - 1)}
    return protocol, draw(ways.get(protocol, st.binary(max_size=30)))


@st.composite
def ip(draw: st.DrawFn, version: int, deeper: int) -> bytes:
    protocol, body = draw(transport(max(0, deeper)))
    extensions = draw(st.lists(st.sampled_from([0, 43, 44, 51, 60, 135, 139, 140]), max_size=5 if version == 6 else 0))
    if version == 4 and draw(st.booleans()):
        extensions = [51]
    for each in reversed(extensions):
        units = draw(st.integers(0, 2))
        size = {44: 8, 51: (units + 2) * 4}.get(each, (units + 1) * 8)
        offset = draw(st.sampled_from([0, 0, 1, 8, 4096, 4104])) if each == 44 else 0
        body = (struct.pack("!BBH", protocol, units, offset) + bytes(8))[: max(8, size)].ljust(size, b"\0") + body
        protocol = each
    if version == 6:
        size = draw(st.sampled_from([len(body)] * 4 + [0]))
        return struct.pack("!IHBB", 6 << 28, size & 0xFFFF, protocol, 64) + bytes(32) + body
    words = draw(st.integers(5, 8))
    fragment = draw(st.sampled_from([0, 0, 0, 0, 0x2000, 1, 512, 513, 0x1FFF, 0x4000]))
    total = draw(st.sampled_from([words * 4 + len(body)] * 4 + [0]))
    head = struct.pack("!BBHHHBBH", 4 << 4 | words, 0, total & 0xFFFF, 1, fragment, 64, protocol, 0)
    return head + bytes(8) + bytes(words * 4 - 20) + body


@st.composite
def packets(draw: st.DrawFn) -> tuple[int, bytes]:
    """A packet of a version; some are cut off, some have a byte changed."""
    version = draw(st.sampled_from([4, 6]))
    packet = draw(ip(version, 3))
    damage = draw(st.sampled_from(["none", "none", "none", "cut", "changed", "noise"]))
    if damage == "cut":
        packet = packet[: draw(st.integers(0, len(packet)))]
    elif damage == "changed":
        at = draw(st.integers(0, len(packet) - 1))
        packet = packet[:at] + bytes([draw(st.integers(0, 255))]) + packet[at + 1 :]
    elif damage == "noise":
        packet = bytes([version << 4 | 5]) + draw(st.binary(max_size=100))
    return version, packet


_program = cache(live_program)


def decide(packet: bytes, version: int, *, sample: int, chance: int, interface: int = 5, kind: int = 0) -> int:
    known = {bpf.PROTOCOL: _ETHERTYPES[version], bpf.INTERFACE: interface, bpf.PACKET_TYPE: kind, bpf.RANDOM: chance}
    return execute(_program(sample), packet, known)


def expected(packet: bytes, version: int, *, sample: int, chance: int) -> int:
    """With the chances that the module's docstring tells."""
    found = wanted(packet, version)
    if isinstance(found, int):
        return found
    one_in = sample if found == SAMPLE else min(sample, BULK_SAMPLE) or BULK_SAMPLE
    return SHORT if one_in and chance % one_in == 0 else NOT


@settings(max_examples=300, deadline=None)
@given(packets(), st.sampled_from([0, 1, 256]), st.integers(0, 600))
@example((4, b""), 256, 0)
def test_the_program_is_what_it_promises(found: tuple[int, bytes], sample: int, chance: int) -> None:
    """And it never looks outside the packet, where the kernel would reject it without a word."""
    version, packet = found
    decided = decide(packet, version, sample=sample, chance=chance)
    assert decided == expected(packet, version, sample=sample, chance=chance)


@settings(max_examples=300, deadline=None)
@given(packets())
def test_no_packet_that_decides_policy_is_rejected(found: tuple[int, bytes]) -> None:
    """By what the decoder says it is: the filter must not lose what a capture would show, tunnels included."""
    version, packet = found
    for batch in decoded(packet):
        decides = (batch.protocol == TCP) & (batch.flags & 7 != 0)
        decides |= (batch.protocol == SCTP) & (batch.flags & (SCTP_INIT | SCTP_INIT_ACK | SCTP_COOKIE_ECHO) != 0)
        decides |= (batch.protocol == ICMP) | (batch.protocol == ICMPV6)
        decides |= (batch.protocol == UDP) & ((batch.source_port == 53) | (batch.destination_port == 53))
        if decides.any():
            assert decide(packet, version, sample=0, chance=1) > 0


def decoded(packet: bytes) -> list[PacketBatch]:
    data = np.frombuffer(packet + bytes(PAD), np.uint8)
    one, size = np.zeros(1, np.int64), np.array([len(packet)], np.int64)
    heads = np.frombuffer((packet + bytes(HEAD))[:HEAD], np.uint8).reshape(1, HEAD)
    records = Records(data=data, heads=heads, at=one, captured=size, wire=size, time=one, linktype=101)
    tally = Tally()
    items = decode(records, FragmentTable(16, tally), tally)
    return [item.batch for item in items if isinstance(item.batch, PacketBatch)]


class _Kernel:
    """A socket pair whose kernel decides by the program, with the places outside the packet replaced by constants."""

    def __init__(self, program: Sequence[bpf.Instruction], known: dict[int, int]) -> None:
        fixed = [
            each._replace(code=0, k=known[each.k]) if each.code == 0x20 and each.k in known else each
            for each in program
        ]
        self.one, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.other.setblocking(False)
        buffer = ctypes.create_string_buffer(packed(fixed))
        self.other.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", len(fixed), ctypes.addressof(buffer)))

    def decide(self, packet: bytes) -> int:
        """How many bytes it let through."""
        self.one.send(packet)
        try:
            return len(self.other.recv(65536))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        self.one.close()
        self.other.close()


@pytest.fixture(scope="module")
def kernels() -> Iterator[dict[int, _Kernel]]:
    known = {bpf.INTERFACE: 5, bpf.PACKET_TYPE: 0, bpf.RANDOM: 0}
    found = {version: _Kernel(live_program(1), {**known, bpf.PROTOCOL: _ETHERTYPES[version]}) for version in (4, 6)}
    yield found
    for each in found.values():
        each.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="socket filters are Linux's")
@settings(max_examples=300, deadline=None)
@given(found=packets())
def test_the_kernel_decides_the_same(kernels: dict[int, _Kernel], found: tuple[int, bytes]) -> None:
    version, packet = found
    assert kernels[version].decide(packet) == min(len(packet), expected(packet, version, sample=1, chance=0))


def test_what_crosses_lo_counts_once() -> None:
    syn = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + bytes(8)
    syn += struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 5 << 4, 2, 0, 0, 0)
    outgoing, host = 4, 0
    assert [decide(syn, 4, sample=0, chance=0, interface=1, kind=kind) for kind in (outgoing, host)] == [NOT, SHORT]
    assert [decide(syn, 4, sample=0, chance=0, interface=2, kind=kind) for kind in (outgoing, host)] == [SHORT, SHORT]


def test_other_protocols_are_not_wanted() -> None:
    known = {bpf.PROTOCOL: 0x0806, bpf.INTERFACE: 5, bpf.PACKET_TYPE: 0, bpf.RANDOM: 0}
    assert execute(live_program(1), bytes(60), known) == NOT


@given(st.sets(st.integers(1, 1 << 20), max_size=MOST_INTERFACES), st.integers(1, 1 << 20))
@settings(deadline=None, max_examples=50)
def test_only_the_chosen_interfaces_count(chosen: set[int], other: int) -> None:
    program = live_program(0, sorted(chosen))
    icmp = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes(16)
    for interface in [*sorted(chosen)[:5], other]:
        known = {bpf.PROTOCOL: 0x0800, bpf.INTERFACE: interface, bpf.PACKET_TYPE: 0, bpf.RANDOM: 0}
        assert execute(program, icmp, known) == (SHORT if interface in chosen else NOT)


def test_more_interfaces_than_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="are the most"):
        live_program(0, range(1, MOST_INTERFACES + 2))


def test_a_program_fits_into_what_older_kernels_give_a_socket() -> None:
    """20,480 bytes (net.core.optmem_max before Linux 6.7) for what the kernel makes of it: 1.4 times as much."""
    assert len(live_program(256, range(1, MOST_INTERFACES + 1))) * 8 * 1.4 < 20_480


def test_far_jumps_arrive() -> None:
    code = Assembler()
    code.load(1, 0)
    code.jump("==", 1, true="far", false="further")
    for _ in range(300):
        code.compute("+", 1)
    code.label("far")
    code.accept(11)
    for _ in range(300):
        code.compute("+", 1)
    code.label("further")
    code.accept(22)
    program = code.program()
    assert execute(program, b"\1", {}) == 11
    assert execute(program, b"\2", {}) == 22


def test_programs_do_not_jump_backward() -> None:
    code = Assembler()
    code.label("here")
    code.load(1, 0)
    code.go("here")
    with pytest.raises(ValueError, match="backward"):
        code.program()


def test_bulk_is_sampled_however_little_tcp_is() -> None:
    esp = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 50, 0) + bytes(16)
    assert wanted(esp, 4) == BULK
    assert [decide(esp, 4, sample=0, chance=chance) for chance in (0, 1, 15, 16)] == [SHORT, NOT, NOT, SHORT]
