"""Which flows have to do with what lists name: they are never learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from netpol.graph.judge import is_no_peer
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.flow import Direction
from netpol.model.platform import platform_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.names.found import Found
    from netpol.threats.lists import Match, Threats

MOST: Final = 10_000
"""Hits kept one by one; connections of more are counted."""

By = Literal["address", "name", "same-address"]
"""What the list names: the address; a name that led there; or a name that led others to the same address."""


class Naming(Protocol):
    """Who knows names: `netpol.names.table.Names`."""

    def towards(  # noqa: PLR0913, PLR0917 - what makes a connection is that many things
        self, clients: Iterable[Address], server: Address, protocol: int, port: int, first: int, last: int
    ) -> Found:
        """What names the connections of the clients to the server's port between the two times (nanoseconds)."""
        ...

    def among(self, wanted: Callable[[HostName], bool]) -> Naming:
        """The same as if the captures had carried those names alone."""
        ...

    def led(self) -> Iterator[tuple[HostName, Address]]:
        """Each name with each address to which it led anybody; by address and name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Connections that have to do with one entry of a list.

    Attributes:
        who: The workload, node or address at the other end, as printed.
        outgoing: It opened the connections; otherwise they were opened to it.
        by: What the list names.
        name: The listed name, None where an address is listed.
        address: The outside address.
        protocol: IP protocol number.
        port: None for protocols without ports, and where nobody knows which port is the server's.
        connections: Those that failed, too.
        first_seen: Packet time, nanoseconds since the Unix epoch.
        last_seen: Packet time, nanoseconds since the Unix epoch.
    """

    match: Match
    who: str
    outgoing: bool
    by: By
    name: HostName | None
    address: Address
    protocol: int
    port: int | None
    connections: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True)
class _Named:
    match: Match
    by: By
    name: HostName | None


