"""Evidence about names as rows of Parquet, one for each thing that was seen, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.model.host_name import host_name
from netpol.names.hidden import OVER_HTTPS, OVER_QUIC, OVER_TLS
from netpol.names.part import ASKED, NamesPart, Pair
from netpol.names.spans import SPAN
from netpol.names.texts import NO_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from netpol.dataset.engine import Columns
    from netpol.names.spans import Rows

LEASE, GREETING, HIDDEN, COUNT, REJECTED, SAMPLE = "answer", "greeting", "hidden", "count", "rejected", "sample"
FORGOTTEN: Final = ("answers forgotten", "greetings forgotten")
ASKED_KINDS: Final = ("asked", "answered", "empty", "no name", "failed")

COLUMNS: Final = (
    "kind",
    "client_high",
    "client",
    "server_high",
    "server",
    "name",
    "door",
    "first",
    "last",
    "count",
)
_TEXTS: Final = frozenset({"kind", "name"})
SELECT: Final = ", ".join(f'"{name}"::VARCHAR AS "{name}"' if name in _TEXTS else f'"{name}"' for name in COLUMNS)
_WAYS: Final = frozenset({OVER_TLS, OVER_QUIC, OVER_HTTPS})
_LONGEST_TEXT: Final = 200
_MOST_SAMPLES: Final = 200
_Row = tuple[str, int, int, int, int, str | None, int, int, int, int]
_TYPES: Final[tuple[Any, ...]] = (object, "u8", "u8", "u8", "u8", object, "u4", "i8", "i8", "u8")


def columns_of(part: NamesPart) -> Columns:
    """What a table of names held, as the columns of COLUMNS."""
    tables = [_spans(LEASE, part.leases, part.names), _spans(GREETING, part.greetings, part.names), _others(part)]
    return {name: np.concatenate([table[name] for table in tables]) for name in COLUMNS}


def _spans(kind: str, rows: Rows, names: tuple[str, ...]) -> Columns:
    texts = np.array([*names, None], object)  # NO_NAME is -1: the last
    return {
        "kind": np.full(len(rows), kind, object),
        "client_high": rows["client"][:, 0],
        "client": rows["client"][:, 1],
        "server_high": rows["server"][:, 0],
        "server": rows["server"][:, 1],
        "name": texts[rows["name"]],
        "door": rows["door"],
        "first": rows["first"],
        "last": rows["last"],
        "count": rows["count"],
    }


def _others(part: NamesPart) -> Columns:
    rows: list[_Row] = []
    for (high, low), counts in zip(part.asked["client"].tolist(), part.asked["counts"].tolist(), strict=True):
        rows += [
            (kind, high, low, 0, 0, None, 0, 0, 0, count)
            for kind, count in zip(ASKED_KINDS, counts, strict=True)
            if count
        ]
    rows += [(HIDDEN, *client, *server, way, protocol, 0, 0, 1) for client, server, protocol, way in part.hidden]
    rows += [(COUNT, 0, 0, 0, 0, what, 0, 0, 0, count) for what, count in part.counts.items()]
    rows += [(SAMPLE, 0, 0, 0, 0, sample.hex(), 0, 0, 0, 1) for sample in part.samples]
    for kind, count in ((REJECTED, part.rejected), *zip(FORGOTTEN, part.forgotten, strict=True)):
        if count:
            rows.append((kind, 0, 0, 0, 0, None, 0, 0, 0, count))
    columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    return {name: np.array(values, kind) for name, kind, values in zip(COLUMNS, _TYPES, columns, strict=True)}


def part_of(columns: Mapping[str, NDArray[Any]]) -> NamesPart:
    """The columns as what a table of names held.

    Raises:
        ValueError: They hold what no such table can hold.
    """
    kinds = np.ma.filled(columns["kind"], "")
    at = [np.flatnonzero(kinds == kind) for kind in (LEASE, GREETING)]
    texts = np.ma.filled(columns["name"], "").tolist()
    names = {name: number for number, name in enumerate(sorted({texts[row] for rows in at for row in rows} - {""}))}
    numbers = np.fromiter((names.get(text, NO_NAME) for text in texts), np.int64, len(texts))
    leases, greetings = (_spans_of(columns, rows, numbers[rows]) for rows in at)
    others = np.flatnonzero((kinds != LEASE) & (kinds != GREETING))
    table = {name: np.ma.filled(columns[name][others], None if name == "name" else 0).tolist() for name in COLUMNS}
    asked: dict[tuple[int, int], list[int]] = {}
    hidden: list[tuple[Pair, Pair, int, str]] = []
    samples: list[bytes] = []
    counts: dict[str, int] = {}
    totals = dict.fromkeys((REJECTED, *FORGOTTEN), 0)
    for kind, client_high, client, server_high, server, name, door, _, _, count in zip(*table.values(), strict=True):
        if kind in totals:
            totals[kind] += count
        elif kind in ASKED_KINDS:
            asked.setdefault((client_high, client), [0] * len(ASKED_KINDS))[ASKED_KINDS.index(kind)] += count
        elif kind == HIDDEN and name in _WAYS and door < 256:
            hidden.append(((client_high, client), (server_high, server), door, name))
        elif kind == COUNT and name and name.isascii() and name.isprintable() and len(name) <= _LONGEST_TEXT:
            counts[name] = counts.get(name, 0) + count
        elif kind == SAMPLE and len(name or "") <= 2048 and len(samples) < _MOST_SAMPLES:
            samples.append(bytes.fromhex(name or ""))
        elif kind != SAMPLE:
            raise ValueError(f"a row about names of kind {kind[:_LONGEST_TEXT]!r} that says nothing known")
    clients = np.zeros(len(asked), ASKED)
    clients["client"] = np.array([*asked], np.uint64).reshape(-1, 2)
    clients["counts"] = np.array([*asked.values()], np.uint64).reshape(-1, 5)
    return NamesPart(
        names=tuple(map(_host_name, names)),
        leases=leases,
        greetings=greetings,
        asked=clients,
        hidden=tuple(dict.fromkeys(hidden)),
        counts=counts,
        rejected=totals[REJECTED],
        samples=tuple(dict.fromkeys(samples)),
        forgotten=(totals[FORGOTTEN[0]], totals[FORGOTTEN[1]]),
    )


def _host_name(text: str) -> Any:
    name = host_name(text)
    if name != text:
        raise ValueError("a name that is no host name")
    return name


def _spans_of(columns: Mapping[str, NDArray[Any]], at: NDArray[np.intp], numbers: NDArray[np.int64]) -> Rows:
    """SPAN[n] of these rows, whose names have these numbers."""
    rows = np.zeros(len(at), SPAN)
    for place, end in enumerate(("client_high", "client")):
        rows["client"][:, place] = columns[end][at]
        rows["server"][:, place] = columns[end.replace("client", "server")][at]
    for name in ("door", "first", "last", "count"):
        rows[name] = columns[name][at]
    if (rows["last"] < rows["first"]).any():
        raise ValueError("a name that ends before it begins")
    rows["name"] = numbers
    return rows
