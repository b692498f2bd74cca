"""What was seen a moment ago: a packet is captured at every place that it crosses, but it is one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.capture.views import Ints, Mask

MOMENT: Final = 2_000_000_000
"""Nanoseconds within which the same message is the same: resolvers ask again after five seconds."""

_NEVER: Final = np.iinfo(np.int64).min // 2


class Recent:
    """A table of the latest messages, of fixed size: what falls on the place of another takes it."""

    def __init__(self, places: int = 1 << 16) -> None:
        """Args: places: a power of two."""
        self._mask = np.uint64(places - 1)
        self._keys = np.zeros(places, np.uint64)
        self._times = np.full(places, _NEVER)
        self._first = np.empty(places, np.int64)

    def again(self, keys: NDArray[np.uint64], times: Ints) -> Mask:
        """bool[n]: which messages were seen before, in this call or a moment ago.

        Args:
            keys: uint64[n], a word that is the same for the same message.
            times: int64[n], nanoseconds since the Unix epoch.
        """
        place = (keys & self._mask).astype(np.int64)
        index = np.arange(len(keys))
        self._first[place[::-1]] = index[::-1]
        first = self._first[place]
        repeated = (first != index) & (keys[first] == keys) & (np.abs(times - times[first]) <= MOMENT)
        known = (self._keys[place] == keys) & (np.abs(times - self._times[place]) <= MOMENT)
        fresh = ~(repeated | known)
        self._keys[place[fresh]], self._times[place[fresh]] = keys[fresh], times[fresh]
        again: Mask = ~fresh
        return again
