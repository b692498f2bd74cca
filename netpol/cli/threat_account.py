"""What threat lists name, for people and for summary.json: what matched, and what is allowed all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netpol.cli.text import plain
from netpol.flows.write import timestamp
from netpol.model.flow import protocol_name
from netpol.model.inventory import Node, Pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from netpol.cluster.timeline import Timeline
    from netpol.model.outside import Need
    from netpol.policy.left_open import LeftOpen
    from netpol.threats.guard import Guard, Shared
    from netpol.threats.lists import Match
    from netpol.threats.screen import Hit
    from netpol.threats.sightings import Sighting

SHOWN: Final = 10
"""Matches printed; summary.json has all."""


def threats_of(
    guard: Guard, timeline: Timeline, needs: Sequence[Need], left_open: Iterable[LeftOpen] = ()
) -> dict[str, Any] | None:
    """The `threats` of summary.json, None where no list was given.

    Args:
        guard: What matched.
        timeline: Says who had an address.
        needs: What is allowed outside, as `Guard.by_address` left it.
        left_open: What of the matches the policies that are written do not close.
    """
    if not guard.threats.lists:
        return None
    heard = guard.heard.found if guard.heard else ()
    return {
        "lists": [_list(one) for one in guard.threats.lists],
        "matches": [_hit(hit) for hit in guard.screen.hits],
        "more_connections": guard.screen.more,
        "names": [_sighting(one, timeline) for one in heard],
        "more_names": guard.heard.forgotten if guard.heard else 0,
        "still_open": [*map(_open, left_open), *map(_shared, guard.shared(needs))],
        "by_address": [
            {"workload": str(workload), "name": name, "text": why}
            for workload, name, why in sorted(
                {(need.workload, need.name or "", need.by_address) for need in needs if need.by_address}
            )
        ],
    }


def threat_lines(
    threats: Mapping[str, Any] | None, rest: str = ": -d DIR writes them all to summary.json"
) -> Iterator[str]:
    """What lists name, for a person: before everything else.

    Args:
        threats: Of `threats_of`.
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
        if len(threats["still_open"]) > SHOWN:
            yield f"  and {len(threats['still_open']) - SHOWN} more{rest}"
    if threats["by_address"]:
        yield f"Names that lead to listed addresses too, {len(threats['by_address'])} in all:"
        yield from (plain(f"  {item['workload']}: {item['text']}.") for item in threats["by_address"][:SHOWN])
        if len(threats["by_address"]) > SHOWN:
            yield f"  and {len(threats['by_address']) - SHOWN} more{rest}"
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


def _open(one: LeftOpen) -> dict[str, Any]:
    return {
        "source": _spell(one.source),
        "destination": _spell(one.destination),
        "port": _port(one.protocol, one.port),
        "text": "no policy that is written denies it: write one by hand",
    }


def _shared(one: Shared) -> dict[str, Any]:
    own = one.need.name or "another name"
    place = f"line {one.match.line} of {one.match.list.name}"
    return {
        "source": str(one.need.workload),
        "destination": str(one.address),
        "port": _port(one.need.protocol, one.need.port),
        "text": f"its connections were for {own}; {one.name}, which {place} names, led there too",
    }


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
