"""Takes what an API server says of its objects; keeps what changed, and when.

Times are those at which a change was heard of, on a clock of the history's own that never shows one time twice, so that
the states of an object have one order. What changed while nobody listened is heard of late: then it is written, too,
when the object was last known to be there.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netpol.cluster.fields import parse_time
from netpol.cluster.history_states import check, grows_into, states_of
from netpol.cluster.history_store import transaction
from netpol.errors import InputError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from netpol.cluster.kinds import Kind

_MICROSECOND: Final = 1000
"""Nanoseconds: a file's times have no finer digits."""
_FAR: Final = 2**62
_STEP: Final = 5000
"""Rows that one deletion takes, so that watches wait briefly."""
_PAGES: Final = 20_000
"""Free pages that are given back at once, 80 MB, for the same reason."""


class Change(NamedTuple):
    """What a watch says of an object: that it exists like this, or that it was like this and is gone."""

    item: dict[str, Any]
    gone: bool = False


class Outcome(NamedTuple):
    """What became of changes.

    Attributes:
        changed: So many changed what is known.
        refused: Why objects were left out, one sentence each.
    """

    changed: int
    refused: list[str]


class Writer:
    """The one writer of a history; every call is one transaction, and safe from every thread."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], int] = time.time_ns) -> None:
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        columns = ("since", "until")
        highest = [connection.execute(f"SELECT max({one}) FROM state").fetchone()[0] for one in columns]  # noqa: S608
        contact = connection.execute("SELECT max(contact) FROM watch").fetchone()[0]
        self._last: int = max((one for one in (*highest, contact) if one is not None), default=0)

    def reached(self, kind: Kind) -> tuple[str, int | None]:
        """How far a kind was followed: its resourceVersion, empty where it must be listed, and the last contact."""
        with self._lock:
            row = self._watch(kind)
        return row if row is not None else ("", None)

    def begin(self, kind: Kind) -> None:
        """From here on the kind must be listed, until `finish`."""
        with self._lock, transaction(self._connection):
            self._connection.execute(
                "INSERT INTO watch VALUES (?, '', NULL, 0) ON CONFLICT (kind) DO UPDATE SET version = ''",
                (kind.resource,),
            )

    def page(self, kind: Kind, items: Iterable[dict[str, Any]]) -> Outcome:
        """Takes a part of a list: these exist."""
        return self._take(kind, [Change(item) for item in items], None)

    def finish(self, kind: Kind, version: str, uids: set[str]) -> int:
        """Takes the end of a list: what is not in it is gone, since some time after the last contact.

        Args:
            kind: Of the list.
            version: The list's resourceVersion, to follow it from.
            uids: Of all objects in it.

        Returns:
            How many were gone.
        """
        with self._lock, transaction(self._connection):
            known = self._watch(kind)
            contact = known[1] if known is not None else None
            now = self._now()
            rows = self._connection.execute(
                "SELECT DISTINCT uid FROM state WHERE kind = ? AND until IS NULL", (kind.resource,)
            )
            vanished = [uid for (uid,) in rows if uid not in uids]
            for uid in vanished:
                self._end(kind, uid, self._now(), contact)
            if contact is not None:
                self._connection.execute("INSERT INTO gap VALUES (?, ?, ?)", (kind.resource, contact, now))
            self._reach(kind, version, now)
        return len(vanished)

    def take(self, kind: Kind, changes: Iterable[Change], version: str, *, behind: bool) -> Outcome:
        """Takes what a watch said.

        Args:
            kind: Of the objects.
            changes: In the order in which they came.
            version: The resourceVersion of the last, or of a bookmark.
            behind: They happened while nobody listened, at some time since the last contact.
        """
        return self._take(kind, list(changes), version, behind=behind)

    def miss(self, kind: Kind) -> None:
        """Takes note that the kind cannot be known: it may not be listed."""
        with self._lock, transaction(self._connection):
            self._connection.execute(
                "INSERT INTO watch VALUES (?, '', NULL, 1) ON CONFLICT (kind) DO UPDATE SET missing = 1",
                (kind.resource,),
            )

    def lack(self, kind: Kind) -> None:
        """Takes note that there are none: the kind is not served."""
        with self._lock, transaction(self._connection):
            now = self._now()
            for (uid,) in self._connection.execute(
                "SELECT DISTINCT uid FROM state WHERE kind = ? AND until IS NULL", (kind.resource,)
            ).fetchall():
                self._end(kind, uid, now, None)
            self._reach(kind, "", now)
            self._connection.execute("UPDATE watch SET missing = 2 WHERE kind = ?", (kind.resource,))

    def prune(self, before: int, most: int) -> int:
        """Drops what ended before a time, and the oldest ends where there are more rows than `most`.

        Args:
            before: Nanoseconds since the epoch.
            most: Rows; what exists is never dropped.

        Returns:
            How many were dropped for their number alone.
        """
        while self._drop("until < ?", before) == _STEP:
            pass
        with self._lock, transaction(self._connection):
            self._connection.execute("DELETE FROM gap WHERE until < ?", (before,))
            self._connection.execute("UPDATE past SET began = max(began, ?)", (before,))
            rows: int = self._connection.execute("SELECT count(*) FROM state").fetchone()[0]
        surplus = dropped = max(0, rows - most)
        while surplus > 0 and (found := self._drop("until IS NOT NULL", limit=surplus)):
            surplus -= found
        dropped -= surplus
        with self._lock:
            if dropped:
                oldest = "(SELECT coalesce(min(until), 0) FROM state WHERE until IS NOT NULL)"
                self._connection.execute(
                    f"UPDATE past SET dropped = dropped + ?, began = max(began, {oldest})",  # noqa: S608  # ours
                    (dropped,),
                )
            self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
        return dropped

    def close(self) -> None:
        """Closes the file; the log beside it is folded into it."""
        with self._lock:
            self._connection.close()

    def _drop(self, condition: str, *values: int, limit: int = _STEP) -> int:
        chosen = f"SELECT id FROM state WHERE {condition} ORDER BY until LIMIT ?"  # noqa: S608  # ours
        with self._lock, transaction(self._connection):
            cursor = self._connection.execute(
                f"DELETE FROM state WHERE id IN ({chosen})",  # noqa: S608
                (*values, min(limit, _STEP)),
            )
            return cursor.rowcount

    def _take(self, kind: Kind, changes: list[Change], version: str | None, *, behind: bool = False) -> Outcome:
        changed, refused = 0, []
        with self._lock, transaction(self._connection):
            watch = self._watch(kind) if behind else None
            contact = watch[1] if watch is not None else None
            for change in changes:
                try:
                    changed += self._apply(kind, change, contact)
                except InputError as error:
                    refused.append(str(error))
            if version is not None:
                self._reach(kind, version, contact if behind else self._now())
        return Outcome(changed, refused)

    def _apply(self, kind: Kind, change: Change, contact: int | None) -> bool:
        item = {"kind": kind.kind, "apiVersion": kind.version, **change.item}
        states, uid, namespace, name = _read(item)
        if not states:
            return False
        rows = self._connection.execute(
            "SELECT id, object FROM state WHERE kind = ? AND uid = ? AND until IS NULL", (kind.resource, uid)
        ).fetchall()
        known = {text: row for row, text in rows}
        if known.keys() == set(states) and not change.gone:
            return False
        fresh = [text for text in states if text not in known]
        if fresh:
            check(fresh)
        now = self._now()
        stale = {text: row for text, row in known.items() if text not in states}
        if len(stale) == len(fresh) == 1 and grows_into(*stale, *fresh):
            self._connection.execute("UPDATE state SET object = ? WHERE id = ?", (fresh[0], *stale.values()))
            stale, fresh = {}, []
        self._connection.executemany("UPDATE state SET until = ? WHERE id = ?", [(now, row) for row in stale.values()])
        since = now if known else self._start(kind, uid, item, now)
        self._connection.executemany(
            "INSERT INTO state VALUES (NULL, ?, ?, ?, ?, ?, NULL, NULL, 0, ?)",
            [(kind.resource, uid, namespace, name, since, text) for text in fresh],
        )
        if change.gone:
            self._end(kind, uid, self._now(), contact)
        return True

    def _start(self, kind: Kind, uid: str, item: dict[str, Any], now: int) -> int:
        """When an object that was not known began: when it was made, but not before it was last known to be gone."""
        created = parse_time(str(item["metadata"].get("creationTimestamp") or "")) if _dated(item) else None
        last = self._connection.execute(
            "SELECT max(until) FROM state WHERE kind = ? AND uid = ?", (kind.resource, uid)
        ).fetchone()[0]
        return min(now, max(created if created is not None else now, last or -_FAR))

    def _end(self, kind: Kind, uid: str, now: int, contact: int | None) -> None:
        self._connection.execute(
            "UPDATE state SET until = ?, seen = ?, gone = 1 WHERE kind = ? AND uid = ? AND until IS NULL",
            (now, contact, kind.resource, uid),
        )

    def _watch(self, kind: Kind) -> tuple[str, int | None] | None:
        row: tuple[str, int | None] | None = self._connection.execute(
            "SELECT version, iif(missing = 2, NULL, contact) FROM watch WHERE kind = ?", (kind.resource,)
        ).fetchone()
        return row

    def _reach(self, kind: Kind, version: str, contact: int | None) -> None:
        self._connection.execute(
            "INSERT INTO watch VALUES (?, ?, ?, 0) ON CONFLICT (kind) DO UPDATE"
            " SET version = excluded.version, contact = excluded.contact, missing = 0",
            (kind.resource, version, contact),
        )

    def _now(self) -> int:
        """The time, later than every time before it."""
        now = self._clock() // _MICROSECOND * _MICROSECOND
        self._last = max(now, self._last + _MICROSECOND)
        return self._last


def _dated(item: dict[str, Any]) -> bool:
    return isinstance(item["metadata"].get("creationTimestamp"), str)


def _read(item: dict[str, Any]) -> tuple[list[str], str, str, str]:
    """The states of an object, and its uid, namespace and name."""
    metadata = item.get("metadata")
    named = {name: metadata.get(name) for name in ("uid", "namespace", "name")} if isinstance(metadata, dict) else {}
    uid, namespace, name = named.get("uid"), named.get("namespace") or "", named.get("name")
    place = f"{item.get('kind')} {ascii(str(namespace)[:80])[1:-1]}/{ascii(str(name)[:260])[1:-1]}"
    if not (isinstance(uid, str) and uid and isinstance(namespace, str) and isinstance(name, str) and name):
        raise InputError("has no name or uid", where=(place,), remedy="The API server sent something strange")
    try:
        return states_of(item), uid, namespace, name
    except InputError as error:
        raise error.inside(place) from None
