"""Whatever a command is given to read: packets, windows, datasets and flows, told apart by content, as one sequence."""

from __future__ import annotations

import heapq
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from netpol.capture.packets import NAMED_PLACES, PacketBatch, Unreachables, chosen_packets
from netpol.capture.read import read_inputs
from netpol.capture.sources import find_inputs, is_capture
from netpol.dataset.account import NO_FLOWS, Account
from netpol.dataset.engine import Engine, GoneError
from netpol.dataset.flow_rows import read_flows
from netpol.dataset.folder import Dataset, held_by
from netpol.dataset.layout import MARK, NewerError, read_mark
from netpol.dataset.place import Folder
from netpol.dataset.window_codec import MAGIC, MOST_BYTES, read_window
from netpol.dataset.window_rows import WindowRow
from netpol.errors import InputError
from netpol.sources.inputs import log_kind, opened
from netpol.sources.read import read_log
from netpol.sources.tally import LogTally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.capture.name_evidence import NameSink
    from netpol.capture.packets import Tally
    from netpol.capture.records import Source
    from netpol.capture.sources import Input
    from netpol.dataset.place import Place
    from netpol.dataset.window import Window
    from netpol.flows.assemble import Item
    from netpol.flows.records import Records
    from netpol.flows.rows import Rows
    from netpol.names.part import NameTaker
    from netpol.sources.kinds import Kind
    from netpol.sources.people import People

