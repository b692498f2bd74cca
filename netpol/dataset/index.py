"""Which windows a dataset holds, and in which of its files each is to be read: no window twice, whatever lies there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from netpol.dataset import layout, window_rows
from netpol.dataset.engine import GoneError
from netpol.dataset.layout import NewerError
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.dataset.engine import Engine
    from netpol.dataset.layout import Note
    from netpol.dataset.window_rows import WindowRow

_ATTEMPTS: Final = 20
_HOURS: Final = 4
"""Hours of which what was read is remembered."""
_SOON: Final = 16
"""Hours of which files are fetched at once."""


@dataclass(slots=True, kw_only=True)
class File:
    """One file of the table `windows`, and with it those of the other tables that have its name.

    Attributes:
        name: Without suffix.
        rows: The windows in it that are to be read from it, and from no other.
        ignored: Windows in it that are to be read elsewhere.
    """

    name: str
    note: Note
    rows: list[WindowRow]
    ignored: int = 0


@dataclass(slots=True, kw_only=True)
class Hour:
    """What there is of one hour.

    Attributes:
        hour: Hours since the Unix epoch.
        raw: Files that hold windows as recorded, in the order of their names.
        rollups: Files that hold windows added up.
        told: Files that hold what flow logs tell, added up: they stand beside all others.
        outdone: Rollups that are not read because others hold more of the same windows.
        replaced: Names of files whose content is in others.
        broken: (path, what is wrong) of files that cannot be read.
    """

    hour: int
    raw: list[File] = field(default_factory=list)
    rollups: list[File] = field(default_factory=list)
    told: list[File] = field(default_factory=list)
    outdone: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    _recorded: set[tuple[str, int]] = field(default_factory=set)
    _covered: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def take_rollup(self, file: File) -> bool:
        """Takes a file of added up windows, unless one that was taken covers some of them."""
        if any(self.is_covered(row) for row in file.rows):
            return False
        for row in file.rows:
            self._covered.setdefault(row.run, []).append((row.number, row.number + row.windows))
        (self.told if file.note.told else self.rollups).append(file)
        return True

    def take_raw(self, file: File) -> None:
        """Takes a file of windows, and leaves in it those that no file before it held."""
        mine = []
        for row in file.rows:
            if (row.run, row.number) not in self._recorded:
                self._recorded.add((row.run, row.number))
                mine.append(row)
        file.ignored = len(file.rows) - len(mine)
        file.rows = mine
        self.raw.append(file)

    def is_covered(self, row: WindowRow) -> bool:
        """Whether a rollup holds the windows, or some of them."""
        return any(
            begin < row.number + row.windows and row.number < end for begin, end in self._covered.get(row.run, ())
        )

    def has(self, row: WindowRow) -> bool:
        """Whether the window is in here in whatever form."""
        return (row.run, row.number) in self._recorded or self.is_covered(row)


class Index:
    """Reads the table `windows`; remembers files that it read, for they never change."""

    def __init__(self, engine: Engine) -> None:
        self._place = engine.place
        self._engine = engine
        self._known: dict[int, dict[str, tuple[Note, list[WindowRow]]]] = {}

    def each(self, hours: Sequence[int]) -> Iterator[Hour]:
        """The same of many hours, in their order: while one is looked at, the next ones come."""
        for at, hour in enumerate(hours):
            if not self._place.is_local:
                for soon in hours[at : at + _SOON] if at == 0 else hours[at + _SOON - 1 : at + _SOON]:
                    names = layout.files(self._place, layout.WINDOWS, soon)
                    self._place.expect([layout.file(layout.WINDOWS, soon, name) for name in names])
            yield self.hour(hour)

    def hour(self, hour: int) -> Hour:
        """What there is of an hour, right now."""
        for _ in range(_ATTEMPTS):
            try:
                return self._hour(hour)
            except GoneError:
                continue
        raise InputError(
            "files vanish as fast as they are listed",
            where=(self._place.where(layout.folder(layout.WINDOWS, hour)),),
            remedy="Look for what deletes them",
        )

    def _hour(self, hour: int) -> Hour:
        names = layout.files(self._place, layout.WINDOWS, hour)
        there = set(names)
        known = {name: said for name, said in self._known.pop(hour, {}).items() if name in there}
        result = Hour(hour=hour)
        fresh = [layout.file(layout.WINDOWS, hour, name) for name in names if name not in known]
        try:
            known |= self._read(fresh)
        except NewerError:
            raise
        except InputError:
            for file in fresh:
                try:
                    known |= self._read([file])
                except NewerError:
                    raise
                except InputError as error:
                    result.broken.append((": ".join(error.where), error.what))
        self._known[hour] = known
        while len(self._known) > _HOURS:
            del self._known[next(iter(self._known))]
        replaced = {old for note, _ in known.values() for old in note.replaces}
        result.replaced = [name for name in names if name in replaced]
        _divide(result, [(name, *known[name]) for name in names if name in known and name not in replaced])
        return result

    def _read(self, files: Sequence[str]) -> dict[str, tuple[Note, list[WindowRow]]]:
        """What files say, by their names in the folder of their hour, without suffix."""
        if not files:
            return {}
        said = self._engine.notes(files, layout.KEY)
        result: dict[str, tuple[Note, list[WindowRow]]] = {
            PurePath(file).stem: (layout.read_note(said.get(file), self._place.where(file)), []) for file in files
        }
        columns = self._engine.read(f"SELECT {window_rows.SELECT}, filename FROM files", {}, files)  # noqa: S608
        try:
            for path, row in zip(columns["filename"].tolist(), window_rows.rows_of(columns), strict=True):
                result[PurePath(path).stem][1].append(row)
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"holds {error}", where=(self._place.where(files[0]),)) from error
        return result


def _divide(hour: Hour, files: Sequence[tuple[str, Note, list[WindowRow]]]) -> None:
    """Gives every window to the first file that holds it.

    Of rollups that cover the same window, that with the most windows counts, and the others not at all.
    """
    rollups = [File(name=name, note=note, rows=list(rows)) for name, note, rows in files if note.rollup]
    for file in sorted(rollups, key=lambda each: (-sum(row.windows for row in each.rows), each.name)):
        if not hour.take_rollup(file):
            hour.outdone.append(file.name)
    for name, note, rows in files:
        if not note.rollup:
            hour.take_raw(File(name=name, note=note, rows=rows))
