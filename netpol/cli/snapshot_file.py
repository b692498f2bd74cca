"""Writes a snapshot: a whole one or none, for its owner's eyes, and never over something else."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def require_writable(path: Path) -> None:
    """Looks at what is at the path, before the cluster is asked for what could not be written.

    Raises:
        UsageError: There is a folder, or a file that is no snapshot.
        InputError: It cannot be looked at, or its folder is not there.
    """
    from netpol.cluster.snapshot import START

    try:
        with suppress(FileNotFoundError):
            path.stat()  # says of a name that none can have what the questions below do not
        if path.is_dir():
            raise UsageError("is a folder", where=(str(path),), remedy="Name a file in it")
        if not path.parent.is_dir():
            raise InputError("the folder is not there", where=(str(path.parent),), remedy="Create it, or name another")
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(START)) != START.encode():
                    raise UsageError(
                        "would be overwritten, and is no snapshot by netpol",
                        where=(str(path),),
                        remedy="Choose another name, or move the file away",
                    )
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def write(path: Path | None, pieces: Iterable[str]) -> int:
    """Writes the pieces and returns the number of bytes.

    A new file is for its owner alone (0600): names, labels and addresses are a map of the cluster. One that is there
    keeps the rights that somebody gave it, and readers see the old one or the new one, never half of one.

    Args:
        path: None for standard output.
        pieces: ASCII.

    Raises:
        InputError: The file cannot be written.
    """
    if path is None:
        return sum(map(sys.stdout.write, pieces))
    try:
        path = path.resolve()  # what a link leads to is replaced, not the link
        if path.exists() and not path.is_file():  # a pipe, /dev/null
            with path.open("w", encoding="ascii") as stream:
                return sum(map(stream.write, pieces))
        return _replace(path, pieces)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def _replace(path: Path, pieces: Iterable[str]) -> int:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".netpol-")  # 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii", newline="\n") as file:
            size = sum(map(file.write, pieces))
        if path.exists():
            Path(name).chmod(stat.S_IMODE(path.stat().st_mode))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return size


def _unwritable(path: Path | None, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else "is not a path"
    return InputError(f"cannot be written: {reason}", where=(ascii(str(path))[1:-1],), remedy="Choose another file")
