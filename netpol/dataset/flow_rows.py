"""Flows as rows of Parquet, in words that need no explanation, and back: what `netpol flows -o parquet` writes, too."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.errors import InputError
from netpol.flows.rows import NO_PORT, ROW, Rows
from netpol.model.flow import NO_TENANCY, PORT_PROTOCOLS, Direction, Outcome, protocol_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from netpol.dataset.engine import Engine

ROWS_AT_ONCE: Final = 1 << 17
_OUTCOMES: Final = {outcome.label: int(outcome) for outcome in Outcome}
_DIRECTIONS: Final = {direction.label: int(direction) for direction in Direction}
_PROTOCOLS: Final = {protocol_name(number): number for number in range(256)}
_VPC: Final = frozenset({"srcaddr", "dstaddr", "srcport", "dstport", "protocol"})
_AS_TEXT: Final = (
    "Have it delivered as text, or write it so: "
    """duckdb -c "COPY (FROM 'FILE.parquet') TO 'FILE.log' (HEADER, DELIMITER ' ', NULLSTR '-')\""""
)
_NEEDED: Final = ("client", "server", "protocol", "port", "connections", "packets", "bytes", "first_seen", "last_seen",
                  "outcome", "direction")  # fmt: skip
_SELECT: Final = (
    "client::VARCHAR AS client, server::VARCHAR AS server, protocol::VARCHAR AS protocol, "
    f"coalesce(try_cast(port AS INTEGER), {NO_PORT}) AS port, "
    "outcome::VARCHAR AS outcome, direction::VARCHAR AS direction, "
    "epoch_us(try_cast(first_seen AS TIMESTAMP)) AS first, epoch_us(try_cast(last_seen AS TIMESTAMP)) AS last, "
    + ", ".join(f"try_cast({name} AS BIGINT) AS {name}" for name in ("connections", "packets", "bytes"))
)
_COUNTS: Final = ("connections", "packets", "bytes", "first", "last")
_TIMES: Final = frozenset({"first", "last"})
_MOST: Final = 1 << 53
"""Of packets, bytes and connections, and microseconds since the Unix epoch: 285 years."""
_WRONG: Final = -1


def read_flows(engine: Engine, file: str) -> Iterator[tuple[Rows, int]]:
    """The flows of a Parquet file, some at a time, and how many of its rows are none.

    Whether payload went both ways is not known where there is no column `two_way`; then it counts as if it had not.

    Raises:
        GoneError: The file is not there.
        InputError: It cannot be read, or is no table of flows.
    """
    names = engine.read("SELECT * FROM files LIMIT 0", {}, [file]).keys()
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        where = (engine.place.where(file),)
        if _VPC.issubset(names):
            raise InputError("an AWS VPC flow log in Parquet, of which text is read", where=where, remedy=_AS_TEXT)
        raise InputError(
            f"a Parquet file without the columns of flows: {', '.join(missing)}",
            where=where,
            remedy="`netpol flows -o parquet` writes them",
        )
    select = _SELECT
    select += ", coalesce(try_cast(two_way AS BOOLEAN), false) AS two_way" if "two_way" in names else ""
    select += ", coalesce(try_cast(minutes AS BIGINT), 0) AS minutes" if "minutes" in names else ""
    count = int(engine.read("SELECT count(*) AS count FROM files", {}, [file])["count"][0])
    for begin in range(0, count, ROWS_AT_ONCE):
        span = f"file_row_number BETWEEN {begin} AND {begin + ROWS_AT_ONCE - 1}"
        columns = engine.read(f"SELECT {select} FROM files WHERE {span}", {}, [file])  # noqa: S608 - constants
        yield rows_of(columns)


