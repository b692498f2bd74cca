"""Connections to rows: one per client, server, protocol, port, outcome and tenancies, sorted, in bounded memory."""

from __future__ import annotations

import tempfile
import weakref
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from netpol.flows.evidence import has_port
from netpol.flows.records import stacked
from netpol.model.flow import NO_TENANCY, Direction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.flows.records import Records

ROW: Final = np.dtype(
    [
        ("client_high", np.uint64),
        ("client", np.uint64),
        ("server_high", np.uint64),
        ("server", np.uint64),
        ("connections", np.int64),
        ("packets", np.int64),
        ("bytes", np.int64),
        ("first", np.int64),
        ("last", np.int64),
        ("port", np.int32),  # NO_PORT where there is none
        ("client_tenancy", np.int32),
        ("server_tenancy", np.int32),
        ("family", np.uint8),
        ("protocol", np.uint8),
        ("outcome", np.uint8),
        ("direction", np.uint8),
        ("two_way", np.bool_),
        ("minutes", np.uint64),  # as in a record; 0 where nobody keeps account
    ]
)
NO_PORT: Final = -1

Rows = np.ndarray[tuple[int], np.dtype[np.void]]
"""A structured array of ROW."""

_KEY: Final = (
    "family",
    "client_high",
    "client",
    "server_high",
    "server",
    "protocol",
    "port",
    "outcome",
    "client_tenancy",
    "server_tenancy",
)
_MERGED_AT_ONCE: Final = 1 << 17


def rows_of(
    records: Records, outcome: NDArray[np.uint8], direction: NDArray[np.uint8], two_way: NDArray[np.bool_]
) -> Rows:
    """One row per connection, whose low end is the client; in address order and without port where that is unknown."""
    rows = np.empty(len(records), ROW)
    unknown = direction == Direction.UNKNOWN
    above = (records["low_high"] > records["high_high"]) | (
        (records["low_high"] == records["high_high"]) & (records["low"] > records["high"])
    )
    swap = unknown & above
    for name, low, high in (("client", "low", "high"), ("client_high", "low_high", "high_high")):
        rows[name] = np.where(swap, records[high], records[low])
        rows[name.replace("client", "server")] = np.where(swap, records[low], records[high])
    ports = has_port(records["protocol"])
    rows["port"] = np.where(ports & ~unknown, records["high_port"].astype(np.int32), NO_PORT)
    for name in ("packets", "bytes", "first", "last", "family", "protocol"):
        rows[name] = records[name]
    rows["connections"] = records["told"] != outcome + 1
    rows["minutes"] = records["minutes"]
    rows["outcome"], rows["direction"], rows["two_way"] = outcome, direction, two_way
    rows["client_tenancy"] = rows["server_tenancy"] = NO_TENANCY
    return rows


def added_up(rows: Rows) -> Rows:
    """Rows with equal keys added up, in the order of their keys.

    Many connections make few rows, so they are grouped by a hash first: only the groups are put into the order of
    all their fields.
    """
    if len(rows) < 2:
        return rows
    rows = _runs_added_up(rows.take(_grouped(rows)))
    return _runs_added_up(rows.take(in_order_of_keys(rows)))


def _runs_added_up(rows: Rows) -> Rows:
    new = np.zeros(len(rows), np.bool_)
    new[0] = True
    for name in _KEY:
        new[1:] |= rows[name][1:] != rows[name][:-1]
    starts = np.flatnonzero(new)
    if len(starts) == len(rows):
        return rows
    result = rows.take(starts)
    for name, reduction in (
        ("connections", np.add),
        ("packets", np.add),
        ("bytes", np.add),
        ("first", np.minimum),
        ("last", np.maximum),
        ("direction", np.minimum),
        ("two_way", np.logical_or),
        ("minutes", np.bitwise_or),
    ):
        result[name] = reduction.reduceat(rows[name], starts)
    # Protocols without ports have no connections to count, only pairs of addresses.
    result["connections"][~has_port(result["protocol"])] = 1
    return result


def _grouped(rows: Rows) -> NDArray[np.intp]:
    """An order in which equal keys stand together but for rare collisions."""
    mixed = np.zeros(len(rows), np.uint64)
    for name in _KEY:
        mixed ^= mixed >> np.uint64(29)
        mixed += rows[name].astype(np.uint64)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
    mask = np.uint64((1 << len(rows).bit_length()) - 1)
    mixed &= ~mask
    mixed |= np.arange(len(rows), dtype=np.uint64)
    mixed.sort()
    return (mixed & mask).astype(np.intp)


