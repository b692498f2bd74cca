"""One DNS response (RFC 1035), read byte by byte: the definition that the fast reader of many must agree with.

It also reads what the fast one leaves alone: records out of order, service bindings (RFC 9460), and whatever is odd.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.capture.name_evidence import MAPPED, AnswerOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER: Final = 12
LONGEST: Final = 255
"""Octets of a name, its length octets and the root included (RFC 1035, 2.3.4)."""

A, CNAME, AAAA, SVCB, HTTPS = 1, 5, 28, 64, 65
INTERNET: Final = 1
FOREVER: Final = 0x7FFF_FFFF

MALFORMED = "malformed DNS answers"
NO_QUESTION = "DNS answers without one question"
NO_ANSWER = "DNS messages from port 53 that are no answers"
OTHER_CLASS = "DNS answers of a class other than IN"
TRUNCATED = "DNS answers truncated by the server, to be asked again over TCP"
CUT = "DNS answers cut by snaplen"
HELLO_OFFERED = "DNS answers that offer Encrypted Client Hello"
ALIAS_MODE = "DNS answers with an HTTPS or SVCB record that names another host, not followed to that host's own answers"

MOST_POINTERS: Final = 16
"""Pointers that a name is followed through. Servers need one or two."""
MOST_ALIASES: Final = 64
"""Aliases from a name to its addresses. Resolvers give up after 8 to 20."""
_MOST_LABELS: Final = 1 << 14
"""Labels that are read in one message, beyond what records that are read in lock step can have."""

_IPV4_HINT, _ECH, _IPV6_HINT = 4, 5, 6
_FIXED: Final = struct.Struct(">HHIH")
_HEADER: Final = struct.Struct(">xxHHH")
_ANSWER_BIT, _NO_ANSWER_BITS, _TRUNCATION = 0x8000, 0xF800, 0x200
"""QR; QR and the opcode, which is 0 in a query and its answer; TC."""
_POINTER: Final = 0xC0


class Response(NamedTuple):
    """What a response says.

    Attributes:
        name_size: Octets of the question's name, which stands behind the header.
        kind: The type asked for.
        outcome: What the response says about the question.
        addresses: (high word, low word, seconds) of each address that the name or one of its aliases has.
        remarks: What is to be counted besides.
    """

    name_size: int
    kind: int
    outcome: AnswerOutcome
    addresses: tuple[tuple[int, int, int], ...]
    remarks: tuple[str, ...]


class _Useless(Exception):  # noqa: N818 - it never leaves this module
    """The message says nothing; its text is the reason."""


class _Cut(Exception):  # noqa: N818 - the same
    """The captured part ends here."""


class _Record(NamedTuple):
    owner: bytes
    kind: int
    life: int
    begin: int
    end: int


def read_response(message: bytes, *, cut: bool) -> Response | str:
    """Reads one message.

    Names are compared without regard to case (RFC 4343). A pointer must lead to a place before the run of labels that
    it ends, as every proper one does ("a prior occurrence", RFC 1035, 4.1.4), so that none can go round in circles, and
    only so many are followed.

    Args:
        message: The message, or its captured part.
        cut: The snapshot length cut it: what is missing is not malformed, and the whole records before it count.

    Returns:
        What it says, or the reason for which it says nothing.
    """
    try:
        behind, kind = _question(message)
        flags, _, count = _HEADER.unpack_from(message)
        if flags & _TRUNCATION and not count:
            return TRUNCATED
        outcome = _outcome(flags & 15, count)
        remarks = [TRUNCATED] if flags & _TRUNCATION else []
        addresses: tuple[tuple[int, int, int], ...] = ()
        if outcome is AnswerOutcome.ANSWERED:
            addresses = _answers(message, behind + 4, count, remarks, cut=cut)
    except _Useless as reason:
        return str(reason)
    except _Cut:
        return CUT if cut else MALFORMED
    return Response(behind - HEADER, kind, outcome, addresses, tuple(remarks))


def aliases_of(message: bytes) -> list[bytes]:
    """The aliases to which the question of a response leads, in wire form and in the order in which they are met.

    Args:
        message: A response that `read_response` reads; what follows it is passed by, and what is not all there.
    """
    found: dict[bytes, list[bytes]] = {}
    names = Expander(message)
    try:
        at = _question_name(message) + 4
        asked = names.name(HEADER)[0]
        for _ in range(_HEADER.unpack_from(message)[2]):
            owner, at = names.name(at)
            kind, _, _, size = _FIXED.unpack(_part(message, at, _FIXED.size))
            at += _FIXED.size
            if kind == CNAME:
                found.setdefault(owner, []).append(names.name(at)[0])
            at += size
    except (_Useless, _Cut):
        if not found:
            return []
    reached, waiting = {asked: None}, [asked]
    while waiting and len(reached) <= MOST_ALIASES:
        for target in found.get(waiting.pop(0), ()):
            if target not in reached:
                reached[target] = None
                waiting.append(target)
    return list(reached)[1:]


def _answers(message: bytes, at: int, count: int, remarks: list[str], *, cut: bool) -> tuple[tuple[int, int, int], ...]:
    names = Expander(message)
    records, short = _records(names, message, at, count)
    if short and not cut:
        raise _Useless(MALFORMED)
    addresses, more = _addresses(names, message, records)
    remarks += [CUT] * short + more
    return addresses


def _question(message: bytes) -> tuple[int, int]:
    """Where the question's name ends, and which type it asks for."""
    flags, questions, _ = _HEADER.unpack(_part(message, 0, _HEADER.size))
    _part(message, 0, HEADER)
    if flags & _NO_ANSWER_BITS != _ANSWER_BIT:
        raise _Useless(NO_ANSWER)
    if questions != 1:
        raise _Useless(NO_QUESTION)
    behind = _question_name(message)
    kind, its_class = struct.unpack(">HH", _part(message, behind, 4))
    if its_class != INTERNET:
        raise _Useless(OTHER_CLASS)
    return behind, kind


