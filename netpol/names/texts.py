"""Names as the wire writes them, to host names: many at once, each different one only once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.model.host_name import HostName, host_name
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.capture.views import Bytes, Ints

SAMPLES: Final = 5
"""So many names that are no host names are kept to be shown."""


@dataclass(slots=True)
class NoNames:
    """What stood where a host name should, and is none.

    Attributes:
        count: How often.
        samples: The first few different ones, quoted: every character that could do harm is escaped.
    """

    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, raw: bytes, times: int = 1) -> None:
        """Counts a name, as it is written between dots."""
        self.count += times
        if len(self.samples) < SAMPLES:
            sample = shown(raw.decode("latin-1"))
            if sample not in self.samples:
                self.samples.append(sample)


class Texts:
    """Host names by number. A number is never given twice."""

    def __init__(self) -> None:
        self.rejected = NoNames()
        self._number: dict[bytes, int] = {}
        self._name: dict[int, HostName] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._number)

    def number(self, raw: bytes, times: int = 1) -> int:
        """The number of a name written with dots, -1 where it is no host name."""
        known = self._number.get(raw)
        if known is not None:
            return known
        name = host_name(raw.decode("ascii")) if raw.isascii() else None
        if name is None:
            self.rejected.add(raw, times)
            return -1
        plain = name.encode()
        known = self._number.get(plain)
        if known is None:
            known = self._number[plain] = self._next
            self._name[known] = name
            self._next += 1
        return known

    def name(self, number: int) -> HostName:
        """The name of a number that was given and is still held."""
        return self._name[number]

    def keep(self, numbers: Iterable[int]) -> None:
        """Forgets all others."""
        kept = {number: self._name[number] for number in numbers if number in self._name}
        self._name = kept
        self._number = {name.encode(): number for number, name in kept.items()}


def dotted(wire: bytes) -> bytes:
    """A name in wire form (RFC 1035, 3.1) with dots between its labels; without one at its end.

    A dot inside a label is escaped, as in master files (RFC 1035, 5.1), so that it is not taken for one between two.
    """
    labels = []
    at = 0
    while at < len(wire) and wire[at]:
        labels.append(wire[at + 1 : at + 1 + wire[at]].replace(b"\\", b"\\\\").replace(b".", b"\\."))
        at += 1 + wire[at]
    return b".".join(labels)


def wire_names(data: Bytes, at: Ints, size: Ints) -> list[bytes]:
    """Some names in wire form."""
    view = data.data
    return [bytes(view[begin:end]) for begin, end in zip(at.tolist(), (at + size).tolist(), strict=True)]


def numbers_of(texts: Texts, wires: list[bytes], counts: Ints) -> Ints:
    """int64[n]: the numbers of names in wire form, -1 where one is no host name. `counts`: how often each was met."""
    return np.fromiter(
        (texts.number(dotted(wire), times) for wire, times in zip(wires, counts.tolist(), strict=True)),
        np.int64,
        len(wires),
    )
