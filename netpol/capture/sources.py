"""Finds captures and opens them: files, folders and standard input, plain or compressed, told apart by content."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import numpy as np

from netpol.capture import pcap, pcapng
from netpol.capture.compressed import BrokenError, Prefixed, Reader, unpack
from netpol.capture.records import Window
from netpol.capture.views import PAD, Bytes
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.capture.packets import Tally
    from netpol.capture.records import Container, Source

_MADV_POPULATE_READ = 22  # Linux 5.14; not yet named by the standard library
_HEAD = 16
_EMPTY = "the file is empty"
_RECORD_AGAIN = "Give a pcap or pcapng file, plain, .gz or .zst"
_OR_A_LOG = f"{_RECORD_AGAIN}, or a flow log (netpol flows --help names those that are read) with its headings"
_LOOKS_LIKE = (
    (b"\x7fELF", "a program"),
    (b"snoop\0", "a snoop capture", "Rewrite it with `editcap -F pcapng`"),
    (b"RTSS", "a Network Monitor capture", "Rewrite it with `editcap -F pcapng`"),
    (b"GMBU", "a Network Monitor capture", "Rewrite it with `editcap -F pcapng`"),
    (b"\xfd7zXZ", "an xz archive", "Unpack it with `xz -d`"),
    (b"BZh", "a bzip2 archive", "Unpack it with `bzip2 -d`"),
    (b"\x04\x22\x4d\x18", "an lz4 archive", "Unpack it with `lz4 -d`"),
    (b"\x1f\x8b", "compressed twice", "Unpack it once with `gzip -d`"),
    (b"\x28\xb5\x2f\xfd", "compressed twice", "Unpack it once with `zstd -d`"),
    (b"PK\x03\x04", "a zip archive", "Unpack it with `unzip`"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF document"),
)


class MappedFile:
    """A plain file seen through memory mapping: payload that nobody looks at is never copied.

    Pages behind the window are given back, so that only one block counts as resident.
    """

    def __init__(self, place: str, file: BinaryIO, size: int) -> None:
        self.place = place
        self._file = file
        self._size = size
        self._map = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
        self._data = np.frombuffer(self._map, np.uint8)
        self._offset = 0
        self._dropped = 0
        self._mapped = 0
        self.consumed = 0

    def advance(self, start: int, size: int) -> Window:
        """The next window; the last one is a copy, because nothing may be fetched behind the end of the file."""
        begin = self._offset + start
        broken = ""
        if os.fstat(self._file.fileno()).st_size < self._size:  # to touch a page that is gone would end the process
            self._size = max(begin, os.fstat(self._file.fileno()).st_size)
            broken = "the file became shorter while it was read"
        self._give_back(begin)
        stop = self.consumed = min(begin + size, self._size)
        if self._size - stop >= PAD:
            self._offset = 0
            self._fault_in(begin, stop)
            return Window(data=self._data, start=begin, stop=stop, offset=0, final=False)
        tail = np.zeros(self._size - begin + PAD, np.uint8)
        tail[: self._size - begin] = self._data[begin : self._size]
        self._offset = begin
        return Window(data=tail, start=0, stop=self._size - begin, offset=begin, final=True, broken=broken)

    def _give_back(self, begin: int) -> None:
        whole_pages = begin - begin % mmap.PAGESIZE
        if whole_pages > self._dropped and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, self._dropped, whole_pages - self._dropped)
            self._dropped = whole_pages

    def _fault_in(self, begin: int, stop: int) -> None:
        """Maps the window's pages in one system call: page faults would cost more than decoding does."""
        begin = max(begin - begin % mmap.PAGESIZE, self._mapped)
        if stop > begin:
            self._mapped = stop - stop % mmap.PAGESIZE
            with contextlib.suppress(OSError):  # an older kernel faults them in one by one
                self._map.madvise(_MADV_POPULATE_READ, begin, stop - begin)

    def close(self) -> None:
        """Closes the file; the mapping goes when the last window does."""
        self._file.close()


class Stream:
    """A stream seen through one buffer that is used again and again."""

    def __init__(self, place: str, reader: Reader, file: BinaryIO | None = None) -> None:
        self.place = place
        self._reader = reader
        self._file = file
        self._data: Bytes = np.zeros(PAD, np.uint8)
        self._stop = 0
        self._offset = 0
        self._ended = False
        self._broken = ""

    @property
    def consumed(self) -> int:
        """Bytes of the file behind it that were read so far, 0 for a pipe."""
        return self._file.tell() if self._file is not None and not self._file.closed else 0

    def advance(self, start: int, size: int) -> Window:
        """Moves what is left to the front and fills the rest."""
        left = self._stop - start
        if len(self._data) != size + PAD:
            old, self._data = self._data, np.zeros(max(size, left) + PAD, np.uint8)
            self._data[:left] = old[start : self._stop]
        else:
            self._data[:left] = self._data[start : self._stop].copy()
        self._offset += start
        self._stop = left
        self._fill(max(size, left))
        return Window(
            data=self._data, start=0, stop=self._stop, offset=self._offset, final=self._ended, broken=self._broken
        )

    def _fill(self, size: int) -> None:
        view = self._data.data
        try:
            while self._stop < size and not self._ended:
                count = self._reader.readinto(view[self._stop : size]) or 0
                self._stop += count
                self._ended = not count
        except BrokenError as error:
            self._ended, self._broken = True, str(error)
        except OSError as error:
            raise _unreadable(self.place, error) from error

    def close(self) -> None:
        """Closes the stream."""
        self._reader.close()


