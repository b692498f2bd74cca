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

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORT: Final = 256
"""Bytes kept of a packet of which the headers are enough: three IPv6 headers with tunnels between them."""
LONG: Final = 4096
"""Bytes kept of a DNS message and a ClientHello."""
MIDDLE: Final = 2048
"""Bytes kept of what fills one frame: QUIC Initials, SCTP chunks, fragments."""
LEVELS: Final = 2
"""IP headers within each other that are judged; a tunnel in a tunnel is admitted packet by packet."""
MOST_INTERFACES: Final = 128
"""Interfaces that a program tells apart: the kernel gives a socket's options 20 KiB (net.core.optmem_max)."""
BULK_SAMPLE: Final = 16
"""At least one in so many of the datagrams that come in bulk is admitted: they have no FIN, only silence ends them."""

_LOOPBACK: Final = 1  # the index of `lo` in every network namespace
_OUTGOING: Final = 4  # PACKET_OUTGOING
_IPV4, _IPV6, _BRIDGED = 0x0800, 0x86DD, 0x6558
_VLANS: Final = (0x8100, 0x88A8, 0x9100)
_NOT_IP: Final = (0x0806, 0x8035, 0x8847, 0x8848, 0x88CC)
_EXTENSIONS: Final = (0, 43, 60, 135, 139, 140)
_FRAGMENT, _AUTHENTICATION = 44, 51
_MOST_EXTENSIONS: Final = 4
_LONGEST_ANSWER: Final = 4096
_SCTP_TAKEN: Final = (1, 2, 6, 7, 8, 10, 11, 14)
_END, _PROTOCOL, _BEGIN, _FLAGS = range(4)
# Cells of the memory: where the IP packet ends, and what follows its header; where a tunnel's header begins, its flags
_KEEP_SHORT, _KEEP_MIDDLE, _KEEP_LONG, _SAMPLE, _SAMPLE_BULK = "short", "middle", "long", "sample", "bulk"


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
    code.jump("==", _IPV4, true="ipv4 0")
    code.jump("==", _IPV6, true="ipv6 0", false=REJECT)
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


def _require(code: Assembler, size: int, otherwise: str = _KEEP_SHORT) -> None:
    """Goes elsewhere with a packet that does not have `size` bytes from X on.

    By default it is admitted: it is for the decoder to say what is wrong.
    """
    code.load_length()
    code.jump(">=", false=otherwise)
    code.compute("-")
    code.jump(">=", size, false=otherwise)


def _advance(code: Assembler) -> None:
    """X = X + A."""
    code.compute("+")
    code.index_from_a()


def _packet(code: Assembler, level: int) -> None:
    """An IP packet at X."""
    _ipv4(code, level)
    _ipv6(code, level)
    _dispatch(code, level)
    _tcp(code, level)
    _udp(code, level)
    if level + 1 < LEVELS:
        _vxlan(code, level)
        _geneve(code, level)
        _gre(code, level)
    _datagram(code, level)
    _sctp(code, level)


def _ipv4(code: Assembler, level: int) -> None:
    code.label(f"ipv4 {level}")
    _require(code, 20)
    code.load(1, 0)
    code.compute(">>", 4)
    code.jump("==", 4, false=_KEEP_SHORT)
    known, end = code.fresh("length known"), code.fresh("end")
    code.load(2, 2)
    code.jump("==", 0, false=known)
    code.load_length()  # offloaded: the card was to fill it in
    code.go(end)
    code.label(known)
    code.compute("+")
    code.label(end)
    code.store(_END)
    code.load(1, 9)
    code.store(_PROTOCOL)
    code.load(2, 6)
    later = code.fresh("later fragment")
    code.jump("&", 0x1FFF, true=later)
    code.load(1, 0)
    code.compute("&", 0x0F)
    code.compute("<<", 2)
    code.jump(">=", 20, false=_KEEP_SHORT)
    _advance(code)
    code.recall(_PROTOCOL)
    code.jump("==", _AUTHENTICATION, true=f"extensions {level}", false=f"transport {level}")
    code.label(later)
    code.compute("&", 0x1FFF)
    _later_fragment(code, _LONGEST_ANSWER >> 3)


def _later_fragment(code: Assembler, most: int) -> None:
    """Its offset is in A, its protocol in memory."""
    code.jump(">", most, true=REJECT)
    code.recall(_PROTOCOL)
    code.jump("==", 17, true=_KEEP_MIDDLE, false=REJECT)


