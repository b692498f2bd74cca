"""Follows one kind of objects: lists them once, then watches from there, for as long as the cluster lives.

What is done when something fails (API concepts, "Resource versions" and "410 Gone responses"):

- the connection ends or breaks: on from the resourceVersion that was reached. What the server then tells up to where it
  stands happened while nobody listened;
- 410, or the server no longer knows that resourceVersion: everything is listed anew, and what is not there any more is
  gone. That is done, too, where going on fails again and again, as after etcd was restored from a backup;
- no right to list (403), or a kind that is not served (404): asked again now and then;
- anything else: again, after a time that doubles each time, of which chance takes a part, so that the watchers of a
  restarted server do not all come at once.
"""

from __future__ import annotations

import math
import random
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from netpol.cluster.access import translate
from netpol.cluster.asking import ask, page_of
from netpol.cluster.history_write import Change
from netpol.cluster.watch_stream import CHUNK, EventLines
from netpol.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.cluster.history_write import Writer
    from netpol.cluster.kinds import Kind
    from netpol.cluster.watch_line import Line
    from netpol.cluster.watch_status import KindProgress, State
    from netpol.cluster.watch_stream import Event

PAGE: Final = 500
"""Objects a page."""
MAX_PAGES: Final = 10_000
STREAM_SECONDS: Final = 300
"""After so long a server is asked to end a watch; it is begun again at once."""
CATCH_UP_SECONDS: Final = 10
"""The same for a watch that begins with old news, the end of which must be found."""
QUIET_SECONDS: Final = 3.0
LONGEST_WAIT: Final = 60.0
ASK_AGAIN_SECONDS: Final = 300.0
"""Until it is tried again, at last, to list what may not be listed or is not served."""
BELIEVE_SECONDS: Final = 120.0
"""For so long a kind that was followed is tried as after any failure; then it is forbidden, or not served."""
_CONNECT_SECONDS: Final = 5.0
_FIRST_WAIT: Final = 0.5
_FRESH: Final = 5_000_000_000
"""Nanoseconds since the last contact up to which nothing was missed worth telling apart."""
_TRIES: Final = 5
"""Refusals in a row after which everything is listed anew; a server that cannot be reached refuses nothing."""
_EXPIRED, _FORBIDDEN, _MISSING, _UNAUTHORIZED = 410, 403, 404, 401


class _Expired(Exception):  # noqa: N818  # no error, an answer
    """The server has forgotten the resourceVersion."""


