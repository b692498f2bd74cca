"""One hub at a time writes into a folder."""

from __future__ import annotations

import fcntl
import os
import socket
from typing import TYPE_CHECKING, Final

from netpol.errors import UsageError
from netpol.model.text import shown

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = "hub.lock"


class FolderLock:
    """Held until it is released or the process ends, however it ends (flock(2)).

    Raises:
        UsageError: Another process holds it, or it cannot be had.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / _NAME
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UsageError(
                f"cannot be locked: {error.strerror}", where=(str(path),), remedy="Give a folder that can be written"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 200, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise UsageError(
                f"another hub keeps this folder: {shown(holder)}" if holder else "another hub keeps this folder",
                where=(str(folder),),
                remedy="Stop it first, or give this one a folder of its own: a volume serves one replica",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode("ascii", "replace"), 0)

    def release(self) -> None:
        """Lets another hub have it."""
        os.close(self._descriptor)
