"""From spans to names: what answers and greetings say together about some clients and one server."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netpol.capture.name_evidence import Trait
from netpol.model.outside import Grade
from netpol.names.found import Candidate

if TYPE_CHECKING:
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


@dataclass(slots=True)
class _Voices:
    """What the greetings of one name were like."""

    count: int = 0
    first: int = _NEVER
    last: int = -_NEVER
    encrypted: bool = True


@dataclass(slots=True)
class _Spans:
    """When answers led some of the clients to the server by one name, and whether a greeting agreed meanwhile."""

    times: list[tuple[int, int]] = field(default_factory=list)
    agreed: bool = False


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What concerns some clients and one server.

    Attributes:
        door: Of the server, without traits.
        first: Packet time of the earliest connection, nanoseconds since the Unix epoch.
        last: The same of the latest packet.
        voices: What greetings named, by the name's number.
        leases: Where answers led, by the name's number.
        traits: What else the greetings showed.
    """

    door: int
    first: int
    last: int
    voices: dict[int, _Voices] = field(default_factory=lambda: defaultdict(_Voices))
    leases: dict[int, _Spans] = field(default_factory=lambda: defaultdict(_Spans))
    traits: Trait = _NO_TRAITS

    def add(self, leases: Rows, greetings: Rows) -> None:
        """Adds the spans of one client: an answer to one client says nothing about what another meant."""
        its: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for name, begin, end in zip(
            leases["name"].tolist(), leases["first"].tolist(), leases["last"].tolist(), strict=True
        ):
            if begin - CLOCKS <= self.last and end >= self.first:
                its[name].append((begin, end))
                self.leases[name].times.append((begin, end))
        columns = (greetings[name].tolist() for name in ("name", "door", "first", "last", "count"))
        for name, door, begin, end, count in zip(*columns, strict=True):
            if door & _PORT_BITS == self.door and begin <= self.last and end >= self.first:
                self._hear(name, Trait(door >> _TRAITS_AT), (begin, end), count)
                if any(since - CLOCKS <= end and until >= begin for since, until in its.get(name, ())):
                    self.leases[name].agreed = True

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


def judged(evidence: Evidence, texts: Texts) -> tuple[tuple[Candidate, ...], tuple[HostName, ...]]:
    """The names that count, graded, and the names that led to the server too; both sorted."""
    grades = _grades(evidence)
    candidates = [
        _candidate(texts.name(number), grade, evidence.voices.get(number), evidence.leases.get(number))
        for number, grade in grades.items()
    ]
    sharing = sorted(texts.name(number) for number in evidence.leases if number not in grades)
    return tuple(sorted(candidates, key=lambda each: each.name)), tuple(sharing)


def _grades(evidence: Evidence) -> dict[int, Grade]:
    """What greetings name counts; where they name nothing, what answers do.

    The name outside an encrypted hello counts where an answer led there by it, or where nothing else is known.
    """
    voices, leases = evidence.voices, evidence.leases
    result = {}
    for number, voice in voices.items():
        if not voice.encrypted:
            agreed = number in leases and leases[number].agreed
            result[number] = Grade.STRONG if agreed else Grade.MEDIUM
        elif number in leases:
            result[number] = Grade.MEDIUM
    if not result:
        result = dict.fromkeys(leases, Grade.MEDIUM if len(leases) == 1 else Grade.AMBIGUOUS)
    return result or dict.fromkeys(voices, Grade.AMBIGUOUS)


def _candidate(name: HostName, grade: Grade, voice: _Voices | None, spans: _Spans | None) -> Candidate:
    times = list(spans.times) if spans else []
    if voice:
        times.append((voice.first, voice.last))
    return Candidate(
        name=name,
        grade=grade,
        handshakes=voice.count if voice else 0,
        first=min(begin for begin, _ in times),
        last=max(end for _, end in times),
    )
