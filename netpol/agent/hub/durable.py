"""Files that are there whole or not at all, and still there after the power failed."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PART: Final = ".part"
"""Suffix of what is being written; it stands behind a dot, and nobody reads it."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_WORDS: Final = ("disk is full", os.strerror(errno.ENOSPC))
"""What SQLite and duckdb say of it."""


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file under another name, brings it to the disk, and gives it its name.

    The name is durable once `sync_folder` was called: one call does for many files.

    Raises:
        OSError: It could not be written; then nothing is left of it.
    """
    temporary = path.with_name(f".{path.name}{PART}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) or 0 :]
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Brings the names in a folder to the disk.

    Raises:
        OSError: That failed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_parts(folder: Path) -> int:
    """Removes what was being written when the last process ended; how many there were."""
    count = 0
    for path in folder.glob(f".*{PART}"):
        path.unlink(missing_ok=True)
        count += 1
    return count


def free_bytes(folder: Path) -> int:
    """Bytes that the disk of the folder has left."""
    return shutil.disk_usage(folder).free


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or somebody's share of it, is full."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(words in str(error) for words in _FULL_WORDS)
