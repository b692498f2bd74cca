"""Which packets the kernel hands to the agent: those that decide policy, so that the cost is per connection.

Admitted whole by kind: TCP with SYN, RST or FIN; TCP whose payload begins as a TLS ClientHello; TCP with payload from
or to port 53; SCTP's INIT, COOKIE, ABORT and SHUTDOWN; UDP; ICMP and ICMPv6; other protocols. A sample of the rest: of
other TCP and SCTP packets, for connections that are older than the agent; and of what comes in bulk and never opens
anything: QUIC packets with a short header (RFC 9000, 17.3), WireGuard's transport data, ESP. Inside VXLAN, Geneve, GRE
and IP in IP the innermost packet decides. Of IP fragments the first ones count as packets, and later ones of UDP are
admitted up to 4 KiB, the longest DNS answer that is usual (RFC 6891, 6.2.5).

The program stands at the network layer (a SOCK_DGRAM packet socket, packet(7)), so the link layer does not matter.
What is too short or too odd to be judged is admitted: to name what is malformed is the decoder's task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.capture import bpf
from netpol.capture.bpf import REJECT, Assembler
from netpol.capture.live_transport import datagram, sctp, tcp, udp
from netpol.capture.live_tunnels import geneve, gre, vxlan
from netpol.capture.live_words import (
    BULK,
    END,
    IPV4,
    IPV6,
    KEEP_LONG,
    KEEP_MIDDLE,
    KEEP_SHORT,
    LEVELS,
    PROTOCOL,
    SAMPLE,
    advance,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORT: Final = 256
"""Bytes kept of a packet of which the headers are enough: three IPv6 headers with tunnels between them."""
LONG: Final = 4096
"""Bytes kept of a DNS message and a ClientHello."""
MIDDLE: Final = 2048
"""Bytes kept of what fills one frame: QUIC Initials, SCTP chunks, fragments."""
MOST_INTERFACES: Final = 128
"""Interfaces that a program tells apart: the kernel gives a socket's options 20 KiB (net.core.optmem_max)."""
BULK_SAMPLE: Final = 16
"""At least one in so many of the datagrams that come in bulk is admitted: they have no FIN, only silence ends them."""

_LOOPBACK: Final = 1  # the index of `lo` in every network namespace
_OUTGOING: Final = 4  # PACKET_OUTGOING
_EXTENSIONS: Final = (0, 43, 60, 135, 139, 140)
_FRAGMENT, _AUTHENTICATION = 44, 51
_MOST_EXTENSIONS: Final = 4
_LONGEST_ANSWER: Final = 4096


def live_program(sample: int, interfaces: Sequence[int] | None = None) -> tuple[bpf.Instruction, ...]:
    """The filter.

    Args:
        sample: One in so many of the TCP packets that open and close nothing is admitted; 0: none, 1: all.
        interfaces: Indices of the interfaces to listen on; None: all.

    Raises:
        ValueError: More than MOST_INTERFACES.
    """
    code = Assembler()
    if interfaces is not None:
        _among(code, sorted(set(interfaces)))
    _once_on_loopback(code)
    code.index_constant(0)
    code.load(4, bpf.PROTOCOL, indexed=False)
    code.jump("==", IPV4, true="ipv4 0")
    code.jump("==", IPV6, true="ipv6 0", false=REJECT)
    for level in range(LEVELS):
        _packet(code, level)
    _ends(code, sample)
    return code.program()


def _among(code: Assembler, indices: Sequence[int]) -> None:
    """Rejects what came over other interfaces: a search by halves."""
    if len(indices) > MOST_INTERFACES:
        raise ValueError(f"{len(indices)} interfaces, where {MOST_INTERFACES} are the most")
    code.load(4, bpf.INTERFACE, indexed=False)

    def search(part: Sequence[int]) -> None:
        if len(part) < 3:
            for each in part:
                code.jump("==", each, true="interface is wanted")
            code.go(REJECT)
            return
        middle = len(part) // 2
        upper = code.fresh("upper half")
        code.jump(">=", part[middle], true=upper)
        search(part[:middle])
        code.label(upper)
        search(part[middle:])

    search(indices)
    code.label("interface is wanted")


def _once_on_loopback(code: Assembler) -> None:
    """What goes over `lo` is seen leaving and arriving: only the arrival counts, as for libpcap."""
    code.load(4, bpf.INTERFACE, indexed=False)
    code.jump("==", _LOOPBACK, false="no double")
    code.load(4, bpf.PACKET_TYPE, indexed=False)
    code.jump("==", _OUTGOING, true=REJECT)
    code.label("no double")


def _packet(code: Assembler, level: int) -> None:
    """An IP packet at X."""
    _ipv4(code, level)
    _ipv6(code, level)
    _dispatch(code, level)
    tcp(code, level)
    udp(code, level)
    if level + 1 < LEVELS:
        vxlan(code, level)
        geneve(code, level)
        gre(code, level)
    datagram(code, level)
    sctp(code, level)


