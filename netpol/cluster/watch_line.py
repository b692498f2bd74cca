"""A connection for one thread that another thread can cut: a watch waits in a read for as long as nothing happens."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from netpol.errors import ClusterError

if TYPE_CHECKING:
    from netpol.cluster.access import Opener


class Line:
    """One answer at a time is read from it; `close` ends that answer, and every wait.

    Args:
        connection: Whom to ask.
    """

    def __init__(self, connection: Opener) -> None:
        self._connection = connection
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._response: Any = None

    @property
    def name(self) -> str:
        """For messages."""
        return self._connection.name

    @property
    def closed(self) -> bool:
        """Whether it was cut."""
        return self._closed.is_set()

    def open(self, target: str, timeout: tuple[float, float], body: bytes | None = None) -> Any:
        """As `Connection.open`.

        Raises:
            ClusterError: The line was cut.
        """
        if not self.closed:
            response = self._connection.open(target, timeout, body)
            with self._lock:
                if not self._closed.is_set():
                    self._response = response
                    return response
            response.close()
        raise ClusterError("stopped", where=(self.name,), remedy="Start it again")

    def wait(self, seconds: float) -> None:
        """Waits, but not beyond the cut."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Cuts the line: a read under way ends, and nothing more is asked."""
        with self._lock:
            self._closed.set()
            if self._response is not None:
                # What was read to its end, or closed, has no socket any more.
                with suppress(ValueError, RuntimeError, OSError):
                    self._response.shutdown()
