"""An assembler for classic BPF, the language in which the kernel is told which packets a socket gets.

Instructions and their encoding: Linux, Documentation/networking/filter.rst; McCanne and Jacobson, "The BSD Packet
Filter" (1993). A program only ever jumps forward, and a conditional jump reaches 255 instructions: what lies further
is reached over an unconditional one that stands right behind.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_INSTRUCTIONS: Final = 4096
"""BPF_MAXINSNS."""
REJECT: Final = "reject"
"""The label that every program has at its end: the packet is not wanted."""

# Where an absolute load begins that does not ask for the packet, but for what the kernel knows of it.
_AD: Final = 0xFFFF_F000
PROTOCOL, PACKET_TYPE, INTERFACE, RANDOM = _AD, _AD + 4, _AD + 8, _AD + 56
"""Absolute places of the EtherType, PACKET_*, the interface's index, and 32 random bits."""

_SIZES: Final = {4: 0x00, 2: 0x08, 1: 0x10}
_ALU: Final = {"+": 0x00, "-": 0x10, "*": 0x20, "|": 0x40, "&": 0x50, "<<": 0x60, ">>": 0x70, "%": 0x90}
_JUMPS: Final = {"==": 0x10, ">": 0x20, ">=": 0x30, "&": 0x40}
_LD, _LDX, _ST, _ALU_CLASS, _JMP, _RET, _MISC = 0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x07
_IMM, _ABS, _IND, _MEM, _LEN = 0x00, 0x20, 0x40, 0x60, 0x80
_X: Final = 0x08
_FURTHEST: Final = 255


class Instruction(NamedTuple):
    """`struct sock_filter`: what to do, how many instructions to skip if true and if false, and a number."""

    code: int
    true: int
    false: int
    k: int


class _Line(NamedTuple):
    """An instruction whose targets are labels still; None is the next instruction."""

    code: int
    k: int
    true: str | None = None
    false: str | None = None


class Assembler:
    """Collects a program; A is the accumulator, X the index register, M[0..15] the memory."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._labels: dict[str, int] = {}
        self._fresh = 0

    def fresh(self, name: str) -> str:
        """A label that no other place has."""
        self._fresh += 1
        return f"{name} {self._fresh}"

    def label(self, name: str) -> None:
        """The next instruction is called `name`."""
        if name in self._labels:
            raise ValueError(f"two places called {name}")
        self._labels[name] = len(self._lines)

    def load(self, size: int, at: int, *, indexed: bool = True) -> None:
        """A = `size` bytes at X + `at`, or at `at`. A place outside the packet ends the program: not wanted."""
        self._lines.append(_Line(_LD | _SIZES[size] | (_IND if indexed else _ABS), at))

    def load_length(self) -> None:
        """A = how long the packet is."""
        self._lines.append(_Line(_LD | _LEN, 0))

    def load_constant(self, value: int) -> None:
        """A = value."""
        self._lines.append(_Line(_LD | _IMM, value))

    def recall(self, cell: int) -> None:
        """A = M[cell]."""
        self._lines.append(_Line(_LD | _MEM, cell))

    def store(self, cell: int) -> None:
        """M[cell] = A."""
        self._lines.append(_Line(_ST, cell))

    def index_constant(self, value: int) -> None:
        """X = value."""
        self._lines.append(_Line(_LDX | _IMM, value))

    def index_from_a(self) -> None:
        """X = A."""
        self._lines.append(_Line(_MISC, 0))

    def a_from_index(self) -> None:
        """A = X."""
        self._lines.append(_Line(_MISC | 0x80, 0))

    def compute(self, operation: str, value: int | None = None) -> None:
        """A = A operation value, or X where no value is given."""
        self._lines.append(_Line(_ALU_CLASS | _ALU[operation] | (_X if value is None else 0), value or 0))

    def jump(
        self, relation: str, value: int | None = None, *, true: str | None = None, false: str | None = None
    ) -> None:
        """Goes where A's relation to the value, or to X, leads; `&` is true where they share a bit."""
        self._lines.append(_Line(_JMP | _JUMPS[relation] | (_X if value is None else 0), value or 0, true, false))

    def go(self, to: str) -> None:
        """Goes there."""
        self._lines.append(_Line(_JMP, 0, to))

    def accept(self, size: int) -> None:
        """The packet is wanted, its first `size` bytes."""
        self._lines.append(_Line(_RET, size))

    def program(self) -> tuple[Instruction, ...]:
        """The program, with REJECT at its end.

        Raises:
            ValueError: It is too long, or jumps to where nothing is, or backward.
        """
        lines = [*self._lines, _Line(_RET, 0)]
        labels = {**self._labels, REJECT: len(self._lines)}
        islands: set[tuple[int, bool]] = set()
        while True:
            places = list(_places(lines, islands))
            if places[-1] >= MOST_INSTRUCTIONS:
                raise ValueError(f"a program of {places[-1] + 1} instructions, where {MOST_INSTRUCTIONS} are the most")
            far = {
                (number, way)
                for number, line in enumerate(lines)
                if line.code != _JMP
                for way, target in ((True, line.true), (False, line.false))
                if target is not None and places[labels[target]] - places[number] - 1 > _FURTHEST
            }
            if far <= islands:
                return tuple(_encoded(lines, labels, places, islands))
            islands |= far


def _places(lines: Sequence[_Line], islands: set[tuple[int, bool]]) -> Iterator[int]:
    """Where each line begins, when so many of their jumps need another one behind them."""
    place = 0
    for number in range(len(lines)):
        yield place
        place += 1 + ((number, True) in islands) + ((number, False) in islands)


def _encoded(
    lines: Sequence[_Line], labels: dict[str, int], places: Sequence[int], islands: set[tuple[int, bool]]
) -> Iterator[Instruction]:
    for number, line in enumerate(lines):
        place = places[number]
        if line.code & 0x07 != _JMP:
            yield Instruction(line.code, 0, 0, line.k)
            continue
        ways = {True: line.true, False: line.false}
        distances = {way: places[labels[to]] - place - 1 for way, to in ways.items() if to is not None}
        if min(distances.values(), default=0) < 0:
            raise ValueError("a jump backward")
        if line.code == _JMP:
            yield Instruction(_JMP, 0, 0, distances[True])
            continue
        own = [way for way in (True, False) if (number, way) in islands]
        skips = {way: own.index(way) if way in own else distances.get(way, len(own)) for way in (True, False)}
        yield Instruction(line.code, skips[True], skips[False], line.k)
        for behind, way in enumerate(own, start=1):
            yield Instruction(_JMP, 0, 0, distances[way] - behind)


def packed(program: Sequence[Instruction]) -> bytes:
    """The program as the kernel takes it: an array of `struct sock_filter`."""
    return b"".join(struct.pack("=HBBI", *each) for each in program)
