"""The agent's filter on tunnels: VXLAN, Geneve and GRE, from their headers to the packet inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.capture.bpf import REJECT
from netpol.capture.live_words import BEGIN, FLAGS, IPV4, IPV6, KEEP_SHORT, PROTOCOL, advance, require

if TYPE_CHECKING:
    from netpol.capture.bpf import Assembler

_BRIDGED: Final = 0x6558
_VLANS: Final = (0x8100, 0x88A8, 0x9100)
_NOT_IP: Final = (0x0806, 0x8035, 0x8847, 0x8848, 0x88CC)


def vxlan(code: Assembler, level: int) -> None:
    """RFC 7348, with the group policy extension."""
    none = f"datagram {level}"
    grouped, good = code.fresh("grouped"), code.fresh("vxlan")
    code.label(f"vxlan {level}")
    require(code, 8 + 8 + 14, none)
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


def geneve(code: Assembler, level: int) -> None:
    """RFC 8926."""
    none = f"datagram {level}"
    code.label(f"geneve {level}")
    require(code, 8 + 8, none)
    code.load(1, 8)
    code.jump("&", 0xC0, true=none)
    code.load(1, 9)
    code.jump("&", 0x3F, true=none)
    code.load(1, 8 + 7)
    code.jump("==", 0, false=none)
    code.load(2, 10)
    code.store(PROTOCOL)
    _remember(code, 0)
    code.load(1, 8)
    code.compute("&", 0x3F)
    code.compute("<<", 2)
    code.compute("+", 8 + 8)
    advance(code)
    back = code.fresh("not a tunnel")
    _carried(code, level, back)
    _go_back(code, level, back)


def gre(code: Assembler, level: int) -> None:
    """RFC 2784 and 2890."""
    code.label(f"gre {level}")
    require(code, 4)
    code.load(2, 2)
    code.store(PROTOCOL)
    code.load(2, 0)
    code.jump("&", 0x4FFF, true=KEEP_SHORT)
    code.store(FLAGS)
    code.load_constant(4)
    advance(code)
    for present in (0x8000, 0x2000, 0x1000):  # a checksum, a key, a number: four bytes each
        without = code.fresh("without")
        code.recall(FLAGS)
        code.jump("&", present, false=without)
        code.load_constant(4)
        advance(code)
        code.label(without)
    _carried(code, level, KEEP_SHORT)


def _remember(code: Assembler, size: int) -> None:
    """Notes where the tunnel's header begins, and skips `size` bytes."""
    code.a_from_index()
    code.store(BEGIN)
    code.compute("+", size)
    code.index_from_a()


def _go_back(code: Assembler, level: int, label: str) -> None:
    """The place from where to go on with the datagram in which a tunnel's header was looked for."""
    code.label(label)
    code.recall(BEGIN)
    code.index_from_a()
    code.go(f"datagram {level}")


def _carried(code: Assembler, level: int, otherwise: str) -> None:
    """What a tunnel carries, at X, with its EtherType in memory."""
    code.recall(PROTOCOL)
    code.jump("==", IPV4, true=f"ipv4 {level + 1}")
    code.jump("==", IPV6, true=f"ipv6 {level + 1}")
    code.jump("==", _BRIDGED, false=otherwise)
    _ethernet(code, level, otherwise)


def _ethernet(code: Assembler, level: int, otherwise: str) -> None:
    """A frame at X; one that holds no IP is not wanted, one whose type no tunnel carries is none."""
    require(code, 14, otherwise)
    ways = [(header, code.fresh("tagged")) for header in (14, 18)]
    for header, place in ways:
        code.load(2, header - 2)
        for kind, version in ((IPV4, 4), (IPV6, 6)):
            its, other = code.fresh("version"), code.fresh("other type")
            code.jump("==", kind, true=its, false=other)
            code.label(its)
            code.load_constant(header)
            advance(code)
            code.go(f"ipv{version} {level + 1}")
            code.label(other)
        for kind in _VLANS:
            code.jump("==", kind, true=place)
        code.jump(">", 1500, false=REJECT)
        for kind in _NOT_IP:
            code.jump("==", kind, true=REJECT)
        code.go(otherwise)
        code.label(place)
        require(code, 18, otherwise)
    code.go(KEEP_SHORT)
