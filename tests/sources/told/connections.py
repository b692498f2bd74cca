"""What somebody who tracks connections on both nodes of the sample shop knows of them, from the packets alone.

A connection is one from its client, as it wrote its own address, to whoever answered, behind all rewriting. Who opened
what is older than the captures is known by the port that the programs' own word (`truth.json`) names as the server's.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import yaml

from tests.sources.told.packets import ACK, FIN, RST, SYN, TCP, Packet, Socket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, and how Kubernetes named it: `base` is what its controller begins its pods' names with."""

    namespace: str
    name: str
    workload: str
    base: str
    node: str


class Snapshot:
    """Who has which address, by the sample's own snapshot.

    Attributes:
        virtual: Services' addresses, and their load balancers'.
        doors: Node ports: (address, port).
        declared: Ports of containers and the target ports of Services.
        nodes: Addresses to names.
    """

    def __init__(self, sample: Path) -> None:
        items = yaml.safe_load((sample / "cluster.yaml").read_text())["items"]
        truth = json.loads((sample / "truth.json").read_text())["connections"]
        self.old_ports = {row["port"] for row in truth if row["outcome"] == "midstream"}
        self.virtual: dict[str, str] = {}
        self.doors: set[Socket] = set()
        self.nodes: dict[str, str] = {}
        self.declared: set[int] = set()
        self._pods: dict[str, list[tuple[int, Pod]]] = defaultdict(list)
        self._labels: dict[str, tuple[str, dict[str, str]]] = {}
        for item in items:
            getattr(self, f"_{item['kind'].lower()}", lambda _: None)(item)
        for item in items:
            if item["kind"] == "Service":
                for port in item["spec"]["ports"]:
                    self.doors |= {Socket(each, port["nodePort"]) for each in self.nodes if "nodePort" in port}

    def _node(self, item: dict[str, Any]) -> None:
        for each in item["status"]["addresses"]:
            if each["type"] == "InternalIP":
                self.nodes[each["address"]] = item["metadata"]["name"]
        for block in item["spec"].get("podCIDRs", []):  # the node's own address on its pods' bridge
            address = block.split("/")[0]
            self.nodes[address + "1" if address.endswith(":") else address[:-1] + "1"] = item["metadata"]["name"]

    def _service(self, item: dict[str, Any]) -> None:
        name = f"service/{item['metadata']['namespace']}/{item['metadata']['name']}"
        gates = (item.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
        self.declared |= {port["targetPort"] for port in item["spec"]["ports"] if isinstance(port["targetPort"], int)}
        for address in [*item["spec"].get("clusterIPs", []), *(gate["ip"] for gate in gates)]:
            self.virtual[address] = name

    def _pod(self, item: dict[str, Any]) -> None:
        meta = item["metadata"]
        if item["spec"].get("hostNetwork"):
            return
        base, kind = _controller(meta)
        workload = f"{meta['namespace']}/{kind}"
        pod = Pod(meta["namespace"], meta["name"], workload, base, item["spec"]["nodeName"])
        self._labels[workload.split("[", maxsplit=1)[0]] = meta["namespace"], meta.get("labels", {})
        for container in item["spec"]["containers"]:
            self.declared |= {port["containerPort"] for port in container.get("ports", [])}
        for each in item["status"]["podIPs"]:
            self._pods[each["ip"]].append((_second(item["status"]["startTime"]), pod))

    def pod(self, address: str, time: int) -> Pod | None:
        """Who has the address then; the last to take it before, since addresses are used again."""
        started = [pod for since, pod in sorted(self._pods.get(address, []), key=lambda one: one[0]) if since <= time]
        return started[-1] if started else None

    def whom(self, peer: dict[str, Any], namespace: str) -> str:
        """The one workload, or the one address, that a peer of a policy in a namespace means."""
        if "ipBlock" in peer:
            return str(peer["ipBlock"]["cidr"]).split("/")[0]
        spaces = peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": namespace}})
        space = spaces["matchLabels"]["kubernetes.io/metadata.name"]
        wanted = peer["podSelector"]["matchLabels"].items()
        (found,) = [name for name, (its, labels) in self._labels.items() if its == space and wanted <= labels.items()]
        return found

    def rewritten(self, server: Socket) -> bool:
        """Nobody answers there: the kernel puts a pod in its place."""
        return server.address in self.virtual or server in self.doors

    def workload(self, address: str, time: int) -> str:
        """As `truth.json` names ends."""
        pod = self.pod(address, time)
        if pod is not None:
            return pod.workload
        if address in self.nodes:
            return f"node/{self.nodes[address]}"
        return self.virtual.get(address, address)


def _controller(meta: dict[str, Any]) -> tuple[str, str]:
    owner = meta["ownerReferences"][0]
    name, kind = owner["name"], owner["kind"]
    base = f"{name}-"
    if kind == "ReplicaSet":
        return base, f"{name.rsplit('-', 1)[0]}[Deployment]"
    if kind == "Job":
        return base, f"{name.rsplit('-', 1)[0]}[CronJob]"
    return base, f"{name}[{kind}]"


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


@dataclass(slots=True)
class _View:
    """Packets under one 5-tuple, of one connection."""

    protocol: int
    client: Socket
    server: Socket
    isn: int | None
    answer_isn: int | None = None
    packets: list[Packet] = field(default_factory=list)

    def is_with(self, other: _View, snapshot: Snapshot) -> bool:
        """The same connection, rewritten on its way."""
        if self.protocol != other.protocol:
            return False
        for mine, its in ((self.isn, other.isn), (self.answer_isn, other.answer_isn)):
            if None not in (mine, its) and mine != its:
                return False
        if self.client == other.client:
            return snapshot.rewritten(self.server) or snapshot.rewritten(other.server)
        hidden = self.client.address in snapshot.nodes or other.client.address in snapshot.nodes
        near = abs(self.packets[0].time - other.packets[0].time) < 10**7
        return self.server == other.server and hidden and near and self.packets[0].size == other.packets[0].size


@dataclass(slots=True)
class Connection:
    """One connection.

    Attributes:
        asked: Where the client wrote to, if somebody else answered.
        hidden: Whom the server sees in the client's place, if a node rewrote it.
        there, back: Packets and bytes of IP packets, at the place that saw most of them.
        nodes: Captures that it is in.
        outcome: `established`, `refused`, `unanswered`, `half-open` or `midstream`.
    """

    protocol: int
    client: Socket
    server: Socket
    asked: Socket | None
    hidden: Socket | None
    first: int
    last: int
    there: tuple[int, int]
    back: tuple[int, int]
    outcome: str
    established: int
    closed: int
    data_there: bool
    data_back: bool
    nodes: tuple[str, ...]
    packets: list[Packet]


def connections_of(packets: Iterable[Packet], snapshot: Snapshot) -> list[Connection]:
    """All connections, in order of their first packets."""
    views = _views(packets, snapshot)
    groups: list[list[_View]] = []
    for view in views:
        joined = [group for group in groups if any(view.is_with(each, snapshot) for each in group)]
        groups = [group for group in groups if all(group is not each for each in joined)]
        groups.append([view, *(each for group in joined for each in group)])
    found = [_connection(group, snapshot) for group in groups]
    return sorted(found, key=lambda each: (each.first, each.client, each.server))


def _views(packets: Iterable[Packet], snapshot: Snapshot) -> list[_View]:
    latest: dict[tuple[int, frozenset[Socket]], _View] = {}
    quoted: list[Packet] = []
    views: list[_View] = []
    for packet in packets:
        key = packet.protocol, frozenset((packet.sender, packet.receiver))
        view = latest.get(key)
        opens = packet.flags & (SYN | ACK) == SYN
        if packet.quoted:
            quoted.append(packet)
            continue
        if view is None or (opens and view.isn != packet.seq):
            client, server = packet.sender, packet.receiver
            # Where a pod's own wire was not recorded yet, only what came back for a Service's address is there.
            answers = packet.protocol == TCP and not opens and client.port in snapshot.old_ports
            backwards = answers or snapshot.rewritten(client)
            view = _View(
                packet.protocol,
                *((server, client) if backwards else (client, server)),
                packet.seq if opens else None,
            )
            latest[key] = view
            views.append(view)
        if packet.flags & SYN and packet.flags & ACK:
            view.answer_isn = packet.seq
        view.packets.append(packet)
    for packet in quoted:
        latest[packet.protocol, frozenset((packet.sender, packet.receiver))].packets.append(packet)
    return views


def _connection(group: list[_View], snapshot: Snapshot) -> Connection:
    client = min((view.client for view in group), key=lambda each: each.address in snapshot.nodes)
    server = min((view.server for view in group), key=snapshot.rewritten)
    packets = sorted((packet for view in group for packet in view.packets), key=lambda packet: packet.time)
    clients = {view.client for view in group}
    there = [packet for packet in packets if packet.sender in clients and not packet.quoted]
    back = [packet for packet in packets if packet.sender not in clients]
    answers = [packet.time for packet in there if packet.flags & ACK]
    outcome = _outcome(group, packets, there, back)
    asked = {view.server for view in group} - {server}
    hidden = clients - {client}
    return Connection(
        protocol=group[0].protocol,
        client=client,
        server=server,
        asked=min(asked) if asked else None,
        hidden=min(hidden) if hidden else None,
        first=packets[0].time,
        last=packets[-1].time,
        there=_counted(there),
        back=_counted(back),
        outcome=outcome,
        established=min(answers, default=packets[0].time),
        closed=min((packet.time for packet in packets if packet.flags & (FIN | RST)), default=0),
        data_there=any(packet.payload for packet in there),
        data_back=any(packet.payload for packet in back),
        nodes=tuple(sorted({packet.place[0] for packet in packets})),
        packets=packets,
    )


def _outcome(group: list[_View], packets: list[Packet], there: list[Packet], back: list[Packet]) -> str:
    if group[0].protocol != TCP:
        if any(packet.quoted for packet in packets):
            return "refused"
        return "established" if back else "unanswered"
    if all(view.isn is None for view in group):
        return "midstream"
    if any(packet.flags & SYN for packet in back):
        acknowledged = any(packet.flags & ACK and not packet.flags & RST for packet in there)
        return "established" if acknowledged else "half-open"
    refused = any(packet.flags & RST for packet in back) or any(packet.quoted for packet in packets)
    return "refused" if refused else "unanswered"


def _counted(packets: list[Packet]) -> tuple[int, int]:
    """Packets and bytes at the place that saw most: at others some are not there, or there twice."""
    count: Counter[Any] = Counter()
    size: Counter[Any] = Counter()
    for packet in packets:
        key = packet.place, packet.tunnelled, packet.sender, packet.receiver
        count[key] += 1
        size[key] += packet.size
    best = max(count, key=lambda key: (count[key], size[key]), default=None)
    return (count[best], size[best]) if best else (0, 0)


def of_pods(connections: Iterable[Connection], snapshot: Snapshot) -> Iterator[Connection]:
    """Those that have a pod at one end at least: what a network plugin sees."""
    for each in connections:
        if snapshot.pod(each.client.address, each.first) or snapshot.pod(each.server.address, each.first):
            yield each
