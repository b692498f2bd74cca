"""A dataset says what its windows say: whoever wrote them, in whatever order, and how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.capture.packets import Tally
from netpol.dataset import layout
from netpol.dataset.account import GIVEN_UP, MISSING
from netpol.dataset.folder import Dataset
from netpol.dataset.window import Losses, Window
from netpol.errors import InputError
from netpol.flows.records import RECORD, stacked
from netpol.names.part import ASKED, NamesPart
from netpol.names.spans import spans_of
from netpol.names.table import Names
from tests.dataset.recordings import HOUR, MINUTE, RUN, START, connection, flows_of, read, windows_of
from tests.flows.test_properties import packets_of

PACKETS = [packet for number in range(30) for packet in connection(number, START + number * 7 * MINUTE)]
OTHER_RUN = "f" * 32


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    assert Dataset.create(tmp_path / "d").append(windows) == len(windows)
    tally = Tally()
    assert read(Dataset.open(tmp_path / "d"), tally) == flows_of(each.records for each in windows)
    assert (tally.packets, tally.decoded, tally.captures, tally.missing) == (len(PACKETS), len(PACKETS), 1, {})


def test_a_window_that_is_there_is_not_added_again(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    dataset = Dataset.create(tmp_path)
    assert dataset.append(windows[:10]) == 10
    assert dataset.append(windows[5:15]) == 5
    assert Dataset.open(tmp_path).append(windows) == len(windows) - 15
    assert sorted(dataset.identities()) == sorted(window.identity for window in windows)


def test_windows_that_two_writers_added_at_once_count_once(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    Dataset.create(tmp_path / "a").append(windows[:20])
    Dataset.create(tmp_path / "b").append(windows[10:])
    for file in (tmp_path / "b").rglob("*.parquet"):
        target = tmp_path / "a" / file.relative_to(tmp_path / "b")
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    tally = Tally()
    assert read(Dataset.open(tmp_path / "a"), tally) == flows_of(each.records for each in windows)
    assert tally.packets == len(PACKETS)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(packets_of(), st.sampled_from([4, 6]), st.randoms(use_true_random=False), st.integers(1, 4))
def test_order_and_batches_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, packets: list[object], family: int, random: object, size: int
) -> None:
    windows = windows_of(packets, family=family)  # type: ignore[arg-type]
    expected = flows_of(each.records for each in windows)
    random.shuffle(windows)  # type: ignore[attr-defined]
    dataset = Dataset.create(tmp_path_factory.mktemp("dataset"))
    for at in range(0, len(windows), size):
        dataset.append(windows[at : at + size])
    assert read(dataset) == expected


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    dataset = Dataset.create(tmp_path)
    dataset.append(reversed(windows))
    found = stacked(list(dataset.read(tally=Tally())))
    expected = stacked([window.records for window in windows])
    for name in RECORD.names or ():
        assert (found[name] == expected[name]).all(), name


def test_a_part_of_the_time_can_be_read(tmp_path: Path) -> None:
    windows = windows_of(PACKETS)
    dataset = Dataset.create(tmp_path)
    dataset.append(windows)
    tally = Tally()
    found = flows_of(dataset.read(START + HOUR, START + 2 * HOUR, tally=tally))
    assert found == flows_of(each.records for each in windows if START + HOUR <= each.begin < START + 2 * HOUR)
    assert tally.missing == {}


def some_names() -> NamesPart:
    ends = {"client": np.array([[0, 7]], np.uint64), "server": np.array([[0, 8]], np.uint64)}
    span = {"first": np.array([START], np.int64), "last": np.array([START + 9], np.int64), **ends}
    asked = np.zeros(1, ASKED)
    asked["client"], asked["counts"] = (0, 7), (5, 4, 3, 0, 1)
    return NamesPart(
        names=("a.example", "b.example"),  # type: ignore[arg-type]
        leases=spans_of(name=np.array([1]), **span),
        greetings=np.concatenate([spans_of(name=np.array([0]), door=np.array([6 << 16 | 443]), **span),
                                  spans_of(name=np.array([-1]), door=np.array([6 << 16 | 80]), **span)]),
        asked=asked,
        hidden=(((0, 7), (0, 9), 6, "DNS over TLS"),),
        counts={"DNS responses with records": 4},
        rejected=3,
        samples=(b"\x1b[2J", b"_x"),
        forgotten=(2, 1),
    )  # fmt: skip


def same_names(one: NamesPart, other: NamesPart) -> bool:
    arrays = ("leases", "greetings", "asked")
    values = ("names", "hidden", "counts", "rejected", "samples", "forgotten")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in values
    )


def test_names_come_back_as_they_were(tmp_path: Path) -> None:
    expected, found = Names(), Names()
    expected.take_part(some_names())
    dataset = Dataset.create(tmp_path)
    dataset.append(
        [
            replace(window, names=some_names() if not at else NamesPart())
            for at, window in enumerate(windows_of(PACKETS))
        ]
    )
    for _ in dataset.read(names=found, tally=Tally()):
        pass
    assert same_names(found.part(), expected.part())


def test_losses_are_told(tmp_path: Path) -> None:
    losses = Losses(kernel=3, evicted=2, undecodable={"cut off": 4}, windows=1, records=9)
    dataset = Dataset.create(tmp_path)
    dataset.append(
        Window(observer="n", run=RUN, number=number, begin=START, end=START + 1, packets=10, losses=losses)
        for number in (0, 1, 4)
    )
    tally = Tally()
    list(dataset.read(tally=tally))
    assert (tally.packets, tally.decoded, tally.lost, tally.undecoded) == (30, 18, 9, {"cut off": 12})
    assert (tally.missing[MISSING], tally.missing[GIVEN_UP]) == (2, 3)


def test_a_dataset_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / layout.MARK).write_text('{"format": "netpol-dataset", "version": 2}')
    with pytest.raises(InputError, match="a dataset of version 2; this netpol reads up to version 1"):
        Dataset.open(tmp_path)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a dataset"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("table", [layout.WINDOWS, layout.CONNECTIONS])
def test_a_damaged_file_is_told_and_the_rest_used(tmp_path: Path, table: str) -> None:
    windows = windows_of(PACKETS)
    dataset = Dataset.create(tmp_path)
    for at in range(0, len(windows), 5):
        dataset.append(windows[at : at + 5])
    files = sorted((tmp_path / table).rglob("*.parquet"))
    victim = files[len(files) // 2]
    victim.write_bytes(victim.read_bytes()[:-40] + b"\0" * 40)
    tally = Tally()
    found = read(Dataset.open(tmp_path), tally)
    assert sum(int(str(values[0])) for values in found.values())
    assert found != flows_of(each.records for each in windows)
    assert (tally.damaged_captures, tally.malformed_captures) == (1, 1)
    assert str(victim) in tally.damaged[0]
