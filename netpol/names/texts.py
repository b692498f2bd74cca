"""Host names by number, and what stood where a host name should and is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.model.host_name import HostName, host_name
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

SAMPLES: Final = 5
"""So many names that are no host names are kept to be shown."""

NO_NAME: Final = -1
"""The number of what is no host name."""


@dataclass(slots=True)
class NoNames:
    """What stood where a host name should, and is none.

    Attributes:
        count: How often.
        least: The few that come first by their bytes: the same whatever the order in which they are met.
    """

    count: int = 0
    least: list[bytes] = field(default_factory=list)

    @property
    def samples(self) -> list[str]:
        """These, quoted: every character that could do harm is escaped."""
        return [shown(raw.decode("latin-1")) for raw in self.least]

    def add(self, raw: bytes, times: int) -> None:
        """Counts a name, as it is written with dots between its labels."""
        self.merge(times, (raw,))

    def merge(self, times: int, raws: Iterable[bytes]) -> None:
        """Counts so many names, of which a few are these."""
        self.count += times
        for raw in raws:
            self._keep(raw)

    def _keep(self, raw: bytes) -> None:
        if (len(self.least) < SAMPLES or raw < self.least[-1]) and raw not in self.least:
            self.least = sorted([*self.least, raw])[:SAMPLES]


class Texts:
    """Host names by number. A number is never given twice."""

    def __init__(self) -> None:
        self.rejected = NoNames()
        self._number: dict[bytes, int] = {}
        self._name: dict[int, bytes] = {}
        self._next = 0
        self._ranks: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self._number)

    def number(self, raw: bytes, times: int = 1) -> int:
        """The number of a name written with dots, NO_NAME where it is no host name; it was met so many times."""
        known = self._number.get(raw)
        if known is not None:
            return known
        name = host_name(raw.decode("ascii")) if raw.isascii() else None
        if name is None:
            self.rejected.add(raw, times)
            return NO_NAME
        return self.numbers_of_host_names([name.encode()])[0]

    def numbers_of_host_names(self, names: Sequence[bytes]) -> list[int]:
        """The numbers of what is known to be host names, in lower case and without a dot at their ends."""
        known = self._number
        fresh = [name for name in dict.fromkeys(names) if name not in known]
        if fresh:
            given = range(self._next, self._next + len(fresh))
            known.update(zip(fresh, given, strict=True))
            self._name.update(zip(given, fresh, strict=True))
            self._next += len(fresh)
            self._ranks = None
        return [known[name] for name in names]

    def name(self, number: int) -> HostName:
        """The name of a number that was given and is still held."""
        return HostName(self._name[number].decode("ascii"))

    def least(self, numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """int64[<= most]: the numbers of the names that come first by the alphabet, in its order.

        Args:
            numbers: int64[n], given and still held.
            most: At least 1.
        """
        if self._ranks is None:
            held = sorted(self._name)
            rank = np.empty(len(held), np.int64)
            rank[sorted(range(len(held)), key=lambda index: self._name[held[index]])] = np.arange(len(held))
            self._ranks = np.array(held, np.int64), rank
        held_numbers, ranks = self._ranks
        ranked = ranks[np.searchsorted(held_numbers, numbers)]
        if len(ranked) > most:
            first = np.argpartition(ranked, most)[:most]
            numbers, ranked = numbers[first], ranked[first]
        found: NDArray[np.int64] = numbers[np.argsort(ranked)]
        return found

    def keep(self, numbers: Iterable[int]) -> None:
        """Forgets all others."""
        self._name = {number: self._name[number] for number in numbers if number in self._name}
        self._number = {name: number for number, name in self._name.items()}
        self._ranks = None
