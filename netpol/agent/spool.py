"""Windows in a bounded folder: each is there whole and durable, or not at all.

The folder's allowance holds whatever happens: the oldest windows give way. What was given up is counted, in a state
file until a later window tells it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from netpol.agent.hub.durable import remove_parts, sync_folder, write_durably
from netpol.dataset.window_codec import read_window, write_window
from netpol.errors import InputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from netpol.dataset.window import Window

SUFFIX: Final = ".window"
REFUSED: Final = ".refused"
"""Of windows that the hub will never take: kept while there is room, for whoever wants to know why."""
_STATE: Final = ".state.json"


class State(msgspec.Struct):
    """What has to outlive the process.

    Attributes:
        recording: A window is open; if the next run finds this, that window was lost.
        windows: Windows given up that no window has told of yet.
        records: Partial connections in them.
        started: When recording for a limited time began, nanoseconds since the Unix epoch.
    """

    recording: bool = False
    windows: int = 0
    records: int = 0
    started: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A window in the folder.

    Attributes:
        identity: Its batch id.
        path: Its file.
        size: Bytes.
        age: When it was written, nanoseconds: for the order.
    """

    identity: str
    path: Path
    size: int
    age: int


@dataclass(slots=True)
class Spool:
    """The folder. Its methods may be called from several threads.

    Attributes:
        folder: Where.
        allowance: Bytes of all windows together, at most.
        state: What outlives the process.
    """

    folder: Path
    allowance: int
    state: State = field(default_factory=State)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, folder: Path, allowance: int) -> Spool:
        """The folder as it is, made if it is not there, without what was never finished.

        Raises:
            InputError: It cannot be used.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_parts(folder)
            spool = cls(folder, allowance)
            for path in folder.iterdir():
                if path.suffix in {SUFFIX, REFUSED}:
                    status = path.stat()
                    kept = Kept(identity=path.stem, path=path, size=status.st_size, age=status.st_mtime_ns)
                    spool._kept[path.name] = kept
            spool._read_state()
            spool.keep_state()
        except OSError as error:
            raise _unusable(folder, error) from error
        return spool

    def _read_state(self) -> None:
        path = self.folder / _STATE
        try:
            self.state = msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            return
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # Whoever wrote it was cut off on a disk that lies about flushing; a window may be missing.
            self.state = State(recording=True)
        if self.state.recording:
            self.state.windows += 1
            self.state.recording = False

    def keep_state(self) -> bool:
        """Writes the state down, where the disk lets it."""
        with self._lock:
            try:
                self._write(_STATE, msgspec.json.encode(self.state))
            except OSError:
                return False
        return True

    def losses(self) -> tuple[int, int]:
        """Windows given up that no window in the folder tells of, and the partial connections in them."""
        with self._lock:
            return self.state.windows, self.state.records

    def add(self, window: Window) -> str:
        """Keeps a window; older ones give way if there is no room for it.

        What the window tells of losses is told once it is durable: a power cut in between tells it twice.

        Returns:
            Why the window could not be kept, empty if it was.
        """
        data = write_window(window)
        name = window.identity + SUFFIX
        losses = window.losses
        try:
            with self._lock:
                self._make_room(len(data))
                path = self._write(name, data)
                status = path.stat()
                self._kept[name] = Kept(
                    identity=window.identity, path=path, size=status.st_size, age=status.st_mtime_ns
                )
                self.state.windows -= losses.windows
                self.state.records -= losses.records
        except OSError as error:
            with self._lock:
                self.state.windows += 1
                self.state.records += len(window.records)
            self.keep_state()
            return error.strerror or str(error)
        self.keep_state()
        return ""

    def oldest(self) -> Kept | None:
        """The window that waits for the hub longest."""
        with self._lock:
            waiting = [each for each in self._kept.values() if each.path.suffix == SUFFIX]
            return min(waiting, key=lambda each: (each.age, each.identity), default=None)

    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            return sum(each.path.suffix == SUFFIX for each in self._kept.values())

    def delete(self, kept: Kept) -> None:
        """The hub has it."""
        with self._lock:
            self._kept.pop(kept.path.name, None)
            kept.path.unlink(missing_ok=True)

    def set_aside(self, kept: Kept) -> None:
        """The hub will never take it: a lost window, but not deleted before its turn comes."""
        with self._lock:
            if self._kept.pop(kept.path.name, None) is None:
                return
            self._count_lost(kept)
            aside = kept.path.with_suffix(REFUSED)
            with contextlib.suppress(OSError):
                kept.path.rename(aside)
                self._kept[aside.name] = Kept(identity=kept.identity, path=aside, size=kept.size, age=kept.age)
        self.keep_state()

    def _make_room(self, size: int) -> None:
        if size > self.allowance:
            raise OSError(0, "larger than all that the folder may hold")
        while sum(each.size for each in self._kept.values()) + size > self.allowance:
            self._give_up(min(self._kept.values(), key=lambda each: (each.age, each.identity)))

    def _give_up(self, kept: Kept) -> None:
        if kept.path.suffix == SUFFIX:
            self._count_lost(kept)
        del self._kept[kept.path.name]
        kept.path.unlink(missing_ok=True)

    def _count_lost(self, kept: Kept) -> None:
        self.state.windows += 1
        with contextlib.suppress(InputError, OSError):
            window = read_window(kept.path.read_bytes(), str(kept.path))
            # What it told of others' loss is untold again.
            self.state.windows += window.losses.windows
            self.state.records += len(window.records) + window.losses.records

    def _write(self, name: str, data: bytes) -> Path:
        """Makes the file appear whole.

        Raises:
            OSError: There is no room, or the disk is broken; nothing is left behind.
        """
        path = self.folder / name
        write_durably(path, data)
        sync_folder(self.folder)
        return path


def hold(folder: Path) -> int:
    """Makes the folder, and keeps other agents out until the process ends, however it ends (flock(2)).

    Returns:
        The descriptor that keeps them out; not inherited.

    Raises:
        InputError: It cannot be made.
        UsageError: Another agent is in.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise UsageError(
            "another agent keeps its windows in this folder",
            where=(str(folder),),
            remedy="Stop it first, or give this one a folder of its own as --spool",
        ) from None
    return descriptor


def _unusable(folder: Path, error: OSError) -> InputError:
    remedy = "Give a folder that may be written to as --spool"
    return InputError(f"cannot keep windows: {error.strerror}", where=(str(folder),), remedy=remedy)
