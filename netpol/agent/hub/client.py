"""A hub as a reader sees it: asks it, and brings what it holds into a folder that any command reads."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec

from netpol.agent.hub.asking import TOKEN, translated
from netpol.agent.hub.listing import NAME
from netpol.agent.hub.report import Report
from netpol.dataset import layout
from netpol.errors import ClusterError
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netpol.agent.hub.asking import Asker
    from netpol.agent.hub.place import HubPlace

Kind = TypeVar("Kind")

_TIMEOUT: Final = (5.0, 60.0)
_MOST_ANSWER: Final = 128 << 20
_MOST_FILE: Final = 1 << 40
_MOST_REFUSAL: Final = 1 << 14
_CHUNK: Final = 1 << 20
_LISTINGS: Final = 20
_BUSY_TRIES, _MOST_WAIT = 6, 15
_SPARE: Final = 64 << 20
"""Bytes that a download leaves of the disk that it goes to."""


class GoneError(Exception):
    """What was listed is not there any more."""


class _File(msgspec.Struct):
    name: str
    size: int


class _Listing(msgspec.Struct):
    format: str
    version: int
    files: list[_File]


class _Said(msgspec.Struct):
    kind: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is, in bytes."""

    done: int
    whole: int


class Hub:
    """A hub that can be asked.

    Args:
        asker: The way to it.

    Raises:
        ClusterError: Any method, where there is no answer, or none that a hub gives.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def status(self) -> Report:
        """How the nodes fare."""
        return self._decoded(self._content("/v1/status"), Report)

    def download(self, place: HubPlace, folder: Path, tell: Callable[[Progress], None]) -> None:
        """Brings the dataset of a time into an empty folder.

        While it goes on, the hub may put files together: then some of those listed are gone, and what it lists anew
        holds all that they held.

        Args:
            place: Which time.
            folder: Where to.
            tell: Told how far it is.

        Raises:
            ClusterError: The hub cannot be asked, or the folder's disk has no room.
        """
        query = {name: str(value) for name, value in (("since", place.since), ("until", place.until)) if value}
        target = f"/v1/dataset?{urlencode(query)}" if query else "/v1/dataset"
        had: dict[str, int] = {}
        for _ in range(_LISTINGS):
            listed = self._listing(target)
            for name in had.keys() - listed.keys():
                (folder / name).unlink()
                del had[name]
            try:
                self._fetch(listed, had, folder, tell)
            except GoneError:
                continue
            (folder / layout.MARK).write_text(layout.mark(), encoding="utf-8")
            return
        raise self._error("files vanish as fast as they are listed", "Try again later")

    def _fetch(
        self, listed: dict[str, int], had: dict[str, int], folder: Path, tell: Callable[[Progress], None]
    ) -> None:
        whole, done = sum(listed.values()), sum(had.values())
        room = shutil.disk_usage(folder).free - _SPARE
        if whole - done > room:
            raise ClusterError(
                f"{whole - done:,} bytes to be fetched, and room for {max(0, room):,}",
                where=(self._asker.name, str(folder)),
                remedy="Ask for less, as in ?since=24h, or let TMPDIR name a larger disk",
            )
        for name in sorted(listed.keys() - had.keys()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")  # nothing that reads a dataset looks at it
            with unfinished.open("wb") as file:
                for chunk in self._chunks(f"/v1/files/{name}", listed[name]):
                    file.write(chunk)
                    done += len(chunk)
                    tell(Progress(done, whole))
            unfinished.replace(path)
            had[name] = listed[name]

    def cluster(self, place: HubPlace, path: Path) -> bool:
        """Brings the cluster's history of a time into a file: whether the hub keeps one."""
        query = {name: str(value) for name, value in (("since", place.since), ("until", place.until)) if value}
        target = f"/v1/cluster?{urlencode(query)}" if query else "/v1/cluster"
        try:
            with path.open("wb") as file:
                for chunk in self._chunks(target, None):
                    file.write(chunk)
        except GoneError:
            path.unlink()
            return False
        return True

    def _listing(self, target: str) -> dict[str, int]:
        found = self._decoded(self._content(target), _Listing)
        if found.format != layout.FORMAT or found.version > layout.VERSION:
            raise self._error(
                f"it keeps {shown(found.format)} of version {found.version}", "Use the hub's version of netpol"
            )
        if not all(NAME.fullmatch(each.name) and 0 < each.size < _MOST_FILE for each in found.files):
            raise self._error("it lists what no dataset holds", "Check what answers there")
        return {each.name: each.size for each in found.files}

    def _decoded(self, content: bytes, kind: type[Kind]) -> Kind:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, RecursionError):
            raise self._error("not the answer of a hub", "Check what answers there") from None

    def _content(self, target: str) -> bytes:
        content = bytearray()
        try:
            for chunk in self._chunks(target, None):
                content += chunk
                if len(content) > _MOST_ANSWER:
                    raise self._error("the answer is too large", "Ask for less, as in ?since=24h")
        except GoneError:
            raise self._error("no hub answers there", "Check the address, or namespace and Service") from None
        return bytes(content)

    def _chunks(self, target: str, size: int | None) -> Iterator[bytes]:
        """The body of an answer, of as many bytes as were announced."""
        with translated(self._asker.name), contextlib.closing(self._opened(target)) as response:
            left = size
            while chunk := response.read(_CHUNK):
                if left is not None:
                    left -= len(chunk)
                    if left < 0:
                        break
                yield chunk
            if left:
                raise self._error(
                    f"an answer of other than the {size} bytes that were listed", "Try again; check proxies"
                )

    def _opened(self, target: str) -> Any:
        for attempt in range(_BUSY_TRIES):
            response = self._asker.get(target, _TIMEOUT)
            if response.status == 200:
                return response
            said = response.read(_MOST_REFUSAL)
            response.close()
            if response.status not in {429, 503} or attempt + 1 == _BUSY_TRIES:
                raise self._refused(response.status, said)
            after = response.headers.get("retry-after", "")
            time.sleep(min(int(after), _MOST_WAIT) if after.isascii() and after.isdecimal() else 1)
        raise AssertionError

    def _refused(self, status: int, said: bytes) -> Exception:
        if (words := _api_server(said)) is not None:
            return self._error(f"the API server says: {words}", "Check the namespace and Service, and your rights")
        if status == 404:
            return GoneError()
        remedies = {
            401: ("it does not know the token", f"Set {TOKEN} to a reader's token"),
            403: ("the token is not for readers", f"Set {TOKEN} to a reader's token; see --reader of netpol hub"),
            429: ("it has too much to do", "Try again later"),
            503: ("it is not ready", "Look at the hub's log, and at /readyz"),
        }
        what, remedy = remedies.get(status, (f"it answered with status {status}", "Look at the hub's log"))
        return self._error(what, remedy)

    def _error(self, what: str, remedy: str) -> ClusterError:
        return ClusterError(what, where=(self._asker.name,), remedy=remedy)


def _api_server(said: bytes) -> str | None:
    """What the API server says where it was that, and not the hub behind it, that refused."""
    try:
        found = msgspec.json.decode(said, type=_Said)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return shown(found.message) if found.kind == "Status" else None
