"""IP fragments: later fragments have no ports, so they take those of the first fragment of their packet.

Fragments belong together by addresses, identification and, in IPv4, protocol (RFC 791, RFC 8200 4.5). The whole
packet is never put together. Later fragments that come before their first wait for it; all tables are bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netpol.capture.cursor import Columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from netpol.capture.cursor import Addresses, FragmentPart
    from netpol.capture.packets import Tally
    from netpol.capture.views import Ints

ORPHAN = "fragment without its first"
_LIFETIME = 60_000_000_000
"""Nanoseconds; RFC 8200, 4.5. After that an identification may mean another packet."""

_Key = tuple[int, bytes, bytes, int, int]


class _Identity(NamedTuple):
    """What a first fragment says about its packet."""

    time: int
    family: int
    source: bytes
    destination: bytes
    protocol: int
    source_port: int
    destination_port: int
    tunnelled: bool


class _Later(NamedTuple):
    """A later fragment."""

    time: int
    length: int
    size: int


class _Event(NamedTuple):
    row: int
    first: bool
    key: _Key
    size: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """Later fragments of one family as packets.

    Attributes:
        columns: Their rows are those where it became known what they belong to, which may be behind their own.
        time: int64[n].
        length: uint32[n].
    """

    columns: Columns
    time: Ints
    length: NDArray[np.uint32]


class FragmentTable:
    """What is known about fragmented packets of one capture."""

    def __init__(self, limit: int, tally: Tally) -> None:
        """Args: limit: first fragments remembered, and later ones waiting; tally: where those are counted."""
        self._limit = limit
        self._tally = tally
        self._firsts: OrderedDict[_Key, _Identity] = OrderedDict()
        self._waiting: OrderedDict[_Key, list[_Later]] = OrderedDict()
        self._waiting_fragments = 0

    def resolve(
        self, parts: Iterable[FragmentPart], decoded: dict[int, Columns], time: Ints, length: Ints
    ) -> dict[int, Resolved]:
        """Takes the fragments of one block in capture order.

        Args:
            parts: The fragments.
            decoded: By family, what was decoded, rows ascending: the first fragments are among it.
            time: int64[records].
            length: int64[records], on the wire.

        Returns:
            By family, the later fragments that are now known, rows ascending.
        """
        found: dict[int, list[tuple[int, _Identity, _Later]]] = {4: [], 6: []}
        for event in sorted((each for part in parts for each in _events(part)), key=lambda each: each.row):
            now = int(time[event.row])
            if event.first:
                identity = _identity(event, decoded, now)
                if identity:
                    self._remember(event.key, identity)
                    late = self._claim(event.key, now)
                    found[identity.family] += [(event.row, identity, each) for each in late]
            else:
                later = _Later(now, int(length[event.row]), event.size)
                known = self._firsts.get(event.key)
                if known and abs(now - known.time) <= _LIFETIME:
                    found[known.family].append((event.row, known, later))
                else:
                    self._wait(event.key, later)
        return {family: _columns(family, items) for family, items in found.items() if items}

    def _remember(self, key: _Key, identity: _Identity) -> None:
        self._firsts.pop(key, None)
        self._firsts[key] = identity
        if len(self._firsts) > self._limit:
            self._firsts.popitem(last=False)

    def _claim(self, key: _Key, now: int) -> list[_Later]:
        """The fragments that waited for this first one; they were counted as orphans until now."""
        waiting = self._waiting.pop(key, [])
        self._waiting_fragments -= len(waiting)
        claimed = [each for each in waiting if abs(now - each.time) <= _LIFETIME]
        self._tally.drop(ORPHAN, -len(claimed))
        if not self._tally.undecoded.get(ORPHAN, 1):
            del self._tally.undecoded[ORPHAN]
        return claimed

    def _wait(self, key: _Key, later: _Later) -> None:
        self._waiting.setdefault(key, []).append(later)
        self._waiting_fragments += 1
        self._tally.drop(ORPHAN, 1)
        while self._waiting_fragments > self._limit:
            oldest = next(iter(self._waiting.values()))
            oldest.pop(0)
            self._waiting_fragments -= 1
            if not oldest:
                self._waiting.popitem(last=False)


def _events(part: FragmentPart) -> Iterable[_Event]:
    its = part.datagrams
    for index in range(len(its)):
        key = (
            its.family,
            its.source[index].tobytes(),
            its.destination[index].tobytes(),
            int(part.identification[index]),
            int(its.protocol[index]) if its.family == 4 else 0,
        )
        yield _Event(int(its.cursor.rows[index]), part.first, key, int(its.size[index]))


def _identity(event: _Event, decoded: dict[int, Columns], now: int) -> _Identity | None:
    for family, columns in decoded.items():
        index = int(np.searchsorted(columns.rows, event.row))
        if index < len(columns.rows) and columns.rows[index] == event.row:
            source, destination = columns.source[index].tobytes(), columns.destination[index].tobytes()
            return _Identity(
                time=now,
                family=family,
                source=source,
                destination=destination,
                protocol=int(columns.protocol[index]),
                source_port=int(columns.source_port[index]),
                destination_port=int(columns.destination_port[index]),
                tunnelled=(family, source, destination) != event.key[:3],
            )
    return None


def _columns(family: int, items: list[tuple[int, _Identity, _Later]]) -> Resolved:
    """Later fragments carry payload only; inside a tunnel the inner packet's length has counted it already."""

    def addresses(raw: list[bytes]) -> Addresses:
        joined = b"".join(raw)
        return np.frombuffer(joined, np.uint32) if family == 4 else np.frombuffer(joined, np.uint64).reshape(-1, 2)

    nothing = np.zeros(len(items), np.uint32)
    columns = Columns(
        family=family,
        rows=np.array([row for row, _, _ in items], np.int64),
        source=addresses([known.source for _, known, _ in items]),
        destination=addresses([known.destination for _, known, _ in items]),
        protocol=np.array([known.protocol for _, known, _ in items], np.uint8),
        source_port=np.array([known.source_port for _, known, _ in items], np.uint16),
        destination_port=np.array([known.destination_port for _, known, _ in items], np.uint16),
        flags=nothing.astype(np.uint8),
        sequence=nothing,
        acknowledgement=nothing,
        payload=np.array([0 if known.tunnelled else later.size for _, known, later in items], np.uint32),
    )
    return Resolved(
        columns,
        np.array([later.time for _, _, later in items], np.int64),
        np.array([later.length for _, _, later in items], np.uint32),
    )
