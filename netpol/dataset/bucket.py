"""A part of a bucket as the place of a dataset: objects appear as a whole, never change, and are read from copies."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netpol.dataset.address import address, is_address
from netpol.dataset.cloud import UNKNOWN, store_of, told
from netpol.dataset.copies import Copies
from netpol.dataset.place import Entry, Folder
from netpol.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from obstore import ObjectMeta
    from obstore.store import GCSStore, S3Store

    from netpol.dataset.address import Address
    from netpol.dataset.place import Place

_LISTINGS: Final = 100
_CHUNK: Final = 8 << 20
"""Bytes of one request: each has its own time limit."""
_END: Final = 1 << 16
_MOST_FOOTER: Final = 64 << 20
_FOOTER: Final = 8
"""Bytes behind the footer of a Parquet file: its length, and the word PAR1."""
_SPARE: Final = 64 << 20
"""Bytes that copies leave of the disk that they are on."""
_ATTEMPTS: Final = 5
_LARGER_DISK: Final = "Ask for less, as with --since, or let TMPDIR name a larger disk"


def place_of(text: str) -> Place:
    """What an argument names: a part of a bucket (`s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`), or else a folder.

    Raises:
        UsageError: It names no bucket that can be asked.
        StoreError: There are no credentials.
    """
    return Bucket(address(text)) if is_address(text) else Folder(Path(text))


@dataclass(slots=True)
class _Listing:
    """What lies in a folder."""

    folders: set[str] = field(default_factory=set)
    files: set[Entry] = field(default_factory=set)


class Bucket:
    """What lies in a bucket, as `netpol.dataset.place.Place` has it.

    Stores list strongly consistent (Amazon S3 since 2020, Google Cloud Storage), but a page at a time: a listing
    counts when it is the same twice.

    Args:
        address: Which part of which bucket.
        environment: Says with what to ask.

    Raises:
        UsageError: The client is not installed, or what the environment says does not fit together.
        StoreError: There are no credentials.
    """

    is_local = False

    def __init__(self, address: Address, environment: Mapping[str, str] = os.environ) -> None:
        self._address = address
        self._store = store_of(address, environment)
        self._copies = Copies(partial(_fetch, self._store, address))
        self._known: dict[str, _Listing] = {}

    @property
    def root(self) -> Path:
        """The folder of what was fetched."""
        return self._copies.root

    def where(self, name: str = "") -> str:
        """The address of an object."""
        return f"{self._address}/{name}" if name else str(self._address)

    def folders(self, folders: Sequence[str]) -> list[list[str]]:
        """Several at a time."""
        return [sorted(found.folders) for found in self._copies.at_once(self._listing, folders)]

    def names(self, folder: str) -> list[str]:
        """Of objects whose names have no further `/`."""
        return [each.name for each in self._listing(folder).files]

    def entries(self, folder: str) -> list[Entry]:
        """The same."""
        return [*self._listing(folder).files]

    @contextmanager
    def remembering(self, folders: Sequence[str]) -> Iterator[None]:
        """Two requests a thousand objects, rather than two a folder."""
        for found in self._copies.at_once(self._tree, folders):
            self._known |= found
        try:
            yield
        finally:
            self._known.clear()

    def content(self, name: str, most: int) -> bytes | None:
        """None also where nothing lies in the part of the bucket."""
        try:
            with told(self._address):
                return bytes(self._store.get(name, options={"range": (0, most)}).bytes())
        except FileNotFoundError:
            self._once("")  # some stores say so of a bucket that is not there, too
            return None
        except StoreError as error:
            if _is_empty(self._store, self._address, name, error):
                return b""
            raise

    def local(self, names: Sequence[str], *, ends: bool = False, keep: bool = False) -> list[Path]:
        """Fetched, where they are not here yet."""
        try:
            return self._copies.paths(names, ends=ends, keep=keep)
        except FileNotFoundError:
            for name in names:
                self._forget(name)
            raise

    def expect(self, names: Sequence[str], *, ends: bool = False) -> None:
        """Several at a time, while something else is done."""
        self._copies.expect(names, ends=ends)

    def lost(self, _names: Iterable[str]) -> bool:
        """What was fetched is whole: whatever is wrong with it, is."""
        return False

    def missing(self, names: Sequence[str]) -> list[str]:
        """One request each, several at a time, where it is not remembered."""
        return [name for name, there in zip(names, self._copies.at_once(self._has, names), strict=True) if not there]

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A file here, which is sent as one object: at once, or in parts that are one only when all are there."""
        handle, path = tempfile.mkstemp(prefix=".", dir=self._copies.root)
        os.close(handle)
        unfinished = Path(path)
        try:
            yield unfinished
            self._send(name, unfinished)
            self._copies.put(name, unfinished)
            self._forget(name)
        finally:
            unfinished.unlink(missing_ok=True)

    def take(self, files: Mapping[str, Path]) -> None:
        """Several at a time, but for the last."""
        *first, last = files.items()
        for some in (first, [last]):
            self._copies.at_once(lambda file: self._send(*file), some)
        for name in files:
            self._copies.drop(name)
            self._forget(name)

    def delete(self, names: Sequence[str]) -> int:
        """The first by itself, then all others at once."""
        sizes = self._copies.at_once(self._size, names)
        there = [name for name, size in zip(names, sizes, strict=True) if size is not None]
        for some in (there[:1], there[1:]):
            self._copies.at_once(self._remove, some)
        for name in names:
            self._copies.drop(name)
            self._forget(name)
        return sum(size for size in sizes if size is not None)

    def clear(self, folder: str) -> None:
        """There are no folders, but names that begin alike."""

    def _send(self, name: str, path: Path) -> None:
        with told(self._address):
            self._store.put(name, path, chunk_size=_CHUNK, max_concurrency=2)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError), told(self._address):
            self._store.delete(name)

    def _has(self, name: str) -> bool:
        folder, _, last = name.rpartition("/")
        if folder in self._known:
            return any(each.name == last for each in self._known[folder].files)
        return self._size(name) is not None

    def _size(self, name: str) -> int | None:
        try:
            with told(self._address):
                return self._store.head(name)["size"]
        except FileNotFoundError:
            return None

    def _forget(self, name: str) -> None:
        """What is known of the hour of a file, in whichever table."""
        hour = name.partition("/")[2].rpartition("/")[0]
        for folder in [each for each in self._known if each.partition("/")[2] == hour]:
            del self._known[folder]

    def _listing(self, folder: str) -> _Listing:
        if folder in self._known:
            return self._known[folder]
        before = self._once(folder)
        for _ in range(_LISTINGS):
            found = self._once(folder)
            if found == before:
                break
            before = found
        return before

    def _once(self, folder: str) -> _Listing:
        with told(self._address):
            found = self._store.list_with_delimiter(folder)
        return _Listing({*map(_last, found["common_prefixes"])}, {*map(_entry, found["objects"])})

    def _tree(self, folder: str) -> dict[str, _Listing]:
        """The folders at any depth in which two listings found the same."""
        one, other = self._branches(folder), self._branches(folder)
        return {name: found for name, found in one.items() if other.get(name) == found}

    def _branches(self, folder: str) -> dict[str, _Listing]:
        found = {folder: _Listing()}
        with told(self._address):
            for objects in self._store.list(folder, chunk_size=1000):
                for each in objects:
                    here = each["path"].rpartition("/")[0]
                    found.setdefault(here, _Listing()).files.add(_entry(each))
                    while len(here) > len(folder):
                        outer, _, name = here.rpartition("/")
                        found.setdefault(outer, _Listing()).folders.add(name)
                        here = outer
        return found


