"""Partial connections as rows of Parquet, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.dataset.promises import check_records
from netpol.flows.records import BOOKKEEPING, LONG_AGO, NEVER, RECORD, Records, empty, hashes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from netpol.dataset.engine import Columns

_ABSENT: Final = {"anchor": LONG_AGO, "syn": NEVER, "synack": NEVER}
"""What stands in memory for a thing that was not seen, and is NULL in files."""

STORED: Final = tuple(name for name in RECORD.names or () if name not in BOOKKEEPING)
CARRIED: Final = (*STORED, "told")
"""What is kept of connections that go on in the next hour."""


def selected(names: tuple[str, ...] = STORED) -> str:
    """What is written of the columns of `columns_of`."""
    return ", ".join(f"nullif({name}, {_ABSENT[name]}) AS {name}" if name in _ABSENT else name for name in names)


def wanted(names: tuple[str, ...] = STORED) -> str:
    """What `records_of` takes."""
    return ", ".join(f"coalesce({name}, {_ABSENT[name]}) AS {name}" if name in _ABSENT else name for name in names)


def columns_of(records: Records, names: tuple[str, ...] = STORED) -> Columns:
    """The records, column by column."""
    return {name: np.ascontiguousarray(records[name]) for name in names}


def records_of(columns: Mapping[str, NDArray[Any]], names: tuple[str, ...] = STORED) -> Records:
    """The columns as records.

    Raises:
        ValueError: They break the promises of `netpol.flows.records`.
    """
    records = empty(len(columns["first"]))
    for name in names:
        if np.ma.is_masked(columns[name]):
            raise ValueError(f"{name} without a value")
        if columns[name].dtype != RECORD[name]:
            raise ValueError(f"{name} of type {columns[name].dtype}")
        records[name] = columns[name]
    check_records(records)
    records["hash"] = hashes(records)
    return records
