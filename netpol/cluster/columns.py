"""Addresses and times as sorted columns, for questions about millions of packets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netpol.model.flow import AMBIGUOUS_TENANCY, NO_TENANCY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netpol.model.flow import Address

_FAR = 1 << 62
_HALF = (1 << 64) - 1
_SHIFT_PROTOCOL, _SHIFT_ADDRESS = 16, 24


class AddressIndex:
    """Numbers known addresses 0, 1, ... in order of family and value."""

    __slots__ = ("_high", "_keys", "_low", "_v4", "numbers")

    def __init__(self, addresses: Sequence[Address]) -> None:
        known = sorted(set(addresses), key=lambda address: (address.version, int(address)))
        self.numbers = {address: number for number, address in enumerate(known)}
        v4 = [int(address) for address in known if address.version == 4]
        v6 = [int(address) for address in known if address.version == 6]
        self._v4 = np.array(v4, dtype=np.uint64)
        high = np.array([value >> 64 for value in v6], dtype=np.uint64)
        low = np.array([value & _HALF for value in v6], dtype=np.uint64)
        self._high, self._low = np.unique(high), np.unique(low)
        self._keys = np.searchsorted(self._high, high) * max(len(self._low), 1) + np.searchsorted(self._low, low)

    def find(self, family: NDArray[Any], address: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each address, -1 where it is not known.

        Args:
            family: int[n], 4 or 6.
            address: uint64[n, 2], high and low half; IPv4 is (0, value).
        """
        high, low = address[:, 0], address[:, 1]
        four = np.asarray(family) == 4
        found = np.full(len(address), -1, dtype=np.int64)
        if len(self._v4):
            place, hit = _locate(self._v4, low)
            hit &= four & (high == 0)
            found[hit] = place[hit]
        if len(self._keys):
            high_place, high_hit = _locate(self._high, high)
            low_place, low_hit = _locate(self._low, low)
            place, hit = _locate(self._keys, high_place * len(self._low) + low_place)
            hit &= high_hit & low_hit & ~four
            found[hit] = place[hit] + len(self._v4)
        return found


def _locate(known: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each wanted value would stand in the sorted known ones, and whether it stands there."""
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, known[place] == wanted


class PortIndex:
    """A set of (address, protocol, port)."""

    __slots__ = ("_keys",)

    def __init__(self, addresses: AddressIndex, ports: Sequence[tuple[Address, int, int]]) -> None:
        keys = {
            addresses.numbers[address] << _SHIFT_ADDRESS | protocol << _SHIFT_PROTOCOL | port
            for address, protocol, port in ports
        }
        self._keys = np.array(sorted(keys), dtype=np.int64)

    def contains(self, number: NDArray[np.int64], protocol: NDArray[Any], port: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each is in the set.

        Args:
            number: int64[n], addresses by number, -1 for unknown ones.
            protocol: uint8[n].
            port: uint16[n].
        """
        if not len(self._keys):
            return np.zeros(len(number), dtype=np.bool_)
        wanted = (
            number << _SHIFT_ADDRESS | np.asarray(protocol, np.int64) << _SHIFT_PROTOCOL | np.asarray(port, np.int64)
        )
        _, hit = _locate(self._keys, wanted)
        return hit & (number >= 0)


class TenancyIndex:
    """Which of many tenancies met a span of time at an address.

    Tenancies of an address that meet [a, b] are those that started by b less those that ended by a. Counting both takes
    two binary searches; and where the difference is one, so does naming it: the sum of the numbers of the former less
    that of the latter.
    """

    __slots__ = ("_end_keys", "_end_sums", "_start", "_start_keys", "_start_sums", "_times")

    def __init__(self, number: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        """Takes tenancies as columns.

        Args:
            number: int64[t], the address by number.
            start: int64[t], nanoseconds since the epoch, the first that it held the address.
            end: int64[t], the first that it no longer did.
        """
        self._start = start
        self._times = np.unique(np.concatenate([start, end]))
        self._start_keys, self._start_sums = self._sorted(number, start)
        self._end_keys, self._end_sums = self._sorted(number, end)

    def _sorted(
        self, number: NDArray[np.int64], time: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        keys = number * (len(self._times) + 1) + np.searchsorted(self._times, time) + 1
        order = np.argsort(keys, kind="stable")
        return keys[order], np.concatenate([[0], np.cumsum(order)])

    def find(
        self, number: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64], slack: int
    ) -> NDArray[np.int32]:
        """The tenancy that alone met each span and had begun at its start, give or take `slack` nanoseconds.

        Returns:
            int32[n], NO_TENANCY where none met it, AMBIGUOUS_TENANCY where several did or the one began later.
        """
        if not len(self._start):
            return np.full(len(number), NO_TENANCY, dtype=np.int32)
        first, last = np.clip(first, -_FAR, _FAR), np.clip(last, -_FAR, _FAR)
        base = np.maximum(number, 0) * (len(self._times) + 1)
        begun = np.searchsorted(self._start_keys, base + self._passed(last + slack), side="right")
        over = np.searchsorted(self._end_keys, base + self._passed(first - slack), side="right")
        met = np.where(number >= 0, begun - over, 0)
        only = np.where(met == 1, self._start_sums[begun] - self._end_sums[over], 0)
        begun_by_then = self._start[only] - slack <= first
        found = np.where(begun_by_then, only, AMBIGUOUS_TENANCY)
        found[met > 1] = AMBIGUOUS_TENANCY
        found[met == 0] = NO_TENANCY
        return found.astype(np.int32)

    def _passed(self, time: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._times, time, side="right")
