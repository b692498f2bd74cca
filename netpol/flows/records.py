"""Partial connections: fixed-size records that can be joined, wherever the packets were cut into batches.

A record stands for some packets of one 5-tuple. Its ends are in canonical order: `low` is the end with the smaller
(address, port), so both directions share one record. Joining neighbours in time is associative, which is
what lets batches be cut anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEEN, ACK, DATA, RST, FIN, SYN, SYNACK, QUOTED = 1, 2, 4, 8, 16, 32, 64, 128
"""Events of one direction.

SCTP: ACK is COOKIE ECHO, RST is ABORT, FIN is SHUTDOWN, SYN and SYNACK are INIT and INIT ACK. ICMP: SYN is a
request, SYNACK its reply. QUOTED: an ICMP unreachable quoted a packet of this direction."""

FROM_HIGH: Final = 8
"""Shift of the events that the high end sent, above those of the low end."""

LOW_CLIENT, HIGH_CLIENT, NO_CLIENT = 0, 1, 2
"""`side`: which end opened the connection by SYN, SYN-ACK, INIT or INIT ACK."""

NEVER: Final = np.iinfo(np.int64).max
"""Time of a thing that was not seen."""

LONG_AGO: Final = np.iinfo(np.int64).min

RECORD: Final = np.dtype(
    [
        ("hash", np.uint64),  # of the 5-tuple
        ("low_high", np.uint64),  # high half of the low end's address
        ("low", np.uint64),
        ("high_high", np.uint64),
        ("high", np.uint64),
        ("first", np.int64),
        ("last", np.int64),
        (
            "anchor",
            np.int64,
        ),  # last SYN or SYN-ACK: later packets without one are of the connection with the latest anchor
        ("syn", np.int64),  # first SYN
        ("synack", np.int64),  # first SYN-ACK
        ("packets", np.int64),
        ("bytes", np.int64),
        ("client_isn", np.uint32),
        ("server_isn", np.uint32),
        ("low_port", np.uint16),
        ("high_port", np.uint16),
        ("events", np.uint16),
        ("family", np.uint8),
        ("protocol", np.uint8),
        ("side", np.uint8),
        ("opened_high", np.bool_),  # the high end sent the first packet
        ("early", np.bool_),  # closed because of a limit
        ("told", np.uint8),  # 1 + the outcome under which it was counted already; then one packet stands for all before
        ("minutes", np.uint64),  # bit n: active in minute n of the hour, where somebody keeps account of that
        ("tracked", np.bool_),  # whoever recorded it kept track of connections: `opened_high` tells who opened this one
    ]
)

Records = np.ndarray[tuple[int], np.dtype[np.void]]
"""A structured array of RECORD."""

BOOKKEEPING: Final = ("hash", "told", "minutes")
"""Fields that are no part of what was recorded: they follow from the others, or from what was done with them here."""

_MULTIPLIERS: Final = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F,
    0xD6E8FEB86659FD93,
    0xA0761D6478BD642F,
    0xE7037ED1A0B428DB,
)
_KEY: Final = ("low", "high", "low_port", "high_port", "protocol", "low_high", "high_high", "family")


def empty(count: int = 0) -> Records:
    """So many records of nothing."""
    records = np.zeros(count, RECORD)
    records["syn"] = records["synack"] = NEVER
    records["anchor"] = LONG_AGO
    records["side"] = NO_CLIENT
    return records


def mixed(keys: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """uint64[n]: one word of each 5-tuple, from two columns of words for IPv4, from six for IPv6."""
    result: NDArray[np.uint64] = keys[0] * np.uint64(_MULTIPLIERS[0])
    for key, multiplier in zip(keys[1:], _MULTIPLIERS[1:], strict=False):
        result ^= result >> np.uint64(32)
        result += key
        result *= np.uint64(multiplier)
    result ^= result >> np.uint64(29)
    result *= np.uint64(_MULTIPLIERS[1])
    result ^= result >> np.uint64(32)
    return result


def hashes(records: Records) -> NDArray[np.uint64]:
    """uint64[n]: what `hash` of each record has to be, from its other fields."""
    result = np.empty(len(records), np.uint64)
    low_port, high_port = (records[name].astype(np.uint64) for name in ("low_port", "high_port"))
    protocol = records["protocol"].astype(np.uint64) << np.uint64(48)
    four = records["family"] == 4
    sixteen = np.uint64(16)
    low, high = records["low"][four], records["high"][four]
    result[four] = mixed([low << sixteen | low_port[four] | protocol[four], high << sixteen | high_port[four]])
    six = ~four
    words = [records[name][six] for name in ("low_high", "low", "high_high", "high")]
    result[six] = mixed([low_port[six] | protocol[six], high_port[six], *words])
    return result


def stacked(parts: Sequence[Records]) -> Records:
    """The records of all parts, moved as bytes: NumPy copies structured arrays field by field, at a fifth of the speed.

    For the same reason `take` and `compress` stand where indexing could.
    """
    raw = np.dtype((np.void, parts[0].dtype.itemsize))
    result: Records = np.concatenate([part.view(raw) for part in parts]).view(parts[0].dtype)
    return result


def put(records: Records, positions: NDArray[np.intp], values: Records) -> None:
    """Overwrites the records at the positions."""
    raw = np.dtype((np.void, records.dtype.itemsize))
    records.view(raw)[positions] = values.view(raw)


def opened(records: Records) -> NDArray[np.bool_]:
    """bool[n]: the record holds a SYN or a SYN-ACK."""
    known: NDArray[np.bool_] = records["side"] != NO_CLIENT
    return known


def same_ends(records: Records) -> NDArray[np.bool_]:
    """bool[n]: the record has the 5-tuple of the one before it; False for the first."""
    same = np.empty(len(records), np.bool_)
    same[:1] = False
    np.equal(records["hash"][1:], records["hash"][:-1], out=same[1:])
    for name in _KEY:
        column = records[name]
        same[1:] &= column[1:] == column[:-1]
    return same


def in_order(records: Records, times: NDArray[np.int64]) -> NDArray[np.intp]:
    """An order in which the records of one 5-tuple stand together, by `times`; equal times keep their order.

    Sorting hash and position in one integer is several times as fast as an indirect sort. It leaves positions in
    order, which is the order of time for a single capture; where that does not hold, and when hashes collide, the
    slower way is taken.
    """
    count = len(records)
    index_mask = np.uint64((1 << max(1, count.bit_length())) - 1)
    packed = (records["hash"] & ~index_mask) | np.arange(count, dtype=np.uint64)
    packed.sort()
    order = (packed & index_mask).astype(np.intp)
    packed &= ~index_mask
    joined = packed[1:] == packed[:-1]
    sorted_times = times[order]
    clash = np.zeros(1, np.bool_)
    before, after = order[:-1][joined], order[1:][joined]
    for name in ("hash", *_KEY):
        clash = clash | np.any(records[name][before] != records[name][after])
    if not clash.any() and not np.any(joined & (sorted_times[1:] < sorted_times[:-1])):
        return order
    if not clash.any():
        return np.lexsort((times, records["hash"]))
    return np.lexsort((times, *(records[name] for name in _KEY), records["hash"]))


def join(records: Records, starts: NDArray[np.intp]) -> Records:
    """One record for each run of records that begins at `starts`; runs are of one connection, in order of time.

    Quoted packets bring an event and no packets, so they do not stretch the time of a connection.
    """
    if len(starts) == len(records):
        return records
    result = records.take(starts)
    several = np.diff(starts, append=len(records)) > 1
    if not several.any():
        return result
    runs = np.flatnonzero(several)
    ends = np.append(starts, len(records))
    lengths = (ends[1:] - ends[:-1])[runs]
    offsets = np.cumsum(lengths) - lengths
    rows = records.take(np.repeat(starts[runs] - offsets, lengths) + np.arange(lengths.sum()))
    put(result, runs, _joined(rows, offsets, result.take(runs)))
    return result


def _joined(rows: Records, starts: NDArray[np.intp], result: Records) -> Records:
    real = rows["packets"] > 0
    no_packets = ~np.logical_or.reduceat(real, starts)
    first = np.minimum.reduceat(np.where(real, rows["first"], NEVER), starts)
    last = np.maximum.reduceat(np.where(real, rows["last"], LONG_AGO), starts)
    result["first"] = np.where(no_packets, np.minimum.reduceat(rows["first"], starts), first)
    result["last"] = np.where(no_packets, np.maximum.reduceat(rows["last"], starts), last)
    result["anchor"] = np.maximum.reduceat(rows["anchor"], starts)
    for name in ("packets", "bytes"):
        result[name] = np.add.reduceat(rows[name], starts)
    result["events"] = np.bitwise_or.reduceat(rows["events"], starts)
    result["early"] = np.logical_or.reduceat(rows["early"], starts)
    _take_first(result, rows, starts, real, ("opened_high",))
    if rows["told"].any():
        result["told"] = np.maximum.reduceat(rows["told"], starts)
        # Each holds one packet for all that were counted; of what they are joined to, one is to stand for them all.
        stands_in = np.add.reduceat((rows["told"] > 0).astype(np.int64), starts)
        result["packets"] -= np.maximum(stands_in - 1, 0)
    if rows["minutes"].any():
        result["minutes"] = np.bitwise_or.reduceat(rows["minutes"], starts)
    if rows["tracked"].any():
        _take_first(result, rows, starts, real & rows["tracked"], ("opened_high", "tracked"))
    _take_first(result, rows, starts, opened(rows), ("side", "client_isn"))
    _take_first(result, rows, starts, rows["syn"] != NEVER, ("syn",))
    _take_first(result, rows, starts, rows["synack"] != NEVER, ("synack", "server_isn"))
    return result


def _take_first(
    result: Records, rows: Records, starts: NDArray[np.intp], having: NDArray[np.bool_], names: tuple[str, ...]
) -> None:
    """Copies the fields from the first row of each run that has them."""
    position = np.minimum.reduceat(np.where(having, np.arange(len(rows)), len(rows)), starts)
    found = position < len(rows)
    for name in names:
        result[name][found] = rows[name][position[found]]
