"""The page as a server on the loopback interface answers it, and what it shows anew when that has changed.

Whoever else is on the machine, and any web page that the same browser has open, can reach a port of the loopback
interface. So the address holds a secret, and requests that name another host are refused: a page elsewhere cannot make
its own name lead here (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from netpol.errors import NetpolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

_NAMES: Final = frozenset({"127.0.0.1", "localhost"})
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Beside the policy that the page itself states."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown at a time.

    Attributes:
        page: The whole page.
        data: What is in it, as JSON.
    """

    page: bytes
    data: bytes

    @property
    def tag(self) -> str:
        """An entity tag: the same for the same data."""
        return tag_of(self.data)


def tag_of(data: bytes) -> str:
    """An entity tag (RFC 9110, 8.8.3) of data."""
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


class Material(Protocol):
    """Where what is shown comes from."""

    def changed(self) -> bool:
        """Whether there may be something new since `read` was called last."""
        ...

    def read(self) -> Shown:
        """Reads it all.

        Raises:
            NetpolError: It cannot be read now.
        """
        ...


class Live:
    """Reads again when something changed, while what was read last is served."""

    def __init__(self, material: Material, every: float, *, failed: Callable[[str], None]) -> None:
        """Reads for the first time.

        Args:
            material: What is shown.
            every: Seconds between two looks whether it changed.
            failed: Takes a sentence when it cannot be read again; what was there stays.

        Raises:
            NetpolError: It cannot be read.
        """
        self._material = material
        self._every = every
        self._failed = failed
        self._stop = threading.Event()
        self.shown = material.read()
        self._thread = threading.Thread(target=self._follow, name="netpol-view", daemon=True)

    def start(self) -> None:
        """Looks for changes from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no more; returns when nothing is being read."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(self._every):
            try:
                if self._material.changed():
                    self.shown = self._material.read()
            except NetpolError as error:
                self._failed(str(error))


def secret() -> str:
    """Something that nobody guesses, drawn anew."""
    return secrets.token_urlsafe(16)


def address(port: int, secret: str) -> str:
    """Where the page is, for whoever may know it."""
    return f"http://127.0.0.1:{port}/{secret}/"


def application(live: Live, secret: str) -> Starlette:
    """The pages: `/SECRET/` and `/SECRET/graph.json`, which answers 304 while nothing changed."""

    def answer(request: Request, content: Callable[[Shown], Response]) -> Response:
        if _host(request) not in _NAMES:
            return PlainTextResponse("Ask for 127.0.0.1\n", status_code=421, headers=_HEADERS)
        if not hmac.compare_digest(request.path_params["secret"].encode(), secret.encode()):
            return PlainTextResponse("The address is not complete: it is on the terminal\n", 404, headers=_HEADERS)
        return content(live.shown)

    def page(request: Request) -> Response:
        return answer(request, lambda shown: Response(shown.page, media_type="text/html", headers=_HEADERS))

    def data(request: Request) -> Response:
        def content(shown: Shown) -> Response:
            headers = {**_HEADERS, "ETag": shown.tag, "Cache-Control": "no-cache"}
            if request.headers.get("if-none-match") == shown.tag:
                return Response(status_code=304, headers=headers)
            return Response(shown.data, media_type="application/json", headers=headers)

        return answer(request, content)

    app = Starlette(routes=[Route("/{secret}/", page), Route("/{secret}/graph.json", data)])
    app.router.redirect_slashes = False  # it would answer whoever does not know the address
    return app


def _host(request: Request) -> str:
    """The host that the request names, without its port."""
    return request.headers.get("host", "").rsplit(":", 1)[0]
