"""What the hub says about itself: one JSON object a line on standard error, few of them, and no token in any."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME: Final = "netpol.hub"
_FIELDS: Final = "netpol_fields"
_LONGEST: Final = 2000
_AGAIN_SECONDS: Final = 60
_MOST_EVENTS: Final = 1000


class _Lines(logging.Formatter):
    """One record as one line of ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields: Mapping[str, Any] = getattr(record, _FIELDS, {})
        line = {"time": now, "level": record.levelname.lower(), "event": record.getMessage()[:_LONGEST], **fields}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)[-_LONGEST:]
        return json.dumps(line, default=str)


class Log:
    """Says what happened. Usable from any thread.

    Args:
        stream: Where to.
        clock: Seconds, from anywhere.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Lines())
        self._logger = logging.getLogger(NAME)
        for name in (NAME, "uvicorn.error"):
            logger = logging.getLogger(name)
            logger.handlers = [handler]
            logger.propagate = False
            # What uvicorn warns of, strangers do: a line for each would be theirs to write.
            logger.setLevel(logging.INFO if name == NAME else logging.ERROR)
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def say(self, event: str, **fields: object) -> None:
        """Something that an operator may want to know."""
        self._logger.info(event, extra={_FIELDS: fields})

    def warn(self, event: str, **fields: object) -> None:
        """Something to look at, once a minute; in between it is counted."""
        self._repeated(logging.WARNING, event, fields)

    def failed(self, event: str, error: BaseException, **fields: object) -> None:
        """Something that failed, once a minute; in between it is counted."""
        text = f"{type(error).__name__}: {str(error)[:_LONGEST]}"
        self._repeated(logging.ERROR, event, {"error": text, **fields})

    def _repeated(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        now = self._clock()
        with self._lock:
            last, unsaid = self._said.get(event, (-float(_AGAIN_SECONDS), 0))
            if now - last < _AGAIN_SECONDS:
                self._said[event] = (last, unsaid + 1)
                return
            if len(self._said) >= _MOST_EVENTS:
                self._said.clear()
            self._said[event] = (now, 0)
        more = {"unsaid": unsaid} if unsaid else {}
        self._logger.log(level, event, extra={_FIELDS: {**fields, **more}})
