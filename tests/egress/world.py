"""Names as tests want them, and what was admitted of a few flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from netpol.graph.observation import Evidence
from netpol.model.flow import Direction
from netpol.model.host_name import HostName
from netpol.model.outside import Grade
from netpol.names.found import Candidate, Found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.flow import Address

NOTHING = Found()


@dataclass(slots=True)
class Named:
    """A table of names that says what it was told, whatever the time."""

    answers: dict[tuple[Address, Address, int], Found] = field(default_factory=dict)

    def say(self, client: str, server: str, port: int, found: Found) -> Named:
        self.answers[ip_address(client), ip_address(server), port] = found
        return self

    def towards(
        self, clients: Iterable[Address], server: Address, protocol: int, port: int, first: int, last: int
    ) -> Found:
        assert protocol
        assert first <= last
        return next(
            (self.answers[client, server, port] for client in clients if (client, server, port) in self.answers),
            NOTHING,
        )


def candidate(
    name: str, handshakes: int = 0, grade: Grade | None = None, *, first: int = 0, last: int = 0
) -> Candidate:
    if grade is None:
        grade = Grade.STRONG if handshakes else Grade.MEDIUM
    return Candidate(name=HostName(name), grade=grade, handshakes=handshakes, first=first, last=last)


def found(*candidates: Candidate, sharing: Iterable[str] = (), remarks: Iterable[str] = ()) -> Found:
    return Found(
        candidates=tuple(sorted(candidates, key=lambda item: item.name)),
        sharing=tuple(sorted(map(HostName, sharing))),
        remarks=tuple(sorted(remarks)),
    )


def evidence(connections: int, size: int = 0, *, first: int = 10, last: int = 20) -> Evidence:
    return Evidence(
        connections=connections,
        packets=connections,
        bytes=size,
        first_seen=first,
        last_seen=last,
        directions=((Direction.SYN, connections),),
    )