def _ipv6(code: Assembler, level: int) -> None:
    code.label(f"ipv6 {level}")
    _require(code, 40)
    code.load(1, 0)
    code.compute(">>", 4)
    code.jump("==", 6, false=_KEEP_SHORT)
    code.load(1, 6)
    code.store(_PROTOCOL)
    known, end = code.fresh("length known"), code.fresh("end")
    code.load(2, 4)
    code.jump("==", 0, false=known)
    code.load_length()  # a jumbogram, or offloaded
    code.go(end)
    code.label(known)
    code.compute("+", 40)
    code.compute("+")
    code.label(end)
    code.store(_END)
    code.load_constant(40)
    _advance(code)
    code.recall(_PROTOCOL)
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
    _advance(code)
    code.recall(_PROTOCOL)


def _next_protocol(code: Assembler) -> None:
    _require(code, 8)
    code.load(1, 0)
    code.store(_PROTOCOL)


def _dispatch(code: Assembler, level: int) -> None:
    """What follows the IP header at X; the protocol is in memory."""
    deeper = level + 1 < LEVELS
    code.label(f"transport {level}")
    code.recall(_PROTOCOL)
    code.jump("==", 6, true=f"tcp {level}")
    code.jump("==", 17, true=f"udp {level}")
    code.jump("==", 132, true=f"sctp {level}")
    code.jump("==", 50, true=_SAMPLE_BULK)
    code.jump("==", 4, true=f"ipv4 {level + 1}" if deeper else _KEEP_SHORT)
    code.jump("==", 41, true=f"ipv6 {level + 1}" if deeper else _KEEP_SHORT)
    code.jump("==", 47, true=f"gre {level}" if deeper else _KEEP_SHORT, false=_KEEP_SHORT)


def _tcp(code: Assembler, level: int) -> None:
    code.label(f"tcp {level}")
    _require(code, 20)
    quiet, dns = code.fresh("opens and closes nothing"), code.fresh("dns")
    code.load(1, 13)
    code.jump("&", 0x07, false=quiet)  # FIN, SYN, RST
    for at in (0, 2):
        code.load(2, at)
        code.jump("==", 53, true=_KEEP_LONG)
    code.go(_KEEP_SHORT)
    code.label(quiet)
    for at in (0, 2):
        code.load(2, at)
        code.jump("==", 53, true=dns)
    _to_payload(code)
    _require(code, 6, _SAMPLE)
    code.load(2, 0)
    code.jump("==", 0x1603, false=_SAMPLE)
    code.load(1, 5)
    code.jump("==", 1, true=_KEEP_LONG, false=_SAMPLE)
    code.label(dns)
    _to_payload(code)
    code.recall(_END)
    code.jump(">", true=_KEEP_LONG, false=_SAMPLE)


def _to_payload(code: Assembler) -> None:
    """X = where the payload of the TCP segment at X begins."""
    code.load(1, 12)
    code.compute(">>", 4)
    code.compute("<<", 2)
    _advance(code)


def _udp(code: Assembler, level: int) -> None:
    code.label(f"udp {level}")
    _require(code, 8)
    code.load(2, 2)
    deeper = level + 1 < LEVELS
    for port in (4789, 8472):
        code.jump("==", port, true=f"vxlan {level}" if deeper else _KEEP_SHORT)
    code.jump("==", 6081, true=f"geneve {level}" if deeper else _KEEP_SHORT, false=f"datagram {level}")


def _vxlan(code: Assembler, level: int) -> None:
    """RFC 7348, with the group policy extension."""
    none = f"datagram {level}"
    grouped, good = code.fresh("grouped"), code.fresh("vxlan")
    code.label(f"vxlan {level}")
    _require(code, 8 + 8 + 14, none)
    code.load(4, 8)
    code.jump("&", 0x8000_0000, true=grouped)
    code.jump("==", 0x0800_0000, true=good, false=none)
    code.label(grouped)
    code.compute("&", 0x7FB7_0000)
    code.jump("==", 0x0800_0000, false=none)
    code.label(good)
    code.load(1, 8 + 7)
    code.jump("==", 0, false=none)
    _remember(code, 8 + 8)
    back = code.fresh("not a tunnel")
    _ethernet(code, level, back)
    _go_back(code, level, back)


def _geneve(code: Assembler, level: int) -> None:
    """RFC 8926."""
    none = f"datagram {level}"
    code.label(f"geneve {level}")
    _require(code, 8 + 8, none)
    code.load(1, 8)
    code.jump("&", 0xC0, true=none)
    code.load(1, 9)
    code.jump("&", 0x3F, true=none)
    code.load(1, 8 + 7)
    code.jump("==", 0, false=none)
    code.load(2, 10)
    code.store(_PROTOCOL)
    _remember(code, 0)
    code.load(1, 8)
    code.compute("&", 0x3F)
    code.compute("<<", 2)
    code.compute("+", 8 + 8)
    _advance(code)
    back = code.fresh("not a tunnel")
    _carried(code, level, back)
    _go_back(code, level, back)


