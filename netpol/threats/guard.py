"""What `learn` and `egress` never learn: what threat lists name, cloud metadata, kubelets; and what stays allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from netpol.graph.reasons import Reason
from netpol.model.cidr import AddressSet
from netpol.threats.lists import Threats, load
from netpol.threats.screen import Screen
from netpol.threats.sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.graph.judge import Accepted
    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.outside import Need
    from netpol.names.part import NameTaker
    from netpol.names.table import Names
    from netpol.threats.lists import Match
    from netpol.threats.sensitive import Sensitive, Use

_SMALL: Final = 256
"""Blocks of earlier policies with at most so many addresses are held against the lists, address by address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """An address that a listed name led to, and that a workload keeps, because it used a name of its own there.

    Attributes:
        need: Whose it is, and by which name.
        address: One of the need's.
        name: The listed name.
        match: Where it is listed.
    """

    need: Need
    address: Address
    name: HostName
    match: Match


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides about flows and needs.

    Attributes:
        heard: Listed names that were heard, None without a list that has names.
        names: What the captures say about names.
        sensitive: Cloud metadata and kubelets; None where these are learned like anything else.
    """

    threats: Threats
    screen: Screen
    heard: Sightings | None
    sensitive: Sensitive | None
    names: Names | None = None

    @classmethod
    def of(cls, paths: Sequence[str], names: Names | None, sensitive: Sensitive | None = None) -> Guard:
        """Reads the lists.

        Args:
            paths: Of threat lists.
            names: What the captures will say about names.
            sensitive: Cloud metadata and kubelets.

        Raises:
            InputError: A list cannot be read.
        """
        threats = Threats([load(Path(path)) for path in dict.fromkeys(paths)])
        heard = Sightings(threats, names) if threats.has_names and names is not None else None
        return cls(threats, Screen(threats, names), heard, sensitive, names)

    def sink(self, names: Names | None) -> NameTaker | None:
        """What is to listen while the captures are read."""
        return self.heard or names

    def look(self, flows: Iterable[ResolvedFlow]) -> None:
        """Has to see all flows before the first decision where lists name hosts; otherwise they are not looked at."""
        if self.screen.needs_a_look:
            self.screen.look(flows)

    def bar(self, flow: ResolvedFlow, decision: Accepted | Reason) -> Reason | None:
        """A `netpol.graph.admit.Bar`."""
        if self.threats.lists and self.screen.bars(flow):
            return Reason.THREAT_LIST
        return self.sensitive.bar(flow, decision) if self.sensitive else None

    def passing(self, flows: Iterable[ResolvedFlow]) -> Iterator[ResolvedFlow]:
        """The flows that lists have nothing against."""
        return (flow for flow in flows if not self.threats.lists or not self.screen.names(flow))

    def unwanted(self, addresses: AddressSet, way: Literal["ingress", "egress"]) -> AddressSet:
        """Which of some addresses earlier policies must not allow any more.

        What lists name, as far as it was seen or the addresses are few; and cloud metadata that was read, for all, if
        nobody is meant to read it.
        """
        barred = self.sensitive.metadata & addresses if self.sensitive and way == "egress" else AddressSet.EMPTY
        if not self.threats.lists:
            return barred
        barred |= addresses & self.addresses
        if addresses.size > _SMALL:
            return barred
        singles = (
            type(first)(number) for first, last in addresses.ranges() for number in range(int(first), int(last) + 1)
        )
        return barred | AddressSet.collect(one for one in singles if self.threats.address(one))

    def by_address(self, needs: Iterable[Need]) -> tuple[Need, ...]:
        """The needs, those whose name also leads to a listed address marked: by name, that would be allowed too."""
        listed: dict[HostName, str] = {}
        for name, address in self.names.led() if self.names and self.threats.lists else ():
            match = self.screen.lists(address)
            if match is not None and name not in listed:
                listed[name] = (
                    f"{name} also leads to {address}, which line {match.line} of {match.list.name} names: "
                    "it is allowed by its other addresses only"
                )
        return tuple(
            replace(need, by_address=why, remarks=tuple(sorted({*need.remarks, why})))
            if need.name is not None and (why := listed.get(need.name))
            else need
            for need in needs
        )

    def shared(self, needs: Iterable[Need]) -> Iterator[Shared]:
        """What of the needs stays allowed although a listed name led to it: others used it by a name of their own."""
        for need in needs:
            for address in need.addresses:
                tainted = self.screen.tainted(address)
                if tainted is not None:
                    name, match = tainted
                    yield Shared(need=need, address=address, name=name, match=match)

    @property
    def addresses(self) -> AddressSet:
        """The outside addresses of what matched."""
        return AddressSet.collect(hit.address for hit in self.screen.hits)

    @property
    def uses(self) -> tuple[Use, ...]:
        """What of the platform was barred."""
        return self.sensitive.uses if self.sensitive else ()

    @property
    def found(self) -> bool:
        """Whether anything matched."""
        return bool(self.screen.hits or (self.heard and self.heard.found))
