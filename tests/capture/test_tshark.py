"""Every packet of every real capture, against tshark."""

from __future__ import annotations

import shutil
import subprocess
from itertools import islice
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.capture.conftest import Packet, Read

_FIELDS = [
    "frame.protocols",
    "frame.time_epoch",
    "frame.len",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.frag_offset",
    "ip.flags.mf",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.len",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "sctp.srcport",
    "sctp.dstport",
    "sctp.verification_tag",
    "icmp.type",
    "icmp.ident",
    "icmpv6.type",
    "icmpv6.echo.identifier",
]


def _dissect(paths: list[Path], merged: Path) -> list[dict[str, list[str]]]:
    """All packets, file after file: tshark's start costs more than its work."""
    subprocess.run(["mergecap", "-a", "-w", str(merged), *map(str, paths)], check=True)
    command = [
        "tshark",
        "-n",
        "-r",
        str(merged),
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=;",
        "-E",
        "separator=|",
    ]
    command += ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-d", "udp.port==8472,vxlan"]
    for name in _FIELDS:
        command += ["-e", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [dict(zip(_FIELDS, (each.split(";") for each in line.split("|")), strict=True)) for line in lines]


def _innermost(fields: dict[str, list[str]]) -> tuple[int, ...] | None:
    """What the innermost packet says; packets that ICMP errors quote are not inside, they are quoted."""
    layers = fields["frame.protocols"][0].split(":")
    quoting = next((index for index, name in enumerate(layers) if name in {"icmp", "icmpv6"}), len(layers))
    fours, sixes = layers[:quoting].count("ip"), layers[:quoting].count("ipv6")
    if not fours + sixes or "arp" in layers:
        return None
    last = next(name for name in reversed(layers[:quoting]) if name in {"ip", "ipv6"})
    index = (fours if last == "ip" else sixes) - 1
    seconds, nanoseconds = fields["frame.time_epoch"][0].split(".")
    result: list[object] = [int(seconds) * 10**9 + int(nanoseconds), int(fields["frame.len"][0])]
    result += [fields[f"{last}.src"][index], fields[f"{last}.dst"][index]]
    transport = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58}
    below = [name for name in layers[: quoting + 1] if name in transport]
    name = below[-1] if below else ""
    result.append(transport.get(name))
    if name in {"tcp", "udp", "sctp"}:
        count = layers[:quoting].count(name) - 1
        result += [int(fields[f"{name}.srcport"][count]), int(fields[f"{name}.dstport"][count])]
        if name == "tcp":
            result += [int(fields["tcp.flags"][count], 16) & 0xFF, int(fields["tcp.seq_raw"][count])]
            result += [int(fields["tcp.ack_raw"][count]), int(fields["tcp.len"][count])]
        elif name == "udp":
            result += [int(fields["udp.length"][count]) - 8]
        else:
            result += [int(fields["sctp.verification_tag"][count], 16)]
    elif name == "icmp" and fields["icmp.type"][0] in {"0", "8"}:
        result += [int(fields["icmp.ident"][0], 0)] * 2
    elif name == "icmpv6" and fields["icmpv6.type"][0] in {"128", "129"}:
        result += [int(fields["icmpv6.echo.identifier"][0], 16)] * 2
    return tuple(result)  # type: ignore[arg-type]


def _ours(packet: Packet, length: int) -> tuple[object, ...]:
    common = packet[:5]
    if packet.protocol == 6:
        return packet
    if packet.protocol == 17:
        return (*common, packet.source_port, packet.destination_port, packet.payload)
    if packet.protocol == 132:
        return (*common, packet.source_port, packet.destination_port, packet.acknowledgement)
    return (*common, packet.source_port, packet.destination_port)[:length]


@pytest.mark.skipif(not shutil.which("tshark") or not shutil.which("mergecap"), reason="tshark is not installed")
def test_every_packet_of_every_real_capture_is_what_tshark_says(
    real_captures: list[Path], read: Read, tmp_path: Path
) -> None:
    everything = iter([(fields, _innermost(fields)) for fields in _dissect(real_captures, tmp_path / "merged")])
    compared = 0
    for path in real_captures:
        result = read([path])
        expected = [(fields, each) for fields, each in islice(everything, result.tally.packets) if each is not None]
        for family, marker in ((4, "."), (6, ":")):
            its = [(fields, each) for fields, each in expected if marker in str(each[2])]
            assert len(its) == len(result.by_family[family]), (path, result.tally)
            for (fields, theirs), packet in zip(its, result.by_family[family], strict=True):
                compare = len(theirs)
                if any(int(offset or 0) for offset in fields["ip.frag_offset"]):
                    compare = 4
                elif "1" in fields["ip.flags.mf"] and packet.protocol == 17:
                    compare -= 1  # UDP gives the whole datagram's length, not the fragment's
                assert _ours(packet, compare)[:compare] == theirs[:compare], (path, fields)
                compared += 1
    assert compared > 350
    assert next(everything, None) is None
