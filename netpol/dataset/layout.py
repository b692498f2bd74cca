"""Where the files of a dataset lie, what they are called, and what they say about themselves."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from netpol.capture.packets import NAMED_PLACES
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from netpol.dataset.place import Place

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
_MOST_RECORDS: Final = 1 << 53
_LONGEST_PLACE: Final = 1000
_NEWER: Final = "Read it with that version of netpol, or a newer one"


class NewerError(InputError):
    """A newer version of netpol wrote it: what is in it cannot be told, so that nothing of it is used."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LogNote:
    """What became of the records of flow logs of one kind.

    Attributes:
        kind: As `netpol.sources.kinds` calls it.
        read: How many there were.
        used: Of those, what was of use.
        unplaced: Of those, what tells of connections without saying who is at one end.
        broken: Of those, what cannot be read.
        places: Where some of the broken ones are, and why they are.
    """

    kind: str
    read: int
    used: int
    unplaced: int
    broken: int
    places: tuple[str, ...] = ()

    def since(self, before: LogNote) -> LogNote:
        """What has come after what was known before."""
        return LogNote(
            kind=self.kind,
            read=self.read - before.read,
            used=self.used - before.used,
            unplaced=self.unplaced - before.unplaced,
            broken=self.broken - before.broken,
            places=self.places[len(before.places) :],
        )

    @classmethod
    def of(cls, said: dict[str, Any]) -> LogNote:
        """What metadata says.

        Raises:
            KeyError: Something is missing.
            TypeError: A count is none.
            ValueError: The same.
        """
        counts = {name: said[name] for name in ("read", "used", "unplaced", "broken")}
        if not all(isinstance(count, int) and 0 <= count < _MOST_RECORDS for count in counts.values()):
            raise ValueError("a count that is none")
        places = [place[:_LONGEST_PLACE] for place in said["places"][:NAMED_PLACES]]
        return cls(kind=str(said["kind"]), **counts, places=tuple(map(str, places)))


def summed(notes: Iterable[LogNote]) -> tuple[LogNote, ...]:
    """One for each kind."""
    result: dict[str, LogNote] = {}
    for note in notes:
        one = result.get(note.kind)
        result[note.kind] = note if one is None else LogNote(
            kind=note.kind,
            read=one.read + note.read,
            used=one.used + note.used,
            unplaced=one.unplaced + note.unplaced,
            broken=one.broken + note.broken,
            places=(*one.places, *note.places)[:NAMED_PLACES],
        )  # fmt: skip
    return tuple(sorted(result.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a file of the `windows` table says about all files of the same name.

    Attributes:
        rollup: Whether its windows are rolled up in `flows`, rather than kept as recorded in `connections`.
        replaces: Names of files, without suffix, that are not to be read beside it.
        behind: Of a rollup: the rollups of the hour before, whose connections go on in it; None: of one that stands by
            itself.
        told: Of a rollup: that it was made of flow logs or tables of flows, so that there never were windows.
        logs: Of one that was told: the logs, which do not tell everything.
    """

    rollup: bool = False
    replaces: frozenset[str] = field(default_factory=frozenset)
    behind: frozenset[str] | None = None
    told: bool = False
    logs: tuple[LogNote, ...] = ()

    def text(self) -> str:
        """As JSON."""
        said: dict[str, Any] = {"format": FORMAT, "version": VERSION, "rollup": self.rollup}
        said["replaces"] = sorted(self.replaces)
        said["behind"] = None if self.behind is None else sorted(self.behind)
        if self.told:
            said["told"] = True
            said["logs"] = [asdict(each) for each in self.logs]
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
            told=said.get("told", False) is True,
            logs=tuple(LogNote.of(each) for each in said.get("logs", ())),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("its footer does not say what it replaces", where=(place,)) from error


def read_mark(place: Place) -> bool:
    """Whether the place is a dataset.

    Raises:
        InputError: It is one of a newer version.
    """
    text = place.content(MARK, _MOST_MARK)
    if text is None:
        return False
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return False
    _check(said, place.where(MARK))
    return True


def mark() -> str:
    """The content of `dataset.json`."""
    return json.dumps({"format": FORMAT, "version": VERSION}) + "\n"


def write_mark(place: Place) -> None:
    """Makes an empty dataset of a place.

    Raises:
        OSError: It cannot be written.
    """
    with place.writing(MARK) as unfinished:
        unfinished.write_text(mark(), encoding="utf-8")


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


def hours(place: Place, table: str, since: int | None = None, until: int | None = None) -> list[int]:
    """The hours of which a table has a folder, in order.

    Args:
        place: Where the dataset lies.
        table: The table.
        since: Only those that end later, in nanoseconds since the Unix epoch.
        until: Only those that begin earlier.
    """
    days = days_of(place, table, since, until)
    found = [
        midnight + int(hour[1])
        for midnight, names in zip(days.values(), place.folders([*days]), strict=True)
        for name in names
        if (hour := _HOUR.fullmatch(name))
    ]
    return sorted(hour for hour in found if _within(hour, hour + 1, since, until))


def days_of(place: Place, table: str, since: int | None = None, until: int | None = None) -> dict[str, int]:
    """The folders of the days that a table has, and with which hour each begins."""
    found = {}
    (dates,) = place.folders([table])
    for date in dates:
        day = _DATE.fullmatch(date)
        if day is None:
            continue
        try:
            midnight = datetime(int(day[1]), int(day[2]), int(day[3]), tzinfo=UTC)
        except ValueError:
            continue
        begin = int((midnight - _EPOCH).total_seconds()) // 3600
        if _within(begin, begin + 24, since, until):
            found[f"{table}/{date}"] = begin
    return found


@contextmanager
def looked_up(place: Place, *tables: str, since: int | None = None, until: int | None = None) -> Iterator[None]:
    """While it lasts, what the tables hold of a time need not be asked for hour by hour."""
    with place.remembering([day for table in tables for day in days_of(place, table, since, until)]):
        yield


def _within(begin: int, end: int, since: int | None, until: int | None) -> bool:
    return (since is None or end * HOUR > since) and (until is None or begin * HOUR < until)


def files(place: Place, table: str, hour: int) -> list[str]:
    """Names, without suffix, of a table's files of an hour, sorted."""
    names = place.names(folder(table, hour))
    return sorted(match[1] for name in names if (match := _FILE.fullmatch(name)))


def is_file(name: str) -> bool:
    """Whether files of a dataset have such names."""
    return _FILE.fullmatch(name) is not None


def folder(table: str, hour: int) -> str:
    """The name of a table's folder of an hour in its dataset."""
    return f"{table}/{partition(hour)}"


def file(table: str, hour: int, name: str) -> str:
    """The name of a file in its dataset."""
    return f"{table}/{partition(hour)}/{name}.parquet"


def path(root: Path, table: str, hour: int, name: str) -> Path:
    """Where a file lies in the folder of a dataset, or of what was fetched of one."""
    return root / file(table, hour, name)