@dataclass(frozen=True, slots=True)
class Input:
    """A place that captures can be read from.

    Attributes:
        place: What it is called in messages.
        path: The file, or None for standard input.
        named: It was named by the caller, not found in a folder.
        opened: Its bytes, where they had to be looked at already and can be read once only.
    """

    place: str
    path: Path | None
    named: bool
    opened: Source | None = None

    @property
    def again(self) -> bool:
        """It can be opened a second time."""
        return self.path is not None and self.path.is_file()

    @property
    def size(self) -> int | None:
        """Bytes of the file, None where that is not known: of a pipe."""
        return self.path.stat().st_size if self.again and self.path is not None else None

    def open(self) -> Source:
        """The (uncompressed) bytes.

        Raises:
            InputError: The file cannot be opened.
        """
        if self.opened is not None:
            return self.opened
        if self.path is None:
            if sys.stdin.isatty():
                raise InputError("standard input is a terminal", remedy="Pipe a capture into netpol, or name a file")
            return Stream(self.place, unpack(Prefixed(cast("Reader", sys.stdin.buffer), _HEAD)))
        try:
            file = self.path.open("rb", buffering=0)
            size = os.fstat(file.fileno()).st_size
            raw = Prefixed(cast("Reader", file), _HEAD)
            reader = unpack(raw)
            if reader is raw and size and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return MappedFile(self.place, cast("BinaryIO", file), size)
        except OSError as error:
            raise _unreadable(self.place, error) from error
        return Stream(self.place, reader, cast("BinaryIO", file) if self.again else None)


def find_inputs(paths: Sequence[Path | Literal["-"]]) -> list[Input]:
    """All files that `paths` name: folders are searched to the bottom, a file that is named twice is read once.

    Raises:
        InputError: A path does not exist or cannot be read, or a folder holds no file.
    """
    found: dict[tuple[int, int] | str, Input] = {}
    for each in paths:
        path = Path(each)
        if str(path) == "-":
            found.setdefault("-", Input("standard input", None, named=True))
            continue
        try:
            if path.is_dir():
                files = list(_files_below(path))
                if not files:
                    raise InputError("the folder holds no files", where=(str(path),), remedy=_RECORD_AGAIN)
                for file in files:
                    found.setdefault(_identity(file), Input(str(file), file, named=False))
            else:
                found[_identity(path)] = Input(str(path), path, named=True)
        except OSError as error:
            raise _unreadable(str(path), error) from error
    return list(found.values())


def is_capture(head: bytes) -> bool:
    """Whether a file that is not compressed begins as a capture does."""
    return head[:4] in pcap.MAGICS or head[:4] == pcapng.MAGIC


def container_of(source: Source, tally: Tally) -> Container:
    """The capture format of the bytes.

    Raises:
        InputError: They are no capture; says what they look like.
    """
    window = source.advance(0, 1 << 16)
    head = window.data[: min(window.stop, _HEAD)].tobytes()
    if head[:4] in pcap.MAGICS:
        return pcap.Pcap(tally)
    if head[:4] == pcapng.MAGIC:
        return pcapng.Pcapng(tally)
    place = (source.place,)
    if window.broken:
        raise InputError(window.broken, where=place, remedy=_RECORD_AGAIN)
    if not head:
        raise InputError(_EMPTY, where=place, remedy=_RECORD_AGAIN)
    for magic, kind, *remedy in _LOOKS_LIKE:
        if head.startswith(magic):
            raise InputError(f"not a capture, but {kind}", where=place, remedy=remedy[0] if remedy else _RECORD_AGAIN)
    text = window.data[: window.stop].tobytes()[:512]
    kind = ", but text" if all(byte >= 32 or byte in b"\t\r\n" for byte in text) else ""
    raise InputError(f"not a capture{kind}", where=place, remedy=_OR_A_LOG if kind else _RECORD_AGAIN)


def _files_below(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(folder, onerror=fail):
        folders.sort()
        for name in sorted(files):
            file = Path(here, name)
            # Behind a dot stands what a program keeps for itself, or what it has not finished yet.
            if not name.startswith(".") and file.is_file():
                yield file


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _unreadable(place: str, error: OSError) -> InputError:
    remedy = {
        errno.ENOENT: "Check the path",
        errno.EACCES: "Make it readable for this user",
        errno.EMFILE: "Allow more open files with `ulimit -n`, or merge the captures first with `mergecap`",
    }.get(error.errno or 0, "")
    return InputError(
        f"cannot be read: {os.strerror(error.errno) if error.errno else error}", where=(place,), remedy=remedy
    )
