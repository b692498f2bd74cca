"""Flow logs are captures: the same traffic as a log gives the same policies, but for what the log cannot say."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
import zstandard

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
