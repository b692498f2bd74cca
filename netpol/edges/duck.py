"""duckdb runs the aggregation in this process, in bounded memory."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.dataset.engine import quoted
from netpol.dataset.spill import Spill
from netpol.edges.files import selections
from netpol.edges.statements import spelled_out
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netpol.dataset.folder import Dataset
    from netpol.edges.engine import Columns
    from netpol.edges.parts import Name, Parts
    from netpol.edges.statements import Statement
    from netpol.edges.tables import Table

MEMORY: Final = "640MB"
"""Beyond it, what is grouped goes to the disk. The process needs some 150 MB more for itself and what it reads."""
_MOST_THREADS: Final = 4
_OPTIONS: Final = "union_by_name = true, hive_partitioning = false"


class Duck:
    """One connection to duckdb. Implements `netpol.edges.engine.Engine`."""

    def __init__(self, *, memory: str = MEMORY, threads: int = 0) -> None:
        import duckdb  # noqa: PLC0415 - half of netpol's start-up time

        self._spill = Spill.make()
        self._views: dict[str, str] = {}
        self._database = duckdb.connect(
            config={
                "memory_limit": memory,
                "temp_directory": str(self._spill.path),
                "threads": threads or min(os.cpu_count() or 1, _MOST_THREADS),
                "preserve_insertion_order": False,
            }
        )
        self._database.execute("SET enable_progress_bar = false")
        # The text names the larger side of a join first. What duckdb guesses about sums would turn some around, and
        # hold in memory what can pass by.
        self._database.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        with suppress(duckdb.Error):  # without time zones in duckdb, all times are UTC anyway
            self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute("CREATE TEMP MACRO unix_micros(time) AS epoch_us(time)")
        self._database.execute("CREATE SCHEMA kept")

    def open(self, found: Sequence[tuple[Dataset, Parts]], bounds: tuple[int | None, int | None]) -> None:
        """Gives the files of datasets the names `connections`, `carried` and `flows`."""

        def relation(dataset: Dataset, names: list[Name]) -> str:
            return f"read_parquet([{', '.join(quoted(str(path)) for path in dataset.paths(names))}], {_OPTIONS})"

        with _told():
            for statement in selections(found, bounds, relation).values():
                self._database.execute(statement)

    def give(self, tables: Mapping[str, Table]) -> None:
        """Gives small tables their names."""
        for name, table in tables.items():
            columns = ", ".join(f"{column}::{kind} AS {column}" for column, kind in table.types.items())
            self._database.register("given", {key: _array(values) for key, values in table.columns.items()})
            self._database.execute(f"CREATE OR REPLACE TABLE kept.{name} AS SELECT {columns} FROM given")  # noqa: S608 - ours
            self._database.unregister("given")
            self._database.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM kept.{name}")

    def make(self, statement: Statement) -> None:
        """Makes a view, and keeps what is in it where the statement wants that."""
        if not statement.kept:
            # As a view of duckdb's, it would be looked at anew wherever another names it: a tenth of all that a small
            # dataset costs.
            self._views[statement.name] = statement.query
            return
        with _told():
            query = spelled_out(statement.query, self._views)
            self._database.execute(f"CREATE OR REPLACE TABLE kept.{statement.name} AS {query}")
            self._database.execute(f"CREATE OR REPLACE TEMP VIEW {statement.name} AS FROM kept.{statement.name}")

    def ask(self, sql: str) -> dict[str, list[Any]]:
        """The columns of a small answer."""
        with _told():
            found = self._database.execute(spelled_out(sql, self._views)).fetchnumpy()
        return {name: list(np.ma.filled(column, None)) for name, column in found.items()}

    def answer(self, sql: str) -> Columns:
        """The columns of an answer that consists of integers."""
        with _told():
            found = self._database.execute(spelled_out(sql, self._views)).fetchnumpy()
        return {name: np.asarray(column, np.int64) for name, column in found.items()}

    def close(self) -> None:
        """Lets go of everything."""
        self._database.close()
        self._spill.close()


def _array(values: list[Any]) -> np.ndarray[Any, Any]:
    if values and isinstance(values[0], str):
        return np.array(values, object)
    if values and isinstance(values[0], int) and max(values) > np.iinfo(np.int64).max:
        return np.array(values, np.uint64)
    return np.array(values, None if values else np.int64)


@contextmanager
def _told() -> Iterator[None]:
    import duckdb  # noqa: PLC0415 - half of netpol's start-up time

    try:
        yield
    except duckdb.Error as error:
        raise InputError(f"cannot be added up: {str(error).splitlines()[0][:200]}") from error
