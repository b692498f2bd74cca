"""Flows as JSON Lines, CSV and Parquet: the field names and number formats that scripts rely on.

Rows are taken one by one as (flow, source, destination), the last two None where no cluster was asked, so a table of
any length is written in bounded memory. Nothing in a row comes from the wire as text: addresses and numbers are
formatted here, names of workloads are Kubernetes names, and JSON and CSV escape them all the same.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import repeat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from netpol.flows.rows import NO_PORT
from netpol.model.flow import Address, Direction, Flow, Outcome, protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from netpol.flows.rows import Rows
    from netpol.flows.table import FlowTable

Shown = tuple[str, str, str, int | None, int, int, int, str, str, str, str]
"""The values of FIELDS."""

NamedFlow = tuple[Flow, str | None, str | None]
"""A flow with the names of its source and destination, None when no cluster was asked."""

FIELDS: Final = (
    "client",
    "server",
    "protocol",
    "port",
    "connections",
    "packets",
    "bytes",
    "first_seen",
    "last_seen",
    "outcome",
    "direction",
)
NAMES: Final = ("source", "destination")

_PARQUET_TYPES: Final = {
    **dict.fromkeys((*FIELDS, *NAMES), "VARCHAR"),
    "port": "USMALLINT",
    **dict.fromkeys(("connections", "packets", "bytes"), "BIGINT"),
    **dict.fromkeys(("first_seen", "last_seen"), "TIMESTAMP"),
    "two_way": "BOOLEAN",
}
_LINE: Final = (
    '{"client": "%s", "server": "%s", "protocol": "%s", "port": %s, "connections": %d, "packets": %d, "bytes": %d, '
    '"first_seen": "%s", "last_seen": "%s", "outcome": "%s", "direction": "%s"%s}\n'
)
_TIME: Final = "%s.%06dZ"
_PROTOCOLS: Final = tuple(map(protocol_name, range(256)))
_OUTCOMES: Final = tuple(outcome.label for outcome in Outcome)
_DIRECTIONS: Final = tuple(direction.label for direction in Direction)
_PARQUET_MEMORY: Final = "128MB"


def write_json(flows: Iterable[NamedFlow], stream: IO[str]) -> None:
    """JSON Lines (RFC 8259), one object per flow."""
    stream.writelines(_json_lines(flows))


def write_table(table: FlowTable, stream: IO[str]) -> None:
    """JSON Lines of a table without names: what `write_json` would write, in a third of the time."""
    stream.writelines(_table_lines(table))


def write_csv(flows: Iterable[NamedFlow], stream: IO[str], *, named: bool) -> None:
    """CSV with a header (RFC 4180); an absent port is an empty field.

    Args:
        flows: What to write.
        stream: Opened with newline="", since lines end in CR LF whatever the platform.
        named: Whether there are columns for source and destination.
    """
    writer = csv.writer(stream)
    writer.writerow((*FIELDS, *NAMES) if named else FIELDS)
    for flow, source, destination in flows:
        row = values(flow)
        writer.writerow((*row, source, destination) if named else row)


def write_parquet(flows: Iterable[NamedFlow], target: Path | IO[bytes], *, named: bool) -> None:
    """Apache Parquet, to a file or a binary stream; times are UTC timestamps of microseconds without a zone.

    The columns are those of the table `flows` in a dataset (see `netpol.dataset`), from which it can be read again.

    Parquet is written from its end, so a stream gets a copy of a temporary file. The rows pass through a temporary
    CSV file, which is quicker than handing them over one by one, and bounded in memory.
    """
    import duckdb  # noqa: PLC0415 - half of netpol's start-up time, and only Parquet needs it

    names = (*FIELDS, "two_way", *NAMES) if named else (*FIELDS, "two_way")
    columns = ", ".join(f"'{name}': '{_PARQUET_TYPES[name]}'" for name in names)
    with tempfile.TemporaryDirectory(prefix="netpol-") as folder:
        rows, result = Path(folder, "flows.csv"), Path(folder, "flows.parquet")
        with rows.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(names)
            for flow, source, destination in flows:
                row = (*values(flow), flow.two_way)
                writer.writerow((*row, source, destination) if named else row)
        options: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _PARQUET_MEMORY,
            "temp_directory": folder,
            "threads": 2,
        }
        with duckdb.connect(config=options) as database:
            database.execute("SET enable_progress_bar = false")  # it would go to stdout, into the file
            database.execute(
                "COPY (SELECT * FROM read_csv($rows, header = true, auto_detect = false, "  # noqa: S608 - constants and our own folder
                f"delim = ',', quote = '\"', "
                f"escape = '\"', new_line = '\\r\\n', columns = {{{columns}}})) "
                f"TO '{result}' (FORMAT parquet, COMPRESSION zstd)",
                {"rows": str(rows)},
            )
        if isinstance(target, Path):
            shutil.copyfile(result, target)
            return
        with result.open("rb") as file:
            shutil.copyfileobj(file, target)


def _json_lines(flows: Iterable[NamedFlow]) -> Iterator[str]:
    for flow, source, destination in flows:
        ends = ""
        if source is not None or destination is not None:
            ends = f', "source": {json.dumps(source)}, "destination": {json.dumps(destination)}'
        yield _json_line(values(flow), ends)


def _json_line(shown: Shown, ends: str) -> str:
    return _LINE % (*shown[:3], "null" if shown[3] is None else shown[3], *shown[4:], ends)


def values(flow: Flow) -> Shown:
    """What every output shows of a flow, in the order of FIELDS."""
    return (
        _address(flow.client),
        _address(flow.server),
        protocol_name(flow.protocol),
        flow.port,
        flow.connections,
        flow.packets,
        flow.bytes,
        timestamp(flow.first_seen),
        timestamp(flow.last_seen),
        flow.outcome.label,
        flow.direction.label,
    )


def _table_lines(table: FlowTable) -> Iterator[str]:
    """The same lines for a whole table, column by column, without making a Flow of each row."""
    for rows in table.batches():
        columns = (
            _addresses(rows, "client"),
            _addresses(rows, "server"),
            map(_PROTOCOLS.__getitem__, rows["protocol"].tolist()),
            ("null" if port == NO_PORT else port for port in rows["port"].tolist()),
            rows["connections"].tolist(),
            rows["packets"].tolist(),
            rows["bytes"].tolist(),
            _timestamps(rows["first"]),
            _timestamps(rows["last"]),
            map(_OUTCOMES.__getitem__, rows["outcome"].tolist()),
            map(_DIRECTIONS.__getitem__, rows["direction"].tolist()),
            repeat("", len(rows)),
        )
        yield from map(_LINE.__mod__, zip(*columns, strict=True))


def _addresses(rows: Rows, end: str) -> Iterator[str]:
    return map(_number, rows["family"].tolist(), rows[f"{end}_high"].tolist(), rows[end].tolist())


@lru_cache(maxsize=1 << 14)
def _address(address: Address) -> str:
    return str(address)


@lru_cache(maxsize=1 << 14)
def _number(family: int, high: int, low: int) -> str:
    return str(IPv4Address(low) if family == 4 else IPv6Address(high << 64 | low))


def _timestamps(nanoseconds: NDArray[np.int64]) -> Iterator[str]:
    """`timestamp` of each."""
    seconds, rest = np.divmod(nanoseconds, 1_000_000_000)
    return map(_TIME.__mod__, zip(map(_second, seconds.tolist()), (rest // 1000).tolist(), strict=True))


def timestamp(nanoseconds: int) -> str:
    """ISO 8601 in UTC with microseconds; finer parts are cut off, so that no time is later than its packet.

    Times that no calendar has, which a damaged capture can hold, are shown as the nearest one that it has.
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return _TIME % (_second(seconds), rest // 1000)


@lru_cache(maxsize=1 << 14)
def _second(seconds: int) -> str:
    first, last = -62_135_596_800, 253_402_300_799  # years 1 and 9999
    return datetime.fromtimestamp(min(max(seconds, first), last), UTC).replace(tzinfo=None).isoformat()
