"""What the hub remembers about windows: which it has taken, and what those of each node said."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from netpol.dataset.window_rows import WindowRow
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from netpol.dataset.window import Window

VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE runs (run TEXT PRIMARY KEY, observer TEXT NOT NULL, last_end INTEGER NOT NULL) WITHOUT ROWID;
-- The numbers of a run's windows that were taken, as stretches: first and last are taken, and all in between.
CREATE TABLE numbers (run TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (run, first))
    WITHOUT ROWID;
CREATE TABLE nodes (
    observer TEXT PRIMARY KEY, windows INTEGER NOT NULL, records INTEGER NOT NULL, packets INTEGER NOT NULL,
    kernel INTEGER NOT NULL, evicted INTEGER NOT NULL, undecodable INTEGER NOT NULL, given_up INTEGER NOT NULL,
    given_up_records INTEGER NOT NULL, first_begin INTEGER NOT NULL, last_end INTEGER NOT NULL,
    received INTEGER NOT NULL, version TEXT NOT NULL, interfaces INTEGER NOT NULL) WITHOUT ROWID;
"""
_ADD_NODE: Final = """
INSERT INTO nodes VALUES (:observer, 1, :records, :packets, :kernel, :evicted, :undecodable, :given_up,
    :given_up_records, :begin, :end, :received, :version, :interfaces)
ON CONFLICT (observer) DO UPDATE SET
    windows = windows + 1, records = records + excluded.records, packets = packets + excluded.packets,
    kernel = kernel + excluded.kernel, evicted = evicted + excluded.evicted,
    undecodable = undecodable + excluded.undecodable, given_up = given_up + excluded.given_up,
    given_up_records = given_up_records + excluded.given_up_records,
    first_begin = min(first_begin, excluded.first_begin), received = max(received, excluded.received),
    version = CASE WHEN excluded.last_end >= last_end THEN excluded.version ELSE version END,
    interfaces = CASE WHEN excluded.last_end >= last_end THEN excluded.interfaces ELSE interfaces END,
    last_end = max(last_end, excluded.last_end)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is remembered of a window. Times are nanoseconds since the Unix epoch, the rest are counts.

    Attributes:
        undecodable: Packets that could not be decoded, for whatever reason.
        given_up: Windows that the observer gave up before this one.
        given_up_records: Partial connections in those.
        received: When the hub took it.
    """

    observer: str
    run: str
    number: int
    begin: int
    end: int
    records: int = 0
    packets: int = 0
    kernel: int = 0
    evicted: int = 0
    undecodable: int = 0
    given_up: int = 0
    given_up_records: int = 0
    received: int = 0
    version: str = "0"
    interfaces: int = 0

    @classmethod
    def of(cls, window: Window, received: int) -> Self:
        """The head of a window."""
        return replace(cls.of_row(WindowRow.of(window)), received=received)

    @classmethod
    def of_row(cls, row: WindowRow) -> Self:
        """The head of windows that a dataset holds, added up; of the first of them where these are several."""
        losses = row.losses
        return cls(
            observer=row.observer,
            run=row.run,
            number=row.number,
            begin=row.begin,
            end=row.end,
            records=row.records,
            packets=row.packets,
            kernel=losses.kernel,
            evicted=losses.evicted,
            undecodable=sum(losses.undecodable.values()),
            given_up=losses.windows,
            given_up_records=losses.records,
            version=row.version,
            interfaces=row.interfaces,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What one node's windows said together; the fields of `Head`, added up.

    Attributes:
        missing: Windows whose numbers are between others of a run, and were never seen: given up, or lost.
    """

    observer: str
    windows: int
    records: int
    packets: int
    kernel: int
    evicted: int
    undecodable: int
    given_up: int
    given_up_records: int
    first_begin: int
    last_end: int
    received: int
    version: str
    interfaces: int
    missing: int


class State:
    """Usable from any thread; what a method wrote is on the disk when it returns.

    Args:
        path: Of the database; made where there is none.
        known: What it remembers from the start where it is made: windows that a dataset holds already.

    Raises:
        InputError: It is none, or of a newer netpol.
        sqlite3.Error: Any method may: the disk is full, for one. Then nothing of it was written.
    """

    def __init__(self, path: Path, known: Callable[[], Iterable[WindowRow]] = tuple) -> None:
        self._lock = threading.RLock()
        try:
            self._base = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version == 0:
                with self._transaction():
                    for statement in _SCHEMA.split(";\n"):
                        self._base.execute(statement)
                    self._restore(known())
                    self._base.execute(f"PRAGMA user_version = {VERSION}")
            self._base.execute("SELECT 1 FROM runs LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"not a state that can be read: {error}",
                where=(str(path),),
                remedy="Check the disk; where it is damaged, move it aside: it is made again from the dataset",
            ) from None
        if version > VERSION:
            raise InputError(
                f"written by a newer netpol, as version {version}", where=(str(path),), remedy="Run that version"
            )

    def close(self) -> None:
        """Lets go of the database."""
        with self._lock:
            self._base.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:  # SQLite itself rolls back when a disk is full
                    self._base.execute("ROLLBACK")
                raise

    def try_to_write(self) -> None:
        """Writes something that says nothing."""
        with self._transaction():
            self._base.execute(f"PRAGMA user_version = {VERSION}")

    def knows(self, run: str, number: int) -> bool:
        """Whether a window was taken."""
        with self._lock:
            row = self._base.execute(
                "SELECT last FROM numbers WHERE run = ? AND first <= ? ORDER BY first DESC LIMIT 1", (run, number)
            ).fetchone()
        return row is not None and number <= row[0]

    def observer_of(self, run: str) -> str | None:
        """Whose run it is, None where nothing of it was taken."""
        with self._lock:
            row = self._base.execute("SELECT observer FROM runs WHERE run = ?", (run,)).fetchone()
        return str(row[0]) if row else None

    def is_known_node(self, observer: str) -> bool:
        """Whether anything of the node was taken."""
        with self._lock:
            return self._base.execute("SELECT 1 FROM nodes WHERE observer = ?", (observer,)).fetchone() is not None

    def silent_count(self, since: int) -> int:
        """Of how many nodes nothing was taken since a time, in nanoseconds since the Unix epoch."""
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM nodes WHERE received < ?", (since,)).fetchone()[0])

    def node_count(self) -> int:
        """Of how many nodes anything was taken."""
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM nodes").fetchone()[0])

    def record(self, heads: Iterable[Head]) -> list[bool]:
        """Remembers windows, all or none: for each, whether it was new."""
        found = []
        with self._transaction():
            for head in heads:
                new = self._add_number(head.run, head.number)
                found.append(new)
                if new:
                    self._add_run(head.run, head.observer, head.end)
                    self._base.execute(_ADD_NODE, {name: getattr(head, name) for name in Head.__slots__})
        return found

    def _restore(self, rows: Iterable[WindowRow]) -> None:
        for row in rows:
            new = [self._add_number(row.run, number) for number in range(row.number, row.number + row.windows)]
            if any(new):
                self._add_run(row.run, row.observer, row.end)
                head = Head.of_row(row)
                self._base.execute(_ADD_NODE, {name: getattr(head, name) for name in Head.__slots__})
                self._base.execute(
                    "UPDATE nodes SET windows = windows + ? WHERE observer = ?", (row.windows - 1, row.observer)
                )

    def _add_run(self, run: str, observer: str, end: int) -> None:
        self._base.execute(
            "INSERT INTO runs VALUES (?, ?, ?) "
            "ON CONFLICT (run) DO UPDATE SET last_end = max(last_end, excluded.last_end)",
            (run, observer, end),
        )

    def _add_number(self, run: str, number: int) -> bool:
        if self.knows(run, number):
            return False
        first = last = number
        before = self._base.execute("SELECT first FROM numbers WHERE run = ? AND last = ?", (run, number - 1))
        if (row := before.fetchone()) is not None:
            first = row[0]
        after = self._base.execute("SELECT last FROM numbers WHERE run = ? AND first = ?", (run, number + 1))
        if (row := after.fetchone()) is not None:
            last = row[0]
        self._base.execute("DELETE FROM numbers WHERE run = ? AND first BETWEEN ? AND ?", (run, first, last))
        self._base.execute("INSERT INTO numbers VALUES (?, ?, ?)", (run, first, last))
        return True

    def forget(self, before: int) -> None:
        """Forgets runs and nodes that ended before a time: such windows are no longer taken."""
        with self._transaction():
            self._base.execute("DELETE FROM numbers WHERE run IN (SELECT run FROM runs WHERE last_end < ?)", (before,))
            self._base.execute("DELETE FROM runs WHERE last_end < ?", (before,))
            self._base.execute("DELETE FROM nodes WHERE last_end < ?", (before,))

    def nodes(self) -> list[NodeState]:
        """All nodes by name."""
        with self._lock:
            gaps: dict[str, int] = dict(
                self._base.execute(
                    "SELECT observer, sum(missing) FROM (SELECT runs.observer AS observer, "
                    "max(last) + 1 - min(first) - sum(last - first + 1) AS missing "
                    "FROM numbers JOIN runs USING (run) GROUP BY run) GROUP BY observer"
                )
            )
            rows = self._base.execute(f"SELECT {', '.join(_NODE)} FROM nodes ORDER BY observer").fetchall()  # noqa: S608
        return [NodeState(**dict(zip(_NODE, row, strict=True)), missing=gaps.get(row[0], 0)) for row in rows]


_NODE: Final = tuple(name for name in NodeState.__slots__ if name != "missing")
