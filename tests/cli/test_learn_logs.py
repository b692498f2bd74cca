"""Flow logs are captures: the same traffic as a log gives the same policies, but for what the log cannot say."""

from __future__ import annotations

import gzip
import io
import json
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest
import zstandard

from netpol.sources.kinds import Kind
from tests.sources.samples import SOUND
from tests.sources.told import hubble as told_by_hubble
from tests.sources.told.connections import Snapshot, connections_of
from tests.sources.told.packets import packets_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol


@pytest.fixture(scope="session")
def hubble(shop: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's captures as Hubble tells them; of what is older than they, it does not say who opened it."""
    path = tmp_path_factory.mktemp("hubble") / "flows.log"
    found = connections_of(packets_of(sorted(shop.iterdir())), Snapshot(sample))
    path.write_text("".join(f"{line}\n" for line in told_by_hubble.lines(found, knows_the_old=False)))
    return path


def test_the_shop_through_hubble_gives_the_shops_policies(
    netpol: Netpol, hubble: Path, shop: Path, sample: Path
) -> None:
    cluster = sample / "cluster.yaml"
    from_log = netpol("learn", hubble, "--cluster", cluster)
    from_packets = netpol("learn", shop, "--cluster", cluster)
    assert from_log.code == from_packets.code == 0
    assert from_log.out == from_packets.out
    assert "Hubble does not tell: bytes on the wire" in from_log.err


def test_a_compressed_log_and_one_from_a_pipe_are_the_same(
    netpol: Netpol, hubble: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = netpol("flows", hubble, "-o", "json").out
    packed = tmp_path / "flows.bin"
    packed.write_bytes(zstandard.ZstdCompressor().compress(hubble.read_bytes()))
    assert netpol("flows", packed, "-o", "json").out == plain
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(hubble.read_bytes())))
    assert netpol("flows", "-", "-o", "json").out == plain


