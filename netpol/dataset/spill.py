"""The folder for what a query cannot hold in memory: gone with its process, or, where it was killed, with the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
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

    def __init__(self, path: Path, lock: int | None) -> None:
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
            try:
                return cls(path, _locked(path))
            except (FileNotFoundError, BlockingIOError):  # another process found it without a lock, and swept it up
                continue
            except OSError:  # a file system without locks: there nobody sweeps anything up
                return cls(path, None)
        raise OSError(f"{tempfile.gettempdir()}: folders are removed again and again")

    def close(self) -> None:
        """Removes it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def sweep() -> None:
    """Removes the folders of processes of this user that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = _locked(path)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _locked(path: Path) -> int:
    """The lock on a folder of this user.

    Raises:
        BlockingIOError: Another process has it.
        FileNotFoundError: The folder went before it was locked.
        OSError: It is no folder, is somebody else's, or cannot be locked.
    """
    with ExitStack() as held:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        held.callback(os.close, descriptor)
        state = os.fstat(descriptor)
        if state.st_uid != os.geteuid():
            raise PermissionError(f"{path}: not ours")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(state, os.lstat(path)):
            raise FileNotFoundError(f"{path}: another by now")
        held.pop_all()
        return descriptor
