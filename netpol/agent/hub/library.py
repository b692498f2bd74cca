"""What readers ask the hub for: which files there are, one of them, the cluster's history, and how the nodes fare."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netpol.agent.hub.app import SAFE
from netpol.agent.hub.limits import Budget
from netpol.agent.hub.listing import NAME, listing
from netpol.agent.hub.refusals import ABSENT, AWAY, BAD, RefusedError
from netpol.agent.hub.watching import FOLDER
from netpol.cluster.history import History
from netpol.dataset.layout import FORMAT, VERSION
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from netpol.agent.hub.callers import Callers
    from netpol.agent.hub.limits import Limits
    from netpol.agent.hub.metrics import Metrics
    from netpol.agent.hub.report import Report

_CHUNK: Final = 1 << 18
FILE_TYPE: Final = "application/vnd.apache.parquet"


class Library:
    """Answers readers.

    Args:
        root: Of the dataset.
        callers: Who may read.
        limits: How many at once.
        metrics: Counted in.
        report: What `/v1/status` says.
    """

    def __init__(
        self, root: Path, *, callers: Callers, limits: Limits, metrics: Metrics, report: Callable[[], Report]
    ) -> None:
        self._root, self._callers, self._metrics, self._report = root, callers, metrics, report
        self._readers = Budget(limits.readers, "too many downloads at once", "readers full")
        self._seconds = limits.reader_seconds

    def routes(self) -> list[Route]:
        """Its routes."""
        return [
            Route("/v1/dataset", self.dataset, methods=["GET"]),
            Route("/v1/files/{name:path}", self.file, methods=["GET"]),
            Route("/v1/cluster", self.cluster, methods=["GET"]),
            Route("/v1/status", self.status, methods=["GET"]),
        ]

    async def _require_reader(self, request: Request) -> None:
        peer = request.client.host if request.client else ""
        await self._callers.caller(request.headers, peer, "read")

    async def dataset(self, request: Request) -> Response:
        """The files of a span of time."""
        await self._require_reader(request)
        since, until = (_time(request, name) for name in ("since", "until"))
        with self._readers.held(1):
            files = await asyncio.to_thread(listing, self._root, since, until)
        found = {
            "format": FORMAT,
            "version": VERSION,
            "files": [{"name": each.name, "size": each.size} for each in files],
        }
        return JSONResponse(found, headers=SAFE)

    async def file(self, request: Request) -> Response:
        """One file; 404 where it is not there any more: then another one holds what it held, and is listed."""
        await self._require_reader(request)
        name = request.path_params["name"]
        if not NAME.fullmatch(name):
            raise RefusedError(ABSENT, "no such file", "no file")
        try:
            file = await asyncio.to_thread(_opened, self._root / name)
        except OSError:
            raise RefusedError(ABSENT, "no such file", "no file") from None
        self._metrics.files.inc()
        return _FileResponse(file, self._readers, self._seconds)

    async def cluster(self, request: Request) -> Response:
        """The cluster's history over a span of time, as `--cluster` reads it; 404 where none is kept."""
        await self._require_reader(request)
        since, until = (_time(request, name) for name in ("since", "until"))
        with self._readers.held(1):
            try:
                file = await asyncio.to_thread(_history, self._root / FOLDER, since, until)
            except InputError:
                raise RefusedError(ABSENT, "no history of the cluster is kept", "no history") from None
            except OSError as error:
                raise RefusedError(AWAY, f"no room for a copy: {error.strerror}", "disk error", after=30) from None
        return _FileResponse(file, self._readers, self._seconds, "application/json")

    async def status(self, request: Request) -> Response:
        """How the nodes fare."""
        await self._require_reader(request)
        text = msgspec.json.encode(await asyncio.to_thread(self._report))
        return Response(text, headers=SAFE, media_type="application/json")


class _FileResponse(Response):
    """Sends an open file, within a time: what the keeper deletes meanwhile is sent all the same.

    Args:
        file: Closed at the end.
        readers: Held while it is sent.
        seconds: After which it is broken off.
        media_type: What is in it.
    """

    def __init__(self, file: BinaryIO, readers: Budget, seconds: float, media_type: str = FILE_TYPE) -> None:
        self._file, self._readers, self._seconds = file, readers, seconds
        self._left = os.fstat(file.fileno()).st_size
        super().__init__(headers={**SAFE, "content-length": str(self._left)}, media_type=media_type)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        with self._file, self._readers.held(1):
            async with asyncio.timeout(self._seconds):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                while self._left:
                    chunk = await asyncio.to_thread(self._file.read, min(self._left, _CHUNK))
                    if not chunk:
                        raise OSError("a file became shorter")
                    self._left -= len(chunk)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")


def _history(folder: Path, since: int | None, until: int | None) -> BinaryIO:
    """A copy, in a file that has no name: the history is not held up by who reads slowly.

    Raises:
        InputError: There is none.
    """
    file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed by the answer
    try:
        file.writelines(line.encode("ascii") for line in History.read(folder).text(since, until))
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _time(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise RefusedError(BAD, f"{name} is no time in nanoseconds since 1970", "no time")
    return int(text)
