"""From the spool to the hub: oldest first, one at a time, each until the hub says that it has it.

The hub's word is the only reason to delete a window. Sending one twice does no harm: its identity is the same.
"""

from __future__ import annotations

import http.client
import random
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from netpol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netpol.agent.spool import Kept, Spool

CONTENT_TYPE: Final = "application/vnd.netpol.window"
_TIMEOUT: Final = 30.0
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_NEVER_TAKEN: Final = (400, 413, 422)
_MOST_ANSWER: Final = 1 << 16
_LOOK_AGAIN: Final = 5.0


class _Answer(msgspec.Struct):
    stored: bool


class _Later(Exception):  # noqa: N818 - no error: the hub is not ready
    """The hub does not take windows now."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Where windows go.

    Attributes:
        url: `https://HOST[:PORT][/PATH]` or, where the network is trusted, `http://`.
        token_file: Whose content authenticates the agent; read anew for each request, because it is replaced.
        ca_file: The certificate authority that vouches for the hub; None: those of the system.
    """

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment)
            _ = parts.port
        except ValueError:
            good = None
        if not good:
            raise UsageError(f"{self.url} is not the URL of a hub", remedy="Give it as https://HOST:PORT")


@dataclass(slots=True)
class Sender:
    """A thread of its own, so that a hub that is slow or away never delays the recording.

    Attributes:
        hub: Where to.
        spool: Where from.
        log: Takes one line for whoever watches.
        sent: Windows that the hub has.
    """

    hub: Hub
    spool: Spool
    log: Callable[[str], None]
    sent: int = 0
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _connection: http.client.HTTPConnection | None = None
    _told: str = ""

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def stop(self, seconds: float) -> None:
        """Sends what can be sent in so many seconds, then ends. What is left is sent by the next run."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._send_all()
        finally:
            self._forget_connection()

    def _send_all(self) -> None:
        failures = 0
        while True:
            kept = self.spool.oldest()
            if kept is None:
                if self._stop.is_set():
                    return
                self._wake.wait(_LOOK_AGAIN)
                self._wake.clear()
                continue
            try:
                self._send(kept)
            except OSError as error:  # a disk that cannot even delete
                self.log(f"window {kept.identity}: {error.strerror}")
                if self._stop.wait(_LONGEST_WAIT):
                    return
            except _Later as later:
                self._forget_connection()
                self._say(f"hub: {later}; windows that wait: {self.spool.waiting():,}")
                if self._stop.is_set():
                    return
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**failures) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
                failures = min(failures + 1, 10)
                self._stop.wait(wait if later.seconds is None else later.seconds)
            else:
                if self._told:
                    self._say("")
                    self.log(f"hub: takes windows again; {self.spool.waiting():,} wait")
                failures = 0

    def _say(self, what: str) -> None:
        """Says the same thing once."""
        if what.partition(";")[0] != self._told.partition(";")[0] and what:
            self.log(what)
        self._told = what

    def _send(self, kept: Kept) -> None:
        try:
            data = kept.path.read_bytes()
        except FileNotFoundError:  # it gave way to newer ones
            self.spool.delete(kept)
            return
        except OSError as error:
            self.log(f"window {kept.identity}: cannot be read: {error.strerror}")
            self.spool.set_aside(kept)
            return
        try:
            status, after, body = self._post(kept.identity, data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Later(f"cannot be reached: {str(error) or type(error).__name__}") from error
        if status == 200:
            try:
                msgspec.json.decode(body, type=_Answer)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise _Later("answers, but not as a hub does") from None
            self.spool.delete(kept)
            self.sent += 1
        elif status in _NEVER_TAKEN:
            self.log(f"window {kept.identity}: refused by the hub with {status}, set aside")
            self.spool.set_aside(kept)
        elif status in {401, 403}:
            raise _Later(f"does not accept the token ({status})", _LONGEST_WAIT)
        else:
            raise _Later(f"answers {status}", after)

    def _post(self, identity: str, data: bytes) -> tuple[int, float | None, bytes]:
        if self._connection is not None:
            try:
                return self._post_over(self._connection, identity, data)
            except (ConnectionError, http.client.RemoteDisconnected):
                self._forget_connection()  # servers close connections that are idle for long
        self._connection = self._connect()
        return self._post_over(self._connection, identity, data)

    def _post_over(
        self, connection: http.client.HTTPConnection, identity: str, data: bytes
    ) -> tuple[int, float | None, bytes]:
        headers = {"Content-Type": CONTENT_TYPE}
        if self.hub.token_file is not None:
            headers["Authorization"] = f"Bearer {self.hub.token_file.read_text('ascii').strip()}"
        path = urlsplit(self.hub.url).path.rstrip("/")
        connection.request("POST", f"{path}/v1/windows/{identity}", body=data, headers=headers)
        response = connection.getresponse()
        body = response.read(_MOST_ANSWER)
        if response.read(1):
            self._forget_connection()
        return response.status, _seconds(response.headers.get("Retry-After")), body

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.hub.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT)
        context = ssl.create_default_context(cafile=None if self.hub.ca_file is None else str(self.hub.ca_file))
        return http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT, context=context)

    def _forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3); a date is as good as none here."""
    if text is None or not text.isascii() or not text.strip().isdigit():
        return None
    return min(float(text), 600.0)
