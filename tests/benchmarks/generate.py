"""Writes a capture of realistic cluster traffic, and the truth about it beside it.

    python tests/benchmarks/generate.py big.pcap --packets 2000000

The truth (`big.pcap.truth.json`) has one row per client, server, protocol, port and outcome, with the fields of
`netpol flows -o json` that the generator knows. The same options give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it runs as a script too

from tests.benchmarks.traffic.containers import Container
from tests.benchmarks.traffic.frames import Headers, Link
from tests.benchmarks.traffic.packets import Packets, make_packets
from tests.benchmarks.traffic.plan import Kind, Plan, make_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONVERSATIONS_AT_ONCE: Final = 4_096
_PACKETS_AT_ONCE: Final = 32_768
_OUTCOME: Final = {
    **dict.fromkeys((Kind.FINISHED, Kind.RESET, Kind.OPEN, Kind.LOOKUP, Kind.PING), "established"),
    Kind.REFUSED: "refused",
    Kind.UNANSWERED: "unanswered",
    Kind.MIDSTREAM: "midstream",
}
_PROTOCOL: Final = {Kind.LOOKUP: "UDP", Kind.PING: "ICMP"}


def generate(path: Path, plan: Plan, container: Container, rng: np.random.Generator) -> dict[str, Any]:
    """Write the capture; returns the truth about it."""
    headers = Headers(plan, container.link)
    wire_bytes = np.zeros(len(plan), np.int64)
    waiting: list[Packets] = []
    with path.open("wb") as file:
        file.write(container.opening())
        for first in range(0, len(plan), _CONVERSATIONS_AT_ONCE):
            last = min(first + _CONVERSATIONS_AT_ONCE, len(plan))
            fresh = make_packets(plan, first, last, rng)
            length = headers.lengths(fresh)
            wire_bytes[first:last] = np.bincount(fresh.conversation - first, weights=length, minlength=last - first)
            # What comes after the next conversation's start has to wait for that one's packets.
            horizon = plan.start[last] if last < len(plan) else np.iinfo(np.int64).max
            pool = Packets.join([*waiting, fresh])
            ready = pool.time < horizon
            waiting = [pool.take(~ready)]
            _write(file, pool.take(ready), container, headers)
    return _truth(plan, wire_bytes)


def _write(file: Any, packets: Packets, container: Container, headers: Headers) -> None:
    order = np.argsort(packets.time, kind="stable")
    for start in range(0, len(order), _PACKETS_AT_ONCE):
        container.write(file, packets.take(order[start : start + _PACKETS_AT_ONCE]), headers)


def _truth(plan: Plan, wire_bytes: NDArray[np.int64]) -> dict[str, Any]:
    """What a correct tool must say about the file."""
    flows = plan.kind != Kind.ARP
    same_row = np.where(plan.kind <= Kind.OPEN, int(Kind.FINISHED), plan.kind)  # how it ended is no part of a row
    keys = np.stack([plan.client, plan.server, plan.server_port, plan.six, same_row], axis=1)[flows]
    rows, of_row = np.unique(keys, axis=0, return_inverse=True)
    connections = np.bincount(of_row)
    packets = np.bincount(of_row, weights=plan.packets[flows]).astype(np.int64)
    total = np.bincount(of_row, weights=wire_bytes[flows]).astype(np.int64)

    def address(host: int, *, six: bool) -> str:
        return str(IPv6Address((0xFD00_0010_0244_0000 << 64) + host + 1) if six else IPv4Address(int(plan.hosts[host])))

    listed = [
        {
            "client": address(client, six=bool(six)),
            "server": address(server, six=bool(six)),
            "protocol": _PROTOCOL.get(Kind(kind), "TCP"),
            "port": port or None,
            "connections": 1 if kind == Kind.PING else count,  # ICMP is counted by address pair
            "packets": packet_count,
            "bytes": byte_count,
            "outcome": _OUTCOME[Kind(kind)],
        }
        for (client, server, port, six, kind), count, packet_count, byte_count in zip(
            rows.tolist(), connections.tolist(), packets.tolist(), total.tolist(), strict=True
        )
    ]
    return {
        "packets": int(plan.packets.sum()),
        "bytes": int(wire_bytes.sum()),
        "arp": int((~flows).sum()),
        "conversations": int(flows.sum()),
        "rows": listed,
    }


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Write a capture of realistic cluster traffic, and the truth about it."
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=["pcap", "pcapng"], default="pcap")
    parser.add_argument("--nanoseconds", action="store_true", help="nanosecond times instead of microsecond times")
    parser.add_argument("--vxlan", type=float, default=0.0, metavar="FRACTION", help="share of tunnelled conversations")
    parser.add_argument("--snaplen", type=int, default=262_144)
    parser.add_argument("--linktype", type=Link, choices=list(Link), default=Link.ETHER)
    parser.add_argument("--truth", type=Path, help="where the truth goes (FILE.truth.json)")
    return parser


def main() -> None:
    """Run from the command line."""
    parser = _options()
    options = parser.parse_args()
    if options.packets < 1:
        parser.error("--packets must be at least 1")
    if options.snaplen < 1:
        parser.error("--snaplen must be at least 1")
    rng = np.random.default_rng(options.seed)
    plan = make_plan(options.packets, rng=rng, vxlan=options.vxlan, arp=options.linktype != Link.RAW)
    container = Container(
        link=options.linktype,
        pcapng=options.format == "pcapng",
        nanoseconds=options.nanoseconds,
        snaplen=options.snaplen,
    )
    truth = generate(options.file, plan, container, rng)
    target = options.truth or options.file.with_name(options.file.name + ".truth.json")
    target.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
