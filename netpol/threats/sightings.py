"""Listed names, heard while captures are read: asked for or greeted with, whether or not a connection worked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from netpol.capture.name_evidence import Trait, unpacked
from netpol.names.evidence import traits_of
from netpol.names.texts import NO_NAME, Texts
from netpol.names.wires import Wires, dotted, labels_of, numbers_of
from netpol.threats.aliases import by_aliases

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from netpol.capture.name_evidence import Answers, Greeting
    from netpol.capture.views import Ints
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.names.part import NamesPart, NameTaker
    from netpol.threats.lists import Match, Threats

Way = Literal["DNS", "TLS", "HTTP"]

MOST: Final = 4096
"""Sightings kept, by client, name and way; the count tells of the rest."""

_REMEMBERED: Final = 1 << 17
"""Names whose answer is remembered before all are asked for anew."""


@dataclass(slots=True, kw_only=True)
class Sighting:
    """A listed name that one client asked for or greeted a server with.

    Attributes:
        way: How it was named.
        count: DNS responses, or greetings.
        first_seen: Packet time, nanoseconds since the Unix epoch.
        last_seen: Packet time, nanoseconds since the Unix epoch.
    """

    client: Address
    name: HostName
    way: Way
    match: Match
    count: int
    first_seen: int
    last_seen: int


class Sightings:
    """Listens, and passes everything on: it stands between the captures and who else wants to know names.

    A question counts when it is answered, if only with an error: NXDOMAIN for a name of malware is a finding too.

    Attributes:
        forgotten: Sightings that were not kept, because there were too many.
    """

    def __init__(self, threats: Threats, sink: NameTaker) -> None:
        self._threats = threats
        self._sink = sink
        self._texts = Texts()
        self._matches: dict[int, Match | None] = {}
        self._found: dict[tuple[Address, HostName, Way], Sighting] = {}
        self.forgotten = 0

    def take_answers(self, answers: Answers) -> None:
        """DNS responses of every outcome."""
        self._sink.take_answers(answers)
        if not len(answers):
            return
        self._look(answers)
        aliased = by_aliases(answers, self._lists)
        if aliased is not None:
            # Now the alias leads there too: whoever decides by names sees the listed one.
            self._look(aliased)
            self._sink.take_answers(aliased)
        self._tidy()

    def _lists(self, wire: bytes) -> bool:
        number = self._texts.number(dotted(labels_of(wire)))
        return number != NO_NAME and self._match(number) is not None

    def _look(self, answers: Answers) -> None:
        """Enters the names that are listed."""
        numbers = numbers_of(self._texts, Wires(answers.data, answers.name_at, answers.name_size, answers.kind))
        listed = {number for number in set(numbers.tolist()) if number != NO_NAME and self._match(number) is not None}
        if listed:
            for index, number in enumerate(numbers.tolist()):
                if number in listed:
                    client, time = answers.client[index].tolist(), int(answers.time[index])
                    self._enter(unpacked(*client), number, "DNS", time)

    def take_greetings(self, greetings: Sequence[Greeting]) -> None:
        """ClientHellos and HTTP requests, to servers inside the cluster and outside, and through proxies."""
        self._sink.take_greetings(greetings)
        for each in greetings:
            if each.name:
                number = self._texts.number(each.name)
                if number != NO_NAME and self._match(number) is not None:
                    way: Way = "TLS" if Trait.TLS in each.traits else "HTTP"
                    self._enter(unpacked(*each.client), number, way, each.time)
        self._tidy()

    def take_questions(self, clients: NDArray[np.uint64], exchange: NDArray[np.uint64], time: Ints) -> None:
        """Passed on."""
        self._sink.take_questions(clients, exchange, time)

    def take_hidden(self, client: tuple[int, int], server: tuple[int, int], protocol: int) -> None:
        """Passed on."""
        self._sink.take_hidden(client, server, protocol)

    def count(self, what: str, number: int) -> None:
        """Passed on."""
        self._sink.count(what, number)

    def take_part(self, part: NamesPart) -> None:
        """What others heard: names that led somewhere, and greetings. What had no answer they do not tell."""
        self._sink.take_part(part)
        numbers = self._texts.numbers_of_host_names([name.encode() for name in part.names])
        for rows, of_leases in ((part.leases, True), (part.greetings, False)):
            for client, name, door, first, last, count in zip(
                *(rows[column].tolist() for column in ("client", "name", "door", "first", "last", "count")), strict=True
            ):
                if name != NO_NAME and self._match(numbers[name]) is not None:
                    way: Way = "DNS" if of_leases else "TLS" if Trait.TLS in traits_of(door) else "HTTP"
                    self._enter(unpacked(*client), numbers[name], way, first, first if of_leases else last, count)
        self._tidy()

    @property
    def found(self) -> tuple[Sighting, ...]:
        """All sightings, by client, name and way."""
        keys = sorted(self._found, key=lambda key: (key[0].version, int(key[0]), key[1], key[2]))
        return tuple(self._found[key] for key in keys)

    def _match(self, number: int) -> Match | None:
        if number not in self._matches:
            self._matches[number] = self._threats.host(self._texts.name(number))
        return self._matches[number]

    def _enter(  # noqa: PLR0913, PLR0917 - what a sighting is made of
        self, client: Address, number: int, way: Way, time: int, last: int | None = None, count: int = 1
    ) -> None:
        name, match = self._texts.name(number), self._matches[number]
        key = client, name, way
        known = self._found.get(key)
        last = time if last is None else last
        if known is not None:
            known.count += count
            known.first_seen, known.last_seen = min(known.first_seen, time), max(known.last_seen, last)
        elif match is None or len(self._found) >= MOST:
            self.forgotten += 1
        else:
            self._found[key] = Sighting(
                client=client, name=name, way=way, match=match, count=count, first_seen=time, last_seen=last
            )

    def _tidy(self) -> None:
        if len(self._texts) > _REMEMBERED:
            self._texts.keep(())
            self._matches.clear()
