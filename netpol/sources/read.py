"""The entry of the stage: one flow log, line after line, to what `netpol.flows.assemble` takes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

import msgspec

from netpol.capture.compressed import BrokenError
from netpol.capture.name_evidence import Greeting
from netpol.sources import calico, conntrack, hubble, inspektor, verdicts, vpc, zeek
from netpol.sources.builder import AT_ONCE, Entry, Whole, records_of, rows_of
from netpol.sources.kinds import Kind, kind_of
from netpol.sources.lines import LONGEST_LINE, lines
from netpol.sources.name_evidence import Answer, columns_of
from netpol.sources.objects import objects
from netpol.sources.parsers import parser_of
from netpol.sources.people import placed
from netpol.sources.tally import Passed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.capture.compressed import Reader
    from netpol.capture.name_evidence import NameSink
    from netpol.flows.records import Records
    from netpol.flows.rows import Rows
    from netpol.sources.parsers import Said
    from netpol.sources.people import People
    from netpol.sources.tally import LogTally

_REMEMBERED: Final = 1 << 16
"""Connections that are held until they end, or because more may be said of them."""

_MOST: Final = 1 << 58
"""Bytes or packets of one log: 288 petabytes."""

_NO_NAMES: Final = "DNS answers in flow logs whose names no message can hold"

UNTOLD: Final = {
    Kind.HUBBLE: hubble.UNTOLD,
    Kind.ZEEK: zeek.UNTOLD,
    Kind.ZEEK_JSON: zeek.UNTOLD,
    Kind.CONNTRACK: conntrack.UNTOLD,
    Kind.VPC: vpc.UNTOLD,
    Kind.VPC_CNI: verdicts.UNTOLD,
    Kind.GKE: verdicts.UNTOLD,
    Kind.CALICO: calico.UNTOLD,
    Kind.INSPEKTOR: inspektor.UNTOLD,
}
"""What each kind of log does not tell."""


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


def read_log(
    log: Log, tally: LogTally, *, names: NameSink | None = None, people: People | None = None
) -> Iterator[Records | Rows]:
    """What a log says, in its own order, some ten thousand entries at a time.

    Args:
        log: What to read.
        tally: Counts every record; complete when the iterator is exhausted.
        names: Takes what the log says about names.
        people: Knows pods by their names, for logs without addresses.

    Raises:
        OSError: Reading failed. A compressed stream that is damaged is used up to there, and counted.
    """
    tally.untold[log.kind.value] = UNTOLD[log.kind]
    said = _Said(tally, names, people, log.changed)
    parse = parser_of(log.kind)
    number = 0
    try:
        found_lines = lines(log.reader)
        for number, text in objects(found_lines) if log.kind.is_json else found_lines:
            if text is None:
                tally.damage(log.place, number, f"longer than {LONGEST_LINE >> 20} MiB")
                continue
            try:
                found = parse(text)
                wrong = ""
            except (ValueError, ArithmeticError, msgspec.MsgspecError, RecursionError) as error:
                found, wrong = None, _why(error)
            if wrong or (isinstance(found, Passed) and found.foreign):
                wrong = _of_another(text, log.kind) or wrong
            if not wrong and not said.has_room_for(found):
                wrong = "counts that add up to more than can be"
            if wrong:
                tally.damage(log.place, number, wrong)
            else:
                said.take(found)
            if said.full:
                yield from said.leave()
    except BrokenError as error:
        tally.damage(log.place, number + 1, str(error))
    yield from said.leave(everything=True)


def _of_another(text: bytes, kind: Kind) -> str:
    """Says so where a line that tells nothing is one of another log: two were written to one file."""
    other = kind_of(text + b"\n")
    return "" if other is None or other is kind else f"a record of another log ({other.value})"


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

    def __init__(self, tally: LogTally, names: NameSink | None, people: People | None, changed: int) -> None:
        self._tally = tally
        self._names = names
        self._people = people
        self._changed = changed
        self._counted = 0
        self._entries: list[Entry] = []
        self._rows: list[Whole] = []
        self._answers: list[Answer] = []
        self._greetings: list[Greeting] = []
        self._events: OrderedDict[object, conntrack.Tracked] = OrderedDict()
        self._keyed: OrderedDict[object, dict[str, Whole]] = OrderedDict()

    @property
    def full(self) -> bool:
        """There is enough for columns."""
        return len(self._entries) + len(self._rows) + len(self._answers) + len(self._greetings) >= AT_ONCE

    def has_room_for(self, said: Said) -> bool:
        """The sums of the table stay within 64 bits, however many logs there are."""
        told = said.whole if isinstance(said, calico.Told) else said
        counted = self._counted
        if isinstance(told, Entry | conntrack.Tracked):
            counted += max(told.packets, told.bytes)
        elif isinstance(told, Whole):
            counted += max(told.packets, told.bytes, told.connections)
        if counted > _MOST:
            return False
        self._counted = counted
        return True

    def take(self, said: Said) -> None:
        """What one line says; nothing where it is a heading."""
        if said is None:
            return
        if isinstance(said, calico.Told):
            said = placed(said, self._people)
        if isinstance(said, Passed):
            self._tally.pass_over(said)
            return
        self._tally.use()
        for each in said if isinstance(said, tuple) else (said,):
            self._keep(each)

    def _keep(self, said: Entry | Whole | conntrack.Tracked | Answer | Greeting) -> None:
        if isinstance(said, Entry):
            self._entries.append(said)
        elif isinstance(said, Answer):
            self._answers.append(said)
        elif isinstance(said, Greeting):
            self._greetings.append(said)
        elif isinstance(said, Whole):
            self._join(said)
        else:
            self._follow(said)

    def _follow(self, said: conntrack.Tracked) -> None:
        """Events of one connection count once: with what the last of them knows."""
        before = self._events.pop(said.key, None)
        if before is not None and said.event == "NEW":
            self._rows.append(before.whole)
            before = None
        if before is not None:
            said = before.followed_by(said)
        if said.event == "DESTROY":
            self._rows.append(said.whole)
            return
        self._events[said.key] = said
        if len(self._events) > _REMEMBERED:
            self._rows.append(self._events.popitem(last=False)[1].whole)

    def _join(self, said: Whole) -> None:
        """Entries about the same connections count once."""
        if said.key is None:
            self._rows.append(said)
            return
        told = self._keyed.pop(said.key, {})
        before = told.get(said.teller)
        told[said.teller] = said if before is None else before.and_(said)
        self._keyed[said.key] = told
        if len(self._keyed) > _REMEMBERED:
            self._rows.append(_together(self._keyed.popitem(last=False)[1]))

    def leave(self, *, everything: bool = False) -> Iterator[Records | Rows]:
        """Gives what was collected."""
        if everything:
            self._rows += [each.whole for each in self._events.values()]
            self._rows += map(_together, self._keyed.values())
            self._events.clear()
            self._keyed.clear()
        if self._entries:
            yield records_of(self._entries)
        if self._rows:
            yield rows_of(self._rows, self._changed)
        if self._names is not None:
            answers = columns_of(self._answers) if self._answers else None
            if answers is not None:
                self._names.take_answers(answers)
            self._names.count(_NO_NAMES, len(self._answers) - (len(answers) if answers is not None else 0))
            if self._greetings:
                self._names.take_greetings(self._greetings)
        for collected in (self._entries, self._rows, self._answers, self._greetings):
            collected.clear()


def _together(told: dict[str, Whole]) -> Whole:
    """What all tellers of the same connections say."""
    return reduce(Whole.with_, told.values())
