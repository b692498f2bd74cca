"""Connections: uvicorn, with a limit for everything that a peer could drag out."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from netpol.errors import UsageError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from starlette.applications import Starlette

_HEAD_SECONDS: Final = 10.0
"""In which the head of a request has to arrive, from the moment that it could have begun."""
_HANDSHAKE_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 75
"""An agent sends once a minute: its connection is worth keeping."""
_HEAD_BYTES: Final = 32 << 10
_GRACE_SECONDS: Final = 20
_TICK_SECONDS: Final = 10
_BACKLOG: Final = 1024


class _PatientProtocol(H11Protocol):
    """Closes connections on which no request begins: uvicorn waits for the head of the first one for ever."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Server(uvicorn.Server):
    """Gives a peer ten seconds for its TLS handshake, where asyncio gives a minute, and says when it is there."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tls = tls
        self._on_start = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        def protocol() -> asyncio.Protocol:
            return _PatientProtocol(config=self.config, server_state=self.server_state, app_state={})

        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                protocol,
                sock=each,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
                ssl_shutdown_timeout=_HANDSHAKE_SECONDS if self._tls else None,
                backlog=_BACKLOG,
            )
            for each in sockets or ()
        ]
        self.started = True
        self._on_start()


def listener(host: str, port: int) -> socket.socket:
    """A socket that connections come to.

    Args:
        host: An address, or a name of one; `::` takes IPv4 too, where the system does.
        port: 0 for any that is free.

    Raises:
        UsageError: The address cannot be had.
    """
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - everywhere is what was asked for
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(
            address,
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=host == "::",
        )
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        raise UsageError(
            f"cannot listen: {os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror}",
            where=(f"{host}:{port}",),
            remedy="Stop what listens there, or give another --listen" if in_use else "Give another --listen",
        ) from None


@dataclass(frozen=True, slots=True)
class Door:
    """Where requests come from.

    Attributes:
        socket: That connections come to.
        tls: Plain HTTP without.
        connections: So many at once; more get 503.
    """

    socket: socket.socket
    tls: ssl.SSLContext | None
    connections: int


def serve(app: Starlette, door: Door, *, started: Callable[[], None], tick: Callable[[], Awaitable[None]]) -> None:
    """Answers requests until SIGTERM or SIGINT, then those that have begun.

    Args:
        app: What answers.
        door: Where requests come from.
        started: Called when requests are answered.
        tick: Called every ten seconds.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=door.connections,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        callback_notify=tick,
        timeout_notify=_TICK_SECONDS,
    )
    # uvicorn raises the signal again when it has ended, so that whoever ran it may die of it. Here, work goes on.
    before: dict[int, Any] = {each: signal.signal(each, _ignore) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        _Server(config, door.tls, started).run(sockets=[door.socket])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _ignore(_signal: int, _frame: object) -> None:
    """Nothing."""
