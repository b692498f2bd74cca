"""The generator's files are what their truth says, in the eyes of tshark."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.traffic.plan import make_plan
from tests.benchmarks.truth import differences

_GENERATOR = Path(__file__).with_name("generate.py")
_SYN, _RST, _ACK = 2, 4, 16


def _generate(path: Path, *options: str) -> dict[str, Any]:
    subprocess.run([sys.executable, str(_GENERATOR), str(path), *options], check=True)
    truth: dict[str, Any] = json.loads(path.with_name(path.name + ".truth.json").read_text(encoding="utf-8"))
    return truth


def _dissect(path: Path) -> list[dict[str, str]]:
    """Innermost addresses, ports and flags of every packet, as tshark decodes them."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    fields = ["frame.time_epoch", "frame.len", "frame.cap_len", "frame.protocols", "tcp.flags"]
    fields += ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=l"]
    for field in fields:
        command += ["-e", field]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [dict(zip(fields, line.split("\t"), strict=True)) for line in output.splitlines()]


def _flows(packets: list[dict[str, str]]) -> list[str]:
    """Rows as `netpol flows -o json` has them, from tshark's dissection, packet by packet."""
    conversations: dict[tuple[Any, ...], list[tuple[tuple[str, int], int, int]]] = defaultdict(list)
    for packet in packets:
        layers = packet["frame.protocols"].split(":")
        if "arp" in layers:
            continue
        network = "ip" if "".join(layers).rfind("ipv6") < 0 or _last(layers, "ip") > _last(layers, "ipv6") else "ipv6"
        transport = max(("tcp", "udp", "icmp"), key=lambda layer: _last(layers, layer))
        ports = (0, 0) if transport == "icmp" else (packet[f"{transport}.srcport"], packet[f"{transport}.dstport"])
        source, destination = (packet[f"{network}.src"], int(ports[0])), (packet[f"{network}.dst"], int(ports[1]))
        flags = int(packet["tcp.flags"], 16) if transport == "tcp" else 0
        conversations[transport, *sorted((source, destination))].append((source, flags, int(packet["frame.len"])))

    rows: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for (transport, *ends), exchange in conversations.items():
        first = exchange[0][0]
        client = first if transport != "tcp" or exchange[0][1] & _SYN else max(ends, key=lambda end: end[1])
        server = next(end for end in ends if end != client)
        row = rows[client[0], server[0], transport.upper(), server[1] or None, _outcome(transport, client, exchange)]
        row["connections"] += 1
        row["packets"] += len(exchange)
        row["bytes"] += sum(length for _, _, length in exchange)
    return [
        json.dumps(dict(zip(("client", "server", "protocol", "port", "outcome"), key, strict=True)) | row)
        for key, row in rows.items()
    ]


def _last(layers: list[str], layer: str) -> int:
    return max((place for place, name in enumerate(layers) if name == layer), default=-1)


def _outcome(transport: str, client: tuple[str, int], exchange: list[tuple[tuple[str, int], int, int]]) -> str:
    answers = [flags for sender, flags, _ in exchange if sender != client]
    if transport != "tcp":
        return "established" if answers else "unanswered"
    if not exchange[0][1] & _SYN:
        return "midstream"
    if not answers:
        return "unanswered"
    if answers[0] & _RST:
        return "refused"
    acknowledged = any(sender == client and flags & _ACK for sender, flags, _ in exchange)
    return "established" if answers[0] == _SYN | _ACK and acknowledged else "?"


