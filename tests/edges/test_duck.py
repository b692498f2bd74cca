"""duckdb adds up what `netpol.flows.assemble` assembles."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster.manifests import load
from netpol.cluster.timeline import Timeline
from netpol.dataset.captures import Span
from netpol.edges.duck import Duck
from netpol.edges.run import aggregate
from netpol.edges.tables import ALL_ADDRESSES
from netpol.errors import InputError
from netpol.flows.assemble import QUOTES_OF_NOTHING
from netpol.model.inventory import Pod
from tests.dataset.recordings import HOUR, MINUTE, START
from tests.dataset.test_telling import add, connection, written
from tests.edges.sameness import CLUSTER, PACKETS, added_up, assembled, dataset_of
from tests.edges.translation import cluster, handshakes
from tests.flows.reference import SECOND, Packet
from tests.flows.test_properties import packets_of
from tests.flows.test_rolling import talks

if TYPE_CHECKING:
    from random import Random

    from netpol.cluster.timeline import Tenancy
    from netpol.dataset.folder import Dataset


class TestTheSampleShop:
    def test_without_a_cluster(self, shop: Dataset) -> None:
        flows = added_up([shop], Duck())
        assert len(flows.flows) > 100
        assert flows == assembled([shop])

    def test_with_its_cluster(self, shop: Dataset) -> None:
        timeline = Timeline.of(load([CLUSTER]))
        flows = added_up([shop], Duck(), timeline)
        assert any(flow.client_tenancy >= 0 and flow.server_tenancy >= 0 for flow in flows.flows)
        assert flows == assembled([shop], timeline)

    def test_in_little_memory(self, shop: Dataset) -> None:
        assert added_up([shop], Duck(memory="64MB", threads=1)) == assembled([shop])


@settings(max_examples=15, deadline=None)
@given(talks(), st.sampled_from([4, 6]))
def test_made_up_talks(packets: list[Packet], family: int) -> None:
    """Some for hours, some seen twice, some refused."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(Path(folder, "d"), packets, family)
        assert added_up([dataset], Duck()) == assembled([dataset])


def brief(packets: list[Packet]) -> bool:
    """No silence that may end a conversation."""
    return all(b.time - a.time <= 60 * SECOND for a, b in pairwise(packets))


@settings(max_examples=25, deadline=None)
@given(packets_of().filter(brief))
def test_noise(packets: list[Packet]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(Path(folder, "d"), packets)
        assert added_up([dataset], Duck()) == assembled([dataset])


class TestHoursThatAreAddedUp:
    @pytest.mark.parametrize("hours", [1, 2, 9])
    def test_and_those_that_are_not(self, tmp_path: Path, hours: int) -> None:
        dataset = dataset_of(tmp_path / "d", PACKETS)
        dataset.roll_up(START // HOUR + hours - 1)
        assert added_up([dataset], Duck()) == assembled([dataset])

    def test_whose_windows_are_gone(self, tmp_path: Path) -> None:
        dataset = dataset_of(tmp_path / "d", PACKETS)
        whole = added_up([dataset], Duck())
        dataset.roll_up(START // HOUR + 1)
        dataset.prune(now=(START // HOUR + 9) * HOUR, max_raw_age=0)
        found = added_up([dataset], Duck())
        assert found == assembled([dataset])
        assert [(flow.server, flow.port, flow.connections, flow.packets) for flow in found.flows] == [
            (flow.server, flow.port, flow.connections, flow.packets) for flow in whole.flows
        ]

    def test_a_part_of_the_time(self, tmp_path: Path) -> None:
        dataset = dataset_of(tmp_path / "d", PACKETS)
        dataset.roll_up(START // HOUR)
        for span in (Span(since=START + 90 * MINUTE), Span(until=START + 75 * MINUTE), Span(START, START + MINUTE)):
            assert added_up([dataset], Duck(), span=span) == assembled([dataset], span=span)


def test_windows_that_two_datasets_have_count_once(tmp_path: Path) -> None:
    one = dataset_of(tmp_path / "one", PACKETS[:40])
    both = dataset_of(tmp_path / "both", PACKETS)
    assert added_up([one, both], Duck()) == assembled([one, both])


def test_an_unreachable_about_nothing_is_counted(tmp_path: Path) -> None:
    first = PACKETS[0]
    early, late = (replace(first, time=first.time + step, quote=True) for step in (-SECOND, SECOND))
    elsewhere = replace(late, source=(9, 9), destination=(8, 8))
    dataset = dataset_of(tmp_path / "d", [early, first, late, elsewhere])
    found = added_up([dataset], Duck())
    assert found.notes == {QUOTES_OF_NOTHING: 2}
    assert found == assembled([dataset])


def test_nothing(tmp_path: Path) -> None:
    assert added_up([dataset_of(tmp_path / "d", [])], Duck()) == ([], {})


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", PACKETS)
    damaged = min((tmp_path / "d" / "connections").rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be added up"):
        added_up([dataset], Duck())


def test_ends_may_be_workloads(shop: Dataset) -> None:
    """What an end is called is data: here all pods of a workload are one end, and stand for all their addresses."""
    timeline = Timeline.of(load([CLUSTER]))
    workloads = sorted({pod.workload for pod in timeline.inventory.pods}, key=str)

    def label(tenancy: Tenancy, index: int) -> int:
        return ALL_ADDRESSES + workloads.index(tenancy.owner.workload) if isinstance(tenancy.owner, Pod) else index

    answer, _, _ = aggregate([shop], Span(), timeline, Duck(), label)
    found = {
        tuple(int(answer[name][row]) for name in ("source", "destination", "protocol", "port", "outcome")): tuple(
            int(answer[name][row]) for name in ("packets", "bytes", "first", "last")
        )
        for row in range(len(answer["client"]))
        if answer["source"][row] >= ALL_ADDRESSES and answer["destination"][row] >= ALL_ADDRESSES
    }
    expected: dict[tuple[int, ...], tuple[int, ...]] = {}
    for flow in assembled([shop], timeline).flows:
        ends = [
            label(timeline.tenancies_list[tenancy], tenancy) if tenancy >= 0 else tenancy
            for tenancy in (flow.client_tenancy, flow.server_tenancy)
        ]
        if min(ends) >= ALL_ADDRESSES:
            key = (*ends, flow.protocol, -1 if flow.port is None else flow.port, int(flow.outcome))
            one = (flow.packets, flow.bytes, flow.first_seen, flow.last_seen)
            two = expected.get(key, (0, 0, one[2], one[3]))
            expected[key] = (one[0] + two[0], one[1] + two[1], min(one[2], two[2]), max(one[3], two[3]))
    assert len(found) > 10
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 6), st.booleans())
def test_views_of_one_handshake(chance: Random, count: int, known: bool) -> None:  # noqa: FBT001 - an example
    timeline = cluster() if known else None
    with tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(Path(folder, "d"), handshakes(chance, count))
        assert added_up([dataset], Duck(), timeline) == assembled([dataset], timeline)


def test_what_logs_tell_beside_what_was_recorded(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", PACKETS)
    log = written(tmp_path / "conn.log", [connection(hour, (START + hour * HOUR) / 1e9) for hour in range(5)])
    add(dataset, log)
    for hours in (0, 1, 9):
        assert added_up([dataset], Duck()) == assembled([dataset])
        dataset.roll_up(START // HOUR + hours)
    dataset.prune(now=(START // HOUR + 9) * HOUR, max_raw_age=0)
    found = added_up([dataset], Duck())
    assert found == assembled([dataset])
    assert sum(flow.connections for flow in found.flows if str(flow.server) == "10.0.1.1") == 5
