"""Names of outside addresses, by client and time: takes the evidence of the wire, answers what it names."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.capture.name_evidence import AnswerOutcome, Trait, packed, unpacked
from netpol.capture.views import firsts
from netpol.names.evidence import FORGOTTEN, HIDDEN_DNS, Evidence, door_of, judged
from netpol.names.found import Asked, Found, Hidden
from netpol.names.hidden import way_of_greeting, way_of_port
from netpol.names.part import ASKED, NamesPart
from netpol.names.recent import Recent
from netpol.names.spans import Spans, distinct_names, spans_of
from netpol.names.texts import NO_NAME, Texts
from netpol.names.wires import Wires, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from netpol.capture.name_evidence import Answers, Greeting
    from netpol.capture.views import Ints
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.names.spans import Rows

_SECOND: Final = 1_000_000_000
_END_OF_TIME: Final = np.iinfo(np.int64).max

GRACE: Final = 300 * _SECOND
"""So long after its TTL an address may still be used for its name: programs connect late, and keep what they know."""

LONGEST_LIFE: Final = 86_400
"""Seconds of a TTL that are believed."""

_GREETING_GAP: Final = _SECOND
"""Greetings further apart are told apart: an address may have changed hands between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is held in memory, in numbers of things.

    Attributes:
        leases: Spans during which DNS led a client to an address, 84 bytes each and a name of about 200.
        greetings: Spans during which a client's greetings named a server.
        clients: Clients whose questions are counted.
        hidden: (client, resolver) pairs that are remembered.
    """

    leases: int = 1 << 18
    greetings: int = 1 << 16
    clients: int = 1 << 14
    hidden: int = 1 << 12


class Names:
    """The table. It is a `netpol.capture.name_evidence.NameSink`: give it to `read_packets`, then ask it.

    Attributes:
        tally: What was read for names, and what could not be: readable, to a count above 0.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._texts = Texts()
        self._leases = Spans(self._limits.leases)
        self._greetings = Spans(self._limits.greetings, _GREETING_GAP)
        self._asked: dict[tuple[int, int], list[int]] = {}
        self._hidden: dict[tuple[tuple[int, int], tuple[int, int], int, str], None] = {}
        self._questions, self._answers = Recent(), Recent()
        self._hiding: set[tuple[int, int]] = set()
        self._counts: dict[str, int] = {}

    # What the captures say

    def take_answers(self, answers: Answers) -> None:
        """DNS responses: who was led where, until when."""
        self._count_outcomes(answers)
        message = answers.message
        if not len(message):
            return
        used = np.zeros(len(answers), np.bool_)
        used[message] = True
        number = np.full(len(answers), -1, np.int64)
        its = np.flatnonzero(used)
        names = Wires(answers.data, answers.name_at[its], answers.name_size[its], answers.kind[its])
        number[its] = numbers_of(self._texts, names)
        named = number[message] >= 0
        message, address = message[named], answers.address[named]
        time = answers.time[message]
        life = np.minimum(answers.life[named], LONGEST_LIFE) * _SECOND + GRACE
        self._let_go(
            self._leases.add(
                spans_of(
                    first=time,
                    last=np.where(time > _END_OF_TIME - life, _END_OF_TIME, time + np.minimum(life, _END_OF_TIME)),
                    client=answers.client[message],
                    server=address,
                    name=number[message],
                )
            )
        )

    def take_greetings(self, greetings: Sequence[Greeting]) -> None:
        """ClientHellos and HTTP requests: which server was called by which name."""
        rows = []
        for each in greetings:
            way = way_of_greeting(each, dns=Trait.HIDES_DNS in each.traits, tls=Trait.TLS in each.traits)
            if way:
                self._hide(each.client, each.server, each.protocol, way)
            number = NO_NAME
            if each.name and Trait.PROXY not in each.traits and not _is_address(each.name):
                number = self._texts.number(each.name)
            rows.append((each, number))
        if rows:
            self._let_go(self._greetings.add(_greeting_rows(rows)))

    def take_questions(self, clients: NDArray[np.uint64], exchange: NDArray[np.uint64], time: Ints) -> None:
        """Questions, by who asked."""
        fresh = ~self._questions.again(exchange, time)
        self._count_clients(clients[fresh], np.zeros(np.count_nonzero(fresh), np.int64))

    def take_hidden(self, client: tuple[int, int], server: tuple[int, int], protocol: int) -> None:
        """A client of port 853."""
        self._hide(client, server, protocol, way_of_port(protocol))

    def count(self, what: str, number: int) -> None:
        """Adds to the tally."""
        if number:
            self._counts[what] = self._counts.get(what, 0) + number

    def take_part(self, part: NamesPart) -> None:
        """What another table held: as if the packets behind it had been read here.

        A message that several observers saw is counted by each of them, because only who reads the packets can tell.
        """
        numbers = np.array(self._texts.numbers_of_host_names([name.encode() for name in part.names]), np.int64)
        for rows, store in ((part.leases, self._leases), (part.greetings, self._greetings)):
            named = rows["name"] != NO_NAME
            number = np.full(len(rows), NO_NAME, np.int64)
            number[named] = numbers[rows["name"][named]]
            columns = {each: rows[each] for each in ("first", "last", "client", "server", "door", "count")}
            self._let_go(store.add(spans_of(name=number, **columns)))
        self._leases.forgotten += part.forgotten[0]
        self._greetings.forgotten += part.forgotten[1]
        for (high, low), counts in zip(part.asked["client"].tolist(), part.asked["counts"].tolist(), strict=True):
            for index, count in enumerate(counts):
                if count:
                    self._count_client((high, low), index, count)
        for client, server, protocol, way in part.hidden:
            self._hide(client, server, protocol, way)
        for what, count in part.counts.items():
            self.count(what, count)
        self._texts.rejected.merge(part.rejected, part.samples)

    def part(self) -> NamesPart:
        """All that this table holds, for `take_part` of another."""
        numbers = [number for number in distinct_names(self._leases, self._greetings).tolist() if number != NO_NAME]
        place = np.array(numbers, np.int64)

        def renumbered(store: Spans) -> Rows:
            rows = store.rows().copy()
            named = rows["name"] != NO_NAME
            rows["name"][named] = np.searchsorted(place, rows["name"][named])
            return rows

        asked = np.zeros(len(self._asked), ASKED)
        asked["client"] = np.array(sorted(self._asked), np.uint64).reshape(-1, 2)
        asked["counts"] = np.array([self._asked[client] for client in sorted(self._asked)], np.uint64).reshape(-1, 5)
        return NamesPart(
            names=tuple(self._texts.name(number) for number in numbers),
            leases=renumbered(self._leases),
            greetings=renumbered(self._greetings),
            asked=asked,
            hidden=tuple(sorted(self._hidden)),
            counts=dict(sorted(self._counts.items())),
            rejected=self._texts.rejected.count,
            samples=tuple(self._texts.rejected.least),
            forgotten=(self._leases.forgotten, self._greetings.forgotten),
        )

    # What they mean

    def towards(  # noqa: PLR0913, PLR0917 - what tells connections apart
        self, clients: Iterable[Address], server: Address, protocol: int, port: int, first: int, last: int
    ) -> Found:
        """What names the connections of these clients to one server.

        A name is STRONG where a greeting named it and a DNS answer to the same client gave the server's address for it,
        that held at the time of the greeting: until its TTL and a grace were over; aliases (CNAME) are followed, and
        the name that was asked for counts. One of the two alone makes it MEDIUM, and what a greeting with Encrypted
        Client Hello says is never better. Where no greeting names anything and answers gave the address for several
        names, each is AMBIGUOUS.

        Args:
            clients: The addresses of the client, as the captures show them: of pods, for one.
            server: The address that they connected to.
            protocol: IP protocol number.
            port: The server's.
            first: Packet time of the earliest connection, nanoseconds since the Unix epoch.
            last: The same of the latest packet.
        """
        where = packed(server)
        whence = sorted({packed(client) for client in clients})
        evidence = Evidence(door=door_of(protocol, port), first=first, last=last)
        for client in whence:
            evidence.add(self._leases.between(client, where), self._greetings.between(client, where))
        hidden, forgotten = not self._hiding.isdisjoint(whence), bool(self._leases.forgotten)
        return judged(evidence, self._texts, [*[HIDDEN_DNS] * hidden, *[FORGOTTEN] * forgotten])

    def led(self) -> Iterator[tuple[HostName, Address]]:
        """Each name that led anybody anywhere, by DNS or as a greeting, with each address; by address and name."""
        found = [store.rows() for store in (self._leases, self._greetings)]
        server, name = (np.concatenate([rows[column] for rows in found]) for column in ("server", "name"))
        pairs = np.unique(np.column_stack([server, name.astype(np.uint64)])[name != NO_NAME], axis=0)
        for (upper, lower), group in groupby(pairs.tolist(), key=lambda pair: pair[:2]):
            address = unpacked(upper, lower)
            for each in sorted(self._texts.name(number) for _, _, number in group):
                yield each, address

    def among(self, wanted: Callable[[HostName], bool]) -> Names:
        """What the captures, all read by now, say of some names alone: as if they had never carried any other.

        Args:
            wanted: Asked once for each name, however often it led somewhere.
        """
        part = Names(self._limits)
        part._texts, part._hiding = self._texts, self._hiding
        numbers = distinct_names(self._leases, self._greetings).tolist()
        chosen = [number for number in numbers if number != NO_NAME and wanted(self._texts.name(number))]
        for mine, its in ((self._leases, part._leases), (self._greetings, part._greetings)):
            rows = mine.rows()
            its.add(rows[np.isin(rows["name"], chosen)])
        return part

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """Who asked for names so that nobody could read it, sorted."""
        found = [
            Hidden(client=unpacked(*client), server=unpacked(*server), protocol=protocol, way=way)
            for client, server, protocol, way in self._hidden
        ]
        return tuple(
            sorted(found, key=lambda each: (packed(each.client), packed(each.server), each.protocol, each.way))
        )

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What each client asked, by address."""
        return tuple(
            Asked(
                client=unpacked(*client), asked=counts[0], answered=counts[1], empty=counts[2], no_name=counts[3],
                failed=counts[4],
            )
            for client, counts in sorted(self._asked.items())
        )  # fmt: skip

    @property
    def tally(self) -> Mapping[str, int]:
        """What was read for names, and what could not be: readable, to a count above 0."""
        own = {
            "names that are no host names": self._texts.rejected.count,
            "spans of DNS answers forgotten, too many": self._leases.forgotten,
            "spans of greetings forgotten, too many": self._greetings.forgotten,
        }
        return self._counts | {what: count for what, count in own.items() if count}

    @property
    def no_host_names(self) -> tuple[str, ...]:
        """A few of the names that are no host names, quoted and escaped."""
        return tuple(self._texts.rejected.samples)

    def _count_outcomes(self, answers: Answers) -> None:
        fresh = ~self._answers.again(answers.exchange, answers.time)
        outcomes = answers.outcome[fresh]
        for outcome, what in _OUTCOMES:
            self.count(what, int(np.count_nonzero(outcomes == outcome)))
        self._count_clients(answers.client[fresh], outcomes.astype(np.int64) + 1)

    def _count_clients(self, clients: NDArray[np.uint64], what: Ints) -> None:
        """Adds to the counts of each client; `what`: int64[n], which of its counts."""
        if not len(clients):
            return
        for client, index, count in _tallied(clients, what):
            self._count_client(client, index, count)

    def _count_client(self, client: tuple[int, int], index: int, count: int) -> None:
        its = self._asked.get(client)
        if its is None:
            if len(self._asked) >= self._limits.clients:
                self.count("DNS messages of clients beyond those that are counted one by one", count)
                return
            its = self._asked[client] = [0] * (len(AnswerOutcome) + 1)
        its[index] += count

    def _hide(self, client: tuple[int, int], server: tuple[int, int], protocol: int, way: str) -> None:
        pair = (client, server, protocol, way)
        if pair in self._hidden:
            return
        if len(self._hidden) >= self._limits.hidden:
            self.count("clients of hidden DNS not remembered, too many", 1)
            return
        self._hidden[pair] = None
        self._hiding.add(client)

    def _let_go(self, some_forgotten: bool) -> None:  # noqa: FBT001 - what `Spans.add` returned
        if some_forgotten:
            self._texts.keep(distinct_names(self._leases, self._greetings).tolist())


_OUTCOMES: Final = (
    (AnswerOutcome.ANSWERED, "DNS answers"),
    (AnswerOutcome.EMPTY, "DNS answers without records"),
    (AnswerOutcome.NO_NAME, "DNS answers that there is no such name"),
    (AnswerOutcome.FAILED, "DNS answers that failed"),
)


def _tallied(clients: NDArray[np.uint64], what: Ints) -> Iterator[tuple[tuple[int, int], int, int]]:
    """How often each client occurs with each small number: (client, number, count)."""
    high = clients[:, 0]
    if not high.any() and not (clients[:, 1] >> np.uint64(48)).any():
        # IPv4: the address and the number fit into one word, which is sorted five times as fast.
        words = np.sort(clients[:, 1] << np.uint64(8) | what.astype(np.uint64))
        begins = firsts(words)
        counts = np.diff(begins, append=len(words)).tolist()
        for word, count in zip(words[begins].tolist(), counts, strict=True):
            yield (0, word >> 8), word & 0xFF, count
        return
    order = np.lexsort((what, clients[:, 1], high))
    ordered, kind = clients[order], what[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1) | (kind[1:] != kind[:-1])
    begins = np.flatnonzero(new)
    counts = np.diff(begins, append=len(order)).tolist()
    for (upper, lower), index, count in zip(ordered[begins].tolist(), kind[begins].tolist(), counts, strict=True):
        yield (upper, lower), index, count


def _greeting_rows(rows: list[tuple[Greeting, int]]) -> Rows:
    time = np.array([each.time for each, _ in rows], np.int64)
    return spans_of(
        first=time,
        last=time,
        client=np.array([each.client for each, _ in rows], np.uint64),
        server=np.array([each.server for each, _ in rows], np.uint64),
        name=np.array([number for _, number in rows], np.int64),
        door=np.array([door_of(each.protocol, each.port, each.traits) for each, _ in rows], np.uint32),
    )


def _is_address(name: bytes) -> bool:
    """An address literal, which names nothing: digits and dots, or something with a colon or in brackets."""
    return b":" in name or name.startswith(b"[") or not name.strip(b"0123456789.")