def _ipv4(code: Assembler, level: int) -> None:
    code.label(f"ipv4 {level}")
    require(code, 20)
    code.load(1, 0)
    code.compute(">>", 4)
    code.jump("==", 4, false=KEEP_SHORT)
    known, end = code.fresh("length known"), code.fresh("end")
    code.load(2, 2)
    code.jump("==", 0, false=known)
    code.load_length()  # offloaded: the card was to fill it in
    code.go(end)
    code.label(known)
    code.compute("+")
    code.label(end)
    code.store(END)
    code.load(1, 9)
    code.store(PROTOCOL)
    code.load(2, 6)
    later = code.fresh("later fragment")
    code.jump("&", 0x1FFF, true=later)
    code.load(1, 0)
    code.compute("&", 0x0F)
    code.compute("<<", 2)
    code.jump(">=", 20, false=KEEP_SHORT)
    advance(code)
    code.recall(PROTOCOL)
    code.jump("==", _AUTHENTICATION, true=f"extensions {level}", false=f"transport {level}")
    code.label(later)
    code.compute("&", 0x1FFF)
    _later_fragment(code, _LONGEST_ANSWER >> 3)


def _later_fragment(code: Assembler, most: int) -> None:
    """Its offset is in A, its protocol in memory."""
    code.jump(">", most, true=REJECT)
    code.recall(PROTOCOL)
    code.jump("==", 17, true=KEEP_MIDDLE, false=REJECT)


def _ipv6(code: Assembler, level: int) -> None:
    code.label(f"ipv6 {level}")
    require(code, 40)
    code.load(1, 0)
    code.compute(">>", 4)
    code.jump("==", 6, false=KEEP_SHORT)
    code.load(1, 6)
    code.store(PROTOCOL)
    known, end = code.fresh("length known"), code.fresh("end")
    code.load(2, 4)
    code.jump("==", 0, false=known)
    code.load_length()  # a jumbogram, or offloaded
    code.go(end)
    code.label(known)
    code.compute("+", 40)
    code.compute("+")
    code.label(end)
    code.store(END)
    code.load_constant(40)
    advance(code)
    code.recall(PROTOCOL)
    code.label(f"extensions {level}")  # with the protocol in A
    for _ in range(_MOST_EXTENSIONS):
        _extension(code, level)
    # What has still more of them is decided by whatever follows the last one that was looked at.
    code.go(f"transport {level}")


def _extension(code: Assembler, level: int) -> None:
    """Skips one extension header; leaves the protocol in A and in memory."""
    fragment, authentication = code.fresh("fragment"), code.fresh("authentication")
    eight, done = code.fresh("eights"), code.fresh("skipped")
    code.jump("==", _FRAGMENT, true=fragment)
    code.jump("==", _AUTHENTICATION, true=authentication)
    for each in _EXTENSIONS[:-1]:
        code.jump("==", each, true=eight)
    code.jump("==", _EXTENSIONS[-1], true=eight, false=f"transport {level}")
    code.label(eight)
    _next_protocol(code)
    code.load(1, 1)
    code.compute("+", 1)
    code.compute("<<", 3)
    code.go(done)
    code.label(authentication)
    _next_protocol(code)
    code.load(1, 1)
    code.compute("+", 2)
    code.compute("<<", 2)
    code.go(done)
    code.label(fragment)
    _next_protocol(code)
    code.load(2, 2)
    first = code.fresh("first fragment")
    code.jump("&", 0xFFF8, false=first)
    code.compute("&", 0xFFF8)
    _later_fragment(code, _LONGEST_ANSWER)
    code.label(first)
    code.load_constant(8)
    code.label(done)
    advance(code)
    code.recall(PROTOCOL)


def _next_protocol(code: Assembler) -> None:
    require(code, 8)
    code.load(1, 0)
    code.store(PROTOCOL)


def _dispatch(code: Assembler, level: int) -> None:
    """What follows the IP header at X; the protocol is in memory."""
    deeper = level + 1 < LEVELS
    code.label(f"transport {level}")
    code.recall(PROTOCOL)
    code.jump("==", 6, true=f"tcp {level}")
    code.jump("==", 17, true=f"udp {level}")
    code.jump("==", 132, true=f"sctp {level}")
    code.jump("==", 50, true=BULK)
    code.jump("==", 4, true=f"ipv4 {level + 1}" if deeper else KEEP_SHORT)
    code.jump("==", 41, true=f"ipv6 {level + 1}" if deeper else KEEP_SHORT)
    code.jump("==", 47, true=f"gre {level}" if deeper else KEEP_SHORT, false=KEEP_SHORT)


def _ends(code: Assembler, sample: int) -> None:
    """What becomes of the packet."""
    for name, one_in in ((SAMPLE, sample), (BULK, min(sample, BULK_SAMPLE) or BULK_SAMPLE)):
        code.label(name)
        if one_in == 0:
            code.go(REJECT)
            continue
        code.load(4, bpf.RANDOM, indexed=False)
        code.compute("%", one_in)
        code.jump("==", 0, true=KEEP_SHORT, false=REJECT)
    for name, size in ((KEEP_SHORT, SHORT), (KEEP_MIDDLE, MIDDLE), (KEEP_LONG, LONG)):
        code.label(name)
        code.accept(size)
