"""Finds where the records of a capture start: many lanes walk a block in lock step, and each lane is proven.

Every record says how long it is, so records form a chain that can only be followed from its start: one step per
packet. To follow it with NumPy, likely record starts are guessed at evenly spaced places, and all guessed chains are
followed at once, one vectorised step at a time. A guess is only believed if the chain before it arrives exactly
there: the first lane starts at a record for certain, so by induction all proven lanes hold the true chain. Where a
    lane is not met, the
chain is followed one record at a time until it meets a lane again. Payload that imitates record headers costs time,
never correctness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from netpol.capture.views import distinct

if TYPE_CHECKING:
    from netpol.capture.views import Ints

LANES = 256
SHORTEST_LANE = 4096
_SEARCH = (768, 1280, 2048, 16384, 65536)
_STEPS_BETWEEN_CHECKS = 8
_MOST_STEPS = 8192
_FEWEST_LANES = 6


class Chain(Protocol):
    """How one record leads to the next, on one block of bytes."""

    def step(self, at: Ints) -> Ints:
        """Where the records after those at `at` would start; always beyond `at`, and at most 4 GiB beyond."""
        ...

    def step_one(self, at: int) -> int:
        """The same for one record."""
        ...

    def guess(self, begin: Ints, span: int, stop: int) -> Ints:
        """For each place the first likely record start in [begin, begin + span), or -1."""
        ...


class _Lanes(NamedTuple):
    """Walked lanes: where each starts, int64[steps, lanes] positions, how many are its own, where it arrives."""

    starts: Ints
    steps: Ints
    counts: Ints
    ends: Ints


def walk(chain: Chain, start: int, stop: int) -> Ints:
    """The starts of all records of the chain that begins at `start`, in order.

    Args:
        chain: The rule that leads from record to record.
        start: The first record's position.
        stop: End of the block. Bytes up to PAD behind it can be fetched but mean nothing.

    Returns:
        int64[n], start <= position < stop. The last record may be incomplete.
    """
    if start >= stop:
        return np.empty(0, np.int64)
    starts = _guess_starts(chain, start, stop)
    if len(starts) < _FEWEST_LANES:
        return _follow(chain, start, stop)
    limits = np.append(starts[1:], stop)
    steps = _walk_lanes(chain, starts, limits, stop)
    inside = steps[:-1] < limits
    counts = np.count_nonzero(inside, axis=0)
    ends = steps[counts, np.arange(len(starts))]
    if np.array_equal(ends, limits):
        return steps[:-1].T[inside.T]
    return _join(chain, _Lanes(starts, steps, counts, ends), stop)


def _guess_starts(chain: Chain, start: int, stop: int) -> Ints:
    """int64[lanes], ascending, without duplicates; the first is `start`."""
    lanes = min(LANES, (stop - start) // SHORTEST_LANE)
    if lanes < 2:
        return np.array([start])
    length = (stop - start) // lanes
    places = start + np.arange(1, lanes, dtype=np.int64) * length
    found = np.full(lanes - 1, -1, np.int64)
    searched = 0
    for span in _SEARCH:
        begin = places + searched
        searched += span
        missing = np.flatnonzero((found < 0) & (begin + span <= stop))
        if not len(missing) or searched > length:
            break
        found[missing] = chain.guess(begin[missing], span, stop)
    return distinct(np.append(found[found >= 0], start))


def _walk_lanes(chain: Chain, starts: Ints, limits: Ints, stop: int) -> Ints:
    """int64[steps, lanes]: each column is a lane's positions, until all lanes are at or behind their limits.

    A lane that is not done after _MOST_STEPS is left to `_join`, so that tiny records cannot make the table grow.
    """
    steps = np.empty((64, len(starts)), np.int64)
    steps[0] = at = starts
    count = 1
    last = np.full(len(starts), stop)
    while True:
        if count + _STEPS_BETWEEN_CHECKS > len(steps):
            steps = np.concatenate([steps, np.empty_like(steps)])
        for row in range(count, count + _STEPS_BETWEEN_CHECKS):
            at = np.minimum(chain.step(at), last, out=steps[row])
        count += _STEPS_BETWEEN_CHECKS
        if count > _MOST_STEPS or (at >= limits).all():
            return steps[:count]


def _join(chain: Chain, lanes: _Lanes, stop: int) -> Ints:
    """The true chain where not every lane was met by the one before it."""
    lane_at = {int(start): lane for lane, start in enumerate(lanes.starts)}
    parts: list[Ints] = []
    between: list[int] = []
    at = int(lanes.starts[0])
    while at < stop:
        lane = lane_at.get(at)
        if lane is None:
            between.append(at)
            at = chain.step_one(at)
            continue
        parts += [np.array(between, np.int64), lanes.steps[: lanes.counts[lane], lane]]
        between = []
        at = int(lanes.ends[lane])
    return np.concatenate([*parts, np.array(between, np.int64)])


def _follow(chain: Chain, at: int, stop: int) -> Ints:
    """One record at a time: the definition that the lanes must agree with."""
    positions = []
    while at < stop:
        positions.append(at)
        at = chain.step_one(at)
    return np.array(positions, np.int64)