def test_broken_lines_are_told_and_counted(netpol: Netpol, hubble: Path, sample: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.json"
    torn.write_text('{"flow": {"time": "20\n' * 12 + hubble.read_text() + '{"lost_events": {"num_events_lost": 9}}\n')
    answer = netpol("learn", torn, "--cluster", sample / "cluster.yaml", "-d", tmp_path / "out")
    assert answer.code == 0
    assert f"warning: {torn}: line 1: not JSON" in answer.err
    assert "warning: 2 more records cannot be read" in answer.err
    packets = json.loads((tmp_path / "out" / "summary.json").read_text())["packets"]
    assert packets["undecoded"]["not JSON"] == 12
    assert packets["lost"] == 9
    review = (tmp_path / "out" / "REVIEW.md").read_text()
    assert "12 records of flow logs cannot be read" in review
    assert "the log does not tell: bytes on the wire; packets that Cilium" in review
    assert len(packets["broken"]) == 12
    assert packets["untold"]["Hubble"][:2] == ["bytes on the wire", "packets that Cilium's monitor aggregated"]


def test_logs_and_captures_mix_in_a_folder(netpol: Netpol, hubble: Path, shop: Path, tmp_path: Path) -> None:
    for each in [hubble, *shop.iterdir()]:
        (tmp_path / each.name).write_bytes(each.read_bytes())
    (tmp_path / "notes.txt").write_text("not a log\n")
    answer = netpol("flows", tmp_path, "-o", "json")
    assert answer.code == 0
    assert "notes.txt: no capture, passed over" in answer.err
    assert answer.out


def test_strict_refuses_what_cannot_be_read_whole(netpol: Netpol, hubble: Path, shop: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.json"
    torn.write_text('{"flow": {"time": "20\n' * 3 + hubble.read_text())
    answer = netpol("flows", torn, "--strict")
    assert (answer.code, answer.out) == (2, "")
    assert f"{torn}: line 1: not JSON, and 2 more cannot be read either. Mend it" in answer.err
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((shop / "node-a.pcap").read_bytes()[:-7])
    answer = netpol("flows", cut, "--strict")
    assert (answer.code, answer.out) == (2, "")
    assert str(cut) in answer.err
    assert netpol("flows", cut).code == 0
    assert netpol("flows", hubble, shop, "--strict").code == 0


def test_what_an_exporter_rotated_is_one_log(netpol: Netpol, hubble: Path, tmp_path: Path) -> None:
    lines = hubble.read_bytes().splitlines(keepends=True)
    third = len(lines) // 3
    (tmp_path / "events-2026-11-22T03-08-09.000.log.gz").write_bytes(gzip.compress(b"".join(lines[:third])))
    (tmp_path / "events-2026-11-22T03-08-12.000.log").write_bytes(b"".join(lines[third : 2 * third]))
    (tmp_path / "events.log").write_bytes(b"".join(lines[2 * third :]))
    assert netpol("flows", tmp_path, "-o", "json") == netpol("flows", hubble, "-o", "json")


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_names_what_is_broken_and_strict_refuses_it(netpol: Netpol, kind: Kind, tmp_path: Path) -> None:
    lines = SOUND[kind].splitlines(keepends=True)
    log = tmp_path / "any.name"
    log.write_bytes(b"".join([*lines, b'{"half": "a rec\n', *lines]))
    answer = netpol("flows", log)
    assert answer.code == 0
    assert f"netpol: warning: {log}: line {len(lines) + 1}: " in answer.err
    assert netpol("flows", log, "--strict").code == 2
    log.write_bytes(SOUND[kind])
    assert netpol("flows", log, "--strict").code == 0


def test_a_folder_of_everything_is_used_but_for_what_is_broken_in_it(netpol: Netpol, tmp_path: Path) -> None:
    """All kinds of logs, one of them torn, one of two mixed, and flows in Parquet of which a partition is corrupt."""
    for kind in Kind:
        (tmp_path / f"{kind.name}.log").write_bytes(SOUND[kind])
    (tmp_path / "mixed.log").write_bytes(SOUND[Kind.GKE] + SOUND[Kind.HUBBLE])
    (tmp_path / "torn.log.gz").write_bytes(gzip.compress(SOUND[Kind.HUBBLE])[:-20])
    for hour in ("hour=03", "hour=04"):
        (tmp_path / hour).mkdir()
        (tmp_path / hour / "part.parquet").write_bytes(_parquet(netpol, tmp_path / "GKE.log"))
    broken = tmp_path / "hour=04" / "part.parquet"
    broken.write_bytes(broken.read_bytes()[:-40] + bytes(40))
    answer = netpol("flows", tmp_path, "-o", "json")
    assert answer.code == 2
    assert str(broken) in answer.err
    assert f"{tmp_path / 'mixed.log'}: line 3: a record of another log (Hubble)" in answer.err
    assert f"{tmp_path / 'torn.log.gz'}: line " in answer.err
    assert str(tmp_path / "hour=03") not in answer.err
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert {"established", "unknown"} == {row["outcome"] for row in rows}
    answer = netpol("flows", tmp_path, "--strict")
    assert (answer.code, answer.out) == (2, "")


def _parquet(netpol: Netpol, log: Path) -> bytes:
    """The flows of a log in Parquet."""
    table = log.with_suffix(".parquet")
    rows = [json.loads(line) for line in netpol("flows", log, "-o", "json").out.splitlines()]
    source = log.with_suffix(".rows")
    source.write_text(json.dumps(rows))
    duckdb.sql(f"COPY (FROM read_json('{source}')) TO '{table}' (FORMAT parquet)")
    content = table.read_bytes()
    source.unlink()
    table.unlink()
    return content


def test_vpc_flow_logs_in_parquet_are_told_how_to_become_text(netpol: Netpol, tmp_path: Path) -> None:
    table, log = tmp_path / "vpc.parquet", tmp_path / "vpc.log"
    columns = (
        "2 AS version, '10.0.0.1' AS srcaddr, '10.0.0.2' AS dstaddr, 40000 AS srcport, 80 AS dstport, 6 AS protocol"
    )
    columns += ", 9 AS packets, 900 AS bytes, 1700000000 AS start, 1700000060 AS \"end\", 'ACCEPT' AS action"
    duckdb.sql(f"COPY (SELECT {columns}, 'OK' AS log_status, NULL::INT AS tcp_flags) TO '{table}' (FORMAT parquet)")
    answer = netpol("flows", table)
    assert answer.code == 2
    assert "an AWS VPC flow log in Parquet, of which text is read" in answer.err
    assert "COPY (FROM 'FILE.parquet') TO 'FILE.log' (HEADER, DELIMITER ' ', NULLSTR '-')" in answer.err
    duckdb.sql(f"COPY (FROM '{table}') TO '{log}' (HEADER, DELIMITER ' ', NULLSTR '-')")
    assert json.loads(netpol("flows", log, "-o", "json").out)["packets"] == 9


def test_text_that_is_no_log_is_told_what_would_be(netpol: Netpol, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("nothing of use\n")
    answer = netpol("flows", tmp_path / "notes")
    assert answer.code == 2
    assert "not a capture, but text. Give a pcap or pcapng file, plain, .gz or .zst, or a flow log" in answer.err
