"""Streaming decompression: a step never expands to more than the buffer that it was given."""

from __future__ import annotations

import zlib
from typing import Protocol

_INPUT = 1 << 17
_OUTPUT = 1 << 16
"""zlib forgets what it unpacked in a step when it finds damage in that step, so steps are short."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_LARGEST_WINDOW = 1 << 27  # what `zstd -d` accepts without being asked


CUT_OFF = "the gzip stream is cut off"


class BrokenError(Exception):
    """The stream ends here, although it should not; the message says why."""


class Reader(Protocol):
    """What all byte streams can do."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills part of the buffer; 0 at the end."""
        ...

    def close(self) -> None:
        """Gives the file back."""
        ...


class Prefixed:
    """A stream whose first bytes were looked at already."""

    def __init__(self, reader: Reader, length: int) -> None:
        self._reader = reader
        head = memoryview(bytearray(length))
        filled = 0
        while filled < length and (count := reader.readinto(head[filled:])):
            filled += count
        self.head = bytes(head[:filled])
        self._rest = memoryview(self.head)

    def readinto(self, buffer: memoryview) -> int | None:
        """The looked-at bytes first."""
        if not self._rest:
            return self._reader.readinto(buffer)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def read(self, size: int) -> bytes:
        """The same as bytes."""
        buffer = bytearray(size)
        count = self.readinto(memoryview(buffer)) or 0
        return bytes(memoryview(buffer)[:count])

    def close(self) -> None:
        """Closes the stream underneath."""
        self._reader.close()


class Gzip:
    """All members of a gzip stream (RFC 1952, 2.2), one after the other."""

    def __init__(self, raw: Prefixed) -> None:
        self._raw = raw
        self._input = b""
        self._member = zlib.decompressobj(wbits=31)
        self._fresh = True

    def readinto(self, buffer: memoryview) -> int:
        """Fills part of the buffer; 0 at the end.

        Raises:
            BrokenError: The stream is damaged or cut off.
        """
        while True:
            if self._member.eof and not self._next_member():
                return 0
            if not self._input:
                self._input = self._raw.read(_INPUT)
                if not self._input and not self._fresh:
                    raise BrokenError(CUT_OFF)
                if not self._input:
                    return 0
            self._fresh = False
            try:
                output = self._member.decompress(self._input, min(len(buffer), _OUTPUT))
            except zlib.error as error:
                raise BrokenError("the gzip stream is damaged") from error
            self._input = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if output:
                buffer[: len(output)] = output
                return len(output)

    def _next_member(self) -> bool:
        """Goes to the next member; zeros between and behind members are padding, as on tapes."""
        while True:
            self._input = self._input.lstrip(b"\0")
            if len(self._input) >= len(_GZIP):
                break
            more = self._raw.read(_INPUT)
            if not more:
                break
            self._input += more
        if not self._input:
            return False
        if not self._input.startswith(_GZIP):
            raise BrokenError("something that is not gzip follows the gzip stream")
        self._member = zlib.decompressobj(wbits=31)
        return True

    def close(self) -> None:
        """Closes the stream underneath."""
        self._raw.close()


class Zstandard:
    """All frames of a zstd stream (RFC 8878)."""

    def __init__(self, raw: Prefixed) -> None:
        import zstandard  # noqa: PLC0415 - only needed for such files

        self._raw = raw
        self._error = zstandard.ZstdError
        decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        self._stream = decompressor.stream_reader(raw, read_size=_INPUT, read_across_frames=True)  # type: ignore[arg-type]

    def readinto(self, buffer: memoryview) -> int:
        """Fills part of the buffer; 0 at the end.

        Raises:
            BrokenError: The stream is damaged or needs a window of more than 128 MiB.
        """
        try:
            return self._stream.readinto(buffer)
        except self._error as error:
            raise BrokenError("the zstd stream is damaged, or was made with a window above 128 MiB") from error

    def close(self) -> None:
        """Closes the stream underneath."""
        self._raw.close()


def unpack(raw: Prefixed) -> Reader:
    """The stream itself, or what it holds when its first bytes are those of gzip or zstd."""
    if raw.head.startswith(_GZIP):
        return Gzip(raw)
    if raw.head.startswith(_ZSTD) or (raw.head[1:4] == b"\x2a\x4d\x18" and raw.head[0] & 0xF0 == 0x50):
        return Zstandard(raw)
    return raw
