"""Hours that are added up say what their windows said, in whatever order things are done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.packets import Tally
from netpol.dataset import layout
from netpol.dataset.account import LATE
from netpol.dataset.folder import Dataset
from netpol.dataset.layout import hour_of
from netpol.errors import InputError
from netpol.flows.assemble import assemble
from netpol.names.part import NamesPart
from netpol.names.table import Names
from tests.dataset.recordings import HOUR, MINUTE, START, connection, flows_of, read, windows_of
from tests.dataset.test_folder import some_names
from tests.flows.test_rolling import talks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.dataset.window import Window
    from netpol.flows.table import FlowTable
    from tests.flows.reference import Packet

LAST = START // HOUR + 100
PACKETS = [
    packet
    for number in range(20)
    for packet in connection(
        number, START + number * 11 * MINUTE, last=START + number * 11 * MINUTE + number * 5 * MINUTE
    )
]
WINDOWS = windows_of(PACKETS)


def cut(flows: dict[tuple[object, ...], tuple[object, ...]]) -> dict[tuple[object, ...], tuple[object, ...]]:
    """With times in microseconds, as tables of flows have them."""
    return {
        key: (*values[:3], int(str(values[3])) // 1000, int(str(values[4])) // 1000, *values[5:])
        for key, values in flows.items()
    }


def expected(windows: list[Window]) -> dict[tuple[object, ...], tuple[object, ...]]:
    return cut(flows_of(each.records for each in windows))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    result = Dataset.create(tmp_path / "d")
    result.append(WINDOWS)
    return result


def test_hours_that_are_added_up_say_the_same(dataset: Dataset) -> None:
    hours = dataset.hours()
    for hour in hours:
        assert dataset.roll_up(hour) == [hour]
        tally = Tally()
        assert cut(read(dataset, tally)) == expected(WINDOWS)
        assert (tally.packets, tally.missing, tally.damaged) == (len(PACKETS), {}, [])
    assert dataset.roll_up(LAST) == []


def test_what_is_added_up_can_be_deleted_as_recorded(dataset: Dataset) -> None:
    dataset.roll_up(dataset.hours()[2])
    pruned = dataset.prune(now=(LAST + 1) * HOUR, max_raw_age=0)
    assert pruned.raw_hours == 3
    assert pruned.bytes > 0
    tally = Tally()
    assert cut(read(dataset, tally)) == expected(WINDOWS)
    assert (tally.packets, tally.missing) == (len(PACKETS), {})
    assert dataset.append(WINDOWS) == 0
    assert dataset.roll_up(LAST)
    assert cut(read(dataset)) == expected(WINDOWS)


def test_late_windows_are_read_with_their_hour_and_added_up_later(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path)
    late = WINDOWS[3::7]
    dataset.append(each for each in WINDOWS if each not in late)
    dataset.roll_up(LAST)
    dataset.append(late)
    tally = Tally()
    assert cut(read(dataset, tally)) == expected(WINDOWS)
    assert tally.missing == {}
    first = min(hour_of(each.begin) for each in late)
    assert dataset.roll_up(LAST) == [hour for hour in dataset.hours() if hour >= first]
    assert cut(read(dataset)) == expected(WINDOWS)
    dataset.prune(now=(LAST + 1) * HOUR, max_raw_age=0)
    assert cut(read(dataset)) == expected(WINDOWS)


def test_what_comes_when_its_hour_is_gone_is_counted_and_told(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path)
    late = WINDOWS[5:8]
    dataset.append(each for each in WINDOWS if each not in late)
    dataset.roll_up(LAST)
    dataset.prune(now=(LAST + 1) * HOUR, max_raw_age=0)
    assert dataset.append(late) == 3
    tally = Tally()
    found = read(dataset, tally)
    assert tally.missing[LATE] == 3
    assert tally.packets == len(PACKETS)
    dataset.roll_up(LAST)
    again = Tally()
    after = read(dataset, again)
    assert again.missing == {}
    for each in (found, after):
        assert sum(int(str(values[1])) for values in each.values()) == len(PACKETS)


@settings(max_examples=12, deadline=None)
@given(talks(), st.data())
def test_order_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, packets: list[Packet], data: st.DataObject
) -> None:
    """Arrival, duplicates, compaction, adding up and deleting what is added up, in any order."""
    windows = windows_of(packets)
    dataset = Dataset.create(tmp_path_factory.mktemp("dataset"))
    waiting = data.draw(st.permutations(windows))
    hours = sorted({hour_of(window.begin) for window in windows})
    while waiting:
        count = data.draw(st.integers(1, len(waiting)))
        dataset.append([*waiting[:count], *windows[: data.draw(st.integers(0, 0 if count < len(waiting) else 3))]])
        waiting = waiting[count:]
        if data.draw(st.booleans()):
            dataset.compact()
        if data.draw(st.booleans()):
            dataset.roll_up(data.draw(st.sampled_from(hours)))
    assert cut(read(dataset)) == expected(windows)
    dataset.roll_up(data.draw(st.sampled_from(hours)))
    dataset.prune(now=(data.draw(st.sampled_from(hours)) + 1) * HOUR, max_raw_age=0)
    dataset.compact()
    assert cut(read(dataset)) == expected(windows)


def test_names_of_an_hour_stay(tmp_path: Path) -> None:
    windows = [replace(window, names=some_names() if at % 3 else NamesPart()) for at, window in enumerate(WINDOWS)]
    dataset = Dataset.create(tmp_path)
    dataset.append(windows)
    before, after = Names(), Names()
    list(dataset.read(names=before, tally=Tally()))
    dataset.roll_up(LAST)
    dataset.prune(now=(LAST + 1) * HOUR, max_raw_age=0)
    list(dataset.read(names=after, tally=Tally()))
    assert sorted(after.led()) == sorted(before.led())
    assert (after.asked, after.hidden, after.tally) == (before.asked, before.hidden, before.tally)


def test_anybody_can_read_the_flows(dataset: Dataset) -> None:
    def ends(table: FlowTable) -> Iterator[tuple[str | None, str | None]]:
        for flow in table:
            yield f"shop/{flow.client}[Pod]", None

    dataset.roll_up(LAST, ends=ends)
    files = str(dataset.root / "flows" / "**" / "*.parquet")
    with duckdb.connect() as database:
        query = (  # noqa: RUF100, S608
            "SELECT client, server, protocol, port, outcome, direction, sum(connections), sum(packets), "  # noqa: S608
            "sum(bit_count(minutes)), any_value(source), any_value(destination) "
            f"FROM read_parquet('{files}', hive_partitioning = true) GROUP BY ALL"  # noqa: RUF100, S608
        )
        (row,) = database.execute(query).fetchall()
        dates = database.execute(f"SELECT DISTINCT date, hour FROM read_parquet('{files}')").fetchall()  # noqa: S608
    minutes = len({packet.time // MINUTE for packet in PACKETS})
    assert row[:8] == ("0.0.0.1", "0.0.0.2", "TCP", 80, "established", "syn", 20, len(PACKETS))
    assert row[8] == pytest.approx(minutes, abs=len(dataset.hours()))
    assert row[9:] == ("shop/0.0.0.1[Pod]", None)
    assert len(dates) == len(dataset.hours())


def test_the_least_that_is_needed_goes_first(dataset: Dataset) -> None:
    dataset.roll_up(dataset.hours()[3])

    def size(table: str) -> int:
        return sum(file.stat().st_size for file in (dataset.root / table).rglob("*.parquet"))

    total = sum(map(size, layout.TABLES))
    dataset.prune(now=0, max_bytes=total - 1)
    assert cut(read(dataset)) == expected(WINDOWS)
    assert len(list((dataset.root / "connections").rglob("*.parquet"))) == len(dataset.hours()) - 1
    hours = len(dataset.hours())
    pruned = dataset.prune(now=0, max_bytes=size("connections"))
    assert pruned.hours > 0
    assert len(dataset.hours()) == hours - pruned.hours
    dataset.prune(now=(LAST + 1) * HOUR, max_age=0)
    assert dataset.hours() == []
    assert not list(dataset.root.rglob("*.parquet"))


def test_a_part_of_the_time_of_what_is_added_up(dataset: Dataset) -> None:
    hours = dataset.hours()
    whole = Dataset.open(dataset.root)
    some = [each for each in WINDOWS if hour_of(each.begin) >= hours[2]]
    dataset.roll_up(LAST)
    found = flows_of(whole.read(hours[2] * HOUR, None, tally=Tally()))
    ((key, values),) = found.items()
    assert key[-1] == "established"
    packets = sum(len(each.records) and int(each.records["packets"].sum()) for each in some)
    assert int(str(values[1])) == pytest.approx(packets, abs=12)  # what began just before the hour counts in it
    assert int(str(values[0])) >= 1


def test_a_damaged_file_keeps_no_other_hour_from_being_added_up(dataset: Dataset) -> None:
    hours = dataset.hours()
    victim = sorted((dataset.root / "connections").rglob("*.parquet"))[1]
    victim.write_bytes(victim.read_bytes()[:-30])
    with pytest.raises(InputError, match=victim.stem):
        dataset.roll_up(LAST)
    rolled = {file.parent for file in (dataset.root / "flows").rglob("*.parquet")}
    assert len(rolled) == len(hours) - 1
    dataset.prune(now=(LAST + 1) * HOUR, max_raw_age=0)
    tally = Tally()
    found = read(dataset, tally)
    assert tally.damaged_captures == 1
    whole = sum(int(str(values[1])) for values in expected(WINDOWS).values())
    assert 0 < whole - sum(int(str(values[1])) for values in found.values()) < len(PACKETS) / 2


def test_a_damaged_rollup_is_told(dataset: Dataset) -> None:
    dataset.roll_up(LAST)
    dataset.prune(now=(LAST + 1) * HOUR, max_raw_age=0)
    victim = sorted((dataset.root / "flows").rglob("*.parquet"))[1]
    victim.write_bytes(b"PAR1" + np.random.default_rng(1).bytes(200) + b"PAR1")
    tally = Tally()
    found = read(Dataset.open(dataset.root), tally)
    assert found
    assert (tally.damaged_captures, tally.malformed_captures) == (1, 1)
    assert str(victim) in tally.damaged[0]


def test_assembly_takes_rollups_beside_packets(dataset: Dataset) -> None:
    dataset.roll_up(dataset.hours()[1])
    items = [*dataset.read(tally=Tally()), windows_of(connection(90, START))[0].records]
    assert sum(flow.packets for flow in assemble(items)) == len(PACKETS) + 6
