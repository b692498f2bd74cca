"""Fragmented DNS answers, put together: the one kind of packet whose later fragments hold names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.capture.name_evidence import wide
from netpol.capture.name_streams import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netpol.capture.cursor import FragmentPart
    from netpol.capture.views import Bytes, Ints

_LIFETIME: Final = 60_000_000_000
"""Nanoseconds; RFC 8200, 4.5."""
_MOST_PACKETS: Final = 1024
_MOST_BYTES: Final = 4 << 20
_MOST_PIECES: Final = 64
_LONGEST: Final = 1 << 16


_Key = tuple[int, tuple[int, int], tuple[int, int], int, int]


class Whole(NamedTuple):
    """An IP packet that was put together.

    Attributes:
        row: The record of its last fragment, as captured.
        data: From the transport header on.
        cut: The snapshot length cut a fragment: `data` ends there.
    """

    row: int
    protocol: int
    source: tuple[int, int]
    destination: tuple[int, int]
    data: bytes
    cut: bool


class _Puzzle:
    """Fragments of one packet. `end`: where it ends, once the last fragment is there."""

    def __init__(self, time: int) -> None:
        self.time = time
        self.end: int | None = None
        self.pieces: dict[int, tuple[bytes, int]] = {}

    @property
    def size(self) -> int:
        return sum(len(data) for data, _ in self.pieces.values())

    def whole(self) -> tuple[bytes, bool] | None:
        """The packet and whether it is cut, None as long as something is missing."""
        if self.end is None:
            return None
        data, known = b"", True
        at = 0
        for offset in sorted(self.pieces):
            piece, size = self.pieces[offset]
            if offset > at:
                return None
            if known:
                data += piece[at - offset :] if offset + len(piece) > at else b""
                known = len(piece) == size
            at = max(at, offset + size)
        return (data[: self.end], not known) if at >= self.end else None


class Fragments:
    """Fragments of one capture that wait for others of their packet."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        """Args: give_up: called for each packet that is let go of: it is too long or too old, or there are too many."""
        self._give_up = give_up
        self._waiting: Waiting[_Key, _Puzzle] = Waiting(_MOST_PACKETS, _MOST_BYTES, lambda puzzle: puzzle.size, give_up)

    def take(self, parts: Iterable[FragmentPart], data: Bytes, time: Ints) -> list[Whole]:
        """Takes the fragments of one block; returns the packets that are whole now, in capture order."""
        pieces = [piece for part in parts for piece in _pieces(part)]
        pieces.sort(key=lambda piece: piece.row)
        found = []
        for piece in pieces:
            whole = self._add(piece, data[piece.at : piece.end].tobytes(), int(time[piece.row]))
            if whole:
                found.append(whole)
        return found

    def _add(self, piece: _Piece, data: bytes, now: int) -> Whole | None:
        puzzle = self._waiting.get(piece.key)
        if puzzle is not None and abs(now - puzzle.time) > _LIFETIME:
            self._waiting.drop(piece.key)
            self._give_up()
            puzzle = None
        puzzle = puzzle or _Puzzle(now)
        if piece.offset + piece.size > _LONGEST or len(puzzle.pieces) >= _MOST_PIECES:
            self._waiting.drop(piece.key)
            self._give_up()
            return None
        # The first that came stays: what overlaps it differently is an attack (RFC 5722).
        puzzle.pieces.setdefault(piece.offset, (data, piece.size))
        if not piece.more:
            puzzle.end = piece.offset + piece.size
        done = puzzle.whole()
        if done is None:
            self._waiting.put(piece.key, puzzle)
            return None
        self._waiting.drop(piece.key)
        _, source, destination, _, _ = piece.key
        return Whole(piece.row, piece.protocol, source, destination, *done)


class _Piece(NamedTuple):
    row: int
    key: _Key
    protocol: int
    offset: int
    more: bool
    at: int
    end: int
    size: int


def _pieces(part: FragmentPart) -> Iterable[_Piece]:
    its = part.datagrams
    family = its.family
    sources, destinations = wide(its.source).tolist(), wide(its.destination).tolist()
    columns = (its.cursor.rows, part.identification, its.protocol, part.offset, part.more, its.cursor.at)
    for source, destination, row, identification, protocol, offset, more, at, end, size in zip(
        sources,
        destinations,
        *(each.tolist() for each in columns),
        its.cursor.end.tolist(),
        its.size.tolist(),
        strict=True,
    ):
        key = (family, tuple(source), tuple(destination), identification, protocol if family == 4 else 0)
        yield _Piece(row, key, protocol, offset, more, at, max(at, end), size)
