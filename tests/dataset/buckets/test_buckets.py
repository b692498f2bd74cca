"""Datasets in buckets are what they are in folders: written, read, put together, added up, pruned and merged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from netpol.capture.packets import Tally
from netpol.dataset import layout
from netpol.dataset.bucket import place_of
from netpol.dataset.folder import Dataset
from netpol.dataset.layout import CONNECTIONS, MARK, NAMES, TABLES, WINDOWS
from netpol.errors import InputError
from tests.cli.conftest import netpol
from tests.dataset.recordings import HOUR, START, connection, flows_of, read, windows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Netpol
    from tests.dataset.buckets.conftest import Store

__all__ = ["netpol"]

SHOP = Path(__file__).parents[3]
CAPTURES = [SHOP / "captures/shop/node-a.pcap", SHOP / "captures/shop/node-b.pcapng.gz"]
CLUSTER = SHOP / "samples/shop/cluster.yaml"
PACKETS = [packet for number in range(12) for packet in connection(number, START + number * HOUR // 3)]
WINDOWS_ = windows_of(PACKETS)
"""Four hours of them."""


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def filled(where: str, together: int = 2) -> Dataset:
    dataset = Dataset.create(place_of(where))
    for at in range(0, len(WINDOWS_), together):
        dataset.append(WINDOWS_[at : at + together])
    return dataset


def test_it_holds_what_was_added(store: Store) -> None:
    dataset = filled(f"{store}/a/b")
    assert dataset.append(WINDOWS_) == 0
    assert read(dataset) == read(Dataset.open(place_of(f"{store}/a/b"))) == flows_of([one.records for one in WINDOWS_])
    with pytest.raises(InputError, match=rf"{store}/a: not a dataset"):
        Dataset.open(place_of(f"{store}/a"))


def test_the_whole_bucket_may_be_one(store: Store) -> None:
    assert read(filled(str(store))) == flows_of([one.records for one in WINDOWS_])


def test_upkeep_changes_what_it_changes_in_a_folder(store: Store, tmp_path: Path) -> None:
    last = layout.hour_of(WINDOWS_[-1].begin)

    def compact(dataset: Dataset) -> object:
        return dataset.compact()

    def roll_up(dataset: Dataset) -> object:
        return dataset.roll_up(last)

    def prune_raw(dataset: Dataset) -> object:
        return dataset.prune(now=START + 100 * HOUR, max_raw_age=98 * HOUR)

    def prune(dataset: Dataset) -> object:
        return dataset.prune(now=START + 100 * HOUR, max_age=98 * HOUR)

    def shrink(dataset: Dataset) -> object:
        return dataset.prune(now=START + 100 * HOUR, max_bytes=0)

    works: list[Callable[[Dataset], object]] = [compact, roll_up, prune_raw, prune, shrink]
    filled(str(tmp_path / "folder"))
    filled(f"{store}/x")
    for work in works:
        one, other = Dataset.open(place_of(f"{store}/x")), Dataset.open(tmp_path / "folder")
        assert work(one) == work(other), work
        assert one.status() == other.status()
        assert read(Dataset.open(place_of(f"{store}/x"))) == read(Dataset.open(tmp_path / "folder"))
    assert Dataset.open(place_of(f"{store}/x")).hours() == []


def test_there_and_back_again(store: Store, tmp_path: Path) -> None:
    there = filled(str(tmp_path / "there"), together=2)
    there.compact()
    there.roll_up(there.hours()[1])
    bucket = Dataset.create(place_of(f"{store}/x"))
    assert bucket.take_in(there) > 0
    assert bucket.take_in(there) == 0
    back = Dataset.create(tmp_path / "back")
    back.take_in(Dataset.open(place_of(f"{store}/x")))
    assert files(tmp_path / "back") == files(tmp_path / "there")
    other = Dataset.create(place_of(f"{store}/other"))
    other.take_in(bucket)
    assert read(other) == read(there)


def test_only_what_is_asked_for_is_fetched(store: Store) -> None:
    filled(f"{store}/x").roll_up(layout.hour_of(WINDOWS_[0].begin) + 1)
    dataset = Dataset.open(place_of(f"{store}/x"))
    hours = dataset.hours()
    assert len(hours) == 4
    found = read_part(dataset, hours[1] * HOUR, hours[2] * HOUR)
    assert found
    fetched = [path.relative_to(dataset.root) for path in dataset.root.rglob("*.parquet")]
    assert {path.parent for path in fetched} <= {Path(layout.folder(table, hours[1])) for table in TABLES}


def read_part(dataset: Dataset, since: int, until: int) -> int:
    return sum(len(item) for item in dataset.read(since, until, tally=Tally()))


def test_rows_are_counted_by_the_ends_of_files(store: Store) -> None:
    filled(f"{store}/x")
    dataset = Dataset.open(place_of(f"{store}/x"))
    status = dataset.status()
    assert status.tables[CONNECTIONS].rows == sum(len(window.records) for window in WINDOWS_)
    taken = {path: path.stat().st_blocks * 512 for path in (dataset.root / ".ends").rglob("*.parquet")}
    assert len(taken) == status.tables[CONNECTIONS].files + status.tables[NAMES].files
    assert not [*dataset.root.glob(f"{CONNECTIONS}/**/*.parquet")]


def test_paths_for_other_readers(store: Store, tmp_path: Path) -> None:
    for dataset in (filled(f"{store}/x"), filled(str(tmp_path / "d"))):
        wanted = [(CONNECTIONS, hour, file.name) for hour in dataset.hours() for file in dataset.hour(hour).raw]
        paths = dataset.paths(wanted)
        assert paths == [layout.path(dataset.root, *each) for each in wanted]
        with duckdb.connect() as database:
            (count,) = database.execute("SELECT count(*) FROM read_parquet($1)", [[*map(str, paths)]]).fetchone() or (
                0,
            )
        assert count == sum(len(window.records) for window in WINDOWS_)
        with pytest.raises(InputError):
            dataset.paths([(CONNECTIONS, 1, "0" * 32)])[0].read_bytes()


@pytest.mark.parametrize("data", [b"", b"PAR1" + b"\0" * 100_000 + b"\xff\xff\xff\x7fPAR1"])
@pytest.mark.parametrize("table", [WINDOWS, CONNECTIONS])
def test_a_damaged_object_is_counted_and_named(store: Store, table: str, data: bytes) -> None:
    dataset = filled(f"{store}/x", together=2)
    hour = dataset.hours()[0]
    name = f"x/{layout.file(table, hour, dataset.hour(hour).raw[0].name)}"
    store.put(name, data)
    tally = Tally()
    found = read(Dataset.open(place_of(f"{store}/x")), tally)
    assert sum(int(str(values[0])) for values in found.values()) == len(WINDOWS_) - 2
    assert (tally.damaged_captures, tally.malformed_captures) == (1, 1)
    assert tally.damaged[0].startswith(f"{store}/{name}: ")
    assert "/tmp" not in tally.damaged[0]  # noqa: S108 - where the copy lies is of no interest
    assert [place for place, _ in Dataset.open(place_of(f"{store}/x")).status().broken] == [f"{store}/{name}"]


def test_newer_versions_are_refused(store: Store, tmp_path: Path) -> None:
    dataset = filled(f"{store}/x", together=100)
    (hour, *_) = dataset.hours()
    name = f"x/{layout.file(WINDOWS, hour, dataset.hour(hour).raw[0].name)}"
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    old.write_bytes(store.get(name))
    note = '{"format": "netpol-dataset", "version": 3, "rollup": false, "replaces": []}'
    with duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT * FROM '{old}') TO '{new}' (FORMAT parquet, KV_METADATA {{netpol: '{note}'}})"  # noqa: S608
        )
    store.put(name, new.read_bytes())
    with pytest.raises(InputError, match=rf"{store}/{name}: a dataset of version 3; this netpol reads up to version 1"):
        read(Dataset.open(place_of(f"{store}/x")))
    store.put(f"x/{MARK}", b'{"format": "netpol-dataset", "version": 2}')
    with pytest.raises(InputError, match=rf"{store}/x/{MARK}: a dataset of version 2"):
        Dataset.open(place_of(f"{store}/x"))
    with pytest.raises(InputError, match="a dataset of version 2"):
        Dataset.create(place_of(f"{store}/x"))


@pytest.mark.parametrize(
    "command",
    [
        ("learn",),
        ("flows", "-o", "json"),
        ("egress", "-o", "json"),
        ("graph", "-o", "json"),
        ("check", "--policies", str(SHOP / "samples/shop/existing.yaml"), "-o", "json"),
        ("flows", "-o", "json", "--since", "2026-11-22T03:08:00Z", "--until", "2026-11-22T03:09:00Z"),
    ],
)
def test_commands_take_it_like_a_folder(netpol: Netpol, s3: Store, tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *options = command
    assert netpol("dataset", "merge", tmp_path / "d", *CAPTURES).code == 0
    assert netpol("dataset", "merge", f"{s3}/d", tmp_path / "d").code == 0
    one, other = (netpol(name, where, "--cluster", CLUSTER, *options) for where in (tmp_path / "d", f"{s3}/d"))
    assert one.out
    assert (other.code, other.out) == (one.code, one.out)


def test_the_commands_for_datasets(netpol: Netpol, store: Store, tmp_path: Path) -> None:
    where = f"{store}/some/where"
    merged = netpol("dataset", "merge", where, *CAPTURES)
    assert (merged.code, merged.err.split(",")[0]) == (0, "2 windows")
    said = json.loads(netpol("dataset", "inspect", where, "-o", "json").out)
    assert said["hours"]["as_recorded"] == 1
    assert " 1 hours added up" in netpol("dataset", "compact", where, "--roll-up", "--cluster", CLUSTER).err
    assert "1 hours as recorded" in netpol("dataset", "prune", where, "--max-raw-age", "0s").err
    assert re.search(r"flows +1 +[1-9]", netpol("dataset", "inspect", where).out)
    assert netpol("status", where).out.count("node-") == 2
    assert netpol("dataset", "merge", tmp_path / "back", where).code == 0
    assert netpol("flows", tmp_path / "back").out == netpol("flows", where).out
    assert set(said["tables"]) == set(TABLES)


def test_large_objects_come_and_go_in_parts(s3: Store) -> None:  # the other emulator takes no parts
    data = bytes(range(256)) * 100_000
    place = place_of(f"{s3}/x")
    with place.writing("windows/large") as unfinished:
        unfinished.write_bytes(data)
    assert s3.get("x/windows/large") == data
    other = place_of(f"{s3}/x")
    (path,) = other.local(["windows/large"])
    assert path.read_bytes() == data
    assert place_of(f"{s3}/x").delete(["windows/large"]) == len(data)
    assert other.missing(["windows/large"]) == ["windows/large"]


def test_a_file_that_is_not_finished_does_not_appear(store: Store) -> None:
    place = place_of(f"{store}/x")

    def write() -> None:
        with place.writing("windows/half") as unfinished:
            unfinished.write_bytes(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert place.names("windows") == []
    assert place.missing(["windows/half"]) == ["windows/half"]
    assert [*place.root.iterdir()] == []
