"""Small captures, made packet by packet with scapy."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

if TYPE_CHECKING:
    from pathlib import Path

NOON = 1_790_000_000.0
"""Packet times begin here: seconds since the epoch, in September 2026."""


@dataclass(slots=True)
class Traffic:
    """Conversations, one after the other, each with a client port and sequence numbers of its own."""

    packets: list[Any] = field(default_factory=list)
    count: int = 0

    def tcp(self, client: str, server: str, port: int, *, answer: str = "accept") -> None:
        """A connection that sends data both ways; or a SYN that is met by `refuse` or `ignore`."""
        self.count += 1
        source, isn, theirs = (
            40_000 + self.count % 20_000,
            1_000_000 + 7919 * self.count,
            9_000_000 + 104_729 * self.count,
        )
        there: dict[str, Any] = {"sport": source, "dport": port}
        back: dict[str, Any] = {"sport": port, "dport": source}
        self._add(client, server, TCP(**there, flags="S", seq=isn))
        if answer == "refuse":
            self._add(server, client, TCP(**back, flags="RA", ack=isn + 1))
        if answer != "accept":
            return
        self._add(server, client, TCP(**back, flags="SA", seq=theirs, ack=isn + 1))
        self._add(client, server, TCP(**there, flags="A", seq=isn + 1, ack=theirs + 1))
        self._add(client, server, TCP(**there, flags="PA", seq=isn + 1, ack=theirs + 1) / b"ask")
        self._add(server, client, TCP(**back, flags="PA", seq=theirs + 1, ack=isn + 4) / b"answer")
        self._add(client, server, TCP(**there, flags="FA", seq=isn + 4, ack=theirs + 7))
        self._add(server, client, TCP(**back, flags="FA", seq=theirs + 7, ack=isn + 5))
        self._add(client, server, TCP(**there, flags="A", seq=isn + 5, ack=theirs + 8))

    def udp(self, client: str, server: str, port: int, *, answered: bool = True) -> None:
        """A question and its answer."""
        self.count += 1
        source = 40_000 + self.count % 20_000
        self._add(client, server, UDP(sport=source, dport=port) / b"ask")
        if answered:
            self._add(server, client, UDP(sport=port, dport=source) / b"answer")

    def _add(self, source: str, destination: str, content: Any) -> None:

        network = IP if ip_address(source).version == 4 else IPv6
        frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / network(src=source, dst=destination) / content
        frame.time = NOON + len(self.packets) / 1000
        self.packets.append(frame)

    def write(self, path: Path) -> Path:
        """A pcap file."""
        wrpcap(str(path), self.packets)
        return path
