"""From spans to names: what answers and greetings say together about some clients and one server."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.name_evidence import Trait
from netpol.capture.views import firsts
from netpol.model.outside import Grade
from netpol.names.found import MOST_NAMES, Candidate, Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.capture.views import Ints
    from netpol.model.host_name import HostName
    from netpol.names.spans import Rows
    from netpol.names.texts import Texts

CLOCKS: Final = 1_000_000_000
"""Nanoseconds by which the clocks of two captures may differ: an answer may seem to come after what it was used for."""

ENCRYPTED_HELLO = "Encrypted Client Hello: the name that was seen may be a provider's public name, and hide another"
NO_SERVER_NAME = "TLS without a server name"
CUT_HELLO = "a ClientHello was cut, so its name was not seen"
PROXY = "an HTTP proxy: names behind it are not the server's"
FORGOTTEN = "the oldest DNS answers were forgotten: there were too many"
HIDDEN_DNS = "DNS was asked over TLS, QUIC or HTTPS, which hides names"

_TRAITS_AT, _PORT_BITS = 24, 0xFF_FFFF
_NO_TRAITS: Final = Trait(0)
_NEVER: Final = 1 << 63


def door_of(protocol: int, port: int, traits: Trait = _NO_TRAITS) -> int:
    """The door of a greeting's span: its traits, and below them the IP protocol number and the port. DNS has door 0."""
    return int(traits) << _TRAITS_AT | protocol << 16 | port


def traits_of(door: int) -> Trait:
    """The traits of a greeting's door."""
    return Trait(door >> _TRAITS_AT)


@dataclass(slots=True)
class _Voices:
    """What the greetings of one name were like."""

    count: int = 0
    first: int = _NEVER
    last: int = -_NEVER
    encrypted: bool = True


@dataclass(frozen=True, slots=True)
class _Led:
    """By which names answers led some of the clients to the server: columns, since there may be any number of names.

    Attributes:
        names: int64[n], numbers of names, ascending.
        first: int64[n], when the earliest answer for each came.
        last: int64[n], until when the latest held.
    """

    names: Ints
    first: Ints
    last: Ints

    @classmethod
    def of(cls, rows: Sequence[Rows]) -> _Led:
        """Each name of the spans once."""
        parts = ([each[column].astype(np.int64) for each in rows] for column in ("name", "first", "last"))
        names, first, last = (np.concatenate([np.empty(0, np.int64), *part]) for part in parts)
        if not len(names):
            return cls(names, first, last)
        order = np.argsort(names, kind="stable")
        ordered = names[order]
        begins = firsts(ordered)
        earliest, latest = np.minimum.reduceat(first[order], begins), np.maximum.reduceat(last[order], begins)
        return cls(ordered[begins], earliest, latest)

    def __len__(self) -> int:
        return len(self.names)

    def times(self, number: int) -> list[tuple[int, int]]:
        """The time of one name, none where no answer led there by it."""
        at = int(np.searchsorted(self.names, number))
        if at == len(self.names) or self.names[at] != number:
            return []
        return [(int(self.first[at]), int(self.last[at]))]


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What concerns some clients and one server.

    Attributes:
        door: Of the server, without traits.
        first: Packet time of the earliest connection, nanoseconds since the Unix epoch.
        last: The same of the latest packet.
        voices: What greetings named, by the name's number.
        leases: Spans of answers that held meanwhile.
        agreed: Numbers of names that a greeting carried while an answer held.
        traits: What else the greetings showed.
    """

    door: int
    first: int
    last: int
    voices: dict[int, _Voices] = field(default_factory=lambda: defaultdict(_Voices))
    leases: list[Rows] = field(default_factory=list)
    agreed: set[int] = field(default_factory=set)
    traits: Trait = _NO_TRAITS

    def add(self, leases: Rows, greetings: Rows) -> None:
        """Adds the spans of one client: an answer to one client says nothing about what another meant."""
        held = leases[(leases["first"] <= self.last + CLOCKS) & (leases["last"] >= self.first)]
        self.leases.append(held)
        its: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        heard = held[np.isin(held["name"], greetings["name"])]
        for name, begin, end in zip(*(heard[column].tolist() for column in ("name", "first", "last")), strict=True):
            its[name].append((begin, end))
        columns = (greetings[name].tolist() for name in ("name", "door", "first", "last", "count"))
        for name, door, begin, end, count in zip(*columns, strict=True):
            if door & _PORT_BITS == self.door and begin <= self.last and end >= self.first:
                self._hear(name, traits_of(door), (begin, end), count)
                if any(since - CLOCKS <= end and until >= begin for since, until in its.get(name, ())):
                    self.agreed.add(name)

    def _hear(self, name: int, traits: Trait, when: tuple[int, int], count: int) -> None:
        self.traits |= traits
        if name >= 0:
            voice = self.voices[name]
            voice.count += count
            voice.first, voice.last = min(voice.first, when[0]), max(voice.last, when[1])
            voice.encrypted &= Trait.ENCRYPTED_HELLO in traits

    def remarks(self) -> list[str]:
        """Why a name may be missing or not be the whole truth."""
        found = [
            remark
            for trait, remark in (
                (Trait.ENCRYPTED_HELLO, ENCRYPTED_HELLO),
                (Trait.CUT, CUT_HELLO),
                (Trait.PROXY, PROXY),
            )
            if trait in self.traits
        ]
        if Trait.TLS in self.traits and Trait.CUT not in self.traits and not self.voices:
            found.append(NO_SERVER_NAME)
        return found


def judged(evidence: Evidence, texts: Texts) -> Found:
    """The names that count, graded, and the names that led to the server too; without the remarks."""
    led = _Led.of(evidence.leases)
    grades = _grades_of_greetings(evidence, led)
    others = led.names[~np.isin(led.names, list(grades))]
    told = texts.least(others, MOST_NAMES).tolist()
    sharing = tuple(map(texts.name, told))
    if not grades:
        # Where greetings name nothing, what answers do counts; where these do not either, what may hide another.
        sharing = ()
        grades = dict.fromkeys(told, Grade.MEDIUM if len(others) == 1 else Grade.AMBIGUOUS)
        grades = grades or dict.fromkeys(evidence.voices, Grade.AMBIGUOUS)
    candidates = [
        _candidate(texts.name(number), grade, evidence.voices.get(number), led.times(number))
        for number, grade in grades.items()
    ]
    return Found(
        candidates=tuple(sorted(candidates, key=lambda each: each.name)),
        sharing=sharing,
        more=len(others) - len(told),
    )


def _grades_of_greetings(evidence: Evidence, led: _Led) -> dict[int, Grade]:
    """What greetings name counts: the name outside an encrypted hello only where an answer led there by it."""
    result = {}
    for number, voice in evidence.voices.items():
        if not voice.encrypted:
            result[number] = Grade.STRONG if number in evidence.agreed else Grade.MEDIUM
        elif led.times(number):
            result[number] = Grade.MEDIUM
    return result


def _candidate(name: HostName, grade: Grade, voice: _Voices | None, led: list[tuple[int, int]]) -> Candidate:
    times = [*led, (voice.first, voice.last)] if voice else led
    return Candidate(
        name=name,
        grade=grade,
        handshakes=voice.count if voice else 0,
        first=min(begin for begin, _ in times),
        last=max(end for _, end in times),
    )
