"""Classic BPF as it is defined: one instruction after the other. Loads outside the packet are mistakes here."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netpol.capture.bpf import Instruction

_WORD: Final = 0xFFFF_FFFF
_SIZES: Final = {0x00: 4, 0x08: 2, 0x10: 1}
_ALU: Final[dict[int, Callable[[int, int], int]]] = {
    0x00: operator.add,
    0x10: operator.sub,
    0x20: operator.mul,
    0x40: operator.or_,
    0x50: operator.and_,
    0x60: operator.lshift,
    0x70: operator.rshift,
    0x90: operator.mod,
}
_JUMPS: Final[dict[int, Callable[[int, int], object]]] = {
    0x10: operator.eq,
    0x20: operator.gt,
    0x30: operator.ge,
    0x40: operator.and_,
}


class OutsideError(Exception):
    """A load from outside the packet, which the kernel answers by rejecting it."""


def execute(program: Sequence[Instruction], packet: bytes, known: Mapping[int, int]) -> int:
    """How many bytes of the packet the program wants.

    Args:
        program: The program.
        packet: The packet.
        known: What absolute places outside the packet hold.
    """
    machine = _Machine(packet, known)
    at = 0
    while program[at].code & 0x07 != 6:  # RET
        at += 1 + machine.step(program[at])
    return program[at].k


class _Machine:
    def __init__(self, packet: bytes, known: Mapping[int, int]) -> None:
        self._packet, self._known = packet, known
        self._a = self._x = 0
        self._memory = [0] * 16

    def step(self, instruction: Instruction) -> int:
        """Does it; how many instructions to skip."""
        code, true, false, k = instruction
        other = self._x if code & 0x08 else k
        match code & 0x07:
            case 0:  # LD
                self._a = self._loaded(code & 0xE0, _SIZES.get(code & 0x18, 0), k)
            case 1:  # LDX
                assert code & 0xE0 == 0
                self._x = k
            case 2:  # ST
                self._memory[k] = self._a
            case 4:  # ALU
                self._a = _ALU[code & 0xF0](self._a, other) & _WORD
            case 5:  # JMP
                if code & 0xF0 == 0:
                    return k
                return true if _JUMPS[code & 0xF0](self._a, other) else false
            case 7 if code & 0x80:  # MISC
                self._a = self._x
            case 7:
                self._x = self._a
        return 0

    def _loaded(self, mode: int, size: int, k: int) -> int:
        if mode in {0x20, 0x40}:
            place = k + (self._x if mode == 0x40 else 0)
            if place in self._known and mode == 0x20:
                return self._known[place]
            if place + size > len(self._packet):
                raise OutsideError(place, size, len(self._packet))
            return int.from_bytes(self._packet[place : place + size], "big")
        return {0x00: k, 0x60: self._memory[k & 15], 0x80: len(self._packet)}[mode]
