"""What leaves the cluster as a table, JSON, CSV and Markdown. Nothing from the wire reaches any of them unescaped.

`-o json` is one array with an object a line for each need, by workload, name, protocol and port:
`{"workload": "ns/name[Kind]", "name": "api.partner.example" or null, "protocol": "TCP", "port": 443, "grade": "strong"
or "medium" or "ambiguous" or "none", "connections": 3, "bytes": 31337, "first_seen": "2026-11-01T12:00:00.000000Z",
"last_seen": "...", "addresses": ["198.51.100.20"], "sharing": ["other.example"], "wildcard": null or "*.example",
"remarks": ["..."]}`. `sharing` are the other names that led the workload to one of the addresses. `wildcard` is the
pattern that may stand for the name, only where patterns were asked for: `*.` for one label, `**.` for any number.
CSV has the same columns; lists stand in one field, addresses and names with blanks between them, remarks with `; `.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from itertools import groupby
from typing import IO, TYPE_CHECKING, Any, Final

from netpol.cli.list_render import csv_line
from netpol.cli.text import columns, markdown_table, plain
from netpol.flows.write import timestamp
from netpol.model.flow import protocol_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from netpol.egress.attempts import Attempt
    from netpol.egress.needs import Needs, PlatformUse
    from netpol.model.outside import Need

FIELDS: Final = (
    "workload",
    "name",
    "protocol",
    "port",
    "grade",
    "connections",
    "bytes",
    "first_seen",
    "last_seen",
    "addresses",
    "sharing",
    "wildcard",
    "remarks",
)

HEADING: Final = (
    "WORKLOAD",
    "NAME",
    "PORT",
    "GRADE",
    "CONNECTIONS",
    "BYTES",
    "ADDRESSES",
    "FIRST-SEEN",
    "LAST-SEEN",
    "SHARED-WITH",
    "REMARKS",
)
"""In the order of what a person asks first: a narrow terminal shows as many as it has room for."""
_ALWAYS: Final = 4
_WHERE_ANY: Final = frozenset({"SHARED-WITH", "REMARKS"})
PLATFORM_HEADING: Final = ("WORKLOAD", "PLATFORM", "PORT", "CONNECTIONS", "ADDRESSES", "LAST-SEEN")
ATTEMPT_HEADING: Final = ("WORKLOAD", "NAMES", "PORTS", "BECAUSE", "ADDRESSES", "CONNECTIONS", "LAST-SEEN")

PLATFORM_TITLE: Final = "The platform's own, and in no allowlist:"
ATTEMPT_TITLE: Final = "Tried outside, and not learned:"
NOTHING: Final = "No workload was seen to need anything outside the cluster."

_SHOWN: Final = 2
_PORTS_SHOWN: Final = 4
_GAP: Final = 3

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


@dataclass(slots=True)
class Terminal:
    """How wide a line may be.

    Attributes:
        width: Columns; None where it does not matter: in a file or a pipe.
        left_out: Headings of what did not fit.
    """

    width: int | None = None
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, stream: IO[str]) -> Terminal:
        """The one that a stream writes to."""
        return cls(shutil.get_terminal_size().columns if stream.isatty() else None)


def render(name: str, needs: Needs, terminal: Terminal) -> Iterator[str]:
    """The needs in a format, in pieces of any size."""
    formats: dict[str, Callable[[], Iterator[str]]] = {
        "table": lambda: _table(needs, terminal),
        "json": lambda: _json(needs.needs),
        "csv": lambda: _csv(needs.needs),
        "md": lambda: _markdown(needs),
    }
    return formats[name]()


def values(need: Need) -> dict[str, Any]:
    """A need as JSON values, by FIELDS."""
    return {
        "workload": str(need.workload),
        "name": need.name,
        "protocol": protocol_name(need.protocol),
        "port": need.port,
        "grade": need.grade.label,
        "connections": need.connections,
        "bytes": need.bytes,
        "first_seen": timestamp(need.first_seen),
        "last_seen": timestamp(need.last_seen),
        "addresses": [str(address) for address in need.addresses],
        "sharing": list(need.sharing),
        "wildcard": None if need.wildcard is None else str(need.wildcard),
        "remarks": list(need.remarks),
    }


def _json(needs: Iterable[Need]) -> Iterator[str]:
    lead = "[\n"
    for need in needs:
        yield f"{lead}  {json.dumps(values(need))}"
        lead = ",\n"
    yield "\n]\n" if lead != "[\n" else "[]\n"


def _csv(needs: Iterable[Need]) -> Iterator[str]:
    yield csv_line(FIELDS)
    for need in needs:
        row = values(need)
        row |= {key: row[key] or "" for key in ("name", "wildcard")}
        row |= {key: " ".join(row[key]) for key in ("addresses", "sharing")}
        row["remarks"] = "; ".join(row["remarks"])
        yield csv_line(list(row.values()))


def _table(needs: Needs, terminal: Terminal) -> Iterator[str]:
    heading, rows = _narrowed(_needs_table(needs.needs), terminal)
    if rows:
        yield from _lines(columns(heading, rows))
    else:
        yield f"{NOTHING}\n"
    for title, (heading, rows) in _others(needs):
        yield f"\n{title}\n"
        yield from _lines(columns(*_narrowed((heading, rows), terminal)))


def _markdown(needs: Needs) -> Iterator[str]:
    heading, rows = _needs_table(needs.needs)
    if rows:
        yield from _lines(markdown_table(heading, rows))
    else:
        yield f"{NOTHING}\n"
    for title, (heading, rows) in _others(needs):
        yield f"\n{title}\n\n"
        yield from _lines(markdown_table(heading, rows))


def _lines(lines: Iterable[str]) -> Iterator[str]:
    return (f"{line}\n" for line in lines)


def _others(needs: Needs) -> Iterator[tuple[str, Table]]:
    """The tables of what is no need, where there is any."""
    if needs.platform:
        yield PLATFORM_TITLE, (PLATFORM_HEADING, [_platform_row(item) for item in needs.platform])
    if needs.attempts:
        yield ATTEMPT_TITLE, (ATTEMPT_HEADING, [_attempt_row(item) for item in needs.attempts])


def _needs_table(needs: Sequence[Need]) -> Table:
    """A row for each need, one for all that a pattern stands for; without columns in which nothing stands."""
    rows = [row for _, group in groupby(sorted(needs, key=_place), key=_place) for row in _rows(list(group))]
    full = [index for index, name in enumerate(HEADING) if name not in _WHERE_ANY or any(row[index] for row in rows)]
    return tuple(HEADING[index] for index in full), [tuple(row[index] for index in full) for row in rows]


def _place(need: Need) -> tuple[Any, ...]:
    """What is one row comes together: everything but names in order, names by their pattern."""
    if need.wildcard is None:
        return (
            need.workload,
            need.name is None,
            need.name or "",
            need.addresses[0].version,
            int(need.addresses[0]),
            need.protocol,
            need.port,
            False,
        )
    return need.workload, False, need.wildcard.parent, 0, 0, need.protocol, need.port, True


def _rows(needs: Sequence[Need]) -> Iterator[tuple[str, ...]]:
    first = needs[0]
    addresses = {address for need in needs for address in need.addresses}
    remarks = list(dict.fromkeys(remark for need in needs for remark in need.remarks))
    named = {need.name for need in needs}
    if first.wildcard is not None:
        remarks.insert(0, f"open-ended: {len(named):,} names of this kind were seen, any other is meant too")
    yield (
        str(first.workload),
        str(first.wildcard or first.name or first.addresses[0]),
        _port(first.protocol, first.port),
        max(need.grade for need in needs).label,
        f"{sum(need.connections for need in needs):,}",
        f"{sum(need.bytes for need in needs):,}",
        _some([str(address) for address in sorted(addresses, key=lambda one: (one.version, int(one)))])
        if first.name
        else "",
        _second(min(need.first_seen for need in needs)),
        _second(max(need.last_seen for need in needs)),
        _some(sorted({name for need in needs for name in need.sharing} - named)),
        "; ".join(remarks),
    )


def _platform_row(item: PlatformUse) -> tuple[str, ...]:
    return (
        str(item.workload),
        str(item.platform),
        _port(item.protocol, item.port),
        f"{item.connections:,}",
        _some(list(map(str, item.addresses))),
        _second(item.last_seen),
    )


def _attempt_row(item: Attempt) -> tuple[str, ...]:
    return (
        str(item.workload),
        _some(item.names or list(map(str, item.addresses))),
        _some([_port(protocol, port) for protocol, port in item.ports], _PORTS_SHOWN),
        item.reason.text,
        _some(list(map(str, item.addresses))) if item.names else "",
        f"{item.connections:,}",
        _second(item.last_seen),
    )


def _port(protocol: int, port: int | None) -> str:
    return protocol_name(protocol) if port is None else f"{protocol_name(protocol)}/{port}"


def _some(words: Sequence[str], most: int = _SHOWN) -> str:
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ",".join(words[:most]) + more


def _second(nanoseconds: int) -> str:
    """A time without its microseconds: enough to look at, and it leaves room for the rest."""
    return f"{timestamp(nanoseconds).partition('.')[0]}Z"


def _narrowed(table: Table, terminal: Terminal) -> Table:
    """The columns that fit, from left to right; the first few in any case."""
    heading, rows = table
    if terminal.width is None:
        return table
    room = terminal.width + _GAP
    kept = []
    for index, name in enumerate(heading):
        width = max(len(name), *(len(plain(row[index])) for row in rows), 0) + _GAP
        if index < _ALWAYS or width <= room:
            room -= width
            kept.append(index)
        elif name not in terminal.left_out:
            terminal.left_out.append(name)
    return tuple(heading[index] for index in kept), [tuple(row[index] for index in kept) for row in rows]
