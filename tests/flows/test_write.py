from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings

from netpol.flows.assemble import assemble
from netpol.flows.write import timestamp, write_csv, write_json, write_parquet, write_table
from netpol.model.flow import Direction, Flow, Outcome
from tests.flows.columns import items
from tests.flows.test_properties import packets_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.reference import Packet

_NAMED = Flow(
    client=IPv4Address("10.0.0.1"),
    server=IPv4Address("10.0.0.2"),
    protocol=6,
    port=8080,
    outcome=Outcome.ESTABLISHED,
    direction=Direction.SYN,
    connections=3,
    packets=42,
    bytes=31337,
    first_seen=1_793_534_400_000_000_000,
    last_seen=1_793_534_400_000_001_999,
    two_way=True,
)
_UNKNOWN = Flow(
    client=IPv6Address("fd00::1"),
    server=IPv6Address("fd00::2"),
    protocol=89,
    port=None,
    outcome=Outcome.MIDSTREAM,
    direction=Direction.UNKNOWN,
    connections=1,
    packets=1,
    bytes=2**40,
    first_seen=0,
    last_seen=0,
    two_way=False,
)


def test_json_is_the_documented_line() -> None:
    stream = io.StringIO()
    write_json([(_NAMED, None, None), (_UNKNOWN, "a/b[Deployment]", 'quo"te')], stream)
    first, second = stream.getvalue().splitlines()
    assert first == (
        '{"client": "10.0.0.1", "server": "10.0.0.2", "protocol": "TCP", "port": 8080, "connections": 3, '
        '"packets": 42, "bytes": 31337, "first_seen": "2026-11-01T12:00:00.000000Z", '
        '"last_seen": "2026-11-01T12:00:00.000001Z", '
        '"outcome": "established", "direction": "syn"}'
    )
    other = json.loads(second)
    assert other["port"] is None
    assert (other["protocol"], other["source"], other["destination"]) == ("89", "a/b[Deployment]", 'quo"te')


def test_csv_is_read_back_by_the_csv_module() -> None:
    stream = io.StringIO(newline="")
    write_csv([(_NAMED, "a,b", 'c"d'), (_UNKNOWN, "e", "f")], stream, named=True)
    assert "\r\n" in stream.getvalue()
    first, second = csv.DictReader(io.StringIO(stream.getvalue(), newline=""))
    assert (first["source"], first["destination"], first["port"]) == ("a,b", 'c"d', "8080")
    assert (second["client"], second["port"], second["bytes"]) == ("fd00::1", "", str(2**40))


@pytest.mark.parametrize("named", [False, True])
def test_parquet_is_read_back_by_duckdb(tmp_path: Path, *, named: bool) -> None:
    target = tmp_path / "it's.parquet"
    names = ("a/b[Pod]", "external") if named else (None, None)
    write_parquet([(_NAMED, *names), (_UNKNOWN, *names)], target, named=named)
    stream = io.BytesIO()
    write_parquet([(_NAMED, *names), (_UNKNOWN, *names)], stream, named=named)
    assert stream.getvalue()[:4] == b"PAR1"
    with duckdb.connect() as database:
        rows = database.execute(
            "SELECT port, bytes, epoch_us(last_seen), outcome FROM read_parquet($1)", [str(target)]
        ).fetchall()
        columns = [
            row[0] for row in database.execute("DESCRIBE SELECT * FROM read_parquet($1)", [str(target)]).fetchall()
        ]
    assert rows == [(8080, 31337, 1_793_534_400_000_001, "established"), (None, 2**40, 0, "midstream")]
    assert ("source" in columns) is named


@pytest.mark.parametrize("nanoseconds", [0, -1, 1_700_000_000_123_456_789, -62_135_596_800_000_000_000])
def test_times_are_those_of_the_standard_library(nanoseconds: int) -> None:
    parsed = datetime.fromisoformat(timestamp(nanoseconds))
    assert parsed.tzinfo == UTC
    since = parsed - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds == nanoseconds // 1000


def test_times_beyond_the_calendar_do_not_fail() -> None:
    assert timestamp(2**63 - 1).startswith("2262-04-11T")
    assert timestamp(-(2**63)).startswith("1677-09-21T")


@settings(max_examples=30, deadline=None)
@given(packets_of())
def test_a_table_is_written_as_its_flows_are(packets: list[Packet]) -> None:
    for family in (4, 6):
        table = assemble(items(packets, family=family))
        whole, one_by_one = io.StringIO(), io.StringIO()
        write_table(table, whole)
        write_json(((flow, None, None) for flow in table), one_by_one)
        assert whole.getvalue() == one_by_one.getvalue()
