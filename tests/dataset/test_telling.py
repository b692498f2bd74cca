"""Flow logs and tables of flows in a dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from netpol.capture.packets import Tally
from netpol.dataset import telling
from netpol.dataset.captures import read_captures
from netpol.dataset.folder import Dataset
from netpol.dataset.merging import merged
from netpol.dataset.name_rows import columns_of
from netpol.errors import InputError
from netpol.flows.assemble import assemble
from netpol.flows.write import write_parquet
from netpol.names.table import Names
from tests.dataset.recordings import HOUR as HOURS
from tests.dataset.recordings import START, windows_of
from tests.dataset.recordings import connection as recorded
from tests.flows.reference import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HOUR = 3600
BEGIN = 500_000 * HOUR


def connection(number: int, time: float, **other: Any) -> str:
    """A line of Zeek's conn.log as JSON."""
    return json.dumps(
        {
            "ts": time,
            "uid": f"C{number}",
            "id.orig_h": f"10.0.0.{number % 7 + 1}",
            "id.orig_p": 30000 + number,
            "id.resp_h": "10.0.1.1",
            "id.resp_p": 80 + number % 2,
            "proto": "tcp",
            "duration": 1.5,
            "orig_bytes": 10,
            "resp_bytes": 20,
            "conn_state": "SF",
            "history": "ShADadFf",
            "orig_pkts": 5,
            "orig_ip_bytes": 300,
            "resp_pkts": 4,
            "resp_ip_bytes": 250,
            **other,
        }
    )


def answer(time: float) -> str:
    """A line of Zeek's dns.log as JSON."""
    return json.dumps(
        {
            "ts": time,
            "uid": "D1",
            "id.orig_h": "10.0.0.1",
            "id.orig_p": 5353,
            "id.resp_h": "10.0.0.10",
            "id.resp_p": 53,
            "proto": "udp",
            "query": "api.example.com",
            "qtype_name": "A",
            "rcode": 0,
            "answers": ["203.0.113.9"],
            "TTLs": [60.0],
        }
    )


