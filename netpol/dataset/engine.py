"""duckdb, in bounded memory: columns in NumPy to Parquet files that appear at once or not at all, and back."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netpol.dataset.spill import Spill
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb
    from numpy.typing import NDArray

MEMORY: Final = "256MB"
THREADS: Final = 2
ROW_GROUP: Final = 1 << 16
UNFINISHED: Final = ".tmp"
"""Of the names of files that are being written, which begin with a dot."""
_ATTEMPTS: Final = 20
_HERE: Final = "<part>"
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
        files: Parquet files.
        values: Parameters of the query.
    """

    query: str
    columns: Columns | None = None
    files: Sequence[Path] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


class Engine:
    """One connection to duckdb, for one thread at a time."""

    def __init__(self) -> None:
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

    def write(self, target: Path, parts: Iterable[Part], note: str) -> None:
        """Writes a Parquet file that is durable on return, in one step.

        Args:
            target: Its path; what is there already is replaced.
            parts: What is in it, at least one; several pass through a table that may go to the disk.
            note: JSON for its footer.

        Raises:
            GoneError: A file that a part is read from is not there any more.
            InputError: Such a file cannot be read.
            OSError: It cannot be written.
        """
        unfinished = _beside(target)
        form = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"
        ending = f"TO {quoted(str(unfinished))} ({form}, KV_METADATA {{netpol: {quoted(note)}}})"
        try:
            waiting: Part | None = None
            several = False
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
            unfinished.chmod(0o644)
            _appear(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
            if several:
                self._connected().execute("DROP TABLE IF EXISTS gathered")

    def _run(self, statement: str, part: Part) -> None:
        """Runs a statement at the end of which, or where it says so, the part's query stands."""
        import duckdb  # noqa: PLC0415 - half of netpol's start-up time

        database = self._connected()
        query = part.query
        if part.columns is not None:
            database.register("given", part.columns)
        else:
            query = _from_files(query, part.files)
        text = statement.replace(_HERE, query, 1) if _HERE in statement else f"{statement} {query}"
        try:
            database.execute(text, dict(part.values))
        except duckdb.IOException as error:
            if not all(file.exists() for file in part.files):
                raise GoneError from error
            if part.files:
                raise InputError(f"cannot be read: {_first_line(error)}", where=_where(part.files)) from error
            raise OSError(_first_line(error)) from error
        except duckdb.Error as error:
            if not part.files:
                raise
            raise InputError(f"cannot be read: {_first_line(error)}", where=_where(part.files)) from error
        finally:
            if part.columns is not None:
                database.unregister("given")

    def read(self, query: str, values: Mapping[str, Any], files: Sequence[Path]) -> Columns:
        """The columns that a query has.

        Args:
            query: SQL in which `files` stands for the files.
            values: Its parameters.
            files: Parquet files.

        Raises:
            GoneError: A file is not there any more.
            InputError: A file cannot be read; which one, the error does not always say.
        """
        import duckdb  # noqa: PLC0415 - half of netpol's start-up time

        try:
            found: Columns = self._connected().execute(_from_files(query, files), dict(values)).fetchnumpy()
        except duckdb.Error as error:
            if not all(file.exists() for file in files):
                raise GoneError from error
            raise InputError(f"cannot be read: {_first_line(error)}", where=_where(files)) from error
        return found

    def rows(self, path: Path) -> int:
        """How many rows a file has.

        Raises:
            GoneError: It is not there any more.
            InputError: It cannot be read.
        """
        return int(self.read("SELECT count(*) AS count FROM files", {}, [path])["count"][0])

    def notes(self, files: Sequence[Path], key: str) -> dict[str, bytes]:
        """What the footers of files say under a key.

        Raises:
            GoneError: A file is not there any more.
            InputError: A file cannot be read.
        """
        import duckdb  # noqa: PLC0415 - half of netpol's start-up time

        try:
            rows = self._connected().execute(
                "SELECT file_name, value FROM parquet_kv_metadata($files) WHERE key = $key",
                {"files": [str(file) for file in files], "key": key.encode()},
            )
            return {str(name): bytes(value) for name, value in rows.fetchall()}
        except duckdb.Error as error:
            if not all(file.exists() for file in files):
                raise GoneError from error
            raise InputError(f"cannot be read: {_first_line(error)}", where=_where(files)) from error


def _from_files(query: str, files: Sequence[Path]) -> str:
    listed = ", ".join(quoted(str(file)) for file in files)
    return query.replace("files", f"read_parquet([{listed}], {_OPTIONS})", 1)


def _where(files: Sequence[Path]) -> tuple[str, ...]:
    return (str(files[0]),) if len(files) == 1 else ()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _close(database: duckdb.DuckDBPyConnection, spill: Spill) -> None:
    database.close()
    spill.close()


def copy_file(source: Path, target: Path) -> None:
    """Copies a file so that it is durable on return, and appears in one step.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be written.
    """
    with source.open("rb") as file:
        unfinished = _beside(target)
        try:
            with unfinished.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            unfinished.chmod(0o644)
            _appear(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)


def _appear(unfinished: Path, target: Path) -> None:
    synced(unfinished)
    unfinished.replace(target)
    for folder in (target.parent, *target.parents[1:4]):
        synced(folder)


def _beside(target: Path) -> Path:
    """An empty file in the folder of another, which is made where it is not there, or is removed meanwhile."""
    for _ in range(_ATTEMPTS):
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            handle, name = tempfile.mkstemp(prefix=".", suffix=UNFINISHED, dir=target.parent)
            os.close(handle)
            return Path(name)
    raise OSError(f"{target.parent}: removed again and again")


def quoted(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def synced(path: Path) -> None:
    """Returns when the file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
