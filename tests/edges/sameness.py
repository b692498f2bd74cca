"""Datasets of made-up traffic, and tables of flows as something that can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netpol.capture.packets import Tally
from netpol.dataset.captures import Span
from netpol.dataset.folder import Dataset, held_by
from netpol.edges.run import flow_table
from netpol.flows.assemble import assemble
from tests.dataset.recordings import MINUTE, START, connection, windows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.cluster.timeline import Timeline
    from netpol.edges.engine import Engine
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
    """What one node recorded of the packets, minute by minute."""
    result = Dataset.create(folder)
    windows = windows_of(sorted(packets, key=lambda packet: packet.time), family=family)
    result.append(windows)
    return result


class Answer(NamedTuple):
    """Flows in their order, and what could not be used."""

    flows: list[Flow]
    notes: dict[str, int]


def assembled(datasets: Sequence[Dataset], timeline: Timeline | None = None, span: Span | None = None) -> Answer:
    """What `netpol.flows.assemble` makes of them."""
    span = span or Span()
    items = (
        item
        for place, dataset in enumerate(datasets)
        for item in dataset.read(
            span.since,
            span.until,
            tally=Tally(),
            without=held_by(datasets[:place]),
        )
    )
    table = assemble(items, knowledge=timeline)
    return Answer([*table], table.notes)


def added_up(
    datasets: Sequence[Dataset], engine: Engine, timeline: Timeline | None = None, span: Span | None = None
) -> Answer:
    """What the text makes of them."""
    table = flow_table(datasets, span or Span(), timeline, engine)
    return Answer([*table], table.notes)
