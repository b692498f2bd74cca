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
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from netpol.model.host_name import HostName
    from netpol.names.spans import Rows
    from netpol.names.texts import Texts

CLOCKS: Final = 1_000_000_000
"""Nanoseconds by which the clocks of two captures may differ: an answer may seem to come after what it was used for."""

FEW: Final = 32
"""So many spans are read faster one by one than in columns: nearly every pair of a client and a server has fewer."""

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
    """By which names answers led some of the clients to the server: there may be any number of them.

    Attributes:
        times: By number: when the earliest answer for a name came, and until when the latest held; at least for each
            name that a greeting carried and for those in `told`.
        told: Of the names that no greeting carried, the MOST_NAMES that come first by the alphabet, in its order.
        others: How many names no greeting carried.
    """

    times: dict[int, tuple[int, int]]
    told: list[int]
    others: int

    @classmethod
    def of(cls, leases: Sequence[Rows], heard: Collection[int], texts: Texts) -> _Led:
        """What the spans of answers say.

        Args:
            leases: Spans, for each client.
            heard: Numbers of the names that greetings carried.
            texts: The names.
        """
        if sum(map(len, leases)) > FEW:
            return cls._of_many(leases, heard, texts)
        times: dict[int, tuple[int, int]] = {}
        for name, begin, end in _name_times(leases):
            first, last = times.get(name, (begin, end))
            times[name] = min(first, begin), max(last, end)
        others = [name for name in times if name not in heard]
        return cls(times, sorted(others, key=texts.name)[:MOST_NAMES], len(others))

    @classmethod
    def _of_many(cls, leases: Sequence[Rows], heard: Collection[int], texts: Texts) -> _Led:
        """The same, without an object for each span."""
        names, first, last = (
            np.concatenate([each[column].astype(np.int64) for each in leases]) for column in ("name", "first", "last")
        )
        order = np.argsort(names, kind="stable")
        names = names[order]
        begins = firsts(names)
        earliest, latest = np.minimum.reduceat(first[order], begins), np.maximum.reduceat(last[order], begins)
        names = names[begins]
        apart = np.isin(names, list(heard))
        told = texts.least(names[~apart], MOST_NAMES)
        its = np.concatenate([np.flatnonzero(apart), np.searchsorted(names, told)])
        columns = (column[its].tolist() for column in (names, earliest, latest))
        times = {name: (begin, end) for name, begin, end in zip(*columns, strict=True)}
        return cls(times, told.tolist(), len(names) - int(np.count_nonzero(apart)))


def _name_times(leases: Iterable[Rows]) -> Iterator[tuple[int, int, int]]:
    """(name, first, last) of each span."""
    for each in leases:
        yield from zip(each["name"].tolist(), each["first"].tolist(), each["last"].tolist(), strict=True)


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
        held = leases
        if len(leases):
            held = leases[(leases["first"] <= self.last + CLOCKS) & (leases["last"] >= self.first)]
            self.leases.append(held)
        if not len(greetings):
            return
        its: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        heard = held if len(held) <= FEW else held[np.isin(held["name"], greetings["name"])]
        for name, begin, end in _name_times([heard]):
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
        if not self.traits:
            return []
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


def judged(evidence: Evidence, texts: Texts, beyond: Iterable[str] = ()) -> Found:
    """The names that count, graded, and the names that led to the server too.

    Args:
        evidence: All of it.
        texts: The names.
        beyond: Remarks that hold where a name is not certain, beside those of the greetings.
    """
    if not evidence.leases and not evidence.voices:
        return Found(remarks=tuple(sorted([*evidence.remarks(), *beyond])))
    led = _Led.of(evidence.leases, evidence.voices, texts)
    grades = _grades_of_greetings(evidence, led)
    sharing = tuple(map(texts.name, led.told))
    if not grades:
        # Where greetings name nothing, what answers do counts; where these do not either, what may hide another.
        sharing = ()
        grades = dict.fromkeys(led.told, Grade.MEDIUM if led.others == 1 else Grade.AMBIGUOUS)
        grades = grades or dict.fromkeys(evidence.voices, Grade.AMBIGUOUS)
    candidates = [
        _candidate(texts.name(number), grade, evidence.voices.get(number), led.times.get(number))
        for number, grade in grades.items()
    ]
    remarks = evidence.remarks()
    if not grades or any(grade is not Grade.STRONG for grade in grades.values()):
        remarks += beyond
    return Found(
        candidates=tuple(sorted(candidates, key=lambda each: each.name)),
        sharing=sharing,
        more=led.others - len(led.told),
        remarks=tuple(sorted(remarks)),
    )


def _grades_of_greetings(evidence: Evidence, led: _Led) -> dict[int, Grade]:
    """What greetings name counts: the name outside an encrypted hello only where an answer led there by it."""
    result = {}
    for number, voice in evidence.voices.items():
        if not voice.encrypted:
            result[number] = Grade.STRONG if number in evidence.agreed else Grade.MEDIUM
        elif number in led.times:
            result[number] = Grade.MEDIUM
    return result


def _candidate(name: HostName, grade: Grade, voice: _Voices | None, led: tuple[int, int] | None) -> Candidate:
    times = [each for each in (led, (voice.first, voice.last) if voice else None) if each is not None]
    return Candidate(
        name=name,
        grade=grade,
        handshakes=voice.count if voice else 0,
        first=min(begin for begin, _ in times),
        last=max(end for _, end in times),
    )
