"""Bytes over time: every byte in one bin, whatever the width, and what each workload's are."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.packets import PacketBatch, Tally
from netpol.capture.read import read_packets
from netpol.cluster.manifests import load
from netpol.cluster.timeline import Timeline
from netpol.flows.assemble import assemble
from netpol.flows.pieces import pieces_of
from netpol.view.traffic import MOST_BINS, TrafficCount
from tests.flows.columns import batch
from tests.flows.reference import SECOND, Packet

if TYPE_CHECKING:
    from netpol.view.traffic import Traffic

ROOT = Path(__file__).parents[2]
START = 1_700_000_000 * SECOND


@cache
def shops_timeline() -> Timeline:
    return Timeline.of(load([ROOT / "samples" / "shop" / "cluster.yaml"]))


@pytest.fixture
def timeline() -> Timeline:
    return shops_timeline()


def counted(timeline: Timeline, items: object) -> Traffic:
    count = TrafficCount(timeline)
    for _ in count.through(items):  # type: ignore[arg-type]
        pass
    result = count.result()
    assert result is not None
    return result


def test_the_shops_bytes_are_those_of_its_flows(timeline: Timeline) -> None:
    shop = ROOT / "captures" / "shop"
    packets = [item for item in read_packets([shop], Tally()) if isinstance(item, PacketBatch)]
    traffic = counted(timeline, packets)
    assert sum(traffic.total) == sum(flow.bytes for flow in assemble(packets))
    assert traffic.width == SECOND
    by_name = {each.workload: sum(each.bytes) for each in traffic.series}
    for namespace, name in (("monitoring", "prometheus"), ("data", "redis"), ("data", "postgres")):
        (pod,) = (each for each in timeline.inventory.pods if (each.namespace, each.workload.name) == (namespace, name))
        whole = sum(_bytes_at(item, {int(address) for address in pod.addresses}) for item in packets)
        assert by_name[str(pod.workload)] == whole


def _bytes_at(packets: PacketBatch, addresses: set[int]) -> int:
    """Bytes of the packets from or to one of the addresses."""

    def number(row: int, end: str) -> int:
        value = getattr(packets, end)[row]
        return int(value) if packets.family == 4 else int(value[0]) << 64 | int(value[1])

    return sum(
        int(packets.length[row])
        for row in range(len(packets))
        if addresses & {number(row, "source"), number(row, "destination")}
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40 * 86_400), st.integers(60, 1500)), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_no_byte_is_lost_however_wide_bins_become(sizes: list[tuple[int, int]], cut: int) -> None:
    nobody = shops_timeline()
    packets = [
        Packet(time=START + seconds * SECOND, source=(1, 2), destination=(3, 4), length=length, protocol=17)
        for seconds, length in sizes
    ]
    batches = [batch(packets[index : index + cut]) for index in range(0, len(packets), cut)]
    traffic = counted(nobody, batches)
    assert sum(traffic.total) == sum(length for _, length in sizes)
    assert len(traffic.total) <= MOST_BINS
    assert traffic.start <= START + min(seconds for seconds, _ in sizes) * SECOND < traffic.start + traffic.width
    assert traffic.start % traffic.width == 0
    pieces = counted(nobody, [pieces_of(each) for each in batches])
    assert sum(pieces.total) == sum(traffic.total)


def test_nothing_read_is_no_traffic(timeline: Timeline) -> None:
    assert TrafficCount(timeline).result() is None