class Screen:
    """Asks the lists about flows and keeps what they say.

    A name taints the address that it led to, whether or not who asked for it connected: for whoever asked, and for
    everybody whose connections carried no other name, because rules speak of addresses. Addresses of the platform
    (metadata, node-local DNS) are not asked for: lists of addresses that nobody routes hold all of 169.254.0.0/16; and
    names that lead there taint them for nobody but who connected by them.

    Attributes:
        more: Connections of hits beyond those that are kept.
    """

    def __init__(self, threats: Threats, names: Naming | None = None) -> None:
        self._threats = threats
        self._names = names if threats.has_names else None
        self._tainted: dict[Address, _Named] = {}
        self._tainted_for: dict[tuple[str, Address], _Named] = {}
        self._by_address: dict[Address, Match | None] = {}
        self._listed_names: dict[HostName, Match | None] = {}
        self._hits: dict[tuple[object, ...], Hit] = {}
        self.flows: list[ResolvedFlow] = []
        """One flow of each hit."""
        self.more = 0

    @property
    def needs_a_look(self) -> bool:
        """Whether all flows have to be shown to `look` before the first is asked about."""
        return self._names is not None

    def look(self, flows: Iterable[ResolvedFlow]) -> None:
        """Learns which addresses listed names led to, and whom."""
        if self._names is None:
            return
        # Any number of names may lead to an address. Each is held against the lists once, not for each flow.
        listed = self._names.among(self._is_listed)
        for name, address in listed.led():
            match = self._listed_names[name]
            if match is not None and not _is_platform(address):
                self._tainted.setdefault(address, _Named(match, "same-address", name))
        for flow in flows:
            for outgoing, _, end in _sides(flow):
                key = str(flow.source), end.address
                if outgoing and key not in self._tainted_for:
                    named = self._listed_name(flow, listed)
                    if named is not None:
                        self._tainted_for[key] = named

    def tainted(self, address: Address) -> tuple[HostName, Match] | None:
        """The listed name that led somebody to an address, None where none did."""
        named = self._tainted.get(address)
        return None if named is None or named.name is None else (named.name, named.match)

    def bars(self, flow: ResolvedFlow) -> bool:
        """Whether the flow must not be learned, which is kept as a hit."""
        for outgoing, who, end in _sides(flow):
            named = self._named(flow, end.address, outgoing=outgoing)
            if named is not None:
                self._enter(named, flow, end.address, _spell(who), outgoing=outgoing)
                return True
        return False

    def names(self, flow: ResolvedFlow) -> bool:
        """The same, without keeping anything."""
        return any(self._named(flow, end.address, outgoing=outgoing) is not None for outgoing, _, end in _sides(flow))

    def lists(self, address: Address) -> Match | None:
        """What names an address that flows may lead to; None for those of the platform."""
        return self._listed_address(address)

    @property
    def hits(self) -> tuple[Hit, ...]:
        """All hits: by list and line, then who."""
        order = {id(item): index for index, item in enumerate(self._threats.lists)}
        return tuple(
            sorted(
                self._hits.values(),
                key=lambda hit: (
                    order[id(hit.match.list)], hit.match.line, hit.who, hit.address.version, int(hit.address),
                    hit.protocol, hit.port or 0, not hit.outgoing,
                ),
            )
        )  # fmt: skip

    def _named(self, flow: ResolvedFlow, address: Address, *, outgoing: bool) -> _Named | None:
        listed = self._listed_address(address)
        if listed is not None:
            return _Named(listed, "address", None)
        if self._names is None:
            return None
        if outgoing and (named := self._tainted_for.get((str(flow.source), address))):
            return named
        tainted = self._tainted.get(address)
        if tainted is None or (outgoing and self._has_another_name(flow)):
            return None
        return tainted

    def _listed_address(self, address: Address) -> Match | None:
        if address not in self._by_address:
            self._by_address[address] = None if _is_platform(address) else self._threats.address(address)
        return self._by_address[address]

    def _is_listed(self, name: HostName) -> bool:
        if name not in self._listed_names:
            self._listed_names[name] = self._threats.host(name)
        return self._listed_names[name] is not None

    def _listed_name(self, flow: ResolvedFlow, listed: Naming) -> _Named | None:
        found = _found(flow, listed)
        names = sorted({*(item.name for item in found.candidates), *found.sharing}) if found else ()
        for name in names:
            match = self._listed_names[name]
            if match is not None:
                return _Named(match, "name", name)
        return None

    def _has_another_name(self, flow: ResolvedFlow) -> bool:
        found = _found(flow, self._names)
        return found is not None and any(item.handshakes for item in found.candidates)

    def _enter(self, named: _Named, flow: ResolvedFlow, address: Address, who: str, *, outgoing: bool) -> None:
        row = flow.flow
        key = (id(named.match.list), named.match.line, who, outgoing, address, row.protocol, row.port)
        known = self._hits.get(key)
        if known is None and len(self._hits) >= MOST:
            self.more += row.connections
        elif known is None:
            self.flows.append(flow)
            self._hits[key] = Hit(
                match=named.match,
                who=who,
                outgoing=outgoing,
                by=named.by,
                name=named.name,
                address=address,
                protocol=row.protocol,
                port=row.port,
                connections=row.connections,
                first_seen=row.first_seen,
                last_seen=row.last_seen,
            )
        else:
            self._hits[key] = replace(
                known,
                connections=known.connections + row.connections,
                first_seen=min(known.first_seen, row.first_seen),
                last_seen=max(known.last_seen, row.last_seen),
            )


def _found(flow: ResolvedFlow, names: Naming | None) -> Found | None:
    """What names the connections to the address that the client used, be it a Service's."""
    row = flow.flow
    if names is None or row.port is None:
        return None
    return names.towards([row.client], row.server, row.protocol, row.port, row.first_seen, row.last_seen)


def _is_platform(address: Address) -> bool:
    return platform_at(address, 0, 0) is not None or is_no_peer(address)


def _sides(flow: ResolvedFlow) -> list[tuple[bool, End, ExternalEnd]]:
    """(whether the outside is who was connected to, the other end, the outside end); most flows have at most one.

    Where nobody knows who opened the connection, the ends stand in the order of their addresses.
    """
    found: list[tuple[bool, End, ExternalEnd]] = [
        (True, flow.source, item.end) for item in flow.destinations if isinstance(item.end, ExternalEnd)
    ]
    if isinstance(flow.source, ExternalEnd):
        unknown = flow.flow.direction is Direction.UNKNOWN
        found.append((unknown, flow.destinations[0].end, flow.source))
    return found


def _spell(end: End) -> str:
    """The other end as it is printed: an address where nobody is known to hold it."""
    if isinstance(end, PodEnd | NodeEnd):
        return str(end)
    return str(getattr(end, "address", end))
