"""The folder for what a query cannot hold in memory: gone with its process, or, where it was killed, with the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

_PREFIX: Final = "netpol-dataset-"
_ATTEMPTS: Final = 20


class Spill:
    """An empty folder that nobody else can look into.

    Its process holds a lock on it (flock(2)), which the system lifts however the process ends: of a folder without one,
    nobody is left who would remove it.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls) -> Self:
        """In the system's folder for temporary files, from which first goes what killed processes left.

        Raises:
            OSError: No folder can be made.
        """
        sweep()
        for _ in range(_ATTEMPTS):
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = _locked(path)
            if lock is not None:
                return cls(path, lock)
        raise OSError(f"{tempfile.gettempdir()}: folders are removed again and again")

    def close(self) -> None:
        """Removes it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep() -> None:
    """Removes the folders of processes of this user that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = _locked(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _locked(path: Path) -> int | None:
    """The lock on a folder of ours, None where somebody has it, or the folder went before it was locked."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            state = os.fstat(descriptor)
            if state.st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(state, os.lstat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None
