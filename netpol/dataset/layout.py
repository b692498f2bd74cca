"""Where the files of a dataset lie, what they are called, and what they say about themselves."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

FORMAT: Final = "netpol-dataset"
VERSION: Final = 1
MARK: Final = "dataset.json"
WINDOWS, CONNECTIONS, NAMES, FLOWS, CARRY = "windows", "connections", "names", "flows", "carry"
TABLES: Final = (WINDOWS, CONNECTIONS, NAMES, FLOWS, CARRY)
KEY: Final = "netpol"
"""Of the key-value metadata in the footer of each file."""

MINUTE: Final = 60 * 1_000_000_000
HOUR: Final = 60 * MINUTE
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR: Final = re.compile(r"hour=([01][0-9]|2[0-3])")
_DATE: Final = re.compile(r"date=([0-9]{4})-([0-9]{2})-([0-9]{2})")
_FILE: Final = re.compile(r"([0-9a-f]{32})\.parquet")
_MOST_MARK: Final = 1 << 16
_NEWER: Final = "Read it with that version of netpol, or a newer one"


class NewerError(InputError):
    """A newer version of netpol wrote it: what is in it cannot be told, so that nothing of it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a file of the `windows` table says about all files of the same name.

    Attributes:
        rollup: Whether its windows are rolled up in `flows`, rather than kept as recorded in `connections`.
        replaces: Names of files, without suffix, that are not to be read beside it.
        behind: Of a rollup: the rollups of the hour before, whose connections go on in it; None: of one that stands by
            itself.
    """

    rollup: bool = False
    replaces: frozenset[str] = field(default_factory=frozenset)
    behind: frozenset[str] | None = None

    def text(self) -> str:
        """As JSON."""
        said: dict[str, Any] = {"format": FORMAT, "version": VERSION, "rollup": self.rollup}
        said["replaces"] = sorted(self.replaces)
        said["behind"] = None if self.behind is None else sorted(self.behind)
        return json.dumps(said)


def read_note(text: bytes | None, place: str) -> Note:
    """What the metadata of a file says.

    Raises:
        InputError: It says nothing, or that a newer version wrote it.
    """
    if text is None:
        raise InputError("not written by netpol: its footer does not say of which format it is", where=(place,))
    try:
        said: Any = json.loads(text)
        _check(said, place)
        behind = said.get("behind")
        return Note(
            rollup=said["rollup"] is True,
            replaces=frozenset(map(str, said["replaces"])),
            behind=None if behind is None else frozenset(map(str, behind)),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("its footer does not say what it replaces", where=(place,)) from error


def read_mark(folder: Path) -> bool:
    """Whether the folder is a dataset.

    Raises:
        InputError: It is one of a newer version.
    """
    place = folder / MARK
    try:
        with place.open("rb") as file:
            said = json.loads(file.read(_MOST_MARK))
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return False
    _check(said, str(place))
    return True


def mark() -> str:
    """The content of `dataset.json`."""
    return json.dumps({"format": FORMAT, "version": VERSION}) + "\n"


def write_mark(folder: Path, synced: Callable[[Path], None]) -> None:
    """Makes an empty dataset of a folder.

    Raises:
        OSError: It cannot be written.
    """
    unfinished = folder / f".{MARK}.{os.getpid()}.tmp"
    unfinished.write_text(mark(), encoding="utf-8")
    synced(unfinished)
    unfinished.replace(folder / MARK)
    synced(folder)


def _check(said: dict[str, Any], place: str) -> None:
    version = said["version"]
    if said["format"] != FORMAT or not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError("not a dataset of netpol", where=(place,))
    if version > VERSION:
        raise NewerError(
            f"a dataset of version {version}; this netpol reads up to version {VERSION}", where=(place,), remedy=_NEWER
        )


def hour_of(time: int) -> int:
    """Hours since the Unix epoch of nanoseconds since then."""
    return time // HOUR


def partition(hour: int) -> str:
    """The folder of an hour, below that of its table."""
    time = _EPOCH + timedelta(hours=hour)
    return f"date={time:%Y-%m-%d}/hour={time:%H}"


def identifier(parts: Iterable[str]) -> str:
    """A file's name from what is in it: whoever writes the same again writes the same file again."""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:32]


def hours(root: Path, table: str) -> list[int]:
    """The hours of which a table has a folder, in order."""
    found = []
    for date in _names(root / table):
        day = _DATE.fullmatch(date)
        if day is None:
            continue
        try:
            midnight = datetime(int(day[1]), int(day[2]), int(day[3]), tzinfo=UTC)
        except ValueError:
            continue
        since = int((midnight - _EPOCH).total_seconds()) // 3600
        found += [since + int(hour[1]) for name in _names(root / table / date) if (hour := _HOUR.fullmatch(name))]
    return sorted(found)


def files(root: Path, table: str, hour: int) -> list[str]:
    """Names, without suffix, of a table's files of an hour, sorted.

    A folder that others write to is listed until it looks the same twice: one listing may miss a file that is just
    being deleted, and the one that takes its place too.
    """
    folder = root / table / partition(hour)
    before: list[str] | None = None
    for _ in range(100):
        found = sorted(match[1] for name in _names(folder) if (match := _FILE.fullmatch(name)))
        if found == before:
            break
        before = found
    return before or []


def path(root: Path, table: str, hour: int, name: str) -> Path:
    """Where a file lies."""
    return root / table / partition(hour) / f"{name}.parquet"


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, of folders with many thousands of them
    except (FileNotFoundError, NotADirectoryError):
        return []
