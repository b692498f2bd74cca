"""A dataset: a folder of Parquet files to which many processes may add windows, and from which anybody may read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from netpol.dataset import layout
from netpol.dataset.account import Account
from netpol.dataset.engine import Engine, GoneError
from netpol.dataset.index import Index
from netpol.dataset.layout import MARK, TABLES, WINDOWS, NewerError
from netpol.dataset.place import Folder
from netpol.dataset.plan import State
from netpol.dataset.reader import Reader
from netpol.dataset.reading import Recorded
from netpol.dataset.rollup import Rollups
from netpol.dataset.status import status_of
from netpol.dataset.upkeep import Upkeep
from netpol.dataset.window_rows import WindowRow
from netpol.dataset.writing import Writing
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from netpol.capture.packets import Tally
    from netpol.dataset.index import Hour
    from netpol.dataset.place import Place
    from netpol.dataset.rollup import Ends, Told
    from netpol.dataset.status import Status
    from netpol.dataset.upkeep import Pruned
    from netpol.dataset.window import Window
    from netpol.flows.knowledge import Knowledge
    from netpol.flows.records import Records
    from netpol.flows.rows import Rows
    from netpol.flows.table import FlowTable
    from netpol.names.part import NameTaker


def held_by(datasets: Sequence[Dataset]) -> Callable[[WindowRow], bool]:
    """Says of a window whether one of some datasets has it: of several that have it, one is read."""
    return lambda row: any(dataset.holds(row) for dataset in datasets)


class Dataset:
    """One dataset, for one thread at a time; any number of processes may have it open.

    Attributes:
        place: Where it lies.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._engine = Engine(place)
        self._index = Index(self._engine)
        self._recorded = Recorded(self._engine)
        self._writing = Writing(self._engine)
        self._rollups = Rollups(self._engine, self._recorded, self._writing)
        self._upkeep = Upkeep(place, self._index, self._writing, self._rollups)

    @classmethod
    def open(cls, where: Path | Place) -> Dataset:
        """The dataset that a folder is, or a part of a bucket.

        Raises:
            InputError: It is none, or one of a newer version.
            StoreError: The bucket cannot be asked.
        """
        place = Folder(where) if isinstance(where, Path) else where
        if not layout.read_mark(place):
            raise InputError(f"not a dataset: it has no {MARK}", where=(place.where(),))
        return cls(place)

    @classmethod
    def create(cls, where: Path | Place) -> Dataset:
        """The same; where there is none, an empty one is made.

        Raises:
            InputError: It is one of a newer version, or cannot be made.
            StoreError: The bucket cannot be asked.
        """
        place = Folder(where) if isinstance(where, Path) else where
        try:
            if not layout.read_mark(place):
                layout.write_mark(place)
        except OSError as error:
            raise InputError(f"a dataset cannot be made here: {error.strerror}", where=(place.where(),)) from error
        return cls(place)

    @property
    def root(self) -> Path:
        """Its folder; of one in a bucket, the folder of what was fetched of it."""
        return self.place.root

    def append(self, windows: Iterable[Window]) -> int:
        """Adds windows; they are on the disk when it returns.

        A window that is there already is not added again, whoever added it: two processes that add the same one at the
        same time leave two, of which readers take one.

        Returns:
            How many were added.

        Raises:
            OSError: They cannot be written. Some of them may have been; to add all again does no harm.
        """
        by_hour: dict[int, dict[str, Window]] = {}
        for window in windows:
            by_hour.setdefault(layout.hour_of(window.begin), {})[window.identity] = window
        added = 0
        for hour, found in sorted(by_hour.items()):
            there = self._index.hour(hour)
            fresh = [window for window in found.values() if not there.has(WindowRow.of(window))]
            if fresh:
                self._writing.windows(hour, fresh)
            added += len(fresh)
        return added

    def take(self, row: WindowRow, told: Told) -> bool:
        """Adds what was told of an hour that nobody recorded, added up; what is there already is not added again.

        Args:
            row: What stands for it: as for one window, which begins when the hour does.
            told: What was told.

        Returns:
            Whether it was added.

        Raises:
            OSError: It cannot be written.
        """
        hour = layout.hour_of(row.begin)
        if self._index.hour(hour).has(row):
            return False
        self._rollups.take(hour, row, told)
        return True

    def read(  # noqa: PLR0913 - bounds, and who takes what
        self,
        since: int | None = None,
        until: int | None = None,
        *,
        tally: Tally,
        account: Account | None = None,
        names: NameTaker | None = None,
        without: Callable[[WindowRow], bool] | None = None,
    ) -> Iterator[Records | Rows]:
        """What was recorded, in the order of time, for `netpol.flows.assemble`.

        Hours that are added up are read so, whole, and give rows; the others give partial connections.

        Args:
            since: Windows that begin earlier are left out; nanoseconds since the Unix epoch.
            until: The same for those that begin then or later.
            tally: Counts what was read, what is missing, and files that cannot be read; complete when the iterator is
                exhausted.
            account: Of several readings together, which tells the tally what is missing when all are over.
            names: Takes what the windows say about names.
            without: Says of a window that it is read elsewhere.

        Raises:
            InputError: A newer version of netpol wrote a file.
        """
        its = account or Account(tally)
        its.begin()
        yield from self._reader(since, until, its, names, without).items()
        if account is None:
            its.finish()

    def survey(
        self,
        since: int | None = None,
        until: int | None = None,
        *,
        account: Account,
        names: NameTaker | None = None,
        without: Callable[[WindowRow], bool] | None = None,
    ) -> None:
        """Takes account of what `read` would read, and of names, but of no connection: another reads those.

        Args:
            since: As for `read`.
            until: As for `read`.
            account: As for `read`.
            names: As for `read`.
            without: As for `read`.

        Raises:
            InputError: A newer version of netpol wrote a file.
        """
        account.begin()
        for _ in self._reader(since, until, account, names, without, records=False).items():
            pass

    def _reader(  # noqa: PLR0913 - bounds, and who takes what
        self,
        since: int | None,
        until: int | None,
        account: Account,
        names: NameTaker | None,
        without: Callable[[WindowRow], bool] | None,
        *,
        records: bool = True,
    ) -> Reader:
        return Reader(
            self.place,
            self._index,
            self._recorded,
            self._rollups,
            since=since,
            until=until,
            names=names,
            account=account,
            without=without,
            records=records,
        )

    def holds(self, row: WindowRow) -> bool:
        """Whether a window is here, in whatever form."""
        return self._index.hour(layout.hour_of(row.begin)).has(row)

    def identities(self) -> Iterator[str]:
        """Of all windows that are here as recorded, by hour."""
        for hour in self.hours():
            yield from sorted(row.identity for file in self._index.hour(hour).raw for row in file.rows)

    def status(self) -> Status:
        """What is here, by table and by observer.

        Raises:
            InputError: A newer version of netpol wrote a file.
        """
        return status_of(self._index, self._engine)

    def hours(self) -> list[int]:
        """Which hours have windows, in hours since the Unix epoch."""
        return layout.hours(self.place, WINDOWS)

    def hour(self, hour: int) -> Hour:
        """Which files an hour has, and which windows are to be read in which of them.

        Raises:
            InputError: A newer version of netpol wrote a file.
        """
        return self._index.hour(hour)

    def each_hour(self, since: int | None = None, until: int | None = None) -> Iterator[Hour]:
        """The same of all hours that have windows of a time, in order.

        Args:
            since: Only those that end later, in nanoseconds since the Unix epoch.
            until: Only those that begin earlier.

        Raises:
            InputError: A newer version of netpol wrote a file.
        """
        with layout.looked_up(self.place, WINDOWS, since=since, until=until):
            yield from self._index.each(layout.hours(self.place, WINDOWS, since, until))

    def paths(self, files: Iterable[tuple[str, int, str]]) -> list[Path]:
        """Where files can be read here, for whoever reads them in another way than `read` does.

        Those of a bucket are fetched, and stay until the process ends; their names are as in the dataset.

        Args:
            files: Of each the table, the hour since the Unix epoch, and the name without suffix.

        Raises:
            InputError: One of them is not there any more; `hour` says what has taken its place.
        """
        names = [layout.file(*file) for file in files]
        with suppress(FileNotFoundError):
            paths = self.place.local(names, keep=True)
            if not self.place.lost(names):
                return paths
        raise InputError(
            "files vanished while they were read",
            where=(self.place.where(),),
            remedy="Do not read a dataset so while another process compacts it",
        )

    def addresses(self, files: Iterable[tuple[str, int, str]]) -> list[str]:
        """What other programs that read Parquet call files: paths, or the addresses of objects in a bucket.

        Args:
            files: As for `paths`.
        """
        return [self.place.where(layout.file(*file)) for file in files]

    def roll_up(
        self,
        hour: int,
        knowledge: Knowledge | None = None,
        ends: Callable[[FlowTable], Iterator[Ends]] | None = None,
    ) -> list[int]:
        """Adds up all hours to this one that have windows which are not added up yet; returns which those were.

        What came late to an hour changes what its connections became in the hours behind it, which are added up anew
        for as long as they are there as recorded. Nothing is deleted but rollups that others replace.

        Args:
            hour: Hours since the Unix epoch.
            knowledge: What the cluster knows about addresses and ports, at all times.
            ends: Names the source and the destination of each flow of a table, in its order.

        Raises:
            InputError: A file cannot be read, or files vanish while they are; all other hours were added up.
            OSError: A rollup cannot be written.
        """
        with layout.looked_up(self.place, WINDOWS):
            return self._roll_up(hour, knowledge, ends)

    def _roll_up(
        self, hour: int, knowledge: Knowledge | None, ends: Callable[[FlowTable], Iterator[Ends]] | None
    ) -> list[int]:
        done: list[int] = []
        failed: InputError | None = None
        before: Hour | None = None
        for found in self._index.each(self.hours()):
            state = State.of(found, before)
            if state.late and (found.hour <= hour or state.rolled):
                try:
                    self._roll_up_hour(found, before, whole=state.complete, knowledge=knowledge, ends=ends)
                except NewerError:
                    raise
                except InputError as error:
                    failed = failed or error
                else:
                    done.append(found.hour)
                before = self._index.hour(found.hour)
            elif found.rollups or found.raw:
                before = found
        if failed is not None:
            raise failed
        return done

    def _roll_up_hour(
        self,
        found: Hour,
        before: Hour | None,
        *,
        whole: bool,
        knowledge: Knowledge | None,
        ends: Callable[[FlowTable], Iterator[Ends]] | None,
    ) -> None:
        try:
            name = self._rollups.make(found, before, whole=whole, knowledge=knowledge, ends=ends)
        except GoneError as error:
            where = (self.place.where(layout.folder(WINDOWS, found.hour)),)
            raise InputError(
                "files vanished while they were added up", where=where, remedy="Let one process at a time do so"
            ) from error
        self._upkeep.drop_replaced(found.hour, keep=name)

    def compact(self) -> int:
        """Puts the windows of each hour into one file, and what logs tell of it into another.

        What is left of writers that died is cleared away.

        Returns:
            How many files were put together.

        Raises:
            OSError: The result cannot be written.
        """
        self._upkeep.sweep()
        with layout.looked_up(self.place, WINDOWS):
            return sum(self._upkeep.compact(hour) for hour in self.hours())

    def take_in(self, other: Dataset) -> int:
        """Takes in all that another dataset holds, in the form in which it is there; returns how many files that were.

        Raises:
            InputError: A file vanishes, or a newer version wrote it.
            OSError: A file cannot be written.
        """
        with layout.looked_up(other.place, WINDOWS), layout.looked_up(self.place, *TABLES):
            return sum(self._upkeep.take_in(other.place, hour) for hour in other._index.each(other.hours()))

    def prune(
        self, *, now: int, max_age: int | None = None, max_raw_age: int | None = None, max_bytes: int | None = None
    ) -> Pruned:
        """Deletes what is too old or too much: what is added up as recorded first, then whole hours, the oldest first.

        Args:
            now: Nanoseconds since the Unix epoch.
            max_age: Hours that ended longer ago are deleted, in nanoseconds.
            max_raw_age: The same for windows as recorded that are added up.
            max_bytes: So much may be left.
        """
        return self._upkeep.prune(now=now, max_age=max_age, max_raw_age=max_raw_age, max_bytes=max_bytes)
