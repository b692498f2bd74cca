"""duckdb, in bounded memory: columns in NumPy to Parquet files of a dataset, and back."""

from __future__ import annotations

import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from netpol.dataset.spill import Spill
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import duckdb
    from numpy.typing import NDArray

    from netpol.dataset.place import Place

MEMORY: Final = "256MB"
THREADS: Final = 2
ROW_GROUP: Final = 1 << 16
_HERE: Final = "<part>"
_MOST_TOLD: Final = 200
Columns = dict[str, "NDArray[Any]"]


_OPTIONS: Final = "union_by_name = true, hive_partitioning = false, file_row_number = true, filename = true"


class GoneError(Exception):
    """A file that was there is not any more: somebody compacted or pruned meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Some rows of a file that is written.

    Attributes:
        query: SQL in which `given` stands for the columns, or `files` for the files.
        columns: Columns of equal length, None where files are read.
        files: Names of Parquet files.
        values: Parameters of the query.
    """

    query: str
    columns: Columns | None = None
    files: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


class Engine:
    """One connection to duckdb, for one thread at a time.

    Attributes:
        place: Where the files lie.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._database: duckdb.DuckDBPyConnection | None = None

    def _connected(self) -> duckdb.DuckDBPyConnection:
        if self._database is None:
            import duckdb  # noqa: PLC0415 - half of netpol's start-up time

            spill = Spill.make()
            options: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": MEMORY,
                "temp_directory": str(spill.path),
                "threads": THREADS,
            }
            self._database = duckdb.connect(config=options)
            self._database.execute("SET enable_progress_bar = false")
            with suppress(duckdb.Error):  # without time zones in duckdb, all times are UTC anyway
                self._database.execute("SET TimeZone = 'UTC'")
            weakref.finalize(self, _close, self._database, spill)
        return self._database

    def write(self, target: str, parts: Iterable[Part], note: str) -> None:
        """Writes a Parquet file that is durable on return, in one step.

        Args:
            target: Its name; what is there already is replaced.
            parts: What is in it, at least one; several pass through a table that may go to the disk.
            note: JSON for its footer.

        Raises:
            GoneError: A file that a part is read from is not there any more.
            InputError: Such a file cannot be read.
            OSError: It cannot be written.
        """
        form = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"
        several = False
        try:
            with self.place.writing(target) as unfinished:
                ending = f"TO {quoted(str(unfinished))} ({form}, KV_METADATA {{netpol: {quoted(note)}}})"
                waiting: Part | None = None
                for part in parts:
                    if waiting is not None:
                        self._run(
                            "INSERT INTO gathered" if several else "CREATE OR REPLACE TEMP TABLE gathered AS", waiting
                        )
                        several = True
                    waiting = part
                if waiting is None:
                    raise ValueError("a file of nothing")
                if several:
                    self._run("INSERT INTO gathered", waiting)
                    self._connected().execute(f"COPY gathered {ending}")
                else:
                    self._run(f"COPY ({_HERE}) {ending}", waiting)
        finally:
            if several:
                self._connected().execute("DROP TABLE IF EXISTS gathered")

    def _run(self, statement: str, part: Part) -> None:
        """Runs a statement at the end of which, or where it says so, the part's query stands."""
        import duckdb  # noqa: PLC0415 - half of netpol's start-up time

        database = self._connected()
        query = part.query
        paths = self._paths(part.files)
        if part.columns is not None:
            database.register("given", part.columns)
        else:
            query = _from_files(query, paths)
        text = statement.replace(_HERE, query, 1) if _HERE in statement else f"{statement} {query}"
        try:
            database.execute(text, dict(part.values))
        except duckdb.IOException as error:
            if part.files:
                raise self._unreadable(error, part.files, paths) from error
            raise OSError(_first_line(error)) from error
        except duckdb.Error as error:
            if not part.files:
                raise
            raise self._unreadable(error, part.files, paths) from error
        finally:
            if part.columns is not None:
                database.unregister("given")

    def read(self, query: str, values: Mapping[str, Any], files: Sequence[str], *, ends: bool = False) -> Columns:
        """The columns that a query has.

        Args:
            query: SQL in which `files` stands for the files.
            values: Its parameters.
            files: Names of Parquet files.
            ends: Their footers have all that the query needs.

        Raises:
            GoneError: A file is not there any more.
            InputError: A file cannot be read; which one, the error does not always say.
        """
        import duckdb  # noqa: PLC0415 - half of netpol's start-up time

        paths = self._paths(files, ends=ends)
        try:
            found: Columns = self._connected().execute(_from_files(query, paths), dict(values)).fetchnumpy()
        except duckdb.Error as error:
            raise self._unreadable(error, files, paths) from error
        return found

    def rows(self, file: str) -> int:
        """How many rows a file has.

        Raises:
            GoneError: It is not there any more.
            InputError: It cannot be read.
        """
        return int(self.read("SELECT count(*) AS count FROM files", {}, [file], ends=True)["count"][0])

    def notes(self, files: Sequence[str], key: str) -> dict[str, bytes]:
        """What the footers of files say under a key, by the names of the files.

        Raises:
            GoneError: A file is not there any more.
            InputError: A file cannot be read.
        """
        import duckdb  # noqa: PLC0415 - half of netpol's start-up time

        paths = self._paths(files)
        names = {str(path): file for path, file in zip(paths, files, strict=True)}
        try:
            rows = self._connected().execute(
                "SELECT file_name, value FROM parquet_kv_metadata($files) WHERE key = $key",
                {"files": [*names], "key": key.encode()},
            )
            return {names[str(path)]: bytes(value) for path, value in rows.fetchall()}
        except duckdb.Error as error:
            raise self._unreadable(error, files, paths) from error

    def _paths(self, files: Sequence[str], *, ends: bool = False) -> list[Path]:
        try:
            return self.place.local(files, ends=ends)
        except FileNotFoundError as error:
            raise GoneError from error

    def _unreadable(self, error: Exception, files: Sequence[str], paths: Sequence[Path]) -> Exception:
        """What went wrong, in words that name the files as whoever asked for them knows them."""
        if self.place.lost(files):
            return GoneError()
        told = _first_line(error)
        for file, path in zip(files, paths, strict=True):
            told = told.replace(str(path), self.place.where(file))
        return InputError(
            f"cannot be read: {told[:_MOST_TOLD]}", where=(self.place.where(files[0]),) if len(files) == 1 else ()
        )


def _from_files(query: str, files: Sequence[Path]) -> str:
    listed = ", ".join(quoted(str(file)) for file in files)
    return query.replace("files", f"read_parquet([{listed}], {_OPTIONS})", 1)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _close(database: duckdb.DuckDBPyConnection, spill: Spill) -> None:
    database.close()
    spill.close()


def quoted(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
