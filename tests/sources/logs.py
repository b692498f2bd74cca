"""Reads logs that tests write."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from netpol.capture.compressed import Prefixed, unpack
from netpol.flows.assemble import assemble
from netpol.sources.kinds import Kind, kind_of
from netpol.sources.read import Log, read_log
from netpol.sources.tally import LogTally

if TYPE_CHECKING:
    from netpol.capture.name_evidence import NameSink
    from netpol.flows.table import FlowTable
    from netpol.sources.people import People

CHANGED = 1_700_000_000_000_000_000


def flows_of(
    text: bytes, *, names: NameSink | None = None, kind: Kind | None = None, people: People | None = None
) -> tuple[FlowTable, LogTally]:
    """The flows of a log, its kind told by content, and what became of its records."""
    tally = LogTally()
    found = kind or kind_of(text[:65536])
    assert found is not None
    log = Log(reader=unpack(Prefixed(io.BytesIO(text), 16)), kind=found, place="log", changed=CHANGED)
    table = assemble(read_log(log, tally, names=names, people=people))
    assert tally.records == tally.used + sum(tally.passed_over.values()) + sum(tally.damaged.values())
    return table, tally


Row = tuple[str, str, int, int | None, str]


def rows(table: FlowTable) -> dict[Row, tuple[int, str]]:
    """(client, server, protocol, port, outcome) to connections and the evidence for the direction."""
    return {
        (str(flow.client), str(flow.server), flow.protocol, flow.port, flow.outcome.label): (
            flow.connections,
            flow.direction.label,
        )
        for flow in table
    }
