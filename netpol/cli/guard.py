"""What `learn` and `egress` never learn: what threat lists name, cloud metadata, kubelets; and what they say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netpol.cli.text import plain
from netpol.egress.sensitive import Sensitive
from netpol.flows.write import timestamp
from netpol.graph.judge import grounded
from netpol.graph.reasons import Reason
from netpol.model.cidr import AddressSet
from netpol.model.flow import protocol_name
from netpol.model.inventory import Node, Pod
from netpol.threats.lists import Threats, load
from netpol.threats.screen import Screen
from netpol.threats.sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from netpol.cluster.timeline import Timeline
    from netpol.egress.sensitive import Use
    from netpol.graph.judge import Accepted
    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.outside import Need
    from netpol.names.part import NameTaker
    from netpol.names.table import Names
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.verdict import Way
    from netpol.threats.lists import Match
    from netpol.threats.screen import Hit
    from netpol.threats.sightings import Sighting

SHOWN: Final = 10
"""Matches printed; summary.json has all."""

_SMALL: Final = 256
"""Blocks of earlier policies with at most so many addresses are held against the lists, address by address."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides about flows, and gives account.

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

    def unwanted(self, addresses: AddressSet, way: Way) -> AddressSet:
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

    def by_address(self, needs: Iterable[Need]) -> Iterator[Need]:
        """The needs, those whose name also leads to a listed address marked: by name, that would be allowed too."""
        leading = (
            self.names.leading(lambda one: self.screen.lists(one) is not None)
            if self.names and self.threats.lists
            else {}
        )
        for need in needs:
            address = leading.get(need.name) if need.name is not None else None
            match = self.screen.lists(address) if address is not None else None
            if match is None:
                yield need
            else:
                why = f"{need.name} also leads to {address}, which line {match.line} of {match.list.name} names"
                remarks = tuple(sorted({*need.remarks, f"{why}: it is allowed by its other addresses only"}))
                yield replace(need, by_address=True, remarks=remarks)

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

    def summary(self, timeline: Timeline, evaluator: Evaluator | None = None) -> dict[str, Any] | None:
        """The `threats` of summary.json, None where no list was given.

        Args:
            timeline: Says who had an address.
            evaluator: Knows the policies that are written, to say what of it they leave open.
        """
        if not self.threats.lists:
            return None
        heard = self.heard.found if self.heard else ()
        return {
            "lists": [_list(one) for one in self.threats.lists],
            "matches": [_hit(hit) for hit in self.screen.hits],
            "more_connections": self.screen.more,
            "names": [_sighting(one, timeline) for one in heard],
            "more_names": self.heard.forgotten if self.heard else 0,
            "still_open": _still_open(self.screen.flows, evaluator) if evaluator else [],
        }