def _outcome(code: int, records: int) -> AnswerOutcome:
    if code:
        return AnswerOutcome.NO_NAME if code == 3 else AnswerOutcome.FAILED
    return AnswerOutcome.ANSWERED if records else AnswerOutcome.EMPTY


def _part(message: bytes, at: int, size: int) -> bytes:
    part = message[at : at + size]
    if len(part) < size:
        raise _Cut
    return part


def _question_name(message: bytes) -> int:
    """Where it ends: it is the first, so there is nothing that it could point to."""
    at = HEADER
    while size := _part(message, at, 1)[0]:
        if size >= 64:
            raise _Useless(MALFORMED)
        at += 1 + size
        if at + 1 - HEADER > LONGEST:
            raise _Useless(MALFORMED)
    return at + 1


class Expander:
    """Expands the names of one message: each place once, and only so many labels in all.

    A message of 64 KiB can hold thousands of names of 127 labels each, which share their bytes.
    """

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._known: dict[int, tuple[bytes, int, int]] = {}
        self._labels = 0

    def name(self, at: int) -> tuple[bytes, int]:
        """A name in wire form, expanded and in lower case, and where what follows it stands."""
        name, behind, _ = self._entry(at, 0)
        return name, behind

    def _entry(self, at: int, depth: int) -> tuple[bytes, int, int]:
        """The same, and how many pointers it has; `depth`: how many led here."""
        if depth > MOST_POINTERS:
            raise _Useless(MALFORMED)
        known = self._known.get(at)
        if known is None:
            known = self._known[at] = self._read(at, depth)
        return known

    def _read(self, run: int, depth: int) -> tuple[bytes, int, int]:
        message, at = self._message, run
        while size := _part(message, at, 1)[0]:
            if size >= _POINTER:
                target = int.from_bytes(_part(message, at, 2)) & 0x3FFF
                if not HEADER <= target < run:
                    raise _Useless(MALFORMED)
                rest, _, pointers = self._entry(target, depth + 1)
                name = message[run:at].lower() + rest
                if len(name) > LONGEST or pointers >= MOST_POINTERS:
                    raise _Useless(MALFORMED)
                return name, at + 2, pointers + 1
            self._labels += 1
            at += 1 + size
            if size >= 64 or at + 1 - run > LONGEST or self._labels > _MOST_LABELS:
                raise _Useless(MALFORMED)
        return message[run : at + 1].lower(), at + 1, 0

    def inside(self, record: _Record, skip: int = 0) -> tuple[bytes, int]:
        """A name in a record's data. What it lacks is no matter of the snapshot length: the record is all there."""
        try:
            name, behind = self.name(record.begin + skip)
        except _Cut:
            raise _Useless(MALFORMED) from None
        if behind > record.end:
            raise _Useless(MALFORMED)
        return name, behind