def rows_of(columns: Mapping[str, NDArray[Any]]) -> tuple[Rows, int]:
    """The columns as rows, and how many of them are no flows."""
    rows = np.zeros(len(columns["client"]), ROW)
    good = np.ones(len(rows), np.bool_)
    for end in ("client", "server"):
        words = _looked_up(columns[end], _address)
        rows[end], rows[f"{end}_high"] = words["low"], words["high"]
        good &= words["family"] != 0
        good &= (rows["family"] == 0) | (rows["family"] == words["family"])
        rows["family"] = words["family"]
    for name, known in (("outcome", _OUTCOMES), ("direction", _DIRECTIONS), ("protocol", _PROTOCOLS)):
        numbers = np.array([known.get(text, _WRONG) for text in _texts(columns[name])], np.int64)
        good &= numbers != _WRONG
        rows[name] = numbers
    for name in _COUNTS:
        values = np.ma.filled(columns[name].astype(np.int64), _WRONG)
        good &= (values >= 0) & (values <= _MOST)
        rows[name] = values * 1000 if name in _TIMES else values
    good &= rows["last"] >= rows["first"]
    rows["port"] = columns["port"]
    unnumbered = ~np.isin(rows["protocol"], list(PORT_PROTOCOLS)) | (rows["direction"] == Direction.UNKNOWN)
    good &= np.where(unnumbered, rows["port"] == NO_PORT, (rows["port"] >= 0) & (rows["port"] < 1 << 16))
    rows["two_way"] = columns.get("two_way", False)
    rows["minutes"] = columns.get("minutes", 0)
    rows["client_tenancy"] = rows["server_tenancy"] = NO_TENANCY
    return rows.compress(good), int(np.count_nonzero(~good))


_WORDS: Final = np.dtype([("high", "u8"), ("low", "u8"), ("family", "u1")])


@lru_cache(maxsize=1 << 16)
def _address(text: str) -> tuple[int, int, int]:
    try:
        address = ip_address(text)
    except ValueError:
        return 0, 0, 0
    number = int(address)
    return number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF, address.version


def _texts(column: NDArray[Any]) -> list[str]:
    texts: list[str] = np.ma.filled(column, "").tolist()
    return texts


def _looked_up(column: NDArray[Any], meaning: Callable[[str], tuple[int, ...]]) -> NDArray[np.void]:
    texts = _texts(column)
    return np.fromiter(map(meaning, texts), _WORDS, len(texts))


WRITTEN: Final = (
    "client::VARCHAR AS client, server::VARCHAR AS server, list_extract($protocols, protocol + 1) AS protocol, "
    f"nullif(port, {NO_PORT})::USMALLINT AS port, connections, packets, bytes, "
    "make_timestamp(first // 1000) AS first_seen, make_timestamp(last // 1000) AS last_seen, "
    "list_extract($outcomes, outcome + 1) AS outcome, list_extract($directions, direction + 1) AS direction, "
    "two_way, minutes, source::VARCHAR AS source, destination::VARCHAR AS destination"
)
VALUES: Final = {
    "protocols": list(_PROTOCOLS),
    "outcomes": list(_OUTCOMES),
    "directions": [direction.label for direction in sorted(Direction)],
}
"""Parameters of WRITTEN."""


def columns_of(rows: Rows, ends: Iterable[tuple[str | None, str | None]] | None = None) -> dict[str, NDArray[Any]]:
    """The rows, column by column, for WRITTEN.

    Args:
        rows: Flows.
        ends: Names of the source and the destination of each, None: not known.
    """
    columns: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(rows[name])
        for name in ("protocol", "port", "connections", "packets", "bytes", "first", "last", "outcome", "direction",
                     "two_way")
    }  # fmt: skip
    columns["protocol"] = columns["protocol"].astype(np.int32)
    columns["outcome"], columns["direction"] = (columns[name].astype(np.int32) for name in ("outcome", "direction"))
    columns["minutes"] = rows["minutes"].astype(np.int64)
    for end in ("client", "server"):
        words = zip(rows["family"].tolist(), rows[f"{end}_high"].tolist(), rows[end].tolist(), strict=True)
        columns[end] = np.array([_text(*word) for word in words], object)
    names = [*ends] if ends is not None else [(None, None)] * len(rows)
    for place, name in enumerate(("source", "destination")):
        columns[name] = np.array([each[place] for each in names], object)
    return columns


@lru_cache(maxsize=1 << 16)
def _text(family: int, high: int, low: int) -> str:
    return str(IPv4Address(low) if family == 4 else IPv6Address(high << 64 | low))
