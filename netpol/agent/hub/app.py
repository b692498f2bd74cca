"""The hub's requests: what senders may send, and what anybody may know about its health."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netpol.agent.hub.admission import split_identity
from netpol.agent.hub.limits import Buckets, Budget
from netpol.agent.hub.metrics import CONTENT_TYPE
from netpol.agent.hub.refusals import BAD, BUSY, LARGE, OTHER_TYPE, SLOW, UNSIZED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from netpol.agent.hub.callers import Callers
    from netpol.agent.hub.intake import Intake
    from netpol.agent.hub.limits import Limits
    from netpol.agent.hub.metrics import Metrics

WINDOW_TYPE: Final = "application/vnd.netpol.window"
_DRAIN_SECONDS: Final = 5.0
SAFE: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'",
}
"""Headers of every answer: nothing here is to be kept by a proxy or shown by a browser."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether something that the hub needs is well, in the words of /readyz."""

    name: str
    is_well: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Health:
    """What has to be well for the hub to be alive, and for it to be ready to take windows."""

    alive: Sequence[Condition]
    ready: Sequence[Condition]


class Front:
    """What senders and probes ask for."""

    def __init__(
        self,
        *,
        callers: Callers,
        intake: Intake,
        limits: Limits,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._callers, self._intake, self._limits, self._metrics = callers, intake, limits, metrics
        self._health = health
        self._buckets = Buckets(limits.rate, limits.burst)
        self._bodies = Budget(limits.bodies, "too many windows at once", "bodies full")

    def routes(self) -> list[Route]:
        """Their routes."""
        return [
            Route("/v1/windows/{identity}", self.take, methods=["POST"]),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def take(self, request: Request) -> Response:
        """Stores a window: 200 when it is durable."""
        try:
            return await self._take(request)
        except RefusedError as refusal:
            if refusal.status != SLOW:
                await _drain(request)
            raise

    async def _take(self, request: Request) -> Response:
        peer = request.client.host if request.client else ""
        caller = await self._callers.caller(request.headers, peer, "write")
        identity = request.path_params["identity"]
        if split_identity(identity) is None:
            raise RefusedError(BAD, "not the identity of a window", "no identity")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != WINDOW_TYPE:
            raise RefusedError(OTHER_TYPE, f"a window is sent as {WINDOW_TYPE}", "other type")
        length = self._length(request)
        if wait := self._buckets.take((caller.name, caller.node or peer)):
            raise RefusedError(BUSY, "too many windows from this node", "rate", after=int(wait) + 1)
        self._intake.require_room()
        with ExitStack() as held:
            held.enter_context(self._bodies.held(length))
            data = await self._body(request, length)
            begin = time.monotonic()
            stored = await self._intake.store(identity, data, caller.node)
        self._metrics.seconds.observe(time.monotonic() - begin)
        self._metrics.windows.labels("true" if stored else "false").inc()
        if stored:
            self._metrics.bytes.inc(length)
        return JSONResponse({"stored": stored}, headers=SAFE)

    def _length(self, request: Request) -> int:
        text = request.headers.get("content-length", "")
        if not text:
            raise RefusedError(UNSIZED, "a window is sent with its Content-Length", "no length")
        if not (text.isascii() and text.isdecimal()) or len(text) > 18:
            raise RefusedError(BAD, "the Content-Length is no number", "no length")
        if int(text) > self._limits.body:
            raise RefusedError(LARGE, f"a window of more than {self._limits.body} bytes", "too large")
        return int(text)

    async def _body(self, request: Request, length: int) -> bytes:
        """The body; h11 holds it to its length."""
        data = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in request.stream():
                    data += chunk
        except TimeoutError:
            raise RefusedError(SLOW, "the window did not arrive in time", "too slow") from None
        except ClientDisconnect:
            raise RefusedError(SLOW, "the sender went away", "went away") from None
        if len(data) != length:
            raise RefusedError(BAD, "the window was cut off", "cut off")
        return bytes(data)

    async def healthz(self, _request: Request) -> Response:
        """Whether a restart would not help: 200 or 503."""
        return await asyncio.to_thread(self._conditions, self._health.alive)

    async def readyz(self, _request: Request) -> Response:
        """Whether windows can be taken: 200 or 503."""
        return await asyncio.to_thread(self._conditions, self._health.ready)

    def _conditions(self, conditions: Sequence[Condition]) -> Response:
        found = {each.name: each.is_well() for each in conditions}
        return JSONResponse(found, status_code=200 if all(found.values()) else 503, headers=SAFE)

    async def metrics(self, _request: Request) -> Response:
        """Counts."""
        text = await asyncio.to_thread(self._metrics.text)
        return Response(text, headers={**SAFE, "content-type": CONTENT_TYPE})


async def _drain(request: Request) -> None:
    """Reads what is left of a request, and keeps none of it.

    A connection that is closed before takes the answer with it: the sender would never learn that it need not come
    back.
    """
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: nothing is left
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in request.stream():
                pass


def application(routes: Sequence[Route], metrics: Metrics) -> Starlette:
    """The routes as an application that answers every failure in JSON."""

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)  # noqa: S101 - that is what it is registered for
        metrics.refused.labels(str(error.status), error.reason).inc()
        return JSONResponse({"error": error.what}, status_code=error.status, headers={**SAFE, **error.headers})

    async def unknown(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - the same
        metrics.refused.labels(str(error.status_code), "no such request").inc()
        headers = {**SAFE, **(error.headers or {}), "connection": "close"}
        return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=headers)

    async def failed(_request: Request, _error: Exception) -> Response:
        metrics.refused.labels("500", "error").inc()
        return JSONResponse({"error": "an error in the hub"}, status_code=500, headers={**SAFE, "connection": "close"})

    return Starlette(
        routes=routes, exception_handlers={RefusedError: refused, HTTPException: unknown, Exception: failed}
    )