def _records(names: Expander, message: bytes, at: int, count: int) -> tuple[list[_Record], bool]:
    """The records of the answer section of class IN that are all there, and whether some are not."""
    records: list[_Record] = []
    try:
        for _ in range(count):
            owner, at = names.name(at)
            kind, its_class, life, size = _FIXED.unpack(_part(message, at, _FIXED.size))
            at += _FIXED.size
            if at + size > len(message):
                return records, True
            if its_class == INTERNET:
                # The uppermost bit is not used: with it, the answer is not to be kept (RFC 2181, 8).
                records.append(_Record(owner, kind, life if life <= FOREVER else 0, at, at + size))
            at += size
    except _Cut:
        return records, True
    return records, False


def _addresses(
    names: Expander, message: bytes, records: list[_Record]
) -> tuple[tuple[tuple[int, int, int], ...], list[str]]:
    """The addresses to which the question leads, and remarks about the records that say so."""
    reached, life = _reached(names, records)
    found: list[tuple[int, int, int]] = []
    remarks: set[str] = set()
    for record in records:
        for place in list(_places(names, message, record)):
            if record.owner not in reached:
                continue
            if isinstance(place, str):
                remarks.add(place)
            else:
                found.append((*place, min(life, record.life)))
    return tuple(found), sorted(remarks)


def _reached(names: Expander, records: list[_Record]) -> tuple[set[bytes], int]:
    """The name of the question and the aliases to which it leads, and the least life of these."""
    aliases: dict[bytes, list[tuple[bytes, int]]] = {}
    for record in records:
        if record.kind == CNAME:
            target, behind = names.inside(record)
            if behind != record.end:
                raise _Useless(MALFORMED)
            aliases.setdefault(record.owner, []).append((target, record.life))
    asked = names.name(HEADER)[0]
    reached, waiting, life = {asked}, [asked], FOREVER
    while waiting:
        for target, its_life in aliases.get(waiting.pop(), ()):
            life = min(life, its_life)
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached, life


def _places(names: Expander, message: bytes, record: _Record) -> Iterator[tuple[int, int] | str]:
    """The addresses in a record, and remarks about it."""
    if record.kind == A:
        yield _ipv4(message[record.begin : record.end])
    elif record.kind == AAAA:
        yield _ipv6(message[record.begin : record.end])
    elif record.kind in {SVCB, HTTPS}:
        yield from _hints(names, message, record)


def _ipv4(data: bytes) -> tuple[int, int]:
    if len(data) != 4:
        raise _Useless(MALFORMED)
    return 0, MAPPED | int.from_bytes(data)


def _ipv6(data: bytes) -> tuple[int, int]:
    if len(data) != 16:
        raise _Useless(MALFORMED)
    return int.from_bytes(data[:8]), int.from_bytes(data[8:])


def _hints(names: Expander, message: bytes, record: _Record) -> Iterator[tuple[int, int] | str]:
    """Service parameters (RFC 9460, 2.2 and 7.3): priority, target, then (key, length, value) with ascending keys."""
    if record.end - record.begin < 2:
        raise _Useless(MALFORMED)
    alias = message[record.begin : record.begin + 2] == b"\0\0"
    target, at = names.inside(record, 2)
    if alias and target != b"\0":
        yield ALIAS_MODE
    latest = -1
    while at < record.end:
        if at + 4 > record.end:
            raise _Useless(MALFORMED)
        key, size = struct.unpack_from(">HH", message, at)
        value = message[at + 4 : at + 4 + size]
        at += 4 + size
        if at > record.end or key <= latest:
            raise _Useless(MALFORMED)
        latest = key
        if alias:
            continue
        width, read = (4, _ipv4) if key == _IPV4_HINT else (16, _ipv6)
        if key in {_IPV4_HINT, _IPV6_HINT}:
            if not size or size % width:
                raise _Useless(MALFORMED)
            yield from (read(value[begin : begin + width]) for begin in range(0, size, width))
        elif key == _ECH:
            yield HELLO_OFFERED
