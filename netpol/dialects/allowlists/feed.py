"""A feed of (workload, addresses, ports) for what stands at the perimeter: JSON Lines, and CSV with the same columns.

| Column | |
|---|---|
| `workload` | `namespace/name[Kind]` |
| `sources` | Addresses that its pods had; behind masquerading the perimeter sees nodes' addresses instead |
| `name` | The host name, `*.parent` or `**.parent` where a wildcard stands for it, null without one |
| `grade` | `strong`, `medium`, `ambiguous` (the name is one of several that may be meant), `none` |
| `protocol`, `port` | `TCP`, `UDP` or `SCTP`, and the number |
| `destinations` | Blocks: exact, or within the bound that was asked for |
| `unseen` | How many addresses of these blocks were never seen; 0 where they are exact |

Lists are JSON arrays, and in CSV stand in one field with blanks between their items.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.values import Allowlist
from netpol.model.flow import protocol_name
from netpol.model.outside import Grade

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.dialects.allowlists.values import Options
    from netpol.model.outside import Need

FIELDS = ("workload", "sources", "name", "grade", "protocol", "port", "destinations", "unseen")


def json_lines(needs: Sequence[Need], options: Options) -> Allowlist:
    """One object a line for each need."""
    text = "".join(f"{json.dumps(row)}\n" for row in _rows(needs, options))
    return Allowlist(text=text, remarks=_remarks(needs, options))


def comma_separated(needs: Sequence[Need], options: Options) -> Allowlist:
    """A header, then a line for each need."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in _rows(needs, options):
        writer.writerow(" ".join(item) if isinstance(item, list) else item for item in row.values())
    return Allowlist(text=stream.getvalue(), remarks=_remarks(needs, options))


def _rows(needs: Sequence[Need], options: Options) -> Iterator[dict[str, Any]]:
    for need in entries.in_order(needs):
        prefixes = options.prefixes(need.addresses)
        named = entries.is_named(need)
        name, grade = (None, Grade.NONE) if need.by_address else (need.name, need.grade)
        yield {
            "workload": str(need.workload),
            "sources": [str(address) for address in options.sources.get(need.workload, ())],
            "name": str(entries.pattern(need)) if named else name,
            "grade": grade.label,
            "protocol": protocol_name(need.protocol),
            "port": need.port,
            "destinations": [str(prefix.network) for prefix in prefixes],
            "unseen": sum(prefix.unseen for prefix in prefixes),
        }


def _remarks(needs: Sequence[Need], options: Options) -> tuple[str, ...]:
    remarks = []
    for need in needs:
        prefixes = options.prefixes(need.addresses)
        what = f"{need.workload}: {need.name or 'addresses'} on {entries.place(need)}"
        remarks += entries.bounds(prefixes, options.most, what)
        if not options.sources.get(need.workload):
            remarks.append(f"{need.workload}: no address of its pods is known, so that sources are empty")
    return entries.final(remarks)
