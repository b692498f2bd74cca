"""Files that somebody else wrote: whatever is in them, what cannot be used is told, and nothing else happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.capture.packets import Tally
from netpol.dataset import layout
from netpol.dataset.captures import read_captures
from netpol.dataset.flow_rows import rows_of
from netpol.dataset.folder import Dataset
from netpol.errors import InputError
from netpol.flows.assemble import assemble
from tests.dataset.recordings import START, connection, flows_of, read, windows_of

if TYPE_CHECKING:
    from pathlib import Path

WINDOWS = windows_of(connection(1, START))
FLOW = {
    "client": "10.0.0.1", "server": "fd00::2", "protocol": "TCP", "port": 80, "connections": 1, "packets": 2,
    "bytes": 3, "first": 1_700_000_000_000_000, "last": 1_700_000_000_000_001, "outcome": "established", "direction": "syn",  # noqa: E501
}  # fmt: skip


def changed(folder: Path, table: str, change: str) -> Path:
    """The dataset, one file of which was rewritten with SQL."""
    (file,) = (folder / table).rglob("*.parquet")
    new = file.with_suffix(".new")
    with duckdb.connect() as database:
        (note,) = database.execute(
            "SELECT value FROM parquet_kv_metadata($1) WHERE key = 'netpol'", [str(file)]
        ).fetchone() or ("",)
        text = bytes(note).decode()
        database.execute(
            f"COPY (SELECT {change} FROM read_parquet('{file}', hive_partitioning = false)) TO '{new}' "  # noqa: S608
            f"(FORMAT parquet, KV_METADATA {{netpol: '{text}'}})"
        )
    new.replace(file)
    return file


@pytest.mark.parametrize(
    ("table", "change", "says"),
    [
        (layout.CONNECTIONS, "* REPLACE (5::UTINYINT AS family)", "family"),
        (layout.CONNECTIONS, "* REPLACE (-1::BIGINT AS packets)", "below 0"),
        (layout.CONNECTIONS, "* REPLACE (9::UTINYINT AS side)", "side"),
        (layout.CONNECTIONS, "* REPLACE (NULL::UBIGINT AS low)", "low without a value"),
        (layout.CONNECTIONS, "* REPLACE ('x' AS packets)", "packets of type"),
        (layout.CONNECTIONS, "* EXCLUDE (packets)", "packets"),
        (layout.WINDOWS, "* REPLACE (-5::BIGINT AS packets)", "no count"),
        (layout.WINDOWS, "* REPLACE ('../..' AS run)", "no window"),
        (layout.WINDOWS, "* REPLACE ('[1' AS undecodable)", "holds"),
        (layout.WINDOWS, "* REPLACE ('{\"\\u001b[2J\": 1}' AS undecodable)", "reasons"),
        (layout.WINDOWS, "* EXCLUDE (run)", "run"),
    ],
)
def test_tables_that_break_their_promises(tmp_path: Path, table: str, change: str, says: str) -> None:
    dataset = Dataset.create(tmp_path)
    dataset.append(WINDOWS)
    file = changed(tmp_path, table, change)
    tally = Tally()
    assert read(Dataset.open(tmp_path), tally) == {}
    assert (tally.damaged_captures, tally.malformed_captures) == (1, 1)
    assert str(file) in tally.damaged[0]
    assert says in tally.damaged[0]


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path)
    dataset.append(WINDOWS)
    (file,) = (tmp_path / layout.WINDOWS).rglob("*.parquet")
    with duckdb.connect() as database:
        note = '{"format": "netpol-dataset", "version": 3, "rollup": false, "replaces": []}'
        database.execute(
            f"COPY (SELECT * FROM '{file}') TO '{file}' (FORMAT parquet, KV_METADATA {{netpol: '{note}'}})"  # noqa: S608
        )
    with pytest.raises(InputError, match="a dataset of version 3; this netpol reads up to version 1"):
        read(Dataset.open(tmp_path))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FLOW)), st.one_of(st.none(), st.text(max_size=8), st.integers(-(2**63), 2**63 - 1)))
def test_rows_of_flows_are_flows_or_are_counted(name: str, value: Any) -> None:
    row = {**FLOW, "server": "10.0.0.2", name: value}
    texts = {"client", "server", "protocol", "outcome", "direction"}
    columns: dict[str, Any] = {}
    for each, its in row.items():
        if each in texts:
            columns[each] = np.array([its if isinstance(its, str) else str(its)], object)
        elif each == "port":
            columns[each] = np.array([its if isinstance(its, int) and abs(its) < 2**31 else -1], np.int32)
        else:
            ok = isinstance(its, int)
            columns[each] = np.ma.masked_array(np.array([its if ok else 0], np.int64), mask=[not ok])
    rows, wrong = rows_of(columns)
    assert len(rows) + wrong == 1
    for flow in assemble([rows]):
        assert flow.packets >= 0
        assert flow.last_seen >= flow.first_seen


def test_families_are_not_mixed() -> None:
    rows, wrong = rows_of(
        {name: np.array([value], object if isinstance(value, str) else np.int64) for name, value in FLOW.items()}
    )
    assert (len(rows), wrong) == (0, 1)


def test_a_table_of_something_else_is_no_capture(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    with duckdb.connect() as database:
        database.execute(f"COPY (SELECT 1 AS client, 2 AS server) TO '{file}' (FORMAT parquet)")
    with pytest.raises(InputError, match="without the columns of flows: protocol, port"):
        list(read_captures([file], Tally()))


def test_flows_of_another_tool_with_a_time_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    file = tmp_path / "x.parquet"
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'America/New_York'")
        database.execute(
            "COPY (SELECT '10.0.0.1' AS client, '10.0.0.2' AS server, 'TCP' AS protocol, 80::BIGINT AS port, "
            "1 AS connections, 2 AS packets, 3 AS bytes, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS first_seen, "
            "TIMESTAMPTZ '2026-01-01 00:00:01+00' AS last_seen, 'established' AS outcome, 'syn' AS direction) "
            f"TO '{file}' (FORMAT parquet)"
        )
    (flow,) = assemble(read_captures([file], Tally()))
    assert (flow.first_seen, flow.last_seen, flow.two_way) == (1_767_225_600 * 10**9, 1_767_225_601 * 10**9, False)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "x", "version": 1}', "[" * 100_000])
def test_a_mark_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / layout.MARK).write_text(text)
    with pytest.raises(InputError, match="not a dataset"):
        Dataset.open(tmp_path)


def test_paths_with_everything_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] *dataset* ?{x}\n%00"
    dataset = Dataset.create(folder)
    dataset.append(WINDOWS)
    dataset.append(windows_of(connection(2, START + 10**12), run="e" * 32))
    dataset.compact()
    dataset.roll_up(layout.hour_of(START))
    dataset.prune(now=2**62, max_raw_age=0)
    found = read(Dataset.open(folder))
    whole = flows_of([each.records for each in (*WINDOWS, *windows_of(connection(2, START + 10**12)))])
    assert [values[:3] for values in found.values()] == [values[:3] for values in whole.values()]
