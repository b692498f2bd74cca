"""Objects of a bucket as files here: fetched some at a time, as many as there is room for, gone with their process."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Final, TypeVar

from netpol.dataset.spill import Spill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

AT_ONCE: Final = 8
ROOM: Final = 4 << 30
"""Bytes of copies that are left where they are in case they are asked for again."""
_ENDS: Final = ".ends"
Given = TypeVar("Given")
Made = TypeVar("Made")


class Copies:
    """A folder in which copies have the names of what they are copies of.

    Args:
        fetch: Makes a copy, of the end only where it is told so, in a file of that path; returns how many bytes it
            takes up. Called in several threads at once. Raises FileNotFoundError where there is nothing to be copied.
        room: See ROOM. What one call asks for is there at the same time, however much it is.
    """

    def __init__(self, fetch: Callable[[str, Path, bool], int], room: int = ROOM) -> None:
        self._fetch = fetch
        self._room = room
        self._spill: Spill | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._held: OrderedDict[str, int] = OrderedDict()
        self._kept: set[str] = set()
        self._coming: dict[str, Future[int]] = {}

    @property
    def root(self) -> Path:
        """The folder."""
        if self._spill is None:
            self._spill = Spill.make()
            weakref.finalize(self, self._spill.close)
        return self._spill.path

    def at_once(self, work: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
        """What the work makes of each, several at a time. What fails ends all of it."""
        each = [*given]
        if len(each) < 2:
            return [work(one) for one in each]
        futures = [self._threads().submit(work, one) for one in each]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def expect(self, names: Sequence[str], *, ends: bool = False) -> None:
        """Begins to fetch what is not here yet; what fails is told to whoever asks for it."""
        for name in names:
            key = self._key(name, ends=ends)
            if key not in self._held and key not in self._coming:
                path = self.root / key
                self._coming[key] = self._threads().submit(self._made, name, path, ends)

    def paths(self, names: Sequence[str], *, ends: bool = False, keep: bool = False) -> list[Path]:
        """The copies, in the order of the names.

        Raises:
            FileNotFoundError: There is nothing to be copied.
        """
        keys = [self._key(name, ends=ends) for name in names]
        self.expect(names, ends=ends)
        self._await(keys)
        for key in keys:
            self._held.move_to_end(key)
        if keep:
            self._kept.update(keys)
        self._make_room({*keys})
        return [self.root / key for key in keys]

    def put(self, name: str, path: Path) -> None:
        """Takes a file for the copy of what it was written to."""
        self.drop(name)
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size
        path.replace(target)
        self._held[name] = size
        self._make_room({name})

    def drop(self, name: str) -> None:
        """Forgets a copy of what is not there any more."""
        for key in (name, f"{_ENDS}/{name}"):
            self._coming.pop(key, None)
            self._kept.discard(key)
            if self._held.pop(key, None) is not None:
                (self.root / key).unlink(missing_ok=True)

    def _await(self, keys: Iterable[str]) -> None:
        try:
            for key in keys:
                if key in self._coming:
                    self._held[key] = self._coming[key].result()
                    del self._coming[key]
        except BaseException:
            # What has not begun does not begin: with Ctrl-C, the exit waits for the threads.
            for key, future in [*self._coming.items()]:
                if future.cancel() or (future.done() and future.exception() is not None):
                    del self._coming[key]
            raise

    def _key(self, name: str, *, ends: bool) -> str:
        return f"{_ENDS}/{name}" if ends and name not in self._held else name

    def _made(self, name: str, path: Path, ends: bool) -> int:  # noqa: FBT001 - as `fetch` is told
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{get_ident()}.part")
        try:
            size = self._fetch(name, unfinished, ends)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return size

    def _make_room(self, needed: set[str]) -> None:
        total = sum(self._held.values())
        for key in [*self._held]:
            if total <= self._room:
                break
            if key not in needed and key not in self._kept:
                total -= self._held.pop(key)
                with suppress(FileNotFoundError):
                    (self.root / key).unlink()

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="netpol-bucket")
        return self._pool