_PARQUET: Final = b"PAR1"
_HEAD: Final = 16
INBOX: Final = "inbox"
"""Folder in a dataset in which a hub keeps windows that it has taken, until they are in the tables."""
_COPIED_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the time, in nanoseconds since the Unix epoch; None: without a bound.

    Attributes:
        since: The first that belongs to it.
        until: The first behind it.
    """

    since: int | None = None
    until: int | None = None

    def has(self, time: int) -> bool:
        """Whether a time belongs to it."""
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)


@dataclass(slots=True)
class _Kinds:
    """The inputs by what they are."""

    packets: list[Input] = field(default_factory=list)
    windows: list[Input] = field(default_factory=list)
    tables: list[Input] = field(default_factory=list)
    logs: list[tuple[Input, Kind]] = field(default_factory=list)
    datasets: list[Path | Place] = field(default_factory=list)


def read_captures(
    paths: Sequence[Path | Literal["-"] | Place],
    tally: Tally,
    *,
    names: NameTaker | None = None,
    span: Span | None = None,
    people: People | None = None,
) -> Iterator[Item]:
    """Everything that the paths hold, nearly in the order of time, for `netpol.flows.assemble`.

    Besides what `netpol.capture.read` reads, these may be windows (`*.window`, as agents spool them), datasets
    (folders with a `dataset.json`), Parquet files of flows, as `netpol flows -o parquet` writes them, and the flow logs
    that `netpol.sources` reads.
    Windows that are there more than once are read once.

    Args:
        paths: Files, folders, `-` for standard input, and places of datasets.
        tally: Counts what was read; complete when the iterator is exhausted.
        names: Takes what is said about names; complete when the iterator is exhausted.
        span: Windows that begin outside are left out, hours that are added up and lie outside, and packets and flows
            outside. What is said of names is taken from all packets and logs.
        people: Knows pods by their names, for flow logs that have no addresses.

    Raises:
        InputError: A path cannot be read, or holds nothing that can be used.
    """
    span = span or Span()
    kinds = kinds_of(paths)
    others = bool(kinds.windows or kinds.tables or kinds.datasets or kinds.logs)
    streams: list[Iterator[Item]] = []
    if kinds.packets or not others:
        streams.append(_within(read_inputs(kinds.packets, tally, names=names, required=not others), span))
    account = Account(tally)
    datasets = [Dataset.open(root) for root in kinds.datasets]
    for at, dataset in enumerate(datasets):
        streams.append(
            dataset.read(
                span.since,
                span.until,
                tally=tally,
                account=account,
                names=names,
                without=held_by(datasets[:at]),
            )
        )
    if kinds.windows:
        streams.append(_windows(kinds.windows, datasets, account, names, span))
    streams += [_within(read_flow_table(each, tally), span) for each in kinds.tables]
    streams += [_within(read_flow_log(each, kind, tally, names, people), span) for each, kind in kinds.logs]
    if len(streams) == 1:
        yield from streams[0]
    else:
        for item in heapq.merge(*streams, key=_begin):
            tally.size = None  # it is known of packets alone
            yield item
    account.finish()


def _within(items: Iterator[Item], span: Span) -> Iterator[Item]:
    """What of packets and flows lies in a part of the time."""
    if span == Span():
        yield from items
        return
    since = np.iinfo(np.int64).min if span.since is None else span.since
    until = np.iinfo(np.int64).max if span.until is None else span.until
    for item in items:
        if isinstance(item, np.ndarray):
            chosen: Item = item.compress((item["last"] >= since) & (item["first"] < until))
        else:
            chosen = chosen_packets(item, (item.time >= since) & (item.time < until))
        if len(chosen):
            yield chosen


def _begin(item: Item) -> int:
    if isinstance(item, PacketBatch | Unreachables):
        return int(item.time[0])
    return int(item["first"].min())


def kinds_of(paths: Sequence[Path | Literal["-"] | Place]) -> _Kinds:
    """What each path holds.

    Raises:
        InputError: A path cannot be read.
    """
    kinds = sorted_by_kind(find_inputs([each for each in paths if isinstance(each, Path | str)]))
    kinds.datasets += [each for each in paths if not isinstance(each, Path | str)]
    return kinds


def sorted_by_kind(inputs: Iterable[Input]) -> _Kinds:
    """Tells what each is by its first bytes; what lies in a dataset belongs to it."""
    kinds = _Kinds()
    rest = []
    roots: set[Path] = set()
    for each in inputs:
        if each.path is not None and each.path.name == MARK and read_mark(Folder(each.path.parent)):
            roots.add(each.path.parent)
            kinds.datasets.append(each.path.parent)
        else:
            rest.append(each)
    for each in rest:
        if each.path is not None and not roots.isdisjoint(each.path.parents):
            # What the hub has taken and not moved into the tables yet counts as well.
            if each.path.parent.name == INBOX and _head_of(each.path).startswith(MAGIC):
                kinds.windows.append(each)
            continue
        each, head = _looked_at(each)  # noqa: PLW2901 - the same, opened
        if head.startswith(MAGIC):
            kinds.windows.append(each)
        elif head.startswith(_PARQUET):
            kinds.tables.append(each)
        elif not is_capture(head) and (kind := log_kind(each)) is not None:
            kinds.logs.append((each, kind))
        else:
            kinds.packets.append(each)
    return kinds


def _looked_at(each: Input) -> tuple[Input, bytes]:
    if each.path is None or not each.again:  # a pipe: what was read of it cannot be read again
        source = each.open()
        return replace(each, opened=source), _first_bytes(source)
    return each, _head_of(each.path)


def _head_of(path: Path) -> bytes:
    """Its first bytes; none where it cannot be read, which whoever opens it will say."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(_HEAD)
    return b""


def _first_bytes(source: Source) -> bytes:
    window = source.advance(0, 1 << 16)
    return window.data[: min(window.stop, _HEAD)].tobytes()


def _bytes(each: Input, most: int) -> bytes:
    """The content, cut off behind `most` bytes."""
    if each.opened is not None:
        window = each.opened.advance(0, most)
        return window.data[: min(window.stop, most)].tobytes()
    try:
        assert each.path is not None  # noqa: S101 - only standard input has none, and it is opened
        with each.path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=(each.place,)) from error


def read_window_of(each: Input) -> Window:
    """The window that an input holds.

    Raises:
        InputError: It holds none.
    """
    return read_window(_bytes(each, MOST_BYTES + 1), each.place)


