"""The agent's filter on transports: TCP, UDP and SCTP, each with its header at X."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.capture.live_words import BULK, END, KEEP_LONG, KEEP_MIDDLE, KEEP_SHORT, LEVELS, SAMPLE, advance, require

if TYPE_CHECKING:
    from netpol.capture.bpf import Assembler

_SCTP_TAKEN: Final = (1, 2, 6, 7, 8, 10, 11, 14)
"""INIT, INIT ACK, ABORT, SHUTDOWN, SHUTDOWN ACK, COOKIE ECHO, COOKIE ACK, SHUTDOWN COMPLETE (RFC 9260, 3.2)."""


def tcp(code: Assembler, level: int) -> None:
    """What opens and closes, ClientHellos, and DNS; a sample of the rest."""
    code.label(f"tcp {level}")
    require(code, 20)
    quiet, dns = code.fresh("opens and closes nothing"), code.fresh("dns")
    code.load(1, 13)
    code.jump("&", 0x07, false=quiet)  # FIN, SYN, RST
    for at in (0, 2):
        code.load(2, at)
        code.jump("==", 53, true=KEEP_LONG)
    code.go(KEEP_SHORT)
    code.label(quiet)
    for at in (0, 2):
        code.load(2, at)
        code.jump("==", 53, true=dns)
    _to_payload(code)
    require(code, 6, SAMPLE)
    code.load(2, 0)
    code.jump("==", 0x1603, false=SAMPLE)
    code.load(1, 5)
    code.jump("==", 1, true=KEEP_LONG, false=SAMPLE)
    code.label(dns)
    _to_payload(code)
    code.recall(END)
    code.jump(">", true=KEEP_LONG, false=SAMPLE)


def _to_payload(code: Assembler) -> None:
    """X = where the payload of the TCP segment at X begins."""
    code.load(1, 12)
    code.compute(">>", 4)
    code.compute("<<", 2)
    advance(code)


def udp(code: Assembler, level: int) -> None:
    """Tunnels by their ports, else a datagram."""
    code.label(f"udp {level}")
    require(code, 8)
    code.load(2, 2)
    deeper = level + 1 < LEVELS
    for port in (4789, 8472):
        code.jump("==", port, true=f"vxlan {level}" if deeper else KEEP_SHORT)
    code.jump("==", 6081, true=f"geneve {level}" if deeper else KEEP_SHORT, false=f"datagram {level}")


def datagram(code: Assembler, level: int) -> None:
    """UDP that is no tunnel: all, but for the bulk of QUIC and WireGuard."""
    quic, wireguard = code.fresh("quic"), code.fresh("wireguard")
    code.label(f"datagram {level}")
    for at in (2, 0):
        code.load(2, at)
        code.jump("==", 53, true=KEEP_LONG)
    for at in (2, 0):
        code.load(2, at)
        code.jump("==", 443, true=quic)
        code.jump("==", 51820, true=wireguard)
    code.go(KEEP_SHORT)
    code.label(quic)
    require(code, 9)
    code.load(1, 8)
    code.compute(">>", 6)
    code.jump("==", 1, true=BULK)  # a short header
    code.jump("==", 3, true=KEEP_MIDDLE, false=KEEP_SHORT)
    code.label(wireguard)
    require(code, 12)
    code.load(4, 8)
    code.jump("==", 0x0400_0000, true=BULK, false=KEEP_SHORT)  # transport data


def sctp(code: Assembler, level: int) -> None:
    """By the kind of the first chunk: COOKIE ECHO always stands first, and so do those that come alone."""
    code.label(f"sctp {level}")
    require(code, 16)
    code.load(1, 12)
    for kind in _SCTP_TAKEN:
        code.jump("==", kind, true=KEEP_MIDDLE)
    code.go(BULK)