def in_order_of_keys(rows: Rows) -> NDArray[np.intp]:
    """The order in which a table has its rows."""
    columns = [rows[name] for name in _KEY]
    varying = [np.ascontiguousarray(column) for column in columns if np.any(column != column[:1])]
    return np.lexsort(varying[::-1]) if varying else np.arange(len(rows))


class RowStore:
    """Adds rows up as they come; sorted runs go to temporary files when there are too many for memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows = np.empty(0, ROW)
        self._fresh: list[Rows] = []
        self._waiting = 0
        self._runs: list[IO[bytes]] = []
        weakref.finalize(self, _close_all, self._runs)

    def add(self, rows: Rows) -> None:
        """Takes rows in any order."""
        if not len(rows):
            return
        self._fresh.append(rows)
        self._waiting += len(rows)
        if self._waiting > max(self._limit // 4, len(self._rows) // 2):
            self._collect()
            if len(self._rows) > self._limit:
                self._spill()

    def _collect(self) -> None:
        self._rows = added_up(stacked([self._rows, *self._fresh]))
        self._fresh.clear()
        self._waiting = 0

    def _spill(self) -> None:
        file = tempfile.TemporaryFile(prefix="netpol-rows-")  # noqa: SIM115 - it lives as long as the table
        file.write(self._rows.view(np.uint8).data)
        file.seek(0)
        self._runs.append(file)
        self._rows = np.empty(0, ROW)

    def result(self, fewest: int = 1) -> tuple[Rows, IO[bytes] | None, int]:
        """All rows: in memory, or in a file of ROW, and how many there are.

        Args:
            fewest: Connections of each row: rows may come of which the connections were counted elsewhere.
        """
        self._collect()
        if not self._runs:
            np.maximum(self._rows["connections"], fewest, out=self._rows["connections"])
            return self._rows, None, len(self._rows)
        self._spill()
        file = tempfile.TemporaryFile(prefix="netpol-rows-")  # noqa: SIM115 - it lives as long as the table
        count = 0
        for rows in _merged(self._runs, max(1, min(self._limit, _MERGED_AT_ONCE) // len(self._runs))):
            np.maximum(rows["connections"], fewest, out=rows["connections"])
            file.write(rows.view(np.uint8).data)
            count += len(rows)
        _close_all(self._runs)
        file.flush()
        return self._rows, file, count


def _close_all(files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()
    files.clear()


def read_rows(file: IO[bytes], count: int) -> Rows:
    """The next rows of a file, at most so many, none at its end."""
    return np.frombuffer(file.read(count * ROW.itemsize), ROW)


def _merged(runs: list[IO[bytes]], at_once: int) -> Iterator[Rows]:
    """Merges sorted runs whose keys are distinct within each; holds `at_once` rows of each in memory."""
    buffers = [read_rows(run, at_once) for run in runs]
    while any(len(buffer) for buffer in buffers):
        rows = stacked(buffers)
        of_run = np.repeat(np.arange(len(buffers)), [len(buffer) for buffer in buffers])
        ends = np.cumsum([len(buffer) for buffer in buffers]) - 1
        order = in_order_of_keys(rows)
        position = np.empty(len(rows), np.intp)
        position[order] = np.arange(len(rows))
        # Nothing still in a file is below the smallest of the last rows of the buffers, nor equal to it: runs hold a
        # key once, and equal keys in other buffers are moved with it.
        bound = min(int(position[end]) for end, buffer in zip(ends, buffers, strict=True) if len(buffer))
        ordered = rows.take(order)
        while bound + 1 < len(rows) and all(ordered[name][bound] == ordered[name][bound + 1] for name in _KEY):
            bound += 1
        yield added_up(ordered[: bound + 1])
        left_of, left = of_run[order[bound + 1 :]], ordered[bound + 1 :]
        buffers = [left.compress(left_of == number) for number in range(len(runs))]
        buffers = [
            buffer if len(buffer) else read_rows(run, at_once) for buffer, run in zip(buffers, runs, strict=True)
        ]
