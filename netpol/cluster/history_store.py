"""The file that a history is: a SQLite database whose every commit is a valid history.

Each row of `state` is one text of one object for one span of time. `watch` has for each kind how far it was followed.
What was seen and how far that is are committed together: a process that is killed goes on where it stopped, and neither
misses a change nor takes one twice.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

from netpol.cluster.documents import HISTORY_FILE
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION: Final = 0x6E70686C
"""`nphl` in the file's header (PRAGMA application_id)."""
VERSION: Final = 1
_MAX_TEXT: Final = 16 << 20
_WAIT_SECONDS: Final = 30.0
_TABLES: Final = """
CREATE TABLE state (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,       -- the resource: pods
  uid TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  since INTEGER NOT NULL,   -- nanoseconds since the epoch, like all times
  until INTEGER,            -- NULL while it holds
  seen INTEGER,             -- when it was last known to be there, where nobody watched it go
  gone INTEGER NOT NULL,    -- 1 where the object was gone at `until`, 0 where it changed, or still holds
  object TEXT NOT NULL
);
CREATE INDEX state_object ON state (kind, uid, until);
CREATE INDEX state_place ON state (kind, namespace, name, uid, since);
CREATE INDEX state_past ON state (until) WHERE until IS NOT NULL;
CREATE TABLE watch (
  kind TEXT PRIMARY KEY,
  version TEXT NOT NULL,    -- the resourceVersion that was reached; empty: it must be listed
  contact INTEGER,          -- until when everything is known; NULL before the first list was complete
  missing INTEGER NOT NULL  -- 1 where it cannot be known: no right to list it; 2 where there are none: it is not served
);
CREATE TABLE gap (kind TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL);
CREATE TABLE past (began INTEGER NOT NULL, dropped INTEGER NOT NULL);
"""


def open_writable(folder: Path, now: int) -> sqlite3.Connection:
    """Opens the history in a folder, or makes one, for one writer.

    Args:
        folder: It is made where it is missing.
        now: Nanoseconds since the epoch, for a new one.

    Raises:
        InputError: It cannot be opened, or is something else.
    """
    path = folder / HISTORY_FILE
    with translate(path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        # One lock of our own guards it: watches write from threads of theirs.
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # Before the first table: pages that retention frees go back to the file system.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            # Killed processes lose nothing with it. After a power failure the last changes may be missing, with how far
            # they were followed: they are asked for again.
            connection.execute("PRAGMA synchronous = NORMAL")
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                _make(connection, now)
            _require(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_readable(path: Path) -> sqlite3.Connection:
    """Opens a history to read it, while its writer goes on writing.

    Raises:
        InputError: It cannot be read, or is no history.
    """
    with translate(path):
        connection = _open_readable(path)
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_TEXT)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            _require(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextlib.contextmanager
def translate(path: Path) -> Iterator[None]:
    """Turns what the database raises into an InputError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        reason = ascii(" ".join(str(error).split())[:200])[1:-1]
        remedy = "Take a whole copy of the file (sqlite3 FILE .backup), or check the disk and the permissions"
        raise InputError(f"the history cannot be used: {reason}", where=(str(path),), remedy=remedy) from None
    except OSError as error:
        raise InputError(
            f"cannot be opened: {error.strerror}", where=(str(path),), remedy="Check its permissions"
        ) from None


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is written inside is there as a whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # where the disk is full, the database has taken it back itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _make(connection: sqlite3.Connection, now: int) -> None:
    with transaction(connection):
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO past VALUES (?, 0)", (now,))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _open_readable(path: Path) -> sqlite3.Connection:
    """Read-only; on a read-only medium the file as it is, provided that its writer closed it."""
    place = path.absolute().as_uri()
    connection = sqlite3.connect(f"{place}?mode=ro", uri=True, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        return sqlite3.connect(f"{place}?mode=ro&immutable=1", uri=True, isolation_level=None)
    return connection


def _require(connection: sqlite3.Connection, path: Path) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION or not {"state", "watch", "gap", "past"} <= tables:
        raise InputError("is a database, but no history of a cluster", where=(str(path),), remedy="Name another file")
    if version != VERSION:
        what = f"is a history of version {version}, and this netpol knows {VERSION}"
        raise InputError(what, where=(str(path),), remedy="Use the netpol that wrote it")
