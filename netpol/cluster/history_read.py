"""Takes the file of a history; yields its objects, each with the span for which it is known, or the export's text."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netpol.cluster.documents import SCOPE_ANNOTATION, TAKEN_ANNOTATION, Document
from netpol.cluster.history_store import open_readable, translate
from netpol.cluster.kinds import KINDS, POLICY_KINDS
from netpol.cluster.looks import Span
from netpol.cluster.snapshot import line_of
from netpol.cluster.spans import BEGAN_ANNOTATION, GAPS_ANNOTATION, span_annotations, time_text
from netpol.errors import InputError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

MARGIN: Final = 10_000_000_000
"""Nanoseconds by which a range that is asked for is widened: the clocks of nodes and of the hub differ."""
CONFIG: Final = "configmaps"
_ORDER: Final = (*(kind.resource for kind in (*KINDS, *POLICY_KINDS)), CONFIG)
_EARLIEST, _LATEST = -(2**62), 2**62


class Extent(NamedTuple):
    """What a history as a whole says of itself. Times are nanoseconds since the epoch.

    Attributes:
        began: From when on it would show what existed.
        ends: When its writer last heard of the cluster.
        scope: `*` where every kind could be listed, else empty.
        contacts: By resource, when it was last heard of.
        gaps: How often changes of pods may have been missed: the API server had forgotten them.
    """

    began: int
    ends: int
    scope: str
    contacts: dict[str, int]
    gaps: int


class State(NamedTuple):
    """One state of one object."""

    kind: str
    span: Span
    data: dict[str, Any]


def history_documents(path: Path, since: int | None = None, until: int | None = None) -> Iterator[Document]:
    """The objects of a history, all states of each.

    Args:
        path: Its file.
        since: Only what existed at this time or later: nanoseconds since the epoch.
        until: Only what existed at this time or earlier.

    Raises:
        InputError: It cannot be read, or is no history.
    """
    name = str(path)
    with reading(path) as connection:
        extent = _from(extent_of(connection), since)
        ends, began = time_text(extent.ends), time_text(extent.began)
        for index, state in enumerate(states(connection, extent, since, until)):
            place = (name, f"{state.kind}[{index}]")
            yield Document(place, state.data, (name,), ends, extent.scope, began, str(extent.gaps), state.span)


def history_text(path: Path, since: int | None = None, until: int | None = None) -> Iterator[str]:
    """The same as the lines of one List that `--cluster` reads like the history itself.

    Raises:
        InputError: As for `history_documents`.
    """
    with reading(path) as connection:
        extent = _from(extent_of(connection), since)
        annotations = {
            TAKEN_ANNOTATION: time_text(extent.ends),
            SCOPE_ANNOTATION: extent.scope,
            BEGAN_ANNOTATION: time_text(extent.began),
            GAPS_ANNOTATION: str(extent.gaps),
        }
        head = {"apiVersion": "v1", "kind": "List", "metadata": {"annotations": annotations}}
        yield json.dumps(head, separators=(",", ":"))[:-1] + ',"items":['
        separator = "\n"
        for state in states(connection, extent, since, until):
            metadata = state.data["metadata"]
            said = {**(metadata.get("annotations") or {}), **span_annotations(state.span, extent.ends)}
            yield separator + line_of({**state.data, "metadata": {**metadata, "annotations": said}})
            separator = ",\n"
        yield "\n]}\n"


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The history as it is at this moment, whatever is written meanwhile."""
    connection = open_readable(path)
    try:
        with translate(path):
            connection.execute("BEGIN")
            yield connection
    except InputError as error:
        raise error if str(path) in error.where else error.inside(str(path)) from None
    finally:
        connection.close()


def extent_of(connection: sqlite3.Connection) -> Extent:
    """What a history says of itself."""
    began = connection.execute("SELECT began FROM past").fetchone()[0]
    contacts, missing = {}, False
    for kind, contact, absent in connection.execute("SELECT kind, contact, missing FROM watch"):
        missing = missing or absent == 1 or contact is None
        if contact is not None:
            contacts[kind] = contact
    gaps = connection.execute("SELECT count(*) FROM gap WHERE kind = 'pods'").fetchone()[0]
    whole = bool(contacts) and not missing
    return Extent(began, max(contacts.values(), default=began), "*" if whole else "", contacts, gaps)


def states(
    connection: sqlite3.Connection, extent: Extent, since: int | None = None, until: int | None = None
) -> Iterator[State]:
    """All states that hold at some time of a range, by kind, namespace, name, uid and time.

    Raises:
        InputError: A row is no object.
    """
    first = _EARLIEST if since is None else since - MARGIN
    last = _LATEST if until is None else until + MARGIN
    for kind in _ORDER:
        rows = connection.execute(
            "SELECT since, until, seen, gone, object FROM state WHERE kind = ? AND since <= ?"
            " AND (until IS NULL OR until >= ?) ORDER BY namespace, name, uid, since, id",
            (kind, last, first),
        )
        for start, end, seen, gone, text in rows:
            known = extent.contacts.get(kind, extent.ends)
            yield State(kind, _span(start, end, seen, gone, known), _object(kind, text))


def _from(extent: Extent, since: int | None) -> Extent:
    """A part of a history begins where the part does."""
    return extent if since is None else extent._replace(began=max(extent.began, since - MARGIN))


def _span(since: Any, until: Any, seen: Any, gone: Any, known: int) -> Span:
    if not isinstance(since, int) or not all(time is None or isinstance(time, int) for time in (until, seen)):
        raise InputError("a row has no time", where=("state",), remedy="The file was not written by netpol")
    if until is None:
        return Span(since, max(since, known), max(since, known), present=True)
    until = max(since, until)
    return Span(since, until, until if seen is None else min(seen, until), gone=bool(gone))


def _object(kind: str, text: Any) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("metadata"), dict):
        raise InputError("a row is no Kubernetes object", where=(kind,), remedy="The file was not written by netpol")
    return data