class _Absent(Exception):  # noqa: N818  # the same
    """The kind may not be listed, or is not served."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class KindWatch:
    """The watch of one kind.

    Args:
        kind: Which.
        line: To the API server, its alone.
        writer: Where what was seen goes.
        progress: Kept up to date.
    """

    def __init__(self, kind: Kind, line: Line, writer: Writer, progress: KindProgress) -> None:
        self._kind = kind
        self._path = kind.path()
        self._line = line
        self._writer = writer
        self._progress = progress
        self._relist = False
        self._failures = 0
        self._refusals = 0
        self._absences = 0
        self._absent_since: float | None = None

    def run(self) -> None:
        """Follows the kind until the line is closed."""
        while not self._line.closed:
            try:
                self._round()
            except (ClusterError, sqlite3.Error) as error:
                if not self._line.closed:
                    self._failed(error)

    def _round(self) -> None:
        try:
            self._follow()
        except _Expired:
            self._relist = True
            self._wait("listing", 1.0)
        except _Absent as absent:
            self._absent(absent.status)

    def _follow(self) -> None:
        version, contact = self._writer.reached(self._kind)
        if not version or self._relist:
            self._progress.enter("listing")
            self._progress.relists += contact is not None
            version, contact = self._list(), None
            self._relist = False
        behind = self._behind(contact)
        started = time.monotonic()
        if not self._watch(version, behind) and time.monotonic() - started < 1:
            raise self._refused("the watch ended at once")

    def _list(self) -> str:
        """Lists everything; returns the resourceVersion to watch from."""
        self._writer.begin(self._kind)
        uids: set[str] = set()
        query: dict[str, str] = {"limit": str(PAGE)}
        for _ in range(MAX_PAGES):
            status, body = ask(self._line, self._path, query)
            if status == _EXPIRED and query:
                uids, query = set(), {}  # once more in one piece, as client-go's pager does
                continue
            self._require(status)
            page = page_of(self._line, self._path, body)
            self._progress.took(0, self._writer.page(self._kind, page.items))
            uids.update(_uids(page.items))
            if not page.following and page.version:
                self._writer.finish(self._kind, page.version, uids)
                return page.version
            if page.following == query.get("continue", ""):
                break
            query = {"limit": str(PAGE), "continue": page.following}
        raise self._refused("the list has no end or no resourceVersion")

    def _behind(self, contact: int | None) -> str:
        """Up to which resourceVersion events are old news; empty where none can be."""
        if contact is None or time.time_ns() - contact < _FRESH:
            return ""
        status, body = ask(self._line, self._path, {"limit": "1"})
        self._require(status)
        return page_of(self._line, self._path, body).version

    def _watch(self, version: str, behind: str) -> bool:
        """Takes events until the stream ends; returns whether there was one."""
        longest = CATCH_UP_SECONDS if behind else STREAM_SECONDS
        seconds = math.ceil(random.uniform(0.8, 1) * longest)  # noqa: S311  # so that not all kinds end at once
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        target = f"{self._path}?{urlencode({**query, 'timeoutSeconds': str(seconds)})}"
        any_event = False
        with translate(self._line.name, self._path):
            response = self._line.open(target, (_CONNECT_SECONDS, seconds + 30))
        try:
            self._require(response.status)
            self._absences, self._absent_since = 0, None
            self._progress.enter("catching up" if behind else "watching")
            lines = EventLines(self._line.name, self._path)
            heard = time.monotonic()
            for chunk in self._chunks(response):
                for event_run, old in _runs(lines.feed(chunk), behind):
                    self._take(event_run, behind=old)
                    behind = behind if old else ""
                    version = event_run[-1].version
                    any_event = True
                    if any(event.type != "BOOKMARK" for event in event_run):
                        heard = time.monotonic()
            # The server ended it when it had said all: where nothing happens, that is all it says. What is old news it
            # says at once; whether it is through with it, only a silence tells where no news follows.
            if not behind or time.monotonic() - heard >= QUIET_SECONDS:
                self._writer.take(self._kind, (), version, behind=False)
        finally:
            response.close()
        return any_event

    def _chunks(self, response: Any) -> Iterator[bytes]:
        while True:
            with translate(self._line.name, self._path):
                chunk = response.read1(CHUNK)
            if not chunk:
                return
            yield chunk

    def _take(self, events: list[Event], *, behind: bool) -> None:
        last = events[-1]
        if last.type == "ERROR":  # alone, and the last of its stream
            if last.item.get("code") == _EXPIRED:
                raise _Expired
            raise self._refused(f"the watch failed: {ascii(str(last.item.get('message'))[:200])[1:-1]}")
        changes = [Change(event.item, event.type == "DELETED") for event in events if event.type != "BOOKMARK"]
        self._progress.took(len(changes), self._writer.take(self._kind, changes, last.version, behind=behind))
        self._failures = self._refusals = 0
        if not behind:
            self._progress.enter("watching")

    def _require(self, status: int) -> None:
        if status == _EXPIRED:
            raise _Expired
        if status in {_FORBIDDEN, _MISSING}:
            raise _Absent(status)
        if status == _UNAUTHORIZED:
            raise self._refused("the API server does not accept the credentials")
        if status != 200:
            raise self._refused(f"the API server answered with HTTP status {status}")

    def _refused(self, what: str) -> ClusterError:
        """The server is there, but does not do what is asked: going on from where we are may be what it cannot do."""
        self._refusals += 1
        self._relist = self._relist or self._refusals % _TRIES == 0
        return ClusterError(what, where=(self._line.name, self._path), remedy="It is tried again")

    def _absent(self, status: int) -> None:
        now = time.monotonic()
        self._absent_since = self._absent_since if self._absent_since is not None else now
        known = self._writer.reached(self._kind)[1] is not None
        may_not = status == _FORBIDDEN
        what = f"may not list and watch {self._kind.resource}" if may_not else f"{self._kind.resource} are not served"
        if known and now - self._absent_since < BELIEVE_SECONDS:
            # A server that has just started may not have found its custom resources, and everybody's rights, yet.
            raise ClusterError(what, where=(self._line.name, self._path), remedy="It is tried again")
        self._absences += 1
        if may_not or self._kind.expected:
            self._writer.miss(self._kind)
        else:
            self._writer.lack(self._kind)
        if may_not or self._kind.needed:
            self._progress.error = what
        longest = min(ASK_AGAIN_SECONDS, 2.0 ** min(self._absences, 20))
        self._wait("forbidden" if may_not else "not served", longest)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._progress.errors += 1
        self._progress.error = " ".join(str(error).split())[:300]
        longest = min(LONGEST_WAIT, _FIRST_WAIT * 2 ** min(self._failures, 20))
        self._wait("retrying", longest)

    def _wait(self, state: State, longest: float) -> None:
        self._progress.enter(state)
        self._line.wait(random.uniform(longest / 2, longest))  # noqa: S311  # jitter


def _runs(events: Iterable[Event], behind: str) -> Iterator[tuple[list[Event], bool]]:
    """Events in runs that are written at once: up to `behind`, which are old news, then the rest; errors alone."""
    run: list[Event] = []
    old = bool(behind)
    for event in events:
        still = old and not _later(event, behind)
        if run and (event.type == "ERROR" or still != old):
            yield run, old
            run = []
        old = still
        run.append(event)
    if run:
        yield run, old


def _later(event: Event, behind: str) -> bool:
    """Whether an event is news: resourceVersions are ordered as numbers (KEP-5504); a bookmark says so in any case."""
    if event.type == "ERROR":
        return False
    if event.version.isdecimal() and behind.isdecimal():
        return int(event.version) > int(behind)
    return event.type == "BOOKMARK"


def _uids(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    for item in items:
        metadata = item.get("metadata")
        uid = metadata.get("uid") if isinstance(metadata, dict) else None
        if isinstance(uid, str):
            yield uid
