"""What is known of windows beside what they recorded: rows of Parquet, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from netpol.dataset.window import RUN, Losses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from netpol.dataset.engine import Columns
    from netpol.dataset.window import Window

_LONGEST_TEXT: Final = 200


class WindowRow(NamedTuple):
    """Windows of one run whose numbers follow each other, added up; mostly a single one.

    The fields are the columns of the table `windows`, which `netpol.dataset` describes.
    """

    observer: str
    run: str
    number: int
    windows: int
    begin: int
    end: int
    packets: int
    records: int
    kernel: int
    evicted: int
    undecodable: str
    lost_windows: int
    lost_records: int
    interfaces: int
    version: str

    @classmethod
    def of(cls, window: Window) -> WindowRow:
        """The row of one window."""
        losses = window.losses
        return cls(
            observer=window.observer,
            run=window.run,
            number=window.number,
            windows=1,
            begin=window.begin,
            end=window.end,
            packets=window.packets,
            records=len(window.records),
            kernel=losses.kernel,
            evicted=losses.evicted,
            undecodable=json.dumps(dict(sorted(losses.undecodable.items()))) if losses.undecodable else "",
            lost_windows=losses.windows,
            lost_records=losses.records,
            interfaces=window.interfaces,
            version=window.version,
        )

    @property
    def identity(self) -> str:
        """As that of a `Window`; of the first where these are several."""
        return f"{self.run}-{self.number:08d}"

    @property
    def losses(self) -> Losses:
        """What is missing from them."""
        return Losses(
            kernel=self.kernel,
            evicted=self.evicted,
            undecodable=json.loads(self.undecodable) if self.undecodable else {},
            windows=self.lost_windows,
            records=self.lost_records,
        )


_TEXTS: Final = frozenset({"observer", "run", "undecodable", "version"})
_COUNTS: Final = tuple(name for name in WindowRow._fields if name not in _TEXTS)
SELECT: Final = ", ".join(
    f'"{name}"::VARCHAR AS "{name}"' if name in _TEXTS else f'"{name}"' for name in WindowRow._fields
)


def columns_of(rows: Sequence[WindowRow]) -> Columns:
    """The rows, column by column."""
    columns = list(zip(*rows, strict=True)) or [()] * len(WindowRow._fields)
    return {
        name: np.array(values, object if name in _TEXTS else np.int64)
        for name, values in zip(WindowRow._fields, columns, strict=True)
    }


def rows_of(columns: Mapping[str, NDArray[Any]]) -> list[WindowRow]:
    """The columns as rows.

    Raises:
        ValueError: They hold what no window can hold.
    """
    for name in WindowRow._fields:
        if np.ma.is_masked(columns[name]):
            raise ValueError(f"{name} without a value")
        if name in _COUNTS and (columns[name].dtype != np.int64 or (columns[name] < 0).any()):
            raise ValueError(f"a {name} that is no count")
    rows = [WindowRow(*row) for row in zip(*(columns[name].tolist() for name in WindowRow._fields), strict=True)]
    for row in rows:
        if not RUN.fullmatch(row.run) or not row.windows or row.end < row.begin:
            raise ValueError("a row that describes no window")
        if row.undecodable:
            _check_reasons(json.loads(row.undecodable))
    return rows


def _check_reasons(said: object) -> None:
    wrong = not isinstance(said, dict) or not all(
        isinstance(count, int) and count >= 0 and reason.isascii() and reason.isprintable()
        and len(reason) <= _LONGEST_TEXT
        for reason, count in said.items()
    )  # fmt: skip
    if wrong:
        raise ValueError("reasons with counts that are none")


def added_up(rows: Sequence[WindowRow]) -> list[WindowRow]:
    """One row for the windows of a run whose numbers follow each other, in the order of run and number."""
    result: list[WindowRow] = []
    for row in sorted(rows, key=lambda each: (each.run, each.number)):
        last = result[-1] if result else None
        if last and (last.run, last.observer) == (row.run, row.observer) and last.number + last.windows == row.number:
            result[-1] = _sum(last, row)
        else:
            result.append(row)
    return result


def _sum(one: WindowRow, other: WindowRow) -> WindowRow:
    reasons = {} if not one.undecodable else json.loads(one.undecodable)
    for reason, count in (json.loads(other.undecodable) if other.undecodable else {}).items():
        reasons[reason] = reasons.get(reason, 0) + count
    totals = ("windows", "packets", "records", "kernel", "evicted", "lost_windows", "lost_records")
    return one._replace(
        begin=min(one.begin, other.begin),
        end=max(one.end, other.end),
        interfaces=max(one.interfaces, other.interfaces),
        undecodable=json.dumps(dict(sorted(reasons.items()))) if reasons else "",
        version=other.version,
        **{name: getattr(one, name) + getattr(other, name) for name in totals},
    )
