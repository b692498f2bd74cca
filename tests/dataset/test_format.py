"""The documentation of the format names every column that is written, with its type, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

import netpol.dataset
from netpol.dataset import layout
from netpol.dataset.folder import Dataset
from netpol.dataset.layout import hour_of
from netpol.flows.assemble import assemble
from netpol.flows.write import write_parquet
from tests.dataset.recordings import START, connection, windows_of

TEXT = netpol.dataset.__doc__ or ""
_COLUMNS = re.compile(r"^ {4}((?:[a-z_]+, )*[a-z_]+ [A-Z]+(?:, [a-z_]+ [A-Z]+)*)", re.MULTILINE)


def documented(table: str) -> dict[str, str]:
    """Columns and types of a table."""
    section = TEXT[TEXT.index(f"\n{table}: ") + 1 :]
    section = re.split(r"\n\n|\n`netpol", section)[0]
    found: dict[str, str] = {}
    for line in _COLUMNS.findall(section):
        waiting: list[str] = []
        for part in line.split(", "):
            name, _, kind = part.partition(" ")
            waiting.append(name)
            if kind:
                found |= dict.fromkeys(waiting, kind)
                waiting.clear()
    return found


def written(file: Path) -> dict[str, str]:
    with duckdb.connect() as database:
        rows = database.execute("DESCRIBE SELECT * FROM read_parquet($1, hive_partitioning = false)", [str(file)])
        return {row[0]: row[1] for row in rows.fetchall()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    target = Dataset.create(folder)
    target.append(windows_of(connection(1, START)))
    target.roll_up(hour_of(START))
    return folder


@pytest.mark.parametrize("table", layout.TABLES)
def test_every_column_is_documented(dataset: Path, table: str) -> None:
    expected = documented(table)
    if table == layout.CARRY:
        kept = documented(layout.CONNECTIONS)
        expected |= {name: kept[name] for name in kept if name not in {"window", "observer", "begin"}}
    files = list((dataset / table).rglob("*.parquet"))
    assert files
    for file in files:
        assert written(file) == expected


def test_flows_on_stdout_have_the_same_columns(tmp_path: Path) -> None:
    table = assemble(window.records for window in windows_of(connection(1, START)))
    write_parquet(((flow, "a/b[Pod]", "external") for flow in table), tmp_path / "flows.parquet", named=True)
    expected = documented(layout.FLOWS)
    del expected["minutes"]
    assert written(tmp_path / "flows.parquet") == expected
