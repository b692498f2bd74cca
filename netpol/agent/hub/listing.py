"""Which files of a dataset belong together: those of one moment, although the keeper replaces files meanwhile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.dataset import layout
from netpol.dataset.place import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TABLES: Final = "|".join(layout.TABLES)
NAME: Final = re.compile(
    rf"(?:{_TABLES})/date=[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}/hour=[0-9]{{2}}/[0-9a-f]{{32}}\.parquet"
)
"""Of a file in a dataset, relative to its folder: no other path is ever opened for a reader, or written by one."""
_ATTEMPTS: Final = 50


@dataclass(frozen=True, slots=True)
class Listed:
    """One file.

    Attributes:
        name: As `NAME` has it.
        size: In bytes. A file never changes.
    """

    name: str
    size: int


def listing(root: Path, since: int | None = None, until: int | None = None) -> list[Listed]:
    """The files of the hours that a span of time touches.

    Args:
        root: Of the dataset.
        since: Nanoseconds since the Unix epoch.
        until: The same; exclusive.
    """
    place = Folder(root)
    found: list[Listed] = []
    for hour in layout.hours(place, layout.WINDOWS, since, until):
        found += _hour(place, hour)
    return found


def _hour(place: Folder, hour: int) -> list[Listed]:
    """The files of an hour.

    What a file of `windows` describes lies in files of other tables, which are there as long as it is. So if the
    `windows` are the same before and after the others were looked up, all of them were there at once.
    """
    names = layout.files(place, layout.WINDOWS, hour)
    for _ in range(_ATTEMPTS):
        found = [listed for name in names for table in layout.TABLES for listed in _file(place, table, hour, name)]
        again = layout.files(place, layout.WINDOWS, hour)
        if again == names:
            return found
        names = again
    return []


def _file(place: Folder, table: str, hour: int, name: str) -> Iterator[Listed]:
    file = layout.file(table, hour, name)
    try:
        yield Listed(file, (place.root / file).stat().st_size)
    except FileNotFoundError:
        return
