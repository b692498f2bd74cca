"""Names in many DNS messages, followed in lock step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netpol.capture import name_dns
from netpol.capture.name_bytes import same_bytes
from netpol.capture.views import fetch

if TYPE_CHECKING:
    from netpol.capture.views import Bytes, Ints, Mask

_SHORT = np.dtype(">u2")
_POINTERS: Final = 0xC000
_MOST_LABELS: Final = 128


class Messages(NamedTuple):
    """Where n DNS messages stand: in `data`, which has PAD bytes behind them, all int64[n].

    Attributes:
        end: Behind the last captured byte.
        wire_end: The same on the wire; beyond `end` where the snapshot length cut the message.
    """

    data: Bytes
    at: Ints
    end: Ints
    wire_end: Ints


class Step(NamedTuple):
    """Messages at their next record, all int64[k].

    Attributes:
        rows: Which messages.
        at: Where the record starts.
        owner: Where the name stands that it should be of: the question's, or its last alias's.
        owner_size: Bytes of that name; 0 where it is not spelled out.
    """

    rows: Ints
    at: Ints
    owner: Ints
    owner_size: Ints

    def take(self, mask: Mask) -> Step:
        """The messages of the mask."""
        return Step(*(each[mask] for each in self))

    def moved(self, at: Ints) -> Step:
        """The same messages, at their next records."""
        return self._replace(at=at)


def spelled_ends(data: Bytes, begin: Ints) -> tuple[Ints, Mask]:
    """Where the root of each name stands that is spelled out; False: it is no such name, or longer than 128 labels.

    A name that is short of its root leads to some place behind its message: for the caller to see.
    """
    at = begin.copy()
    good = np.ones(len(at), np.bool_)
    every = slice(None)
    rows: slice | Ints = every
    for number in range(_MOST_LABELS):
        here = at[rows]
        size = data.take(here, mode="clip")
        if not size.any():
            return at, good
        bad = size >= 64
        if bad.any():
            good[rows] &= ~bad
            size[bad] = 0
        at[rows] = here + size + (size != 0)
        if number and number % 8 == 0:
            busy = size != 0
            rows = np.flatnonzero(busy) if rows is every else rows[busy]  # type: ignore[index]
    good[rows] = False
    return at, good


def behind_owners(m: Messages, step: Step) -> tuple[Ints, Mask]:
    """Where each record's owner ends, and whether it is the name that it should be of, as one of the plain kinds."""
    first = fetch(m.data, np.minimum(step.at, m.end[step.rows]), _SHORT).astype(np.int64)
    whole = step.at + 2 <= m.end[step.rows]
    pointer = first >= _POINTERS
    same = pointer & (m.at[step.rows] + (first & 0x3FFF) == step.owner)
    behind = step.at + 2
    other = np.flatnonzero(~pointer & (step.owner_size > 0))
    if len(other):
        size = step.owner_size[other]
        equal = same_bytes(m.data, step.at[other], step.owner[other], size)
        behind[other] = step.at[other] + size
        same[other] = equal & (behind[other] <= m.end[step.rows[other]])
        whole[other] = True
    return behind, same & whole


def walk_aliases(m: Messages, rows: Ints, begin: Ints, size: Ints) -> tuple[Mask, Mask, Mask]:
    """Walks the names in CNAME records.

    Returns:
        For each whether it is a proper name that fills its record, whether it is spelled out, and whether it is odd: a
        pointer from its first byte on.
    """
    data, base = m.data, m.at[rows]
    stop = begin + size
    spelled_end, good = _runs(data, begin, stop)
    final = data.take(spelled_end, mode="clip")
    whole = good & (spelled_end < stop)
    spelled = whole & (final == 0) & (spelled_end + 1 == stop)
    pointed = whole & (final >= 0xC0) & (spelled_end + 2 == stop)
    proper = spelled & (stop - begin <= name_dns.LONGEST)
    hops = np.flatnonzero(pointed & (spelled_end > begin))
    run, at = begin[hops].copy(), spelled_end[hops].copy()
    length = at - run
    for _ in range(name_dns.MOST_POINTERS):
        if not len(hops):
            break
        target = base[hops] + (fetch(data, at, _SHORT).astype(np.int64) & 0x3FFF)
        behind, good = _runs(data, target, stop[hops])
        length += behind - target
        final = data.take(behind, mode="clip")
        good &= (target >= base[hops] + name_dns.HEADER) & (target < run) & (behind < stop[hops])
        good &= length + 1 <= name_dns.LONGEST
        ends = good & (final == 0)
        proper[hops[ends]] = True
        # A second pointer must be there with both its bytes.
        on = good & (final >= 0xC0) & (behind + 2 <= stop[hops])
        hops, run, at, length = hops[on], target[on], behind[on], length[on]
    alone = pointed & (spelled_end == begin)
    return proper | alone, spelled, alone


def _runs(data: Bytes, begin: Ints, stop: Ints) -> tuple[Ints, Mask]:
    """Where each run of labels ends: at a root, at a pointer, or at `stop`; False: at what is neither."""
    at = begin.copy()
    good = np.ones(len(at), np.bool_)
    busy = np.arange(len(at))
    for _ in range(_MOST_LABELS):
        here = at[busy]
        size = data.take(here, mode="clip")
        label = (size != 0) & (size < 64) & (here < stop[busy])
        bad = (size >= 64) & (size < 0xC0) & (here < stop[busy])
        good[busy[bad]] = False
        busy = busy[label]
        if not len(busy):
            return at, good
        at[busy] += size[label].astype(np.int64) + 1
    good[busy] = False
    return at, good
