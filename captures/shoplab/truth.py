"""What really happened, by the word of the programs that opened the connections: the oracle for everything learned."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ET
from collections import Counter
from typing import TYPE_CHECKING, Any

from shoplab.description import COREDNS, NODES, SERVICES, all_pods, pods_of
from shoplab.programs import api_log, dns_log, nginx_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shoplab.description import Pod
    from shoplab.network import Lab

_QUERY = re.compile(r" (\d+\.\d+\.\d+\.\d+)/(\d+) query\[")
_LOG_SECONDS = 100
_SCAN_OUTCOMES = {
    ("connect", "open"): "established",  # nmap finishes the handshake, says nothing and resets
    ("syn", "open"): "half-open",  # nmap resets in answer to the SYN-ACK
    ("connect", "closed"): "refused",
    ("syn", "closed"): "refused",
    ("connect", "filtered"): "unanswered",
    ("syn", "filtered"): "unanswered",
}


class Ledger:
    """Counts connections by (source, destination, protocol, port, outcome, purpose).

    Ends are written as `namespace/name[Kind]`, `node/NAME`, `service/NAMESPACE/NAME` where nothing is behind the
    Service, or an outside address. A Service's address becomes the workload behind it and the port on its pods' side.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._rows: Counter[tuple[str, str, str, int, str, str]] = Counter()
        self._read: dict[Path, int] = {}
        self._asked: set[tuple[str, ...]] = set()

    def add(self, source: str, remote: tuple[str, int], protocol: str, outcome: str, purpose: str) -> None:
        """One connection, or one attempt."""
        destination, port = _behind(remote[0], remote[1], protocol)
        self._rows[source, destination, protocol, port, outcome, purpose] += 1

    def answer(self, source: str, answer: Mapping[str, Any], purpose: str = "shop", outcome: str = "") -> None:
        """The connections that a client reported; `outcome` overrides its own word: those before the capture."""
        for record in answer["records"]:
            address, port = record["remote"]
            self.add(source, (address, port), record["protocol"], outcome or record["outcome"], purpose)

    def read_api(self, pod: Pod, *, before: bool) -> None:
        """What a replica of the API dialled since the last look; `before` the capture began or during it."""
        for line in self._fresh(api_log(self._lab, pod)):
            record = json.loads(line)
            outcome = "midstream" if before else record["outcome"]
            purpose = "shop" if record["outcome"] == "established" else "failure"
            self.add(str(pod.workload), tuple(record["remote"]), record["protocol"], outcome, purpose)

    def read_nginx(self, source: str, requests: int) -> None:
        """The upstreams that nginx dialled since the last look: without keep-alive, one connection a request.

        Args:
            source: Where nginx runs.
            requests: How many it has answered since it was started; it writes one down after it has answered it.
        """
        deadline = time.monotonic() + _LOG_SECONDS
        while nginx_log(self._lab).read_text().count("\n") < requests:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nginx has not written down {requests} requests")
            time.sleep(0.05)
        for line in self._fresh(nginx_log(self._lab)):
            for upstream in line.split(","):
                address, _, port = upstream.strip().rpartition(":")
                self.add(source, (address, int(port)), "TCP", "established", "shop")

    def read_dns(self, *owners: Pod, over_tcp: bool, count: bool = True) -> None:
        """Who asked the DNS servers since the last look, one connection for each client port.

        Args:
            owners: The pods that hold the addresses at this time, and could have asked.
            over_tcp: Their resolver uses TCP.
            count: False to pass over what came before the capture.
        """
        names = {pod.address: str(pod.workload) for pod in owners}
        for server in pods_of(COREDNS):
            for line in self._fresh(dns_log(self._lab, server)):
                match = _QUERY.search(line)
                if match is None or not count:
                    continue
                source = names[match[1]]
                # One resolver may keep its socket for many questions: nginx does.
                if (source, *match.groups()) not in self._asked:
                    self._asked.add((source, *match.groups()))
                    self.add(source, (server.address, 53), "TCP" if over_tcp else "UDP", "established", "shop")

    def read_nmap(self, source: str, report: str) -> None:
        """The ports that nmap tried, from its XML output."""
        tree = ET.fromstring(report)  # noqa: S314 - written by the nmap that this lab ran
        kind = tree.findall("scaninfo")[0].attrib["type"]
        for host in tree.findall("host"):
            address = host.findall("address")[0].attrib["addr"]
            for port in host.iter("port"):
                state = port.findall("state")[0].attrib
                outcome = _SCAN_OUTCOMES[kind, state["state"]]
                if state["reason"].endswith("-unreach"):  # an ICMP error, as a policy controller may send it
                    outcome = "refused"
                self.add(source, (address, int(port.attrib["portid"])), "TCP", outcome, "scan")

    def rows(self) -> list[dict[str, str | int]]:
        """The counts, sorted."""
        names = ("source", "destination", "protocol", "port", "outcome", "purpose")
        return [{**dict(zip(names, key, strict=True)), "connections": n} for key, n in sorted(self._rows.items())]

    def _fresh(self, path: Path) -> list[str]:
        """The complete lines that were added since the last look."""
        text = path.read_text() if path.exists() else ""
        text = text[: text.rfind("\n") + 1]
        start = self._read.get(path, 0)
        self._read[path] = len(text)
        return text[start:].splitlines()


def _behind(address: str, port: int, protocol: str) -> tuple[str, int]:
    """The workload, node or outside address behind a dialled one, and the port on its side."""
    nodes = {node.address: f"node/{node.name}" for node in NODES}
    for service in SERVICES:
        for entry in service.ports:
            doors = {(service.address, entry.port), (service.load_balancer, entry.port)}
            doors |= {(node, entry.node_port) for node in nodes if entry.node_port}
            if protocol == entry.protocol and (address, port) in doors:
                backends = service.backends(entry)
                if not backends:
                    return f"service/{service.namespace}/{service.name}", port
                return str(backends[0][0].workload), backends[0][1]
    if address in nodes:
        return nodes[address], port
    for pod in all_pods():
        if address in pod.addresses:
            return str(pod.workload), port
    return address, port
