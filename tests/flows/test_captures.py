"""Real captures, held against what Zeek and tshark say about them."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.flows.assemble import assemble
from netpol.model.flow import Direction, Outcome, protocol_name

_CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "captures"
_ZEEK = _CAPTURES / "zeek"

pytestmark = pytest.mark.skipif(not _CAPTURES.is_dir(), reason="the third-party captures are not here")


def _flows(path: Path) -> Any:
    tally = Tally()
    table = assemble(read_packets([path], tally))
    assert sum(flow.packets for flow in table) == tally.decoded
    return table


@pytest.mark.parametrize(
    ("capture", "log"),
    [
        ("pcapng-multi-interface.pcapng", "core.pcapng-pktsrc"),
        ("http/get.pcap", "core.tcp.reassembly-known-ports"),
        ("wikipedia.pcap", "opt.basic"),
        ("tunnels/vxlan-encapsulated-http.pcap", "core.tunnels.analyzer-confirmation"),
        ("tunnels/geneve.pcap", "core.tunnels.geneve"),
    ],
)
def test_connections_are_zeeks(capture: str, log: str) -> None:
    """Ends, ports, number of connections and packets; tunnels themselves are no flows here."""
    lines = (_ZEEK / "expected" / log / "conn.log").read_text(encoding="utf-8").splitlines()
    names = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
    entries = [dict(zip(names, line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]
    tunnels = {uid for entry in entries for uid in entry["tunnel_parents"].split(",")}
    expected: Counter[tuple[str, str, str, int | None]] = Counter()
    packets: Counter[tuple[str, str, str, int | None]] = Counter()
    outer_ports = {"4789", "6081"}
    for entry in entries:
        if entry["uid"] in tunnels or entry["id.resp_p"] in outer_ports:
            continue
        protocol = entry["proto"].upper()
        key = (
            str(ip_address(entry["id.orig_h"])),
            str(ip_address(entry["id.resp_h"])),
            protocol,
            None if protocol == "ICMP" else int(entry["id.resp_p"]),
        )
        expected[key] += 1
        packets[key] += int(entry["orig_pkts"]) + int(entry["resp_pkts"])
    found: Counter[tuple[str, str, str, int | None]] = Counter()
    found_packets: Counter[tuple[str, str, str, int | None]] = Counter()
    for flow in _flows(_ZEEK / capture):
        key = (str(flow.client), str(flow.server), protocol_name(flow.protocol), flow.port)
        if flow.direction == Direction.UNKNOWN:  # Zeek takes the first sender, netpol does not guess
            ends = {key[0], key[1]}
            (key,) = (other for other in expected if {other[0], other[1]} == ends and other[2] == key[2])
        found[key] += flow.connections
        found_packets[key] += flow.packets
    assert found == expected
    assert found_packets == packets


@pytest.mark.parametrize(
    "path", sorted(path for path in _CAPTURES.rglob("*.pcap*") if path.is_file()), ids=lambda path: path.name
)
def test_conversations_are_tsharks(path: Path) -> None:
    """As many TCP packets between two addresses as tshark counts in its conversations."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    done = subprocess.run([tshark, "-r", path, "-q", "-z", "conv,tcp"], check=False, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines() if "<->" in line]
    theirs = Counter[frozenset[str]]()
    for row in rows:
        ends = frozenset(end.rsplit(":", 1)[0] for end in (row[0], row[2]))
        theirs[ends] += int(row[9]) if row[5].isalpha() else int(row[7])
    ours = Counter[frozenset[str]]()
    for flow in _flows(path):
        if flow.protocol == 6:
            ours[frozenset([str(flow.client), str(flow.server)])] += flow.packets
    assert ours == theirs


def test_sctp_association_is_established() -> None:
    outcomes = {flow.outcome for flow in _flows(_ZEEK / "communityid" / "sctp.pcap") if flow.protocol == 132}
    assert outcomes == {Outcome.ESTABLISHED}


def test_pings_have_the_asker_as_client() -> None:
    flows = list(_flows(_ZEEK / "communityid" / "icmp.pcap"))
    assert {flow.direction for flow in flows} == {Direction.REPLY}
    assert {flow.outcome for flow in flows} == {Outcome.ESTABLISHED}
