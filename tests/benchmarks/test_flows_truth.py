"""`netpol flows` finds every connection of a capture whose truth is known, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.truth import differences

_GENERATOR = Path(__file__).with_name("generate.py")


@pytest.mark.parametrize(
    "options",
    [
        ["--format", "pcap"],
        ["--format", "pcapng", "--nanoseconds", "--vxlan", "0.5"],
        ["--linktype", "sll2", "--vxlan", "0.2", "--snaplen", "192"],
        ["--linktype", "raw"],
    ],
    ids=" ".join,
)
def test_flows_are_the_truth(tmp_path: Path, options: list[str]) -> None:
    capture = tmp_path / "capture"
    subprocess.run([sys.executable, str(_GENERATOR), str(capture), "--packets", "50000", *options], check=True)
    truth = json.loads((tmp_path / "capture.truth.json").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "netpol", "flows", str(capture), "-o", "json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert differences(truth, done.stdout.splitlines()) == []
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(row["packets"] for row in rows) == truth["packets"] - truth["arp"]
    handshakes = {row["direction"] for row in rows if row["protocol"] == "TCP" and row["outcome"] != "midstream"}
    assert handshakes == {"syn"}
    assert {row["direction"] for row in rows if row["outcome"] == "midstream"} == {"confirmed"}
