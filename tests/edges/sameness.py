"""Datasets of made-up traffic, and tables of flows as something that can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netpol.capture.packets import Tally
from netpol.dataset.captures import Span
from netpol.dataset.folder import Dataset
from netpol.edges.run import flow_table
from netpol.flows.assemble import assemble
from tests.dataset.recordings import MINUTE, START, connection, windows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.cluster.timeline import Timeline
    from netpol.edges.engine import Engine
    from netpol.flows.table import FlowTable
    from netpol.model.flow import Flow
    from tests.flows.reference import Packet

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "captures" / "shop"
CLUSTER = ROOT / "samples" / "shop" / "cluster.yaml"
PACKETS = [
    packet
    for number in range(12)
    for packet in connection(
        number, START + number * 11 * MINUTE, last=START + number * 11 * MINUTE + number * 5 * MINUTE
    )
]


def dataset_of(folder: Path, packets: Iterable[Packet], family: int = 4) -> Dataset:
    """What two nodes recorded of the packets: every other one of the windows is the other's."""
    result = Dataset.create(folder)
    windows = windows_of(sorted(packets, key=lambda packet: packet.time), family=family)
    result.append(windows)
    return result


def assembled(datasets: Sequence[Dataset], timeline: Timeline | None = None, span: Span | None = None) -> list[Flow]:
    """What `netpol.flows.assemble` makes of them, in its order."""
    span = span or Span()
    items = (
        item
        for place, dataset in enumerate(datasets)
        for item in dataset.read(
            span.since,
            span.until,
            tally=Tally(),
            without=lambda row, place=place: any(one.holds(row) for one in datasets[:place]),  # type: ignore[misc]
        )
    )
    return [*assemble(items, knowledge=timeline)]


def added_up(
    datasets: Sequence[Dataset], engine: Engine, timeline: Timeline | None = None, span: Span | None = None
) -> list[Flow]:
    """What the text makes of them."""
    table: FlowTable = flow_table(datasets, span or Span(), timeline, engine)
    assert table.notes == {}
    return [*table]
