"""Spark runs the same text, on this machine, on a cluster, or behind a Spark Connect server: the extra `spark`."""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.edges.files import selections
from netpol.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql import SparkSession

    from netpol.dataset.folder import Dataset
    from netpol.edges.engine import Columns
    from netpol.edges.parts import Name, Parts
    from netpol.edges.statements import Statement
    from netpol.edges.tables import Table

LOCAL: Final = "local[*]"
_CALLED: Final = "An error occurred while calling"
_CONNECT: Final = "sc://"
_TYPES: Final = {"UBIGINT": "DECIMAL(20, 0)"}
"""What Spark calls what it has no own type for: it reads unsigned 64-bit integers of Parquet so."""
_QUIET: Final = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",  # it is shown whether or not stderr is a terminal
    "spark.log.level": "ERROR",
}
_SETTINGS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "true",
}


class Spark:
    """One session. Implements `netpol.edges.engine.Engine`.

    Args:
        url: A master (`local[*]`, `spark://HOST:7077`, `k8s://...`) or a Spark Connect server (`sc://HOST`); empty:
            that of the Spark configuration, as `spark-submit` gives it, or else this machine.

    Raises:
        UsageError: pyspark is not installed.
        InputError: The master or server cannot be reached.
    """

    def __init__(self, url: str = "") -> None:
        try:
            from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise UsageError(
                "--engine spark needs pyspark, which is not installed",
                remedy="pip install 'netpol-learn[spark]'; it needs a Java runtime too",
            ) from error
        builder: Any = SparkSession.builder.appName("netpol")
        self._names: set[str] = set()
        with _told("Spark cannot be reached"):
            if url.startswith(_CONNECT):
                self._session: SparkSession = builder.remote(url).getOrCreate()
            else:
                for key, value in _QUIET.items():
                    builder = builder.config(key, value)
                self._session = (builder.master(url) if url else _configured(builder)).getOrCreate()
                if (self._session.sparkContext.master or "").startswith("local"):
                    # Spark's 200 pieces are meant for a cluster.
                    cores = self._session.sparkContext.defaultParallelism
                    self._session.conf.set("spark.sql.shuffle.partitions", str(2 * cores))
            for key, value in _SETTINGS.items():
                self._session.conf.set(key, value)

    def open(self, found: Sequence[tuple[Dataset, Parts]], bounds: tuple[int | None, int | None]) -> None:
        """Gives the files of datasets the names `connections`, `carried` and `flows`."""

        def relation(dataset: Dataset, names: list[Name]) -> str:
            name = f"netpol_files_{len(self._names)}"
            self._names.add(name)
            places = [address.replace("s3://", "s3a://", 1) for address in dataset.addresses(names)]
            self._session.read.parquet(*places).createOrReplaceTempView(name)
            return name

        with _told("cannot be added up"):
            for name, statement in selections(found, bounds, relation).items():
                self._session.sql(statement)
                self._names.add(name)

    def give(self, tables: Mapping[str, Table]) -> None:
        """Gives small tables their names."""
        with _told("cannot be added up"):
            for name, table in tables.items():
                schema = ", ".join(f"{column} {_TYPES.get(kind, kind)}" for column, kind in table.types.items())
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of versions of pandas, which takes no part in this
                    frame = self._session.createDataFrame(_plain(table), schema)
                frame.createOrReplaceTempView(name)
                self._names.add(name)

    def make(self, statement: Statement) -> None:
        """Makes a view, and keeps what is in it where the statement wants that."""
        with _told("cannot be added up"):
            self._session.sql(statement.sql)
            self._names.add(statement.name)
            if statement.kept:
                # Cached alone, what a view was made of would stay in the plan of each that is made of it.
                frame = self._session.table(statement.name).localCheckpoint()
                frame.createOrReplaceTempView(statement.name)

    def ask(self, sql: str) -> dict[str, list[Any]]:
        """The columns of a small answer."""
        with _told("cannot be added up"):
            frame = self._session.sql(sql)
            rows = frame.collect()
        return {name: [row[place] for row in rows] for place, name in enumerate(frame.columns)}

    def answer(self, sql: str) -> Columns:
        """The columns of an answer that consists of integers."""
        return {name: np.array(values, np.int64) for name, values in self.ask(sql).items()}

    def close(self) -> None:
        """Lets go of the views; the session itself may be somebody else's. One that is gone has none any more."""
        with suppress(InputError), _told("Spark cannot be reached"):
            for name in self._names:
                self._session.catalog.dropTempView(name)
        self._names.clear()


def _configured(builder: Any) -> Any:
    """With the master that the configuration names, or else this machine."""
    from pyspark import SparkConf  # noqa: PLC0415 - an extra

    return builder if SparkConf().contains("spark.master") else builder.master(LOCAL)


def _plain(table: Table) -> list[tuple[Any, ...]]:
    from decimal import Decimal  # noqa: PLC0415 - only Spark wants it

    wide = [kind in _TYPES for kind in table.types.values()]
    return [tuple(Decimal(v) if w else v for v, w in zip(row, wide, strict=True)) for row in table.rows()]


@contextmanager
def _told(what: str) -> Iterator[None]:
    from py4j.protocol import Py4JError  # noqa: PLC0415 - an extra
    from pyspark.errors import PySparkException  # noqa: PLC0415 - an extra

    try:
        yield
    except (PySparkException, Py4JError, OSError, RuntimeError) as error:
        raise InputError(f"{what}: {_first_words(error)}") from error


def _first_words(error: Exception) -> str:
    """Of what Java says, the reason stands in the second line, below which of its objects was called."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[1] if len(lines) > 1 and lines[0].startswith(_CALLED) else lines[0]
    return reason.removeprefix(": ")[:200]
