"""What the parts of the agent's filter have in common: places to go, cells of the memory, and checks of length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netpol.capture.bpf import Assembler

KEEP_SHORT, KEEP_MIDDLE, KEEP_LONG, SAMPLE, BULK = "short", "middle", "long", "sample", "bulk"
"""Labels at the end of the program: what becomes of the packet."""
LEVELS: Final = 2
"""IP headers within each other that are judged; a tunnel in a tunnel is admitted packet by packet."""
IPV4, IPV6 = 0x0800, 0x86DD
"""EtherTypes."""
END, PROTOCOL, BEGIN, FLAGS = range(4)
"""Cells: where the IP packet ends, and what follows its header; where a tunnel's header begins, and its flags."""


def require(code: Assembler, size: int, otherwise: str = KEEP_SHORT) -> None:
    """Goes elsewhere with a packet that does not have `size` bytes from X on.

    By default it is admitted: it is for the decoder to say what is wrong.
    """
    code.load_length()
    code.jump(">=", false=otherwise)
    code.compute("-")
    code.jump(">=", size, false=otherwise)


def advance(code: Assembler) -> None:
    """X = X + A."""
    code.compute("+")
    code.index_from_a()
