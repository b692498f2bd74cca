"""The shop's captures as tshark reads them: the ones in the repository, and ones that are taken anew."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAMS = (
    "ip",
    "tcpdump",
    "dumpcap",
    "iptables-restore",
    "nft",
    "setpriv",
    "sysctl",
    "nginx",
    "psql",
    "redis-server",
    "dnsmasq",
    "nmap",
    "openssl",
)
_FIELDS = (
    *("frame.time_epoch", "vxlan.vni", "icmp.type", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst"),
    *("tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq", "tcp.ack", "tcp.len"),
    *("udp.srcport", "udp.dstport"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet as tshark dissects it, the innermost headers where there are several.

    Attributes:
        file: Name of the capture.
        quoted: The headers are those of the packet that an ICMP destination-unreachable quotes.
        protocol: TCP or UDP.
    """

    file: str
    time: float
    tunnelled: bool
    quoted: bool
    source: str
    destination: str
    protocol: str
    source_port: int
    destination_port: int
    flags: int
    sequence: int
    acknowledgement: int
    payload: int

    @property
    def ends(self) -> tuple[str, int, str, int]:
        """The 4-tuple in the sender's direction."""
        return self.source, self.source_port, self.destination, self.destination_port


class Shop:
    """One taking of the captures with its snapshot and its truth."""

    def __init__(self, captures: Path, samples: Path) -> None:
        self.captures = captures
        self.samples = samples

    @cached_property
    def items(self) -> list[dict[str, Any]]:
        """The objects of the snapshot."""
        items: list[dict[str, Any]] = yaml.safe_load((self.samples / "cluster.yaml").read_text())["items"]
        return items

    @cached_property
    def truth(self) -> list[dict[str, Any]]:
        """The rows that the drivers wrote."""
        rows: list[dict[str, Any]] = json.loads((self.samples / "truth.json").read_text())["connections"]
        return rows

    @cached_property
    def packets(self) -> list[Packet]:
        """All TCP and UDP packets of both captures."""
        files = sorted(path for path in self.captures.iterdir() if path.is_file())
        return [packet for path in files for packet in _read(path)]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The objects of one kind."""
        return [item for item in self.items if item["kind"] == kind]


def _read(path: Path) -> list[Packet]:
    fields = [word for field in _FIELDS for word in ("-e", field)]
    options = ["-d", "udp.port==8472,vxlan", "-o", "tcp.relative_sequence_numbers:FALSE", "-Y", "tcp or udp"]
    command = ["tshark", "-r", str(path), "-n", *options, "-T", "fields", *fields]
    # The last occurrence of a field is the innermost one.
    done = subprocess.run([*command, "-E", "occurrence=l"], check=True, capture_output=True, text=True)
    return [packet for line in done.stdout.splitlines() if (packet := _parse(path.name, line)) is not None]


def _parse(file: str, line: str) -> Packet | None:
    row = dict(zip(_FIELDS, line.split("\t"), strict=True))
    transport = "tcp" if row["tcp.srcport"] else "udp"
    if row["udp.dstport"] == "8472" and not row["tcp.srcport"]:
        return None  # a tunnelled packet that is neither TCP nor UDP
    family = "ipv6" if row["ipv6.src"] else "ip"
    return Packet(
        file=file,
        time=float(row["frame.time_epoch"]),
        tunnelled=bool(row["vxlan.vni"]),
        quoted=row["icmp.type"] == "3",
        source=row[f"{family}.src"],
        destination=row[f"{family}.dst"],
        protocol=transport.upper(),
        source_port=int(row[f"{transport}.srcport"]),
        destination_port=int(row[f"{transport}.dstport"]),
        flags=int(row["tcp.flags"] or "0", 16),
        sequence=int(row["tcp.seq"] or 0),
        acknowledgement=int(row["tcp.ack"] or 0),
        payload=int(row["tcp.len"] or 0),
    )


@pytest.fixture(scope="session")
def shipped() -> Shop:
    """The captures and samples in the repository."""
    return Shop(_ROOT / "captures" / "shop", _ROOT / "samples" / "shop")


@pytest.fixture(
    scope="session",
    params=["shipped", pytest.param("fresh", marks=pytest.mark.namespaces)],
)
def shop(request: pytest.FixtureRequest, shipped: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shipped captures, and ones that the lab takes now; skips where tshark or the lab's needs are missing."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    if request.param == "shipped":
        return shipped
    why_not = cannot_build()
    if why_not:
        pytest.skip(why_not)
    return _play(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def play_under(tmp_path: Path) -> Callable[[Path], Shop]:
    """Runs the shop under a folder of policies that the kernel enforces; CalledProcessError when it cannot work."""
    why_not = cannot_build()
    if why_not:
        pytest.skip(why_not)
    return lambda policies: _play(tmp_path / "shop", "--policies", str(policies))


@pytest.fixture
def learned(shipped: Shop, tmp_path: Path) -> Path:
    """What netpol learns from the shipped captures."""
    folder = tmp_path / "learned"
    cluster = str(shipped.samples / "cluster.yaml")
    command = [sys.executable, "-m", "netpol", "learn", str(shipped.captures), "--cluster", cluster, "-d", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def facts(truth: Iterable[dict[str, Any]], *purposes: str) -> set[tuple[Any, ...]]:
    """What was connected to what for these purposes, and with which outcome: without how often."""
    names = ("source", "destination", "protocol", "port", "outcome")
    return {tuple(row[name] for name in names) for row in truth if row["purpose"] in purposes}


def _play(folder: Path, *more: str) -> Shop:
    shop = Shop(folder / "captures", folder / "samples")
    command = [sys.executable, str(_ROOT / "captures" / "shop.py"), *more]
    options = ["--captures", str(shop.captures), "--samples", str(shop.samples)]
    subprocess.run([*command, *options], check=True, timeout=600, capture_output=True, text=True)
    return shop


def cannot_build() -> str:
    """Why the lab cannot run here; empty when it can."""
    if os.geteuid():
        return "network namespaces need root"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not Path("/usr/lib/postgresql").is_dir():
        return "PostgreSQL's server is not installed"
    probe = f"npshop-probe-{os.getpid():x}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces cannot be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return ""
