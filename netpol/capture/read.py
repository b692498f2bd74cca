"""The entry of the capture stage: several captures as one sequence of packets in time order."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netpol.capture.decode import Item, decode
from netpol.capture.fragments import FragmentTable
from netpol.capture.packets import Limits, PacketBatch, Tally, Unreachables
from netpol.capture.sources import Input, container_of, find_inputs
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from netpol.capture.name_evidence import NameSink
    from netpol.capture.records import BlockSize, Source
    from netpol.capture.views import Ints

_NO_TIME, _END_OF_TIME = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def read_packets(
    paths: Sequence[Path | Literal["-"]],
    tally: Tally,
    limits: Limits | None = None,
    *,
    names: NameSink | None = None,
) -> Iterator[PacketBatch | Unreachables]:
    """Decodes captures: files, folders and `-` for standard input.

    pcap and pcapng, plain or in gzip or zstd, are told apart by content; folders are searched to the bottom. One
    capture's packets come in its own order. Several captures are merged by time, exactly: by the latest time that
    each has reached, then by the order of their first times and names, so the order of `paths` does not matter.
    Captures are opened when their first packet is due.

    Args:
        paths: Where the captures are. A file that is named twice, or is also in a folder that is named, is read once.
        tally: Counts what was read; complete when the iterator is exhausted.
        limits: How much is held in memory at once.
        names: Takes what the packets say about names (DNS answers, TLS, QUIC, HTTP); complete when the iterator is
            exhausted. Without it no packet is looked at for names.

    Yields:
        Batches of packets, and of what ICMP errors quote; none is empty.

    Raises:
        InputError: A path cannot be read, is no capture, or has no usable start. A capture that is cut off or damaged
            further on is used up to that place, and noted in `tally.damaged`.
    """
    yield from read_inputs(find_inputs(paths), tally, limits, names=names)


def read_inputs(
    inputs: Sequence[Input],
    tally: Tally,
    limits: Limits | None = None,
    *,
    names: NameSink | None = None,
    required: bool = True,
) -> Iterator[PacketBatch | Unreachables]:
    """The same for inputs that were found already.

    Args:
        inputs: What `find_inputs` found.
        tally: As above.
        limits: As above.
        names: As above.
        required: One of them at least has to be a capture.
    """
    limits = limits or Limits()
    streams = _first_seen(_captures(inputs, tally, required=required), limits)
    sizes = [stream.where.size for stream in streams]
    tally.size = None if None in sizes else sum(size or 0 for size in sizes)
    if len(streams) == 1:
        for _, items in streams[0].batches(tally, lambda: limits.block, limits, names):
            yield from (item.batch for item in items)
        return
    yield from _merge(streams, tally, limits, names)


def _captures(inputs: Sequence[Input], tally: Tally, *, required: bool) -> list[_Stream]:
    """The inputs that are captures; files in folders that are none are passed over."""
    streams = []
    for each in inputs:
        source = each.open()
        try:
            container_of(source, Tally())
        except InputError:
            source.close()
            if each.named:
                raise
            tally.pass_over(each.place)
            continue
        keep = len(inputs) == 1 or not each.again
        if not keep:
            source.close()
        streams.append(_Stream(each, source if keep else None))
    if not streams and required:
        where = tuple(dict.fromkeys(str(each.path.parent) for each in inputs if each.path))[:1]
        raise InputError(
            "none of the files is a capture", where=where, remedy="Give pcap or pcapng files, plain, .gz or .zst"
        )
    return streams


class _Stream:
    """One capture."""

    def __init__(self, where: Input, source: Source | None) -> None:
        self.where = where
        self._source = source
        self.first_time = _NO_TIME

    def batches(
        self, tally: Tally, block: BlockSize, limits: Limits, names: NameSink | None = None
    ) -> Iterator[tuple[Ints, list[Item]]]:
        """Reads the capture from its start: the times of the records of a part, and what they decode to."""
        source = self._source or self.where.open()
        self._source = None
        fragments = FragmentTable(limits.fragment_table, tally)
        reader = None
        if names is not None:
            from netpol.capture.name_reader import NameReader  # noqa: PLC0415 - most commands do not ask for names

            reader = NameReader(names)
        try:
            tally.captures += 1
            before = 0
            for found in container_of(source, tally).records(source, block):
                tally.consumed, before = tally.consumed + source.consumed - before, source.consumed
                for begin in range(0, len(found), limits.rows):
                    records = found.rows(begin, begin + limits.rows) if len(found) > limits.rows else found
                    yield records.time, decode(records, fragments, tally, reader)
            tally.consumed += source.consumed - before
            if reader is not None:
                reader.finish()
        finally:
            source.close()


def _first_seen(streams: list[_Stream], limits: Limits) -> list[_Stream]:
    """The captures in the order of their first times, then names; one that cannot be opened twice comes first."""
    if len(streams) > 1:
        for stream in streams:
            if stream.where.again:
                for times, _ in stream.batches(Tally(), lambda: limits.smallest_block, limits):
                    stream.first_time = int(times[0])
                    break
    return sorted(streams, key=lambda stream: (stream.first_time, stream.where.place))


class _Open:
    """A capture that is being merged: what was read of it and not given yet."""

    def __init__(self, index: int, batches: Iterator[tuple[Ints, list[Item]]]) -> None:
        self.index = index
        self.latest = _NO_TIME
        self.ended = False
        self._batches = batches
        self._held: list[Item] = []

    @property
    def empty(self) -> bool:
        """Nothing is left of it."""
        return self.ended and not self._held

    def read_on(self) -> int:
        """Reads the next block; returns the packets in it.

        `Item.rows` become merge keys: the latest time that the capture had reached by then.
        """
        for times, items in self._batches:
            keys = np.maximum(np.maximum.accumulate(times), self.latest)
            self._held += [Item(item.batch, keys[item.rows]) for item in items]
            self.latest = int(keys[-1])
            return len(keys)
        self.ended = True
        return 0

    def take(self, until: int, *, inclusive: bool) -> list[Item]:
        """Removes what comes before the merge key `until`, or at it."""
        taken, kept = [], []
        for item in self._held:
            cut = int(np.searchsorted(item.rows, until, side="right" if inclusive else "left"))
            if cut == len(item.rows):
                taken.append(item)
                continue
            if cut:
                taken.append(_slice(item, slice(0, cut)))
            kept.append(_slice(item, slice(cut, None)) if cut else item)
        self._held = kept
        return taken


def _merge(
    streams: Sequence[_Stream], tally: Tally, limits: Limits, names: NameSink | None
) -> Iterator[PacketBatch | Unreachables]:
    """Always reads on where the least time was reached, and now and then emits up to there.

    What the others hold beyond that place is from one block each, because they were read on only when they were behind.
    At the same merge key the earlier capture goes first, so only captures up to the one that is behind may give what
    they have at its key.
    """
    waiting = list(reversed(list(enumerate(streams))))
    running: list[_Open] = []
    fresh = 0

    def block() -> int:
        return max(limits.smallest_block, min(limits.block, limits.open_blocks // max(1, len(running))))

    while waiting or running:
        behind = min(
            (each for each in running if not each.ended), key=lambda each: (each.latest, each.index), default=None
        )
        if waiting and (behind is None or waiting[-1][1].first_time <= behind.latest):
            index, stream = waiting.pop()
            behind = _Open(index, stream.batches(tally, block, limits, names))
            running.append(behind)
        elif behind is None or fresh >= limits.rows:
            fresh = 0
            until, last = (behind.latest, behind.index) if behind else (_END_OF_TIME, len(streams))
            running.sort(key=lambda each: each.index)
            yield from _in_order([item for each in running for item in each.take(until, inclusive=each.index <= last)])
            running = [each for each in running if not each.empty]
            continue
        fresh += behind.read_on()


def _in_order(items: Sequence[Item]) -> Iterator[PacketBatch | Unreachables]:
    """The batches of several captures as one of each kind."""
    for kind in (PacketBatch, Unreachables):
        for family in (4, 6):
            parts = [item for item in items if isinstance(item.batch, kind) and item.batch.family == family]
            if len(parts) == 1:
                yield parts[0].batch
            elif parts:
                order = np.argsort(np.concatenate([part.rows for part in parts]), kind="stable")
                yield _columns(
                    parts[0].batch,
                    lambda name, parts=parts, order=order: np.concatenate(  # type: ignore[misc]
                        [getattr(part.batch, name) for part in parts]
                    )[order],
                )


def _slice(item: Item, part: slice) -> Item:
    return Item(_columns(item.batch, lambda name: getattr(item.batch, name)[part]), item.rows[part])


def _columns(like: PacketBatch | Unreachables, column: Callable[[str], Any]) -> PacketBatch | Unreachables:
    """A batch of the same kind and family with other columns."""
    columns = {each.name: column(each.name) for each in fields(like) if each.name != "family"}
    return type(like)(family=like.family, **columns)
