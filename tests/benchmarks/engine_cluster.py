"""A made-up cluster of any size that looks like one: namespaces of applications, policies as people write them.

Each namespace has a handful of workloads that call each other along a few chains, an open front door from the ingress
controller, DNS in kube-system, a metrics port that the monitoring namespace scrapes, some with a way out to the
internet or to a database range outside. Most namespaces deny by default; one in ten has no policy yet. A kube-proxy in
the host network runs on every node. Everything follows from the seed.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

Manifest = dict[str, Any]

WORKLOADS_OF_A_NAMESPACE = 20
PODS_OF_A_NODE = 40
YAML_PODS = 10_000
_HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What the hashes of pod templates are written in (apimachinery, rand.SafeEncodeString)."""
_PORTS = (8080, 8443, 9000, 3000, 5432, 6379, 27017, 50051)
_OUTSIDE = [f"203.0.113.{low}/28" for low in range(0, 256, 16)] + [f"198.51.{low}.0/24" for low in range(100, 120)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is to be; workloads include the few of the system namespaces."""

    pods: int
    workloads: int
    policies: int
    seed: int = 1


@dataclass(slots=True)
class App:
    """One workload of an application."""

    namespace: str
    name: str
    replicas: int
    port: int
    host_network: bool = False

    @property
    def labels(self) -> dict[str, str]:
        key = "k8s-app" if self.namespace == "kube-system" else "app"
        return {key: self.name, "tier": ("front", "back", "data")[self.port % 3]}


def write(size: Size, folder: Path) -> None:
    """Writes `cluster/*.json`, `yaml/*.yaml`, `old/*.json` and `new/*.json`: a few policies of `new` differ.

    `yaml` has the same as `cluster`, for clusters of at most `YAML_PODS`.
    """
    chance = random.Random(size.seed)
    apps = list(_apps(size, chance))
    (folder / "cluster").mkdir(parents=True)
    for number, some in enumerate(_in_files(_pods(apps, size, chance))):
        _dump(folder / "cluster" / f"pods-{number:03}.json", some)
    _dump(folder / "cluster" / "namespaces.json", _namespaces(apps))
    _dump(folder / "cluster" / "nodes.json", _nodes(size))
    if size.pods <= YAML_PODS:
        (folder / "yaml").mkdir()
        for path in (folder / "cluster").iterdir():
            _dump_yaml(folder / "yaml" / f"{path.stem}.yaml", json.loads(path.read_bytes()))
    old = list(_policies(apps, size, chance))
    new = [_changed(policy) if number % 50 == 7 else policy for number, policy in enumerate(old) if number % 97 != 5]
    for side, policies in (("old", old), ("new", new)):
        (folder / side).mkdir()
        _dump(folder / side / "policies.json", policies)


def _dump(path: Path, items: list[Manifest]) -> None:
    """A list as kubectl prints it: keys sorted, so that the items come before their kind."""
    path.write_text(json.dumps({"apiVersion": "v1", "items": items, "kind": "List"}), encoding="utf-8")


def _dump_yaml(path: Path, tree: Manifest) -> None:
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def _in_files(pods: Iterator[Manifest]) -> Iterator[list[Manifest]]:
    """Files of 50,000 pods, below the size that a file may have."""
    some: list[Manifest] = []
    for pod in pods:
        some.append(pod)
        if len(some) == 50_000:
            yield some
            some = []
    yield some


def _node_count(size: Size) -> int:
    return max(1, size.pods // PODS_OF_A_NODE)


def _apps(size: Size, chance: random.Random) -> Iterator[App]:
    system = [
        App("kube-system", "kube-dns", 2, 53),
        App("kube-system", "kube-proxy", _node_count(size), 10256, host_network=True),
        App("ingress", "nginx", 3, 8443),
        App("monitoring", "prometheus", 2, 9090),
    ]
    yield from system
    left = size.workloads - len(system)
    pods = size.pods - sum(app.replicas for app in system)
    for number in range(left):
        replicas = max(1, pods // (left - number) + chance.choice((-3, -1, 0, 0, 1, 3))) if number < left - 1 else pods
        replicas = min(replicas, pods - (left - number - 1))
        pods -= replicas
        namespace = f"team-{number // WORKLOADS_OF_A_NAMESPACE:03}"
        yield App(namespace, f"app-{number % WORKLOADS_OF_A_NAMESPACE:02}", replicas, chance.choice(_PORTS))


def _namespaces(apps: list[App]) -> list[Manifest]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}}
        for name in sorted({app.namespace for app in apps})
    ]


def _nodes(size: Size) -> list[Manifest]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node-{number:04}"},
            "status": {"addresses": [{"type": "InternalIP", "address": _host(number)}]},
        }
        for number in range(_node_count(size))
    ]


def _host(number: int) -> str:
    return str(IPv4Address("10.0.0.0") + 2 + number)


def _pods(apps: list[App], size: Size, chance: random.Random) -> Iterator[Manifest]:
    serial = 0
    for app in apps:
        template = "".join(chance.choices(_HASH_LETTERS, k=9))
        for number in range(app.replicas):
            node = number if app.host_network else chance.randrange(_node_count(size))
            address = _host(node) if app.host_network else str(IPv4Address("10.128.0.0") + serial)
            serial += 1
            ports = [{"name": "http" if app.port != 53 else "dns", "containerPort": app.port}]
            if app.port == 53:
                ports.append({"name": "dns-udp", "containerPort": 53, "protocol": "UDP"})
            ports.append({"name": "metrics", "containerPort": 9102})
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{app.name}-{template}-{number:05}",
                    "namespace": app.namespace,
                    "uid": f"00000000-0000-4000-8000-{serial:012}",
                    "creationTimestamp": "2026-11-01T12:00:00Z",
                    "labels": {**app.labels, "pod-template-hash": template},
                    "ownerReferences": [
                        {
                            "apiVersion": "apps/v1",
                            "kind": "ReplicaSet",
                            "name": f"{app.name}-{template}",
                            "controller": True,
                        }
                    ],
                },
                "spec": {
                    "nodeName": f"node-{node:04}",
                    "containers": [{"name": "main", "image": "example.org/app:1", "ports": ports}],
                    **({"hostNetwork": True} if app.host_network else {}),
                },
                "status": {
                    "phase": "Running",
                    "hostIP": _host(node),
                    "podIP": address,
                    "podIPs": [{"ip": address}],
                    "startTime": "2026-11-01T12:00:01Z",
                },
            }


def _policy(namespace: str, name: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _in(namespace: str, **labels: str) -> Manifest:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": labels},
    }


def _policies(apps: list[App], size: Size, chance: random.Random) -> Iterator[Manifest]:
    """Denials and DNS for most namespaces, then policies of workloads, in turn, until there are enough."""
    by_namespace: dict[str, list[App]] = {}
    for app in apps:
        if app.namespace.startswith("team-"):
            by_namespace.setdefault(app.namespace, []).append(app)
    count = 0
    guarded = [name for number, name in enumerate(by_namespace) if number % 10 != 9]
    for name in guarded:
        yield _policy(name, "default-deny", podSelector={}, policyTypes=["Ingress", "Egress"])
        dns = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
        to_dns = [{"to": [_in("kube-system", **{"k8s-app": "kube-dns"})], "ports": dns}]
        yield _policy(name, "dns", podSelector={}, policyTypes=["Egress"], egress=to_dns)
        scraped = [{"from": [_in("monitoring", app="prometheus")], "ports": [{"port": "metrics"}]}]
        yield _policy(name, "metrics", podSelector={}, policyTypes=["Ingress"], ingress=scraped)
        count += 3
    turn = 0
    while count < size.policies:
        for name in guarded:
            for app in by_namespace[name]:
                if count < size.policies:
                    yield _for_app(app, by_namespace[name], apps, turn, chance)
                    count += 1
        turn += 1


def _for_app(app: App, neighbours: list[App], apps: list[App], turn: int, chance: random.Random) -> Manifest:
    """Even turns let callers in, odd ones let the workload out."""
    own = {"matchLabels": {"app": app.name}}
    others = chance.sample(neighbours, min(3, len(neighbours)))
    foreign = chance.choice(apps[4:])
    if turn % 2 == 0:
        peers = [{"podSelector": {"matchLabels": {"app": other.name}}} for other in others]
        if chance.random() < 0.3:
            peers.append(_in("ingress", app="nginx"))
        if chance.random() < 0.3:
            peers.append(_in(foreign.namespace, app=foreign.name))
        port: int | str = "http" if chance.random() < 0.5 else app.port
        rules = [{"from": peers, "ports": [{"port": port}]}]
        return _policy(app.namespace, f"in-{app.name}-{turn}", podSelector=own, policyTypes=["Ingress"], ingress=rules)
    rules = [
        {"to": [{"podSelector": {"matchLabels": {"app": other.name}}}], "ports": [{"port": other.port}]}
        for other in others
    ]
    if chance.random() < 0.2:
        private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
        rules.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": private}}], "ports": [{"port": 443}]})
    if chance.random() < 0.2:
        rules.append(
            {"to": [{"ipBlock": {"cidr": chance.choice(_OUTSIDE)}}], "ports": [{"port": 5432, "endPort": 5439}]}
        )
    return _policy(app.namespace, f"out-{app.name}-{turn}", podSelector=own, policyTypes=["Egress"], egress=rules)


def _changed(policy: Manifest) -> Manifest:
    """The same policy with another port in its first rule that has one by number."""
    changed: Manifest = json.loads(json.dumps(policy))
    for rule in (*changed["spec"].get("ingress", ()), *changed["spec"].get("egress", ())):
        for port in rule.get("ports", ()):
            if isinstance(port["port"], int):
                port["port"] += 1
                port.pop("endPort", None)
                return changed
    return changed


if __name__ == "__main__":
    *counts, target = sys.argv[1:]
    write(Size(**dict(zip(("pods", "workloads", "policies"), map(int, counts), strict=True))), Path(target))