def written(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def add(dataset: Dataset, *paths: Path) -> Tally:
    tally = Tally()
    list(merged(dataset, paths, tally, version="1", at_once=9))
    return tally


def flows(*paths: Path) -> tuple[list[tuple[Any, ...]], Tally]:
    """Who talked to whom, however it is told."""
    tally = Tally()
    table = assemble(read_captures(paths, tally))
    return [
        (str(f.client), str(f.server), f.protocol, f.port, f.outcome, f.direction, f.connections, f.packets, f.bytes,
         f.first_seen, f.last_seen)
        for f in table
    ], tally  # fmt: skip


def test_a_log_is_added_up_by_the_hour(tmp_path: Path) -> None:
    lines = [connection(number, BEGIN + number * 1200) for number in range(12)]
    log = written(tmp_path / "conn.log", lines)
    dataset = Dataset.create(tmp_path / "d")
    tally = add(dataset, log)
    assert dataset.hours() == [500_000, 500_001, 500_002, 500_003]
    found, of_dataset = flows(tmp_path / "d")
    expected, of_log = flows(log)
    assert found == expected
    assert sum(row[6] for row in found) == 12
    for told in (tally, of_dataset):
        assert (told.packets, told.log_records, told.log_records_used) == (108, 12, 12)
        assert told.untold == of_log.untold
    assert not of_dataset.missing


def test_what_it_has_is_not_added_again(tmp_path: Path) -> None:
    log = written(tmp_path / "conn.log", [connection(1, BEGIN)])
    dataset = Dataset.create(tmp_path / "d")
    assert [sum(merged(dataset, [log], Tally(), version="1", at_once=9)) for _ in range(2)] == [1, 0]
    assert flows(tmp_path / "d")[0] == flows(log)[0]


def test_hours_out_of_order(tmp_path: Path) -> None:
    """Several files tell of an hour then, until they are put together."""
    times = [BEGIN + hour * HOUR for hour in (0, 1, 2, 3, 0, 1, 2, 3, 90, 0)]
    log = written(tmp_path / "conn.log", [connection(number, time) for number, time in enumerate(times)])
    # What is read at once is more than that: the hours come in pieces where logs are long.
    dataset = Dataset.create(tmp_path / "d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netpol.sources.read.AT_ONCE", 1)
        add(dataset, log)
    assert len([*(tmp_path / "d" / "windows").rglob("*.parquet")]) > len(set(times))
    before, tally = flows(tmp_path / "d")
    assert before == flows(log)[0]
    assert not tally.missing
    assert dataset.compact() > 0
    assert len([*(tmp_path / "d" / "windows").rglob("*.parquet")]) == len(set(times))
    after, tally = flows(tmp_path / "d")
    assert after == before
    assert (tally.packets, tally.log_records) == (90, 10)
    assert dataset.compact() == 0


def test_names_that_come_alone(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "d")
    add(dataset, written(tmp_path / "dns.log", [answer(BEGIN)]))
    names = Names()
    assert not [*read_captures([tmp_path / "d"], Tally(), names=names)]
    assert "api.example.com" in columns_of(names.part())["name"].tolist()


def test_tables_of_flows_too(tmp_path: Path) -> None:
    log = written(tmp_path / "conn.log", [connection(number, BEGIN + number * 1200) for number in range(12)])
    with (tmp_path / "flows.parquet").open("wb") as file:
        write_parquet(((flow, None, None) for flow in assemble(read_captures([log], Tally()))), file, named=False)
    dataset = Dataset.create(tmp_path / "d")
    add(dataset, tmp_path / "flows.parquet")
    assert flows(tmp_path / "d")[0] == flows(tmp_path / "flows.parquet")[0] == flows(log)[0]


def test_what_cannot_be_used_is_counted_in_the_dataset(tmp_path: Path) -> None:
    lines = [connection(1, BEGIN), '{"ts": 5', connection(2, BEGIN, **{"id.orig_p": 99999})]
    log = written(tmp_path / "conn.log", lines)
    add(Dataset.create(tmp_path / "d"), log)
    of_dataset, of_log = flows(tmp_path / "d")[1], flows(log)[1]
    assert sum(of_log.undecoded.values()) == 2
    assert of_dataset.undecoded == of_log.undecoded
    assert (of_dataset.broken_records, of_dataset.broken) == (of_log.broken_records, of_log.broken)
    assert of_dataset.broken_records == 2
    assert of_dataset.packets == of_log.packets


def test_times_before_the_epoch(tmp_path: Path) -> None:
    log = written(tmp_path / "conn.log", [connection(1, -5.0), connection(2, BEGIN)])
    dataset = Dataset.create(tmp_path / "d")
    tally = add(dataset, log)
    assert dataset.hours() == [500_000]
    assert sum(tally.undecoded.values()) == 1


def test_a_clock_that_jumps_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_MOST_HOURS", 3)
    log = written(tmp_path / "conn.log", [connection(hour, BEGIN + hour * HOUR) for hour in range(9)])
    with pytest.raises(InputError, match="more than 3 hours"):
        add(Dataset.create(tmp_path / "d"), log)


def test_logs_beside_windows(tmp_path: Path) -> None:
    """What an agent recorded and what a log tells of the same hour count both, before and after they are added up."""
    dataset = Dataset.create(tmp_path / "d")
    dataset.append(windows_of(recorded(1, START)))
    alone = flows(tmp_path / "d")[0]
    log = written(tmp_path / "conn.log", [connection(1, START / 1e9)])
    add(dataset, log)
    expected = sorted(alone + flows(log)[0])
    found, tally = flows(tmp_path / "d")
    assert sorted(found) == expected
    assert not tally.missing
    assert dataset.roll_up(START // HOURS) == [START // HOURS]
    assert not flows(tmp_path / "d")[1].missing
    without_times = [row[:-2] for row in expected]
    assert sorted(row[:-2] for row in flows(tmp_path / "d")[0]) == without_times


def test_hours_between_which_only_logs_tell(tmp_path: Path) -> None:
    """A connection that an agent saw in two hours is one, whatever logs tell of the hours between."""
    packets = recorded(1, START + 1800 * SECOND, last=START + 5400 * SECOND + 3600 * SECOND)
    dataset = Dataset.create(tmp_path / "d")
    dataset.append(windows_of(packets))
    alone = flows(tmp_path / "d")[0]
    log = written(tmp_path / "conn.log", [connection(1, (START + hour * HOURS) / 1e9) for hour in range(4)])
    add(dataset, log)
    expected = sorted(row[:-2] for row in alone + flows(log)[0])
    for _ in range(2):
        assert sorted(row[:-2] for row in flows(tmp_path / "d")[0]) == expected
        dataset.roll_up(START // HOURS + 9)
    dataset.prune(now=START + 99 * HOURS, max_raw_age=0)
    assert sorted(row[:-2] for row in flows(tmp_path / "d")[0]) == expected
