"""The history of a cluster in one file: who was there when, with which addresses and labels, over days.

One process writes it, `netpol.cluster.watch` inside the hub; every other may read it while that goes on. What it keeps
is bounded: only states that netpol reads, what has ended for a limited time, and a limited number of those.
"""

from __future__ import annotations

import fcntl
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from netpol.cluster.documents import HISTORY_FILE
from netpol.cluster.history_read import extent_of, history_documents, history_text, reading
from netpol.cluster.history_store import open_writable, translate
from netpol.cluster.history_write import Writer
from netpol.cluster.manifests import inventory_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netpol.model.inventory import Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What a history keeps.

    Attributes:
        seconds: For how long what has ended is kept.
        states: How many states are kept, about a kilobyte each; those that hold are kept in any case.
    """

    seconds: float = 14 * 86_400
    states: int = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySize:
    """How much a history holds.

    Attributes:
        objects: By resource, those that exist.
        states: Rows, of the past too.
        dropped: Past states dropped because there were too many, ever.
        gaps: How often changes of pods may have been missed.
        began: From when on it shows what existed: nanoseconds since the epoch.
        ends: When it last heard of the cluster.
        bytes: Of its files.
    """

    objects: dict[str, int]
    states: int
    dropped: int
    gaps: int
    began: int
    ends: int
    bytes: int


class History:
    """The history in a folder.

    Attributes:
        path: Its file, `cluster.sqlite`.
        writer: Who may change it; None where it was opened to be read.
    """

    def __init__(
        self, path: Path, writer: Writer | None = None, lock: IO[bytes] | None = None, keep: Keep | None = None
    ) -> None:
        self.path = path
        self.writer = writer
        self._lock = lock
        self._keep = keep if keep is not None else Keep()

    @classmethod
    def open(cls, folder: Path, keep: Keep | None = None, *, clock: Callable[[], int] = time.time_ns) -> Self:
        """Opens the history in a folder to write it, or makes one; `close` it in the end.

        Raises:
            InputError: The folder cannot be used, or another process writes there.
        """
        path = folder / HISTORY_FILE
        with translate(path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (folder / "cluster.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, Writer(open_writable(folder, clock()), clock), lock, keep)
        except BlockingIOError:
            lock.close()
            raise InputError(
                "another process writes this history", where=(str(path),), remedy="Stop it, or use another folder"
            ) from None
        except BaseException:
            lock.close()
            raise

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The history in a folder, to be read only."""
        return cls(folder / HISTORY_FILE)

    def close(self) -> None:
        """Lets go of the file."""
        if self.writer is not None:
            self.writer.close()
        if self._lock is not None:
            self._lock.close()

    def inventory(self, since: int | None = None, until: int | None = None) -> Inventory:
        """The cluster as it was over a range of time.

        Args:
            since: Only what existed at this time or later: nanoseconds since the epoch.
            until: Only what existed at this time or earlier.

        Raises:
            InputError: The file cannot be read.
        """
        return inventory_of(history_documents(self.path, since, until))

    def text(self, since: int | None = None, until: int | None = None) -> Iterator[str]:
        """The lines of one file, ASCII, that `--cluster` reads like the history itself.

        Raises:
            InputError: The file cannot be read.
        """
        return history_text(self.path, since, until)

    def export(self, stream: IO[str], since: int | None = None, until: int | None = None) -> None:
        """Writes these lines to a stream.

        Raises:
            InputError: The file cannot be read.
        """
        stream.writelines(self.text(since, until))

    def present(self, resource: str) -> list[str]:
        """The names of the objects of a kind that exist now, in order.

        Raises:
            InputError: The file cannot be read.
        """
        with reading(self.path) as connection:
            rows = connection.execute(
                "SELECT DISTINCT name FROM state WHERE kind = ? AND until IS NULL ORDER BY name", (resource,)
            )
            return [str(name) for (name,) in rows]

    def prune(self, now: int | None = None) -> int:
        """Forgets what it need not keep any more; returns how many states were too many.

        Args:
            now: Nanoseconds since the epoch, by default the clock's.

        Raises:
            InputError: The file cannot be written.
        """
        if self.writer is None:
            return 0
        with translate(self.path):
            return self.writer.prune(
                (time.time_ns() if now is None else now) - int(self._keep.seconds * 1e9), self._keep.states
            )

    def size(self) -> HistorySize:
        """How much there is.

        Raises:
            InputError: The file cannot be read.
        """
        with reading(self.path) as connection:
            extent = extent_of(connection)
            objects = dict(
                connection.execute(
                    "SELECT kind, count(DISTINCT uid) FROM state WHERE until IS NULL GROUP BY kind ORDER BY kind"
                )
            )
            states = connection.execute("SELECT count(*) FROM state").fetchone()[0]
            dropped = connection.execute("SELECT dropped FROM past").fetchone()[0]
        files = (self.path.with_name(self.path.name + tail) for tail in ("", "-wal"))
        return HistorySize(
            objects=objects,
            states=states,
            dropped=dropped,
            gaps=extent.gaps,
            began=extent.began,
            ends=extent.ends,
            bytes=sum(file.stat().st_size for file in files if file.exists()),
        )
