"""The first bytes of TCP connections, put in order: bounded, and only for connections that are waited for."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_HALF: Final = 1 << 31
_WHOLE: Final = (1 << 32) - 1
_MOST_HELD: Final = 64
"""Segments of one connection that wait for one before them."""


class Key(NamedTuple):
    """One direction of a connection; addresses as their two words."""

    source: tuple[int, int]
    destination: tuple[int, int]
    source_port: int
    destination_port: int


class Segment(NamedTuple):
    """What a TCP segment carried.

    Attributes:
        data: The captured part.
        size: Bytes that it had on the wire.
        flags: TCP's.
    """

    key: Key
    time: int
    sequence: int
    data: bytes
    size: int
    flags: int = 0


class Stream:
    """The bytes of one direction from `start` on.

    Attributes:
        data: What there is without a gap and was not let go of; what the snapshot length cut is zero.
    """

    def __init__(self, start: int, limit: int) -> None:
        """Args: start: sequence number of the first byte. limit: bytes that are held."""
        self._start = start
        self._limit = limit
        self._held: dict[int, tuple[bytes, int]] = {}
        self._held_bytes = 0
        self._holes: list[tuple[int, int]] = []
        self.data = bytearray()

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return len(self.data) + self._held_bytes

    def add(self, sequence: int, data: bytes, size: int) -> bool:
        """Takes a segment; False: the connection has gone on so far that waiting is in vain, or holds too much."""
        offset = (sequence - self._start) & _WHOLE
        if offset >= _HALF:
            offset -= _WHOLE + 1
        if offset > len(self.data):
            if offset + size > self._limit or len(self._held) >= _MOST_HELD:
                return False
            before = self._held.get(offset)
            if before is None or len(before[0]) < len(data):
                self._held_bytes += len(data) - (len(before[0]) if before else 0)
                self._held[offset] = data, size
            return True
        self._append(offset, data, size)
        while self._held and (ready := min(self._held)) <= len(self.data):
            data, size = self._held.pop(ready)
            self._held_bytes -= len(data)
            self._append(ready, data, size)
        return len(self.data) <= self._limit

    def _append(self, offset: int, data: bytes, size: int) -> None:
        begin = len(self.data)
        new = offset + size - begin
        if new <= 0:
            return
        fresh = data[begin - offset :]
        self.data += fresh
        if len(fresh) < new:
            self.data += bytes(new - len(fresh))
            self._holes.append((begin + len(fresh), begin + new))

    def known(self, end: int) -> int:
        """Up to where the bytes before `end` were captured."""
        return min((begin for begin, _ in self._holes if begin < end), default=min(end, len(self.data)))

    def let_go(self, count: int) -> None:
        """Forgets the first bytes of `data`."""
        del self.data[:count]
        self._start = (self._start + count) & _WHOLE
        self._held = {offset - count: each for offset, each in self._held.items()}
        self._holes = [(max(0, begin - count), end - count) for begin, end in self._holes if end > count]


_Item = TypeVar("_Item")
_Name = TypeVar("_Name")


class Waiting(Generic[_Name, _Item]):
    """What is waited for, by name: a bounded number of things, of bounded size together; the oldest go first."""

    def __init__(self, most: int, most_bytes: int, size: Callable[[_Item], int], give_up: Callable[[], None]) -> None:
        """Args: size: bytes that a thing holds. give_up: called for each that is let go of unfinished."""
        self._items: OrderedDict[_Name, _Item] = OrderedDict()
        self._most, self._most_bytes = most, most_bytes
        self._size, self._give_up = size, give_up
        self._sizes: dict[_Name, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: _Name) -> bool:
        return name in self._items

    def names(self) -> list[_Name]:
        """All of them, the oldest first."""
        return list(self._items)

    def get(self, name: _Name) -> _Item | None:
        """One of them."""
        return self._items.get(name)

    def put(self, name: _Name, item: _Item) -> None:
        """Adds one, or takes note that it has grown; makes room for it."""
        self._items[name] = item
        size = self._size(item)
        self._bytes += size - self._sizes.get(name, 0)
        self._sizes[name] = size
        while len(self._items) > self._most or (self._bytes > self._most_bytes and len(self._items) > 1):
            self.drop(next(iter(self._items)))
            self._give_up()

    def drop(self, name: _Name) -> None:
        """Takes one out."""
        self._items.pop(name, None)
        self._bytes -= self._sizes.pop(name, 0)