def _gre(code: Assembler, level: int) -> None:
    """RFC 2784 and 2890."""
    code.label(f"gre {level}")
    _require(code, 4)
    code.load(2, 2)
    code.store(_PROTOCOL)
    code.load(2, 0)
    code.jump("&", 0x4FFF, true=_KEEP_SHORT)
    code.store(_FLAGS)
    code.load_constant(4)
    _advance(code)
    for present in (0x8000, 0x2000, 0x1000):  # a checksum, a key, a number: four bytes each
        without = code.fresh("without")
        code.recall(_FLAGS)
        code.jump("&", present, false=without)
        code.load_constant(4)
        _advance(code)
        code.label(without)
    _carried(code, level, _KEEP_SHORT)


def _remember(code: Assembler, size: int) -> None:
    """Notes where the tunnel's header begins, and skips `size` bytes."""
    code.a_from_index()
    code.store(_BEGIN)
    code.compute("+", size)
    code.index_from_a()


def _go_back(code: Assembler, level: int, label: str) -> None:
    """The place from where to go on with the datagram in which a tunnel's header was looked for."""
    code.label(label)
    code.recall(_BEGIN)
    code.index_from_a()
    code.go(f"datagram {level}")


def _carried(code: Assembler, level: int, otherwise: str) -> None:
    """What a tunnel carries, at X, with its EtherType in memory."""
    code.recall(_PROTOCOL)
    code.jump("==", _IPV4, true=f"ipv4 {level + 1}")
    code.jump("==", _IPV6, true=f"ipv6 {level + 1}")
    code.jump("==", _BRIDGED, false=otherwise)
    _ethernet(code, level, otherwise)


def _ethernet(code: Assembler, level: int, otherwise: str) -> None:
    """A frame at X; one that holds no IP is not wanted, one whose type no tunnel carries is none."""
    _require(code, 14, otherwise)
    ways = [(header, code.fresh("tagged")) for header in (14, 18)]
    for header, place in ways:
        code.load(2, header - 2)
        for kind, version in ((_IPV4, 4), (_IPV6, 6)):
            its, other = code.fresh("version"), code.fresh("other type")
            code.jump("==", kind, true=its, false=other)
            code.label(its)
            code.load_constant(header)
            _advance(code)
            code.go(f"ipv{version} {level + 1}")
            code.label(other)
        for kind in _VLANS:
            code.jump("==", kind, true=place)
        code.jump(">", 1500, false=REJECT)
        for kind in _NOT_IP:
            code.jump("==", kind, true=REJECT)
        code.go(otherwise)
        code.label(place)
        _require(code, 18, otherwise)
    code.go(_KEEP_SHORT)


def _datagram(code: Assembler, level: int) -> None:
    quic, wireguard = code.fresh("quic"), code.fresh("wireguard")
    code.label(f"datagram {level}")
    for at in (2, 0):
        code.load(2, at)
        code.jump("==", 53, true=_KEEP_LONG)
    for at in (2, 0):
        code.load(2, at)
        code.jump("==", 443, true=quic)
        code.jump("==", 51820, true=wireguard)
    code.go(_KEEP_SHORT)
    code.label(quic)
    _require(code, 9)
    code.load(1, 8)
    code.compute(">>", 6)
    code.jump("==", 1, true=_SAMPLE_BULK)  # a short header
    code.jump("==", 3, true=_KEEP_MIDDLE, false=_KEEP_SHORT)
    code.label(wireguard)
    _require(code, 12)
    code.load(4, 8)
    code.jump("==", 0x0400_0000, true=_SAMPLE_BULK, false=_KEEP_SHORT)  # transport data


def _sctp(code: Assembler, level: int) -> None:
    code.label(f"sctp {level}")
    _require(code, 16)
    code.load(1, 12)
    for kind in _SCTP_TAKEN:
        code.jump("==", kind, true=_KEEP_MIDDLE)
    code.go(_SAMPLE_BULK)


def _ends(code: Assembler, sample: int) -> None:
    """What becomes of the packet."""
    for name, one_in in ((_SAMPLE, sample), (_SAMPLE_BULK, min(sample, BULK_SAMPLE) or BULK_SAMPLE)):
        code.label(name)
        if one_in == 0:
            code.go(REJECT)
            continue
        code.load(4, bpf.RANDOM, indexed=False)
        code.compute("%", one_in)
        code.jump("==", 0, true=_KEEP_SHORT, false=REJECT)
    for name, size in ((_KEEP_SHORT, SHORT), (_KEEP_MIDDLE, MIDDLE), (_KEEP_LONG, LONG)):
        code.label(name)
        code.accept(size)
