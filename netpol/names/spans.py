"""Who was led where by which name, and when: a bounded columnar store of time spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from netpol.capture.views import firsts

if TYPE_CHECKING:
    from netpol.capture.views import Ints, Mask

SPAN: Final = np.dtype(
    [
        ("key", "u8"),
        ("first", "i8"),
        ("last", "i8"),
        ("client", "u8", 2),
        ("server", "u8", 2),
        ("name", "i4"),
        ("door", "u4"),
        ("count", "u8"),
    ]
)
"""One span, of a client and a server address (two words each), a name's number, and a door: what of the server it was.
`key` mixes these into one word for sorting: where different spans have the same key, they are only merged less."""

Rows = NDArray[Any]
_NOTHING: Final = np.empty(0, SPAN)

_IDENTITY_AT: Final = 24
_IDENTITY_WORDS: Final = 5
_ODD: Final = tuple(
    np.uint64(each)
    for each in (
        0x9E3779B97F4A7C15,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0xD6E8FEB86659FD93,
        0xFF51AFD7ED558CCD,
        0xC4CEB9FE1A85EC53,
    )
)
_HALF: Final = np.uint64(32)
_ODD_NUMBERS: Final = tuple(map(int, _ODD[:4]))
_WORD: Final = (1 << 64) - 1


def place_keys(client: NDArray[np.uint64], server: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """uint64[n]: one word for each pair of addresses (uint64[n, 2] each), the same for the same pair."""
    mixed = (client[:, 0] * _ODD[0]) ^ (client[:, 1] * _ODD[1])
    mixed ^= mixed >> _HALF
    mixed = (mixed + server[:, 0]) * _ODD[2] ^ (server[:, 1] * _ODD[3])
    mixed ^= mixed >> _HALF
    return mixed


def _place_key(client: tuple[int, int], server: tuple[int, int]) -> np.uint64:
    """The same word for one pair."""
    one, two, three, four = _ODD_NUMBERS
    mixed = (client[0] * one ^ client[1] * two) & _WORD
    mixed ^= mixed >> 32
    mixed = ((mixed + server[0]) * three ^ server[1] * four) & _WORD
    return np.uint64(mixed ^ mixed >> 32)


def spans_of(**columns: Any) -> Rows:
    """Rows of the columns; what is not given is 0, and `count` 1."""
    rows = np.zeros(len(columns["first"]), SPAN)
    rows["count"] = 1
    for name, values in columns.items():
        rows[name] = values
    key = place_keys(rows["client"], rows["server"])
    key += rows["name"].astype(np.uint64) * _ODD[4]
    key ^= rows["door"].astype(np.uint64) * _ODD[5]
    key ^= key >> _HALF
    rows["key"] = key
    return rows


class Spans:
    """Spans of which equal ones that touch are one. Beyond the limit the oldest of those who have most are forgotten.

    Attributes:
        forgotten: How many spans were.
    """

    def __init__(self, limit: int, gap: int = 0) -> None:
        """Args: limit: spans kept; twice as many are held now and then. gap: nanoseconds between spans that touch."""
        self._limit = limit
        self._gap = gap
        self._merged: Rows = np.empty(0, SPAN)
        self._fresh: list[Rows] = []
        self._fresh_rows = 0
        self._order: tuple[NDArray[np.uint64], Ints] | None = None
        self.forgotten = 0

    def add(self, rows: Rows) -> bool:
        """Adds spans; True: some were let go of, and names may not be referred to any more."""
        if not len(rows):
            return False
        self._order = None
        self._fresh.append(rows)
        self._fresh_rows += len(rows)
        return self._fresh_rows > max(self._limit, 64) and self._settle()

    def rows(self) -> Rows:
        """All of them."""
        self._settle()
        return self._merged

    def between(self, client: tuple[int, int], server: tuple[int, int]) -> Rows:
        """The spans of one client and one server address."""
        if self._order is None:
            rows = self.rows()
            keys = place_keys(rows["client"], rows["server"])
            order = np.argsort(keys, kind="stable")
            self._order = keys[order], order
        keys, order = self._order
        key = _place_key(client, server)
        begin = int(keys.searchsorted(key))
        if begin == len(keys) or keys[begin] != key:
            return _NOTHING
        found = self._merged[order[begin : int(keys.searchsorted(key, "right"))]]
        places = found["client"], found["server"]
        if len(found) == 1:
            return found if [place[0].tolist() for place in places] == [[*client], [*server]] else _NOTHING
        ends = np.array([client], np.uint64), np.array([server], np.uint64)
        same: Mask = (places[0] == ends[0]).all(axis=1) & (places[1] == ends[1]).all(axis=1)
        its: Rows = found[same]
        return its

    def _settle(self) -> bool:
        """Merges what was added, and forgets what is too much."""
        if not self._fresh:
            return False
        rows = merged(np.concatenate([self._merged, *self._fresh]), self._gap)
        self._fresh, self._fresh_rows, self._order = [], 0, None
        surplus = len(rows) - self._limit
        if surplus > 0:
            rows = rows[_kept(rows, self._limit)]
            self.forgotten += surplus
        self._merged = rows
        return surplus > 0


def merged(rows: Rows, gap: int) -> Rows:
    """Spans with the same identity that overlap, or lie at most `gap` apart, as one; sorted by key and time."""
    if len(rows) < 2:
        return rows
    # Whole rows are moved once, at the end; until then only what decides is.
    order = _order(rows)
    first, last = rows["first"][order], rows["last"][order]
    key = rows["key"][order]
    same = key[1:] == key[:-1]
    likely = np.flatnonzero(same)
    identity = np.ndarray((len(rows), _IDENTITY_WORDS), "u8", rows, _IDENTITY_AT, (SPAN.itemsize, 8))
    same[likely] = (identity[order[likely]] == identity[order[likely + 1]]).all(axis=1)
    latest = _running_latest(last, same)
    touches = same & (first[1:] - gap <= latest[:-1])
    begins = np.flatnonzero(np.concatenate([[True], ~touches]))
    result = rows[order[begins]]
    if len(begins) < len(rows):
        result["last"] = np.maximum.reduceat(last, begins)
        result["count"] = np.add.reduceat(rows["count"][order], begins)
    return result


def _order(rows: Rows) -> Ints:
    """By key, then by time; nothing is done for the time where the rows already stand in its order."""
    key, first = np.ascontiguousarray(rows["key"]), np.ascontiguousarray(rows["first"])
    if (first[1:] >= first[:-1]).all():
        return np.argsort(key, kind="stable")
    return np.lexsort((first, key))


def _running_latest(last: Ints, same: Mask) -> Ints:
    """int64[n]: the latest end from the first row of a group of equal spans to each row."""
    if not (same & (last[1:] < last[:-1])).any():
        return last
    order = np.argsort(last, kind="stable")
    rank = np.empty(len(last), np.int64)
    rank[order] = np.arange(len(last))
    group = np.concatenate([[0], np.cumsum(~same)]) * len(last)
    latest: Ints = last[order[np.maximum.accumulate(rank + group) - group]]
    return latest


def _kept(rows: Rows, limit: int) -> Ints:
    """Which rows stay: the same share for each client, less only for those who need less; the latest of each.

    So a client that asks for a million names loses its own, not those of others.
    """
    client = np.ascontiguousarray(rows["client"])
    order = np.lexsort((-rows["last"], client[:, 1], client[:, 0]))
    ordered = client[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    begins = np.flatnonzero(new)
    sizes = np.diff(begins, append=len(rows))
    rank = np.arange(len(rows)) - np.repeat(begins, sizes)
    share = _share(sizes, limit)
    stay = rank < share
    left = limit - int(np.count_nonzero(stay))
    if left:
        stay[np.flatnonzero(rank == share)[:left]] = True
    return np.sort(order[stay])


def _share(sizes: Ints, limit: int) -> int:
    """The greatest share with which sum(min(size, share)) is within the limit."""
    low, high = 0, int(sizes.max())
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(sizes, middle).sum()) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def distinct_names(*stores: Spans) -> NDArray[np.int32]:
    """Which names some span refers to."""
    names = np.sort(np.concatenate([store.rows()["name"] for store in stores]))
    return names[firsts(names)] if len(names) else names