def threat_lines(
    threats: Mapping[str, Any] | None, rest: str = ": -d DIR writes them all to summary.json"
) -> Iterator[str]:
    """What lists name, for a person: before everything else.

    Args:
        threats: Of `Guard.summary`.
        rest: Where to find what is not shown.
    """
    if threats is None:
        return
    matches, names = threats["matches"], threats["names"]
    seen = {(match["who"], match["name"]) for match in matches}
    lone = [each for each in names if (each["who"], each["name"]) not in seen]
    if matches or lone:
        yield f"On a threat list, {len(matches) + len(lone)} in all; none of it is allowed:"
        lines = [*map(_match_line, matches), *map(_name_line, lone)]
        yield from (plain(f"  {line}.") for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"  and {len(lines) - SHOWN} more{rest}"
    if threats["still_open"]:
        yield f"Left open all the same, {len(threats['still_open'])} in all:"
        for item in threats["still_open"][:SHOWN]:
            yield plain(f"  {item['source']} to {item['destination']} on {item['port']}: {item['text']}.")
    for one in threats["lists"]:
        yield plain(_list_line(one))


def _list_line(one: Mapping[str, Any]) -> str:
    version = f", version {one['version']}" if one["version"] else ""
    passed = "".join(f"; {count:,} {what}" for what, count in one["passed_over"].items())
    bad = f"; {one['bad']:,} that are no entry ({'; '.join(one['bad_lines'])})" if one["bad"] else ""
    held = f"addresses and ranges {one['address_ranges']:,}, names {one['names']:,}"
    return f"{'threat list':<16}{one['list']}: {held}{version}, sha256 {one['sha256'][:12]}{passed}{bad}"


def _match_line(match: Mapping[str, Any]) -> str:
    where = match["address"] if match["name"] is None else f"{match['name']} ({match['address']})"
    to, other = (match["who"], where) if match["direction"] == "egress" else (where, match["who"])
    count = f"{match['connections']:,} {'connection' if match['connections'] == 1 else 'connections'}"
    via = ", an address that others were led to by that name" if match["by"] == "same-address" else ""
    return f"{to} to {other}, {match['port']}, {count}: {_place(match)}{via}"


def _name_line(name: Mapping[str, Any]) -> str:
    how = "asked DNS for" if name["way"] == "DNS" else f"named in {name['way']}"
    return f"{name['who']} {how} {name['name']}, {name['count']:,} times: {_place(name)}"


def _place(match: Mapping[str, Any]) -> str:
    version = f" (version {match['version']})" if match["version"] else ""
    return f"line {match['line']} of {match['list']}{version}"


def _source(match: Match) -> dict[str, Any]:
    return {
        "list": match.list.name,
        "version": match.list.version,
        "sha256": match.list.sha256,
        "line": match.line,
    }


def _list(one: Any) -> dict[str, Any]:
    return {
        "list": one.name,
        "version": one.version,
        "sha256": one.sha256,
        "address_ranges": len(one.entries.addresses),
        "names": len(one.entries.domains),
        "passed_over": dict(sorted(one.entries.passed_over.items())),
        "bad": one.entries.bad,
        "bad_lines": list(one.entries.bad_lines),
    }


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "who": hit.who,
        "direction": "egress" if hit.outgoing else "ingress",
        "by": hit.by,
        "name": hit.name,
        "address": str(hit.address),
        "port": _port(hit.protocol, hit.port),
        "connections": hit.connections,
        "first_seen": timestamp(hit.first_seen),
        "last_seen": timestamp(hit.last_seen),
        **_source(hit.match),
    }


def _sighting(one: Sighting, timeline: Timeline) -> dict[str, Any]:
    return {
        "who": _holder(one, timeline),
        "client": str(one.client),
        "name": one.name,
        "way": one.way,
        "count": one.count,
        "first_seen": timestamp(one.first_seen),
        "last_seen": timestamp(one.last_seen),
        **_source(one.match),
    }


def _still_open(flows: Iterable[ResolvedFlow], evaluator: Evaluator) -> list[dict[str, Any]]:
    """What the policies do not close: of workloads without a policy, and by rules that labels make for others too."""
    found = []
    for flow in flows:
        row = flow.flow
        source = grounded(flow.source, row.client)
        for item in flow.destinations:
            end = grounded(item.end, row.server)
            if item.port is None or not evaluator.verdict(source, end, row.protocol, item.port).allowed:
                continue
            found.append(
                {
                    "source": _spell(source),
                    "destination": _spell(end),
                    "port": _port(row.protocol, item.port),
                    "text": "no policy that is written denies it: write one by hand",
                }
            )
    return found


def _spell(end: Any) -> str:
    return f"{end.address}" if str(end) == "external" else str(end)


def _port(protocol: int, port: int | None) -> str:
    return f"{protocol_name(protocol)}/{port}" if port else protocol_name(protocol)


def _holder(one: Sighting, timeline: Timeline) -> str:
    """Who had the client's address when it named what is listed: as flows are printed, an address where nobody did."""
    index = timeline.find(one.client, one.first_seen, one.last_seen)
    owner = timeline.tenancies_list[index].owner if index >= 0 else None
    if isinstance(owner, Pod):
        return f"node/{owner.node}" if owner.host_network else str(owner.workload)
    return f"node/{owner.name}" if isinstance(owner, Node) else str(one.client)
