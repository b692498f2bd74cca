"""The packets of a capture as tshark reads them: netpol's own decoders have no part in what logs are made from."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, UDP = 6, 17

_PORTS = {TCP: "tcp", UDP: "udp"}
_FIELDS = (
    *("frame.protocols", "frame.time_epoch", "frame.interface_name", "sll.ifindex"),
    *("ip.src", "ip.dst", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.plen"),
    *("tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw", "tcp.ack_raw", "tcp.len"),
    *("udp.srcport", "udp.dstport", "udp.length", "icmp.type", "icmpv6.type"),
    *("dns.id", "dns.flags.response", "dns.flags.rcode", "dns.qry.name", "dns.qry.type", "dns.a", "dns.aaaa"),
    *("dns.resp.ttl", "tls.handshake.extensions_server_name"),
)


class Socket(NamedTuple):
    """An address and a port."""

    address: str
    port: int


class Dns(NamedTuple):
    """A DNS message."""

    number: int
    answers: bool
    code: int
    name: str
    kind: int
    addresses: tuple[str, ...]
    life: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A TCP segment or a datagram, or what an ICMP error quotes of one.

    Attributes:
        time: Nanoseconds since the Unix epoch.
        place: Where it was seen: the capture and the interface.
        tunnelled: It was inside VXLAN.
        size: Of the innermost IP packet, with its header.
        seq: 0 for datagrams.
        quoted: An ICMP error quotes it: it did not arrive.
    """

    time: int
    place: tuple[str, str]
    tunnelled: bool
    size: int
    protocol: int
    sender: Socket
    receiver: Socket
    flags: int = 0
    seq: int = 0
    ack: int = 0
    payload: int = 0
    quoted: bool = False
    dns: Dns | None = None
    server_name: str = ""


def packets_of(captures: Sequence[Path]) -> list[Packet]:
    """All of them, in order of time; ARP, neighbour discovery and the like are left out."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    found = [packet for path in captures for packet in _read(path)]
    return sorted(found, key=lambda packet: packet.time)


def _read(path: Path) -> Iterator[Packet]:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-d", "udp.port==8472,vxlan"]
    command += ["-E", "occurrence=a", "-E", "aggregator=;", "-E", "separator=|"]
    for name in _FIELDS:
        command += ["-e", name]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in printed.splitlines():
        row = dict(zip(_FIELDS, (each.split(";") if each else [] for each in line.split("|")), strict=True))
        packet = _packet(path.name, row)
        if packet is not None:
            yield packet


def _packet(name: str, row: dict[str, list[str]]) -> Packet | None:
    layers = row["frame.protocols"][0].split(":")
    quoting = next((index for index, each in enumerate(layers) if each in {"icmp", "icmpv6"}), None)
    if quoting is not None and not set(layers[quoting + 1 :]) & {"ip", "ipv6"}:
        return None  # an echo, neighbour discovery
    transport = next((each for each in reversed(layers) if each in {"tcp", "udp"}), None)
    network = next((each for each in reversed(layers) if each in {"ip", "ipv6"}), None)
    if transport is None or network is None:
        return None
    protocol = TCP if transport == "tcp" else UDP
    sender = Socket(row[f"{network}.src"][-1], int(row[f"{transport}.srcport"][-1]))
    receiver = Socket(row[f"{network}.dst"][-1], int(row[f"{transport}.dstport"][-1]))
    seconds, fraction = row["frame.time_epoch"][0].split(".")
    interface = (row["frame.interface_name"] or row["sll.ifindex"])[0]
    size = int(row["ip.len"][-1]) if network == "ip" else int(row["ipv6.plen"][-1]) + 40
    tcp = protocol == TCP
    return Packet(
        time=int(seconds) * 10**9 + int(fraction),
        place=(name, interface),
        tunnelled="vxlan" in layers,
        size=size,
        protocol=protocol,
        sender=sender,
        receiver=receiver,
        flags=int(row["tcp.flags"][-1], 16) & 31 if tcp and row["tcp.flags"] else 0,
        seq=int(row["tcp.seq_raw"][-1]) if tcp and row["tcp.seq_raw"] else 0,
        ack=int(row["tcp.ack_raw"][-1]) if tcp and row["tcp.ack_raw"] else 0,
        payload=int(row["tcp.len"][-1]) if tcp and row["tcp.len"] else int((row["udp.length"] or ["8"])[-1]) - 8,
        quoted=quoting is not None,
        dns=_dns(row),
        server_name=(row["tls.handshake.extensions_server_name"] or [""])[0],
    )


def _dns(row: dict[str, list[str]]) -> Dns | None:
    if not row["dns.id"] or not row["dns.qry.name"]:
        return None
    return Dns(
        number=int(row["dns.id"][0], 16),
        answers=row["dns.flags.response"][0] in {"1", "True"},
        code=int((row["dns.flags.rcode"] or ["0"])[0]),
        name=row["dns.qry.name"][0],
        kind=int(row["dns.qry.type"][0]),
        addresses=(*row["dns.a"], *row["dns.aaaa"]),
        life=min(map(int, row["dns.resp.ttl"]), default=0),
    )
