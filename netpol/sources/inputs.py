"""Opens flow logs: files, compressed or not, and pipes of which the beginning was looked at already."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from netpol.capture.compressed import BrokenError, Prefixed, Reader, unpack
from netpol.errors import InputError
from netpol.sources.kinds import Kind, kind_of
from netpol.sources.read import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.records import Source
    from netpol.capture.sources import Input

_HEAD: Final = 1 << 16
_MAGIC: Final = 16


def log_kind(where: Input) -> Kind | None:
    """Which flow log an input is, None where it is none; an input that can be read once only is not used up."""
    if where.opened is not None:
        window = where.opened.advance(0, _HEAD)
        return kind_of(window.data[: min(window.stop, _HEAD)].tobytes())
    if where.path is None:
        return None
    try:
        with where.path.open("rb", buffering=0) as file:
            return kind_of(_first(unpack(Prefixed(cast("Reader", file), _MAGIC))))
    except (OSError, BrokenError):
        return None


def _first(reader: Reader) -> bytes:
    """The first bytes, as many as there are up to some thousands; what is damaged ends there."""
    head = memoryview(bytearray(_HEAD))
    filled = 0
    try:
        while filled < _HEAD and (count := reader.readinto(head[filled:])):
            filled += count
    except BrokenError:
        pass
    return bytes(head[:filled])


@contextmanager
def opened(where: Input, kind: Kind) -> Iterator[Log]:
    """The log, open while it is read.

    Raises:
        InputError: It cannot be opened any more.
    """
    if where.opened is not None or where.path is None:
        yield Log(reader=_Piped(where.open()), kind=kind, place=where.place, changed=time.time_ns())
        return
    try:
        file: BinaryIO = where.path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=(where.place,)) from error
    with file:
        reader = unpack(Prefixed(cast("Reader", file), _MAGIC))
        yield Log(reader=reader, kind=kind, place=where.place, changed=where.path.stat().st_mtime_ns)


class _Piped:
    """A source that was opened to be looked at, as a stream of bytes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills part of the buffer; 0 at the end."""
        if self._ended:
            return 0
        window = self._source.advance(self._start, len(buffer))
        content = window.data[window.start : min(window.stop, window.start + len(buffer))]
        buffer[: len(content)] = content.data
        self._start = window.start + len(content)
        self._ended = window.final and self._start >= window.stop
        if window.broken and self._ended and not len(content):
            raise BrokenError(window.broken)
        return len(content)

    def close(self) -> None:
        """Closes it."""
        self._source.close()
