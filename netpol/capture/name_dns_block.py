"""Many DNS responses at once: their names and records are followed in lock step, one NumPy step for all of them.

What most responses look like is read here: one question, whose name and aliases own the records in the order in which
aliases lead on, with names compressed or spelled out. Whatever differs is left to `name_dns.read_response`, which both
agree with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netpol.capture import name_dns
from netpol.capture.name_dns_walk import Messages, Step, behind_owners, spelled_ends, walk_aliases
from netpol.capture.name_evidence import MAPPED, AnswerOutcome
from netpol.capture.views import fetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.capture.views import Ints, Mask

_HEADER = np.dtype([("id", ">u2"), ("flags", ">u2"), ("questions", ">u2"), ("answers", ">u2"), ("rest", "V4")])
_QUESTION = np.dtype([("kind", ">u2"), ("class", ">u2")])
_RECORD = np.dtype([("kind", ">u2"), ("class", ">u2"), ("life", ">u4"), ("size", ">u2")])
_WORD, _LONG = np.dtype(">u4"), np.dtype(">u8")
_MOST_RECORDS: Final = 64
"""Records of one response that are read in lock step."""
_FEWEST: Final = 16
"""So few messages are not worth a step."""


@dataclass(slots=True)
class Responses:
    """What responses say, in columns as in `name_evidence.Answers`.

    Attributes:
        index: int64[n], which of the messages they are, ascending.
        counts: Readable remark or reason for which a message says nothing, to its number.
    """

    index: Ints
    name_size: Ints
    kind: NDArray[np.uint16]
    outcome: NDArray[np.uint8]
    message: Ints
    address: NDArray[np.uint64]
    life: Ints
    counts: dict[str, int] = field(default_factory=dict)


def read_responses(messages: Messages) -> Responses:
    """Reads responses as `name_dns.read_response` does each of them."""
    work = _Work(messages)
    work.headers()
    work.questions()
    work.records()
    work.others()
    return work.result()


class _Work:
    """Messages on their way; all columns are int64[n] or bool[n] over all messages unless said otherwise."""

    def __init__(self, messages: Messages) -> None:
        self._m = messages
        count = len(messages.at)
        self._left: Mask = np.ones(count, np.bool_)
        """Still in, and nothing odd about it."""
        self._odd: Mask = np.zeros(count, np.bool_)
        """To be read one by one."""
        self._counts: dict[str, int] = {}
        self._cut: Mask = messages.end < messages.wire_end
        self._name_size = np.zeros(count, np.int64)
        self._kind = np.zeros(count, np.uint16)
        self._outcome = np.zeros(count, np.uint8)
        self._answers = np.zeros(count, np.int64)
        self._truncated: Mask = np.zeros(count, np.bool_)
        self._chain_life = np.full(count, name_dns.FOREVER, np.int64)
        self._cut_records: Mask = np.zeros(count, np.bool_)
        self._found: list[tuple[Ints, NDArray[np.uint64], Ints]] = []

    def headers(self) -> None:
        m = self._m
        self._drop_short(m.end - m.at < name_dns.HEADER)
        fields = fetch(m.data, m.at, _HEADER)
        flags = fields["flags"].astype(np.int64)
        self._drop(flags & 0xF800 != 0x8000, name_dns.NO_ANSWER)
        self._drop(fields["questions"] != 1, name_dns.NO_QUESTION)
        self._answers = fields["answers"].astype(np.int64)
        self._truncated = flags & 0x200 != 0
        code = flags & 15
        outcome = np.where(self._answers > 0, AnswerOutcome.ANSWERED, AnswerOutcome.EMPTY)
        failed = np.where(code == 3, AnswerOutcome.NO_NAME, AnswerOutcome.FAILED)
        self._outcome = np.where(code == 0, outcome, failed).astype(np.uint8)

    def questions(self) -> None:
        m = self._m
        begin = m.at + name_dns.HEADER
        at, good = spelled_ends(m.data, begin)
        size = at + 1 - begin
        # What is cut may still be whole names as far as it goes, or already be none.
        short = at + 1 + _QUESTION.itemsize > m.end
        unclear = self._left & short & self._cut
        self._odd |= unclear
        self._left &= ~unclear
        self._drop(~good | short | (size > name_dns.LONGEST), name_dns.MALFORMED)
        fields = fetch(m.data, np.where(self._left, at + 1, 0), _QUESTION)
        self._kind = fields["kind"].astype(np.uint16)
        self._drop(fields["class"] != name_dns.INTERNET, name_dns.OTHER_CLASS)
        self._name_size = size
        self._drop(self._truncated & (self._answers == 0), name_dns.TRUNCATED)

    def records(self) -> None:
        """Follows the records of all answers, the k-th of each at the same time."""
        m = self._m
        rows = np.flatnonzero(self._left & (self._outcome == AnswerOutcome.ANSWERED))
        asked = m.at[rows] + name_dns.HEADER
        step = Step(
            rows=rows,
            at=asked + self._name_size[rows] + _QUESTION.itemsize,
            owner=asked,
            owner_size=self._name_size[rows],
        )
        for number in range(_MOST_RECORDS):
            if len(step.rows) < _FEWEST:
                break
            step = self._one_record(step, number)
        self._set_odd(step.rows)

    def _one_record(self, step: Step, number: int) -> Step:
        m = self._m
        at, same = behind_owners(m, step)
        self._set_odd(step.rows[~same])
        step, at = step.take(same), at[same]
        end = m.end[step.rows]
        fields = fetch(m.data, np.minimum(at, end), _RECORD)
        size = fields["size"].astype(np.int64)
        begin = at + _RECORD.itemsize
        short = begin + size > end
        if short.any():
            step, fields, size, begin = self._without_short(step, short, fields, size, begin)
        kind = fields["kind"].astype(np.int64)
        odd = (fields["class"] != name_dns.INTERNET) | (kind == name_dns.SVCB) | (kind == name_dns.HTTPS)
        life = fields["life"].astype(np.int64)
        life[life > name_dns.FOREVER] = 0
        bad = self._take_addresses(step, kind, size, begin, life)
        step = step.moved(begin + size)
        alias = np.flatnonzero((kind == name_dns.CNAME) & ~odd)
        if len(alias):
            its_rows, its_at, its_size = step.rows[alias], begin[alias], size[alias]
            good, spelled, pointed = walk_aliases(m, its_rows, its_at, its_size)
            bad[alias] |= ~good
            odd[alias] |= pointed
            step.owner[alias] = its_at
            step.owner_size[alias] = np.where(spelled, its_size, 0)
            self._chain_life[its_rows] = np.minimum(self._chain_life[its_rows], life[alias])
        bad &= ~odd
        self._set_odd(step.rows[odd])
        self._drop_rows(step.rows[bad], name_dns.MALFORMED)
        return step.take(~odd & ~bad & (self._answers[step.rows] > number + 1))

    def _without_short(
        self, step: Step, short: Mask, fields: Any, size: Ints, begin: Ints
    ) -> tuple[Step, Any, Ints, Ints]:
        """Records that are not all there: cut, or malformed."""
        rows = step.rows[short]
        cut = self._cut[rows]
        self._cut_records[rows[cut]] = True
        self._drop_rows(rows[~cut], name_dns.MALFORMED)
        return step.take(~short), fields[~short], size[~short], begin[~short]

    def _take_addresses(self, step: Step, kind: Ints, size: Ints, begin: Ints, life: Ints) -> Mask:
        """Notes the addresses of A and AAAA records; returns which of them are malformed."""
        data = self._m.data
        bad = np.zeros(len(kind), np.bool_)
        for wanted, width in ((name_dns.A, 4), (name_dns.AAAA, 16)):
            its = np.flatnonzero(kind == wanted)
            if not len(its):
                continue
            fits = size[its] == width
            bad[its[~fits]] = True
            its = its[fits]
            words = np.zeros((len(its), 2), np.uint64)
            if wanted == name_dns.A:
                words[:, 1] = fetch(data, begin[its], _WORD)
                words[:, 1] |= np.uint64(MAPPED)
            else:
                words[:, 0] = fetch(data, begin[its], _LONG)
                words[:, 1] = fetch(data, begin[its] + 8, _LONG)
            self._found.append((step.rows[its], words, life[its]))
        return bad

    def others(self) -> None:
        """Reads what is odd one by one."""
        m = self._m
        rows: list[int] = []
        addresses: list[tuple[int, int, int]] = []
        for row in np.flatnonzero(self._odd).tolist():
            cut = bool(self._cut[row])
            response = name_dns.read_response(m.data[m.at[row] : m.end[row]].tobytes(), cut=cut)
            if isinstance(response, str):
                self._count(response, 1)
                continue
            self._left[row] = True
            self._cut_records[row] = self._truncated[row] = False
            for remark in response.remarks:
                self._count(remark, 1)
            self._name_size[row], self._kind[row] = response.name_size, response.kind
            self._outcome[row] = response.outcome
            rows += [row] * len(response.addresses)
            addresses += response.addresses
        if rows:
            columns = np.array([each[:2] for each in addresses], np.uint64)
            life = np.array([each[2] for each in addresses], np.int64)
            self._found = [self._without_odd(part) for part in self._found]
            self._found.append((np.array(rows, np.int64), columns, life))
            # Their lives are already those of the whole chain.
            self._chain_life[rows] = name_dns.FOREVER
        elif self._odd.any():
            self._found = [self._without_odd(part) for part in self._found]

    def result(self) -> Responses:
        left = self._left
        self._count(name_dns.TRUNCATED, np.count_nonzero(left & self._truncated))
        self._count(name_dns.CUT, np.count_nonzero(left & self._cut_records))
        index = np.flatnonzero(left)
        position = np.cumsum(left) - 1
        nothing: tuple[Ints, NDArray[np.uint64], Ints] = (
            np.empty(0, np.int64), np.empty((0, 2), np.uint64), np.empty(0, np.int64),
        )  # fmt: skip
        rows, address, life = (np.concatenate(part) for part in zip(nothing, *self._found, strict=True))
        kept = left[rows]
        rows, address, life = rows[kept], address[kept], life[kept]
        return Responses(
            index=index,
            name_size=self._name_size[index],
            kind=self._kind[index],
            outcome=self._outcome[index],
            message=position[rows],
            address=address,
            life=np.minimum(life, self._chain_life[rows]),
            counts=self._counts,
        )

    def _without_odd(self, part: tuple[Ints, NDArray[np.uint64], Ints]) -> tuple[Ints, NDArray[np.uint64], Ints]:
        rows, words, life = part
        keep = ~self._odd[rows]
        return rows[keep], words[keep], life[keep]

    def _drop_short(self, short: Mask) -> None:
        self._drop(short & self._cut, name_dns.CUT)
        self._drop(short, name_dns.MALFORMED)

    def _drop(self, mask: Mask, reason: str) -> None:
        mask = mask & self._left
        self._left &= ~mask
        self._count(reason, np.count_nonzero(mask))

    def _drop_rows(self, rows: Ints, reason: str) -> None:
        self._left[rows] = False
        self._count(reason, len(rows))

    def _set_odd(self, rows: Ints) -> None:
        self._odd[rows] = True
        self._left[rows] = False

    def _count(self, what: str, count: int | np.intp) -> None:
        if count:
            self._counts[what] = self._counts.get(what, 0) + int(count)