def _windows(
    inputs: Sequence[Input], datasets: Sequence[Dataset], account: Account, names: NameTaker | None, span: Span
) -> Iterator[Item]:
    """Window files in the order of time: each is read twice, so that one is in memory at a time."""
    account.begin()
    elsewhere = held_by(datasets)
    found: dict[str, tuple[WindowRow, Input]] = {}
    for row, each in _heads(inputs, account):
        if span.has(row.begin) and not elsewhere(row):
            found.setdefault(row.identity, (row, each))
    for row, each in sorted(found.values(), key=lambda one: (one[0].begin, one[0].observer, one[0].run, one[0].number)):
        try:
            window = read_window_of(each)
        except InputError as error:
            if _moved(each):
                account.vanished(1)
            else:
                account.broken([(each.place, error.what)])
            continue
        account.window(row)
        if names is not None:
            names.take_part(window.names)
        if len(window.records):
            yield window.records


def _heads(inputs: Sequence[Input], account: Account) -> Iterator[tuple[WindowRow, Input]]:
    for each in inputs:
        try:
            yield WindowRow.of(read_window_of(each)), each
        except NewerError:
            raise
        except InputError as error:
            if len(inputs) == 1 and each.named:
                raise
            if not _moved(each):
                account.broken([(each.place, error.what)])


def _moved(each: Input) -> bool:
    """Whether a hub has moved it into the tables meanwhile."""
    return each.path is not None and each.path.parent.name == INBOX and not each.path.exists()


def read_flow_table(each: Input, tally: Tally) -> Iterator[Rows]:
    """The rows of a Parquet file, as `netpol flows -o parquet` writes them.

    Raises:
        InputError: It cannot be read, and was named.
    """
    tally.size = None
    tally.captures += 1
    with tempfile.NamedTemporaryFile(prefix="netpol-", suffix=".parquet") as copy:
        path = each.path
        if each.opened is not None or path is None:
            _copy(each.open(), Path(copy.name))
            path = Path(copy.name)
        try:
            for rows, wrong in read_flows(Engine(Folder(path.parent)), path.name):
                packets = int(rows["packets"].sum())
                tally.packets += packets + wrong
                tally.decoded += packets
                tally.drop(NO_FLOWS, wrong)
                if len(rows):
                    yield rows
        except GoneError as error:
            raise InputError("cannot be read: it is not there any more", where=(each.place,)) from error
        except InputError as error:
            if each.named:
                raise
            tally.damage(str(error), malformed=True)


def read_flow_log(
    each: Input, kind: Kind, tally: Tally, names: NameSink | None, people: People | None
) -> Iterator[Records | Rows]:
    """What a flow log says; the tally is complete when the iterator is exhausted.

    Raises:
        OSError: Reading failed.
    """
    tally.size = None
    tally.captures += 1
    records = LogTally()
    with opened(each, kind) as log:
        for item in read_log(log, records, names=names, people=people):
            packets = int(item["packets"].sum())
            tally.packets += packets
            tally.decoded += packets
            yield item
    for reasons in (records.passed_over, records.damaged):
        for reason, count in reasons.items():
            tally.packets += count
            tally.drop(reason, count)
    tally.lost += records.lost
    tally.log_records += records.records
    tally.log_records_used += records.used
    tally.log_records_unplaced += records.unplaced
    tally.broken.extend(records.places[: NAMED_PLACES - len(tally.broken)])
    tally.broken_records += sum(records.damaged.values())
    tally.untold.update(records.untold)


def _copy(source: Source, target: Path) -> None:
    """Standard input as a file: Parquet is read from its end."""
    with target.open("wb") as file:
        start = 0
        while True:
            window = source.advance(start, _COPIED_AT_ONCE)
            file.write(window.data[window.start : window.stop].tobytes())
            if window.final:
                return
            start = window.stop
