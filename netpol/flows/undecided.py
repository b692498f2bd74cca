"""Connections without a handshake wait here: who was their client is asked of all the data, when all of it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.views import distinct
from netpol.flows.evidence import FIRST_EPHEMERAL, UNDECIDED, multicast
from netpol.flows.records import Records, empty, stacked
from netpol.flows.views import swapped
from netpol.model.flow import UDP, Direction

if TYPE_CHECKING:
    from numpy.typing import NDArray

_END: Final = np.dtype([("high", np.uint64), ("low", np.uint64), ("tag", np.uint64)])
_FEWEST_PEERS: Final = 3
_CLEARLY_MORE: Final = 3


def _ends(records: Records, end: str) -> NDArray[np.void]:
    """The (family, protocol, address, port) of one end of each record."""
    result = np.empty(len(records), _END)
    result["high"], result["low"] = records[f"{end}_high"], records[end]
    result["tag"] = records["family"].astype(np.uint64) << np.uint64(24) | records["protocol"].astype(
        np.uint64
    ) << np.uint64(16)
    result["tag"] |= records[f"{end}_port"].astype(np.uint64)
    return result


def _numbered(ends: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """A number for each distinct end, and the position of one end for each number."""
    order = np.lexsort((ends["tag"], ends["low"], ends["high"]))
    ordered = ends[order]
    new = np.ones(len(ends), np.bool_)
    new[1:] = False
    for name in ("high", "low", "tag"):
        new[1:] |= ordered[name][1:] != ordered[name][:-1]
    numbers = np.empty(len(ends), np.intp)
    numbers[order] = np.cumsum(new) - 1
    return numbers, order[new]


class Servers:
    """The (address, port, protocol) that a complete handshake showed as a server, in bounded memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known = np.empty(0, _END)
        self._fresh: list[NDArray[np.void]] = []
        self._waiting = 0
        self.forgotten = 0

    def add(self, records: Records) -> None:
        """Learns the high ends."""
        self._fresh.append(_ends(records, "high"))
        self._waiting += len(records)
        if self._waiting > self._limit:
            self._collect()

    def _collect(self) -> None:
        ends = np.concatenate([self._known, *self._fresh])
        self._fresh.clear()
        self._waiting = 0
        distinct = np.sort(_numbered(ends)[1])  # those known for longest come first
        self.forgotten += max(0, len(distinct) - self._limit)
        self._known = ends[distinct[: self._limit]]

    def known(self, ends: NDArray[np.void]) -> NDArray[np.bool_]:
        """bool[n]: the end is among them."""
        self._collect()
        numbers, _ = _numbered(np.concatenate([self._known, ends]))
        seen = np.zeros(len(numbers) + 1, np.bool_)
        seen[numbers[: len(self._known)]] = True
        return seen[numbers[len(self._known) :]]


class Undecided:
    """Connections that wait, and how they are decided."""

    def __init__(self, limit: int, servers: Servers) -> None:
        self._limit = limit
        self._servers = servers
        self._waiting: list[Records] = []
        self._count = 0
        self.decided_early = 0

    def add(self, records: Records) -> Records:
        """Takes connections whose presumed client is their low end; returns those that cannot wait any longer."""
        self._waiting.append(records)
        self._count += len(records)
        if self._count <= self._limit:
            return empty()
        everything = self._take()
        leaving = len(everything) - self._limit // 2
        order = np.argsort(everything["last"], kind="stable")
        self._waiting, self._count = [everything.take(np.sort(order[leaving:]))], self._limit // 2
        self.decided_early += leaving
        return everything.take(np.sort(order[:leaving]))

    def rest(self) -> Records:
        """All that still wait."""
        return self._take()

    def _take(self) -> Records:
        everything = stacked([empty(), *self._waiting])
        self._waiting, self._count = [], 0
        return everything

    def decide(self, records: Records) -> tuple[Records, NDArray[np.uint8]]:
        """Goes down the rest of the evidence; returns records with the client as low end, and uint8[n] of Direction.

        Peers are counted among the connections that wait: those with a handshake confirm their server already, which
        is stronger.
        """
        result = np.full(len(records), UNDECIDED, np.uint8)
        swap = np.zeros(len(records), np.bool_)
        if not len(records):
            return records, result
        low, high = _ends(records, "low"), _ends(records, "high")
        confirmed = self._servers.known(np.concatenate([low, high]))
        _one_side(result, swap, Direction.CONFIRMED, confirmed[: len(low)], confirmed[len(low) :])
        low_peers, high_peers = _peers(low, high)
        _one_side(
            result,
            swap,
            Direction.FANIN,
            (low_peers >= _FEWEST_PEERS) & (low_peers >= _CLEARLY_MORE * high_peers),
            (high_peers >= _FEWEST_PEERS) & (high_peers >= _CLEARLY_MORE * low_peers),
        )
        # A datagram nobody answered was sent by a client, if its ports agree; a source port below 1024 proves nothing.
        one_way = records["protocol"] == UDP
        low_serves, high_serves = (records[f"{end}_port"] < FIRST_EPHEMERAL for end in ("low", "high"))
        _one_side(
            result,
            swap,
            Direction.PORT,
            low_serves & ~high_serves & ~one_way,
            (high_serves & ~low_serves) | (one_way & multicast(records)),
        )
        result[result == UNDECIDED] = Direction.UNKNOWN
        return swapped(records, swap), result


def _one_side(
    result: NDArray[np.uint8],
    swap: NDArray[np.bool_],
    direction: Direction,
    low: NDArray[np.bool_],
    high: NDArray[np.bool_],
) -> None:
    """Decides what is still undecided where exactly one end looks like a server."""
    decided = (result == UNDECIDED) & (low ^ high)
    result[decided] = direction
    swap[decided & low] = True


def _peers(low: NDArray[np.void], high: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Distinct (address, port) that each end met."""
    numbers, _ = _numbered(np.concatenate([low, high]))
    one, other = numbers[: len(low)], numbers[len(low) :]
    size = int(numbers.max()) + 1
    pairs = distinct(np.minimum(one, other) * size + np.maximum(one, other))
    met = np.bincount(np.concatenate([pairs // size, pairs % size]), minlength=size)
    return met[one], met[other]
