"""Windows that were acknowledged and are not in the dataset yet: one file each."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.agent.hub.admission import split_identity
from netpol.agent.hub.durable import remove_parts, sync_folder, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUFFIX: Final = ".window"
_PROBE: Final = 1 << 16
"""Bytes: a disk that is full takes empty files."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One file.

    Attributes:
        identity: Of the window.
        path: Where it is.
        size: Bytes.
        since: When it was written, seconds since the Unix epoch.
    """

    identity: str
    path: Path
    size: int
    since: float


class Inbox:
    """A folder; how full it is is known without looking. Usable from any thread.

    Args:
        folder: Made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        remove_parts(folder)
        self._lock = threading.Lock()
        self._sizes = {each.identity: each.size for each in self._look()}
        self._bytes = sum(self._sizes.values())

    @property
    def count(self) -> int:
        """How many windows wait."""
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Bytes of them."""
        return self._bytes

    def write(self, identity: str, data: bytes) -> None:
        """Writes one; durable after `sync`.

        Raises:
            OSError: It could not be written; then it is not there.
        """
        write_durably(self.folder / f"{identity}{SUFFIX}", data)
        with self._lock:
            self._bytes += len(data) - self._sizes.get(identity, 0)
            self._sizes[identity] = len(data)

    def try_to_write(self) -> None:
        """Writes something and removes it.

        Raises:
            OSError: That failed.
        """
        probe = self.folder / ".probe"
        write_durably(probe, bytes(_PROBE))
        probe.unlink()

    def sync(self) -> None:
        """Makes what was written durable.

        Raises:
            OSError: That failed.
        """
        sync_folder(self.folder)

    def waiting(self) -> list[Waiting]:
        """All that wait, oldest first."""
        return sorted(self._look(), key=lambda each: (each.since, each.identity))

    def remove(self, identities: Iterable[str]) -> None:
        """Removes some that are kept elsewhere by now.

        Raises:
            OSError: One could not be removed.
        """
        for identity in identities:
            (self.folder / f"{identity}{SUFFIX}").unlink(missing_ok=True)
            self._drop(identity)

    def set_aside(self, identity: str, folder: Path) -> None:
        """Moves one that cannot be read out of the way.

        Raises:
            OSError: It could not be moved.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / f"{identity}{SUFFIX}").replace(folder / f"{identity}{SUFFIX}")
        sync_folder(folder)
        self._drop(identity)

    def _drop(self, identity: str) -> None:
        with self._lock:
            self._bytes -= self._sizes.pop(identity, 0)

    def _look(self) -> list[Waiting]:
        found = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            identity = path.name.removesuffix(SUFFIX)
            if split_identity(identity) is not None:
                status = path.stat()
                found.append(Waiting(identity, path, status.st_size, status.st_mtime))
        return found