def _entry(found: ObjectMeta) -> Entry:
    return Entry(_last(found["path"]), found["size"], found["last_modified"].timestamp())


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _fetch(store: S3Store | GCSStore, address: Address, name: str, path: Path, ends: bool) -> int:  # noqa: FBT001
    """Copies an object into a file, or its end into a file as long, which takes up no more than the end does."""
    from obstore.exceptions import PreconditionError  # noqa: PLC0415 - an extra

    with path.open("wb") as file:
        for attempt in range(_ATTEMPTS):
            file.seek(0)
            file.truncate()
            try:
                with told(address):
                    return (_end if ends else _whole)(store, name, file, partial(_check_room, address, path))
            except StoreError as error:
                if _is_empty(store, address, name, error):
                    return 0
                # Somebody wrote it again in between: what is read is to be of one writing.
                if not isinstance(error.__cause__, PreconditionError) or attempt + 1 == _ATTEMPTS:
                    raise
            except OSError as error:
                if error.errno is None:
                    raise
                where = (str(address), str(path.parent))
                raise StoreError(f"cannot be kept here: {error.strerror}", where=where, remedy=_LARGER_DISK) from error
    raise AssertionError


def _whole(store: Any, name: str, file: Any, check_room: Any) -> int:
    first = store.get(name, options={"range": (0, _CHUNK)})
    size: int = first.meta["size"]
    check_room(size)
    file.write(first.bytes())
    for begin in range(_CHUNK, size, _CHUNK):
        options = {"range": (begin, min(size, begin + _CHUNK)), "if_match": first.meta["e_tag"]}
        file.write(store.get(name, options=options).bytes())
    return size


def _end(store: Any, name: str, file: Any, _check_room: Any) -> int:
    found = store.get(name, options={"range": {"suffix": _END}})
    size, tail = found.meta["size"], bytes(found.bytes())
    needed = int.from_bytes(tail[-_FOOTER : -_FOOTER // 2], "little") + _FOOTER
    if len(tail) < needed <= min(size, _MOST_FOOTER):
        options = {"range": (size - needed, size - len(tail)), "if_match": found.meta["e_tag"]}
        tail = bytes(store.get(name, options=options).bytes()) + tail
    file.truncate(size)
    file.seek(size - len(tail))
    file.write(tail)
    return len(tail)


def _check_room(address: Address, path: Path, size: int) -> None:
    room = shutil.disk_usage(path.parent).free - _SPARE
    if size > room:
        raise StoreError(
            f"{size:,} bytes to be fetched, and room for {max(0, room):,}",
            where=(str(address), str(path.parent)),
            remedy=_LARGER_DISK,
        )


def _is_empty(store: S3Store | GCSStore, address: Address, name: str, error: StoreError) -> bool:
    """Whether it came of an object without bytes: of nothing no range can be asked, which stores say in many ways."""
    if error.what.startswith(UNKNOWN):
        with suppress(StoreError, FileNotFoundError), told(address):
            return store.head(name)["size"] == 0
    return False
