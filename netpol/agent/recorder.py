"""Live packets to windows, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.agent.handshakes import flooded, on_their_way, proven_by_server, settled_at, unproven, with_acknowledgement
from netpol.agent.streams import joined_streams, no_streams, streams_of, told
from netpol.capture.decode import decode
from netpol.capture.fragments import FragmentTable
from netpol.capture.name_reader import NameReader
from netpol.capture.packets import PacketBatch, Tally
from netpol.dataset.window import Losses, Window
from netpol.flows.connections import joined
from netpol.flows.pieces import pieces_of, pieces_of_quotes
from netpol.flows.records import FROM_HIGH, NEVER, SEEN, Records, empty, stacked
from netpol.names.relay import Relay
from netpol.names.table import Limits as NameLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from netpol.agent.streams import Streams
    from netpol.capture.records import Records as Packets

_GRACE: Final = 300_000_000
"""So many nanoseconds after its end a window is closed if no later packet closes it: blocks come a little late."""
_AT_ONCE: Final = 1 << 14
"""Packets decoded at once: what NumPy needs for more would be most of the agent's memory."""


_NAMES: Final = NameLimits(leases=1 << 14, greetings=1 << 13, clients=1 << 12, hidden=1 << 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a window holds in memory.

    Attributes:
        records: Partial connections, 121 bytes each, and some times as much while they are joined. Beyond it those are
            let go of that went one way only, the newest first: a scan or a flood does not push out conversations.
        pieces: Partial connections that are collected before they are joined.
        fragments: First fragments that are remembered.
        names: What of names.
    """

    records: int = 100_000
    pieces: int = 1 << 15
    fragments: int = 1024
    names: NameLimits = _NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Who records.

    Attributes:
        name: The node's.
        run: 32 hexadecimal digits, drawn anew at each start.
        version: Of netpol.
    """

    name: str
    run: str
    version: str


class Recorder:
    """The window that is open.

    Attributes:
        interfaces: How many are listened to; written into windows.
        given_up: Windows that could not be kept and of which no window told yet, and the partial connections in them.
    """

    def __init__(self, observer: Observer, length: int, now: int, limits: Limits | None = None) -> None:
        """Opens the first window.

        Args:
            observer: Who records.
            length: Nanoseconds of a window; windows end at multiples of it.
            now: Nanoseconds since the Unix epoch.
            limits: Bounds.
        """
        self.interfaces = 0
        self.given_up = (0, 0)
        self._observer = observer
        self._length = length
        self._limits = limits or Limits()
        self._number = 0
        self._begin, self._end = now, now - now % length + length
        self._tally = Tally()
        self._fragments = FragmentTable(self._limits.fragments, self._tally)
        self._names = Relay(self._limits.names)
        self._reader = NameReader(self._names)
        self._table = empty()
        self._pieces: list[Records] = []
        self._waiting = 0
        self._full: NDArray[np.uint64] | None = None
        self._streams: list[Streams] = [no_streams()]
        self._evicted = self._kernel = 0
        self._dropped_at = -NEVER
        self._latest = now
        self._packets = 0
        self._undecoded: dict[str, int] = {}

    @property
    def end(self) -> int:
        """When the open window ends."""
        return self._end

    def lose(self, packets: int, now: int) -> None:
        """Packets that the kernel had no room for until `now`."""
        if packets:
            self._kernel += packets
            self._dropped_at = now

    def take(self, packets: Packets) -> Iterator[Window]:
        """Packets in the order of time, nearly; yields the windows that they show to be over."""
        begin = 0
        while begin < len(packets):
            later = np.flatnonzero(packets.time[begin:] >= self._end)
            end = begin + int(later[0]) if len(later) else len(packets)
            for start in range(begin, end, _AT_ONCE):
                self._decode(packets.rows(start, min(end, start + _AT_ONCE)))
            begin = end
            if begin < len(packets):
                yield self.close(int(packets.time[begin]))

    def add(self, records: Records) -> None:
        """Partial connections that something else than packets told of."""
        self._pieces.append(records)
        self._waiting += len(records)

    def tick(self, now: int) -> Iterator[Window]:
        """Yields the window that is over by now, if no packet showed it."""
        if now >= self._end + _GRACE or now < self._begin - self._length:  # or somebody put the clock back
            yield self.close(now)

    def unsettled(self, now: int) -> bool:
        """Some handshake may still turn out complete, or not."""
        self._join()
        return bool((unproven(self._table) & (settled_at(self._table) > now)).any())

    def close(self, now: int, *, last: bool = False) -> Window:
        """The window as it is, and opens the one that holds `now`.

        Handshakes that are not settled yet go on to the next window, unless it is the last.
        """
        self._join()
        # Where the clock was put back, the packets are what tells how far the window went.
        until = now if last else self._end if now >= self._end else min(self._latest, self._end)
        until = max(self._begin, until)
        records, acknowledged = told(self._table, joined_streams(self._streams))
        records = with_acknowledgement(records, acknowledged | proven_by_server(records))
        waits = unproven(records)
        settled = settled_at(records)
        silent = waits & (settled <= until) & (records["synack"] > self._dropped_at)
        records = with_acknowledgement(records, silent & ~flooded(records, silent))
        stays = (waits & ~silent & (settled > until) & (settled != NEVER)) | on_their_way(records, until)
        if last:
            stays[:] = False
        window = Window(
            observer=self._observer.name,
            run=self._observer.run,
            number=self._number,
            begin=self._begin,
            end=until,
            packets=self._tally.packets - self._packets,
            records=records.compress(~stays),
            names=self._names.part(),
            losses=self._losses(),
            interfaces=self.interfaces,
            version=self._observer.version,
        )
        # What stays takes along what was captured of it, not what the numbers told: they will tell again.
        self._open(now, self._table.compress(stays), window.end)
        return window

    def _open(self, now: int, staying: Records, after: int) -> None:
        self._number += 1
        begin = now - now % self._length
        self._begin, self._end = max(begin, after if after <= now else begin), begin + self._length
        self._latest = self._begin
        self._table, self._full = staying, None
        keys = staying["hash"] & ~np.uint64(1)
        streams = joined_streams(self._streams)
        self._streams = [streams[np.isin(streams["key"] & ~np.uint64(1), keys)]]
        self._evicted = self._kernel = 0
        self._packets, self._undecoded = self._tally.packets, dict(self._tally.undecoded)

    def _losses(self) -> Losses:
        undecoded: Mapping[str, int] = self._tally.undecoded
        fresh = {why: count - self._undecoded.get(why, 0) for why, count in undecoded.items()}
        return Losses(
            kernel=self._kernel,
            evicted=self._evicted,
            undecodable={why: count for why, count in sorted(fresh.items()) if count > 0},
            windows=self.given_up[0],
            records=self.given_up[1],
        )

    def _decode(self, packets: Packets) -> None:
        self._latest = max(self._latest, int(packets.time.max()))
        for item in decode(packets, self._fragments, self._tally, self._reader):
            if isinstance(item.batch, PacketBatch):
                pieces = pieces_of(item.batch)
                streams = streams_of(item.batch)
                if len(streams):
                    self._streams.append(streams)
            else:
                pieces = pieces_of_quotes(item.batch)
            if self._full is not None:
                pieces = self._refused(pieces, self._full)
            self._pieces.append(pieces)
            self._waiting += len(pieces)
        if self._waiting >= max(self._limits.pieces, len(self._table) // 4):
            self._join()

    def _refused(self, pieces: Records, known: NDArray[np.uint64]) -> Records:
        """Without what would be let go of when it was joined: attempts that the full table does not know."""
        at = np.minimum(np.searchsorted(known, pieces["hash"]), len(known) - 1)
        stays = ~_one_way(pieces) | (known[at] == pieces["hash"])
        self._evicted += int((~stays).sum())
        return pieces.compress(stays)

    def _join(self) -> None:
        if not self._pieces:
            return
        parts = [self._table, *self._pieces]
        self._table, self._pieces, self._waiting = empty(), [], 0
        whole = stacked(parts)
        parts.clear()  # what it was made of is not needed while it is joined
        self._table = joined(whole)
        excess = len(self._table) - self._limits.records
        if excess > 0:
            self._evict(excess)
        streams = joined_streams(self._streams)
        if len(streams) > 2 * len(self._table):
            keys = self._table["hash"] & ~np.uint64(1)
            streams = streams[np.isin(streams["key"] & ~np.uint64(1), keys)]
        self._streams = [streams]

    def _evict(self, excess: int) -> None:
        order = np.lexsort((-self._table["first"], ~_one_way(self._table)))
        self._evicted += excess
        stays = np.ones(len(self._table), np.bool_)
        stays[order[:excess]] = False
        self._table = self._table.compress(stays)
        self._full = np.sort(self._table["hash"])


def _one_way(records: Records) -> NDArray[np.bool_]:
    both = np.uint16(SEEN << FROM_HIGH | SEEN)
    result: NDArray[np.bool_] = (records["events"] & both) != both
    return result
