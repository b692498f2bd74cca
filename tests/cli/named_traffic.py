"""Traffic that carries names: DNS questions with their answers, and HTTP requests."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import TCP, UDP

from tests.cli.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable

RESOLVER = "10.0.0.53"
API_AND_RESOLVER = """---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: shop, labels: {app: api}}
spec: {nodeName: n1, containers: [{name: api}]}
status: {podIP: 10.0.0.2, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {app: dns}}
spec: {nodeName: n1, containers: [{name: dns, ports: [{containerPort: 53, protocol: UDP}]}]}
status: {podIP: 10.0.0.53, phase: Running}
"""
"""Pods that most of this traffic needs beside the one that it is about."""


class NamedTraffic(Traffic):
    """Every conversation is one that worked."""

    def dns(self, client: str, name: str | bytes, addresses: Iterable[str], *, life: int = 60) -> None:
        """The client asks for a name and is told its addresses."""
        self.count += 1
        source = 40_000 + self.count % 20_000
        question = DNSQR(qname=name, qtype="A")
        answers = [
            DNSRR(rrname=name, type="A" if ip_address(one).version == 4 else "AAAA", rdata=one, ttl=life)
            for one in addresses
        ]
        self._add(client, RESOLVER, UDP(sport=source, dport=53) / DNS(id=self.count, rd=1, qd=[question]))
        answer = DNS(id=self.count, qr=1, rd=1, ra=1, qd=[question], an=answers)
        self._add(RESOLVER, client, UDP(sport=53, dport=source) / answer)

    def http(self, client: str, server: str, host: str | bytes, *, port: int = 80) -> None:
        """One request for a host, and its answer, in one connection."""
        self.count += 1
        source, isn, theirs = 40_000 + self.count % 20_000, 1_000_000 + 7919 * self.count, 9_000_000 + self.count
        there: dict[str, Any] = {"sport": source, "dport": port}
        back: dict[str, Any] = {"sport": port, "dport": source}
        name = host.encode() if isinstance(host, str) else host
        ask, answer = b"GET / HTTP/1.1\r\nHost: " + name + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"
        self._add(client, server, TCP(**there, flags="S", seq=isn))
        self._add(server, client, TCP(**back, flags="SA", seq=theirs, ack=isn + 1))
        self._add(client, server, TCP(**there, flags="A", seq=isn + 1, ack=theirs + 1))
        self._add(client, server, TCP(**there, flags="PA", seq=isn + 1, ack=theirs + 1) / ask)
        self._add(server, client, TCP(**back, flags="PA", seq=theirs + 1, ack=isn + 1 + len(ask)) / answer)
