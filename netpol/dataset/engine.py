"""duckdb, in bounded memory: columns in NumPy to Parquet files that appear at once or not at all, and back."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    from numpy.typing import NDArray

MEMORY: Final = "256MB"
THREADS: Final = 2
ROW_GROUP: Final = 1 << 16
Columns = dict[str, "NDArray[Any]"]


_OPTIONS: Final = "union_by_name = true, hive_partitioning = false, file_row_number = true"


class GoneError(Exception):
    """A file that was there is not any more: somebody compacted or pruned meanwhile."""


class Engine:
    """One connection to duckdb, for one thread at a time."""

    def __init__(self) -> None:
        self._database: duckdb.DuckDBPyConnection | None = None

    def _connected(self) -> duckdb.DuckDBPyConnection:
        if self._database is None:
            import duckdb  # noqa: PLC0415 - half of netpol's start-up time

            folder = tempfile.TemporaryDirectory(prefix="netpol-dataset-")
            options: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": MEMORY,
                "temp_directory": folder.name,
                "threads": THREADS,
            }
            self._database = duckdb.connect(config=options)
            self._database.execute("SET enable_progress_bar = false")
            weakref.finalize(self, _close, self._database, folder)
        return self._database

    def write(
        self, target: Path, columns: Mapping[str, NDArray[Any]], select: str, values: Mapping[str, Any], note: str
    ) -> None:
        """Writes a Parquet file that is durable on return, in one step.

        Args:
            target: Its path; what is there already is replaced.
            columns: Columns of equal length.
            select: What SQL selects of them, the columns being those of `given`.
            values: Parameters of that.
            note: JSON for its footer.
        """
        database = self._connected()
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
        os.close(handle)
        unfinished = Path(name)
        try:
            database.register("given", dict(columns))
            form = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"
            footer = f"KV_METADATA {{netpol: {quoted(note)}}}"
            copy = f"COPY (SELECT {select} FROM given) TO {quoted(name)} ({form}, {footer})"  # noqa: S608 - quoted
            database.execute(copy, dict(values))
            unfinished.chmod(0o644)
            synced(unfinished)
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        finally:
            database.unregister("given")
        for folder in (target.parent, *target.parents[1:4]):
            synced(folder)

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

        listed = ", ".join(quoted(str(file)) for file in files)
        text = query.replace("files", f"read_parquet([{listed}], {_OPTIONS})", 1)
        try:
            found: Columns = self._connected().execute(text, dict(values)).fetchnumpy()
        except duckdb.Error as error:
            if not all(file.exists() for file in files):
                raise GoneError from error
            where = (str(files[0]),) if len(files) == 1 else ()
            raise InputError(f"cannot be read: {_first_line(error)}", where=where) from error
        return found

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
            where = (str(files[0]),) if len(files) == 1 else ()
            raise InputError(f"cannot be read: {_first_line(error)}", where=where) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _close(database: duckdb.DuckDBPyConnection, folder: tempfile.TemporaryDirectory[str]) -> None:
    database.close()
    folder.cleanup()


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
