"""Where the files of a dataset lie: a folder here, or (`netpol.dataset.bucket`) a part of a bucket.

Both keep the same promises, so that nothing else has to know which it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

UNFINISHED: Final = ".tmp"
"""Of the names of files that are being written in a folder, which begin with a dot."""
_ATTEMPTS: Final = 20
_LISTINGS: Final = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a folder.

    Attributes:
        name: Without that of the folder.
        size: In bytes.
        modified: Seconds since the Unix epoch.
    """

    name: str
    size: int
    modified: float


class Place(Protocol):
    """Folders and files by their names from here, with `/` in them; for one thread at a time.

    A file appears as a whole or not at all. What is not there is like an empty folder.

    Raises:
        OSError: Any method that writes, where that cannot be done.
        StoreError: Any method, where a bucket cannot be asked.
    """

    is_local: bool
    """Whether what `local` gives was there all along."""

    @property
    def root(self) -> Path:
        """The folder in which `local` has its files; of a bucket, that of those that were fetched."""

    def where(self, name: str = "") -> str:
        """What messages call a file or folder."""

    def folders(self, folders: Sequence[str]) -> list[list[str]]:
        """The names of the folders in each of some folders, in any order."""

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder as they were at one moment, in any order."""

    def entries(self, folder: str) -> list[Entry]:
        """The same with sizes and ages."""

    def remembering(self, folders: Sequence[str]) -> AbstractContextManager[None]:
        """While it lasts, what lies at any depth below the folders need not be looked up again and again.

        What was there at its beginning is what `folders` and `names` tell, but of a folder in which something is missed
        by then.
        """

    def content(self, name: str, most: int) -> bytes | None:
        """A small file, cut off behind `most` bytes; None where there is none that can be read."""

    def local(self, names: Sequence[str], *, ends: bool = False, keep: bool = False) -> list[Path]:
        """Files that can be read here, in the order of the names.

        Args:
            names: Of files. Those of a bucket are fetched, and stay until the next call that needs their room.
            ends: Only of the ends of the files, where Parquet has its footers, the bytes are needed.
            keep: They stay until the process ends.

        Raises:
            FileNotFoundError: A file of a bucket is not there.
        """

    def expect(self, names: Sequence[str], *, ends: bool = False) -> None:
        """These will be asked for soon: begin to fetch them."""

    def lost(self, names: Iterable[str]) -> bool:
        """Whether one of the files is not there any more."""

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those files that are not there."""

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """An empty file here that, when the context ends well, is durable under its name, and otherwise gone."""

    def take(self, files: Mapping[str, Path]) -> None:
        """Copies files that lie here, the last of them when all others are there.

        Raises:
            FileNotFoundError: One of them is not there.
        """

    def delete(self, names: Sequence[str]) -> int:
        """Deletes those files that are there, the first of them before the others; returns how many bytes they had."""

    def clear(self, folder: str) -> None:
        """Deletes a folder, and that in which it lies, where they are empty."""


class Folder:
    """A folder.

    Attributes:
        root: Its path.
    """

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def where(self, name: str = "") -> str:
        """Its path."""
        return str(self.root / name)

    def folders(self, folders: Sequence[str]) -> list[list[str]]:
        """Of files, too: what they are called tells them apart."""
        return [_names(self.root / folder) for folder in folders]

    def names(self, folder: str) -> list[str]:
        """Listed until it looks the same twice.

        One listing may miss a file that is just being deleted, and the one that takes its place too.
        """
        before: list[str] | None = None
        for _ in range(_LISTINGS):
            found = sorted(_names(self.root / folder))
            if found == before:
                break
            before = found
        return before or []

    def entries(self, folder: str) -> list[Entry]:
        """Without those that vanish meanwhile."""
        found = []
        for name in _names(self.root / folder):
            with suppress(FileNotFoundError):
                status = os.stat(self.root / folder / name)  # noqa: PTH116 - many thousands of them
                found.append(Entry(name, status.st_size, status.st_mtime))
        return found

    @contextmanager
    def remembering(self, _folders: Sequence[str]) -> Iterator[None]:
        """To look it up costs next to nothing."""
        yield

    def content(self, name: str, most: int) -> bytes | None:
        """What can be read of it."""
        try:
            with (self.root / name).open("rb") as file:
                return file.read(most)
        except OSError:
            return None

    def local(self, names: Sequence[str], *, ends: bool = False, keep: bool = False) -> list[Path]:  # noqa: ARG002
        """Where they lie, whether or not they are there."""
        return [self.root / name for name in names]

    def expect(self, _names: Sequence[str], *, ends: bool = False) -> None:
        """Nothing has to be fetched."""

    def lost(self, names: Iterable[str]) -> bool:
        """Whether one is missing."""
        return bool(self.missing([*names]))

    def missing(self, names: Sequence[str]) -> list[str]:
        """Of which nothing has the path."""
        return [name for name in names if not (self.root / name).exists()]

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Beside the file that it becomes by renaming; what is there already is replaced."""
        target = self.root / name
        unfinished = _beside(target)
        try:
            yield unfinished
            unfinished.chmod(0o644)
            synced(unfinished)
            unfinished.replace(target)
            for folder in (target.parent, *target.parents[1:4]):
                synced(folder)
        finally:
            unfinished.unlink(missing_ok=True)

    def take(self, files: Mapping[str, Path]) -> None:
        """One after the other."""
        for name, path in files.items():
            with path.open("rb") as file, self.writing(name) as unfinished, unfinished.open("wb") as copy:
                shutil.copyfileobj(file, copy)

    def delete(self, names: Sequence[str]) -> int:
        """One after the other."""
        size = 0
        for name in names:
            path = self.root / name
            with suppress(FileNotFoundError):
                size += path.stat().st_size
                path.unlink()
        return size

    def clear(self, folder: str) -> None:
        """Others may have put something in it meanwhile."""
        path = self.root / folder
        for each in (path, path.parent):
            with suppress(OSError):
                each.rmdir()


def synced(path: Path) -> None:
    """Returns when the file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, of folders with many thousands of them
    except (FileNotFoundError, NotADirectoryError):
        return []


def _beside(target: Path) -> Path:
    """An empty file in the folder of another, which is made where it is not there, or is removed meanwhile."""
    for _ in range(_ATTEMPTS):
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            handle, name = tempfile.mkstemp(prefix=".", suffix=UNFINISHED, dir=target.parent)
            os.close(handle)
            return Path(name)
    raise OSError(f"{target.parent}: removed again and again")