@pytest.mark.parametrize(
    "options",
    [
        ["--format", "pcap"],
        ["--format", "pcapng", "--nanoseconds", "--vxlan", "0.4"],
        ["--linktype", "sll2", "--vxlan", "0.2", "--format", "pcapng"],
        ["--linktype", "raw", "--nanoseconds"],
    ],
    ids=" ".join,
)
def test_tshark_sees_what_the_truth_says(tmp_path: Path, options: list[str]) -> None:
    truth = _generate(tmp_path / "capture", "--packets", "12000", *options)
    packets = _dissect(tmp_path / "capture")
    assert len(packets) == truth["packets"] == 12_000
    assert sum(int(packet["frame.len"]) for packet in packets) == truth["bytes"]
    assert sum("arp" in packet["frame.protocols"] for packet in packets) == truth["arp"]
    assert differences(truth, _flows(packets)) == []
    assert {row["outcome"] for row in truth["rows"]} == {"established", "refused", "unanswered", "midstream"}
    assert {row["protocol"] for row in truth["rows"]} == {"TCP", "UDP", "ICMP"}
    assert any(":" in row["client"] for row in truth["rows"])


def test_times_do_not_go_back_and_have_the_resolution_asked_for(tmp_path: Path) -> None:
    for name, options in (("micro", []), ("nano", ["--nanoseconds"]), ("ng", ["--nanoseconds", "--format", "pcapng"])):
        _generate(tmp_path / name, "--packets", "2000", *options)
        times = [packet["frame.time_epoch"] for packet in _dissect(tmp_path / name)]
        assert times == sorted(times)
        assert all(time.endswith("000") for time in times) == (name == "micro")


@pytest.mark.parametrize("snaplen", [40, 96, 300])
def test_snaplen_cuts_what_is_kept_and_nothing_else(tmp_path: Path, snaplen: int) -> None:
    for name, options in (("whole", []), ("cut", ["--snaplen", str(snaplen)])):
        _generate(tmp_path / name, "--packets", "2000", "--vxlan", "0.5", "--format", "pcapng", *options)
    whole, cut = _frames(tmp_path / "whole"), _frames(tmp_path / "cut")
    assert [length for length, _ in cut] == [length for length, _ in whole]
    # Filler differs by its place in the file, headers must not.
    assert [frame[:34] for _, frame in cut] == [frame[:34] for _, frame in whole]
    assert [len(frame) for _, frame in cut] == [min(length, snaplen) for length, _ in whole]


def _frames(path: Path) -> list[tuple[int, bytes]]:
    """Original length and captured bytes of every packet, as tcpdump rewrites them into the simplest format."""
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    command = ["tcpdump", "-r", str(path), "-w", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    frames, place = [], 24
    while place < len(data):
        captured, length = struct.unpack_from("<II", data, place + 8)
        frames.append((length, data[place + 16 : place + 16 + captured]))
        place += 16 + captured
    return frames


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("one", "3"), ("same", "3"), ("other", "4")):
        _generate(tmp_path / name, "--packets", "2000", "--seed", seed)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "same").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


def test_a_snaplen_of_nothing_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(_GENERATOR), str(tmp_path / "capture"), "--snaplen", "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--snaplen must be at least 1" in done.stderr


@given(packets=st.integers(1, 3_000), seed=st.integers(0, 100), arp=st.booleans())
def test_the_plan_has_exactly_the_packets_asked_for(packets: int, seed: int, *, arp: bool) -> None:
    plan = make_plan(packets, rng=np.random.default_rng(seed), arp=arp)
    assert int(plan.packets.sum()) == packets
    assert (plan.data > 0).all()
    assert (np.diff(plan.start) >= 0).all()
    assert (plan.client != plan.server).all()


def test_differences_names_what_is_missing_what_is_too_many_and_what_is_wrong() -> None:
    row = {"client": "10.0.0.1", "server": "10.0.0.2", "protocol": "TCP", "port": 80, "outcome": "established"}
    right = {**row, "connections": 1, "packets": 9, "bytes": 900}
    truth = {"rows": [right, {**right, "port": 81}]}
    assert differences(truth, [json.dumps(right), json.dumps({**right, "port": 81})]) == []
    found = differences(truth, [json.dumps({**right, "packets": 8}), json.dumps({**right, "port": 82})])
    assert [line.split(":")[0] for line in found] == ["missing", "not in the truth", "wrong"]
