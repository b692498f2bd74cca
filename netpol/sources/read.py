"""The entry of the stage: one flow log, line after line, to what `netpol.flows.assemble` takes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from netpol.capture.compressed import BrokenError
from netpol.capture.name_evidence import Greeting
from netpol.flows.rows import NO_PORT, ROW, Rows
from netpol.model.flow import NO_TENANCY, PORT_PROTOCOLS
from netpol.sources import conntrack, hubble, vpc, zeek
from netpol.sources.builder import AT_ONCE, Entry, records_of
from netpol.sources.kinds import Kind
from netpol.sources.lines import LONGEST_LINE, lines
from netpol.sources.name_evidence import Answer, columns_of
from netpol.sources.parsers import parser_of
from netpol.sources.tally import Passed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.compressed import Reader
    from netpol.capture.name_evidence import NameSink
    from netpol.flows.records import Records
    from netpol.sources.parsers import Said
    from netpol.sources.tally import LogTally

_REMEMBERED: Final = 1 << 16
"""Connections of conntrack's events that are held until they end."""

_UNTOLD: Final = {
    Kind.HUBBLE: hubble.UNTOLD,
    Kind.ZEEK: zeek.UNTOLD,
    Kind.ZEEK_JSON: zeek.UNTOLD,
    Kind.CONNTRACK: conntrack.UNTOLD,
    Kind.VPC: vpc.UNTOLD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A flow log that is open.

    Attributes:
        reader: Its bytes, unpacked.
        kind: What it is.
        place: What it is called in messages.
        changed: When the file was last changed, nanoseconds since the Unix epoch: for logs without times.
    """

    reader: Reader
    kind: Kind
    place: str
    changed: int


def read_log(log: Log, tally: LogTally, *, names: NameSink | None = None) -> Iterator[Records | Rows]:
    """What a log says, in its own order, some ten thousand entries at a time.

    Args:
        log: What to read.
        tally: Counts every record; complete when the iterator is exhausted.
        names: Takes what the log says about names.

    Raises:
        OSError: Reading failed. A compressed stream that is damaged is used up to there, and counted.
    """
    tally.untold[log.kind.value] = _UNTOLD[log.kind]
    said = _Said(tally, names, log.changed)
    parse = parser_of(log.kind)
    number = 0
    try:
        for number, text in lines(log.reader):
            if text is None:
                tally.damage(log.place, number, f"longer than {LONGEST_LINE >> 20} MiB")
                continue
            try:
                said.take(parse(text))
            except (ValueError, msgspec.MsgspecError, RecursionError) as error:
                tally.damage(log.place, number, _why(error))
            if said.full:
                yield from said.leave()
    except BrokenError as error:
        tally.damage(log.place, number + 1, str(error))
    yield from said.leave(everything=True)


def _why(error: Exception) -> str:
    """The reason, without what the line itself holds: that is somebody's text."""
    if isinstance(error, msgspec.ValidationError):
        return "a field of another type"
    if isinstance(error, msgspec.DecodeError):
        return "not JSON"
    if isinstance(error, UnicodeDecodeError):
        return "not text"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    return text if text.isascii() and len(text) < 100 and "'" not in text else "a value that is none"


class _Said:
    """Collects what lines say until there is enough for columns."""

    def __init__(self, tally: LogTally, names: NameSink | None, changed: int) -> None:
        self._tally = tally
        self._names = names
        self._changed = changed
        self._entries: list[Entry] = []
        self._rows: list[conntrack.Tracked] = []
        self._answers: list[Answer] = []
        self._greetings: list[Greeting] = []
        self._open: OrderedDict[object, conntrack.Tracked] = OrderedDict()

    @property
    def full(self) -> bool:
        """There is enough for columns."""
        return len(self._entries) + len(self._rows) + len(self._answers) + len(self._greetings) >= AT_ONCE

    def take(self, said: Said) -> None:
        """What one line says; nothing where it is a heading."""
        if said is None:
            return
        if isinstance(said, Passed):
            self._tally.pass_over(said)
            return
        self._tally.use()
        if isinstance(said, Entry):
            self._entries.append(said)
        elif isinstance(said, Answer):
            self._answers.append(said)
        elif isinstance(said, Greeting):
            self._greetings.append(said)
        else:
            self._follow(said)

    def _follow(self, said: conntrack.Tracked) -> None:
        """Events of one connection count once: with what the last of them knows."""
        before = self._open.pop(said.key, None)
        if before is not None and said.event == "NEW":
            self._rows.append(before)
            before = None
        if before is not None:
            said = before.followed_by(said)
        if said.event == "DESTROY":
            self._rows.append(said)
            return
        self._open[said.key] = said
        if len(self._open) > _REMEMBERED:
            self._rows.append(self._open.popitem(last=False)[1])

    def leave(self, *, everything: bool = False) -> Iterator[Records | Rows]:
        """Gives what was collected."""
        if everything:
            self._rows += self._open.values()
            self._open.clear()
        if self._entries:
            yield records_of(self._entries)
        if self._rows:
            yield _rows(self._rows, self._changed)
        if self._names is not None:
            answers = columns_of(self._answers) if self._answers else None
            if answers is not None:
                self._names.take_answers(answers)
            if self._greetings:
                self._names.take_greetings(self._greetings)
        for collected in (self._entries, self._rows, self._answers, self._greetings):
            collected.clear()


def _rows(found: list[conntrack.Tracked], changed: int) -> Rows:
    rows = np.zeros(len(found), ROW)
    for name, column in zip(
        ("family", "client_high", "client", "port", "server_high", "server"),
        zip(*((*each.client[:3], each.server.port, *each.server[1:3]) for each in found), strict=True),
        strict=True,
    ):
        rows[name] = np.array(column, rows[name].dtype)
    rows["protocol"] = [each.protocol for each in found]
    rows["port"] = [each.server.port if each.protocol in PORT_PROTOCOLS else NO_PORT for each in found]
    rows["first"] = [changed if each.first is None else each.first for each in found]
    rows["last"] = [changed if each.time is None else each.time for each in found]
    rows["outcome"] = [each.outcome for each in found]
    rows["direction"] = [each.direction for each in found]
    rows["two_way"] = [each.assured for each in found]
    rows["packets"] = [each.packets for each in found]
    rows["bytes"] = [each.bytes for each in found]
    rows["connections"] = 1
    rows["client_tenancy"] = rows["server_tenancy"] = NO_TENANCY
    return rows
