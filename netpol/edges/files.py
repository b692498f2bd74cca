"""The tables of records in words that every engine has: their columns, and which of their rows are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netpol.dataset.folder import Dataset
    from netpol.edges.parts import Name, Parts

CONNECTION: Final = {
    "family": "INT", "protocol": "INT", "low_high": "BIGINT", "low": "BIGINT", "low_port": "INT", "high_high": "BIGINT",
    "high": "BIGINT", "high_port": "INT", "first": "BIGINT", "last": "BIGINT", "anchor": "BIGINT", "syn": "BIGINT",
    "synack": "BIGINT", "packets": "BIGINT", "bytes": "BIGINT", "client_isn": "BIGINT", "server_isn": "BIGINT",
    "events": "INT", "side": "INT", "opened_high": "BOOLEAN", "tracked": "BOOLEAN",
}  # fmt: skip
"""Columns of `connections`, with the types that they have where there are no rows."""

CARRIED: Final = {**CONNECTION, "told": "INT"}
FLOWS: Final = {
    "client": "STRING", "server": "STRING", "protocol": "STRING", "port": "INT", "connections": "BIGINT",
    "packets": "BIGINT", "bytes": "BIGINT", "first_seen": "TIMESTAMP", "last_seen": "TIMESTAMP", "outcome": "STRING",
    "direction": "STRING", "two_way": "BOOLEAN", "minutes": "BIGINT",
}  # fmt: skip


def selections(
    found: Sequence[tuple[Dataset, Parts]],
    bounds: tuple[int | None, int | None],
    relation: Callable[[Dataset, list[Name]], str],
) -> dict[str, str]:
    """The statements that give files the names `connections`, `carried` and `flows`.

    Args:
        found: Datasets, and which of their files.
        bounds: As for `netpol.edges.engine.Engine.open`.
        relation: What an engine calls all rows of some files together.
    """
    connections, carried, flows = [], [], []
    columns = ", ".join(CONNECTION)
    for dataset, parts in found:
        if parts.whole:
            connections.append(f"SELECT {columns} FROM {relation(dataset, parts.whole)}")  # noqa: S608 - nothing of users
        for name, windows in parts.some:
            condition = f"WHERE files.window IN ({_listed(windows)})"
            connections.append(f"SELECT {columns} FROM {relation(dataset, [name])} AS files {condition}")  # noqa: S608
        if parts.carried:
            untold = "told = 0" if parts.untold else "true"
            left = relation(dataset, parts.carried)
            carried.append(f"SELECT {', '.join(CARRIED)} FROM {left} WHERE {untold}")  # noqa: S608
        if parts.flows:
            rows = relation(dataset, parts.flows)
            flows.append(f"SELECT {', '.join(FLOWS)} FROM {rows} WHERE {_within(bounds)}")  # noqa: S608
    return {
        "connections": _view("connections", connections, CONNECTION),
        "carried": _view("carried", carried, CARRIED),
        "flows": _view("flows", flows, FLOWS),
    }


def _view(name: str, selects: list[str], columns: dict[str, str]) -> str:
    """The statement that gives some selections together a name; none of them: nothing with these columns."""
    nothing = ", ".join(f"CAST(NULL AS {kind}) AS {column}" for column, kind in columns.items())
    empty = f"SELECT {nothing} FROM (SELECT 1 AS one) AS nothing WHERE false"  # noqa: S608
    text = "\nUNION ALL\n".join(selects) or empty
    return f"CREATE OR REPLACE TEMPORARY VIEW {name} AS\n{text}"


def _within(bounds: tuple[int | None, int | None]) -> str:
    """Rows of flows of which a packet may lie in a part of the time, as a condition."""
    since, until = bounds
    conditions = ["true"]
    if since is not None:
        conditions.append(f"unix_micros(CAST(last_seen AS TIMESTAMP)) * 1000 >= {since}")
    if until is not None:
        conditions.append(f"unix_micros(CAST(first_seen AS TIMESTAMP)) * 1000 < {until}")
    return " AND ".join(conditions)


def _listed(windows: list[str]) -> str:
    """Identities of windows, which are hexadecimal digits and a dash, as a list of SQL.

    Raises:
        ValueError: One is none.
    """
    if any(not set(window) <= set("0123456789abcdef-") for window in windows):
        raise ValueError("an identity of a window that is none")
    return ", ".join(f"'{window}'" for window in windows)
