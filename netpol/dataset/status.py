"""What a dataset holds: files, rows and bytes of each table, hours, and what each observer recorded and lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.dataset import layout
from netpol.dataset.account import gaps
from netpol.dataset.engine import GoneError
from netpol.dataset.layout import TABLES, WINDOWS
from netpol.dataset.plan import states_of
from netpol.errors import InputError

if TYPE_CHECKING:
    from netpol.dataset.engine import Engine
    from netpol.dataset.index import Hour, Index
    from netpol.dataset.window_rows import WindowRow


@dataclass(slots=True)
class Table:
    """One table.

    Attributes:
        rows: As the footers of its files say; None where one cannot be read.
    """

    files: int = 0
    rows: int | None = 0
    bytes: int = 0


@dataclass(slots=True)
class Observer:
    """What one observer recorded.

    Attributes:
        windows: Windows.
        packets: Packets that it read for them.
        records: Partial connections in them.
        first: When the first window began, nanoseconds since the Unix epoch.
        last: When the last one ended.
        missing: Windows between others that are not here.
        given_up: Windows that it gave up itself, which may be among the missing.
        kernel: Packets for which the kernel had no room.
        evicted: Partial connections for which it had none.
        undecodable: Packets that could not be decoded.
        versions: Of netpol.
    """

    windows: int = 0
    packets: int = 0
    records: int = 0
    first: int = 1 << 63
    last: int = 0
    missing: int = 0
    given_up: int = 0
    kernel: int = 0
    evicted: int = 0
    undecodable: int = 0
    versions: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Status:
    """A dataset at one moment.

    Attributes:
        tables: By name.
        observers: By name.
        hours: That have windows, in hours since the Unix epoch.
        rolled_up: Those that are added up, all of their windows.
        recorded: Those that are there as recorded, all of their windows.
        replaced: Files that others replace, and nobody deleted yet.
        broken: (path, what is wrong) of files that cannot be read.
    """

    version: int = layout.VERSION
    tables: dict[str, Table] = field(default_factory=lambda: {name: Table() for name in TABLES})
    observers: dict[str, Observer] = field(default_factory=dict)
    hours: list[int] = field(default_factory=list)
    rolled_up: int = 0
    recorded: int = 0
    replaced: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)


def status_of(index: Index, engine: Engine) -> Status:
    """What the dataset holds.

    Raises:
        InputError: A newer version wrote a file.
    """
    with layout.looked_up(engine.place, *TABLES):
        return _status(index, engine)


def _status(index: Index, engine: Engine) -> Status:
    place = engine.place
    result = Status(hours=layout.hours(place, WINDOWS))
    runs: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for state, hour in states_of(index.each(result.hours)):
        result.rolled_up += (state.rolled or bool(hour.told)) and not state.late
        result.recorded += state.complete and bool(hour.raw)
        result.replaced += len(hour.replaced) + len(hour.outdone)
        result.broken += hour.broken
        for row in _windows(hour):
            _take(result.observers.setdefault(row.observer, Observer()), row)
            runs.setdefault((row.observer, row.run), []).append((row.number, row.number + row.windows))
    for (name, _), spans in runs.items():
        result.observers[name].missing += gaps(spans)
    for name in TABLES:
        for hour_number in layout.hours(place, name):
            _count(result, name, hour_number, engine)
    return result


def _windows(hour: Hour) -> list[WindowRow]:
    """Each window of an hour once."""
    rows = [row for file in (*hour.rollups, *hour.told) for row in file.rows]
    return rows + [row for file in hour.raw for row in file.rows if not hour.is_covered(row)]


def _take(observer: Observer, row: WindowRow) -> None:
    losses = row.losses
    observer.windows += row.windows
    observer.packets += row.packets
    observer.records += row.records
    observer.first, observer.last = min(observer.first, row.begin), max(observer.last, row.end)
    observer.given_up += losses.windows
    observer.kernel += losses.kernel
    observer.evicted += losses.evicted
    observer.undecodable += sum(losses.undecodable.values())
    observer.versions.add(row.version)


def _count(status: Status, name: str, hour: int, engine: Engine) -> None:
    table, folder = status.tables[name], layout.folder(name, hour)
    sizes = {f"{folder}/{each.name}": each.size for each in engine.place.entries(folder)}
    files = [layout.file(name, hour, file) for file in layout.files(engine.place, name, hour)]
    engine.place.expect(files, ends=True)
    for file in files:
        try:
            found = engine.rows(file)
        except GoneError:
            continue
        except InputError as error:
            found = None
            if (engine.place.where(file), error.what) not in status.broken and name != WINDOWS:
                status.broken.append((engine.place.where(file), error.what))
        table.files += 1
        table.bytes += sizes.get(file, 0)
        table.rows = None if found is None or table.rows is None else table.rows + found
