"""One small cluster, and random policy sets for it in which most rules matter: drawn from a seed, not searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

Manifest = dict[str, Any]


def _pod(namespace: str, name: str, address: str, *ports: tuple[str, str, int], **labels: str) -> Manifest:
    declared = [{"name": port, "protocol": protocol, "containerPort": number} for port, protocol, number in ports]
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"nodeName": "n1" if name == "agent" else "", "containers": [{"ports": declared}]},
        "status": {"phase": "Running", "podIPs": [{"ip": address}]},
    }


def cluster() -> Manifest:
    """Three pods on no node in particular, an agent in the host network of the first node, and two nodes."""
    agent = _pod("b", "agent", "172.16.0.1", ("http", "TCP", 80), app="web")
    agent["spec"]["hostNetwork"] = True
    return {
        "namespaces": [
            {"metadata": {"name": "a", "labels": {"env": "prod"}}},
            {"metadata": {"name": "b", "labels": {}}},
        ],
        "pods": [
            _pod("a", "web", "10.0.0.1", ("http", "TCP", 80), ("http", "UDP", 81), app="web"),
            _pod("a", "db", "10.0.0.2", ("http", "TCP", 82), app="db"),
            _pod("b", "web", "10.0.1.1", app="web"),
            agent,
        ],
        "nodes": [
            {
                "metadata": {"name": name, "labels": {"zone": name}},
                "status": {"addresses": [{"address": f"172.16.0.{number}"}]},
            }
            for number, name in enumerate(("n1", "n2"), start=1)
        ],
    }


def policy_set(random: Random) -> list[Manifest]:
    """Cluster-wide policies of all kinds, and NetworkPolicies or none."""
    kinds = ["AdminNetworkPolicy", "ClusterNetworkPolicy", "ClusterNetworkPolicy"]
    tiers = [_tier(random, random.choice(kinds), number) for number in range(random.randint(1, 4))]
    if random.random() < 0.4:
        tiers.append(_tier(random, "BaselineAdminNetworkPolicy", 0))
    return [*tiers, *(_namespaced(random, number) for number in range(random.choice((0, 0, 1, 2))))]


def _tier(random: Random, kind: str, number: int) -> Manifest:
    spec: Manifest = {"subject": _pods(random)}
    if kind != "BaselineAdminNetworkPolicy":
        spec["priority"] = random.choice((0, 5, 5, 9))
    if kind == "ClusterNetworkPolicy":
        spec["tier"] = random.choice(("Admin", "Baseline"))
    for way in ("ingress", "egress"):
        spec[way] = [_rule(random, kind, way) for _ in range(random.randint(0, 3))]
    name = "default" if kind == "BaselineAdminNetworkPolicy" else f"{random.choice('pqr')}{number}"
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def _rule(random: Random, kind: str, way: str) -> Manifest:
    newer = kind == "ClusterNetworkPolicy"
    actions = ["Accept" if newer else "Allow", "Deny", *([] if kind.startswith("Baseline") else ["Pass", "Pass"])]
    outer = way == "egress" and random.random() < 0.6
    draw = [_pods, *([_outer] * 2 if outer else [])]
    peers = [random.choice(draw)(random) for _ in range(random.randint(1, 2))]
    if kind.startswith("Baseline"):
        peers = [peer for peer in peers if "domainNames" not in peer] or [{"networks": ["0.0.0.0/0"]}]
    named = all(peer.keys() <= {"namespaces", "pods"} for peer in peers)
    rule = {"action": random.choice(actions), "to" if way == "egress" else "from": peers}
    if random.random() < 0.5:
        port = _protocol if newer else _port
        rule["protocols" if newer else "ports"] = [port(random, named=named) for _ in range(random.randint(1, 2))]
    return rule


def _pods(random: Random) -> Manifest:
    namespaces: list[Manifest] = [{}, {}, {"matchLabels": {"env": "prod"}}, {"matchLabels": {"env": "none"}}]
    namespaces.append({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]})
    if random.random() < 0.5:
        return {"namespaces": random.choice(namespaces)}
    pods: list[Manifest] = [{}, {"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "db"}}]
    return {"pods": {"namespaceSelector": random.choice(namespaces), "podSelector": random.choice(pods)}}


def _outer(random: Random) -> Manifest:
    peers: list[Manifest] = [
        {"networks": ["0.0.0.0/0"]},
        {"networks": ["10.0.0.0/24", "192.0.2.0/24"]},
        {"networks": ["10.0.0.1/8"]},
        {"nodes": {}},
        {"nodes": {"matchLabels": {"zone": "n2"}}},
        {"domainNames": ["example.com"]},
        {"domainNames": ["example.com", "web.b.svc.cluster.local"]},
    ]
    return random.choice(peers)


def _port(random: Random, *, named: bool) -> Manifest:
    """One item of `ports`, v1alpha1."""
    if named and random.random() < 0.4:
        return {"namedPort": random.choice(("http", "none"))}
    protocol: Manifest = random.choice(({}, {"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "SCTP"}))
    if random.random() < 0.5:
        return {"portNumber": {**protocol, "port": random.choice((80, 81, 82))}}
    return {"portRange": {**protocol, "start": 80, "end": random.choice((81, 400, 65535))}}


def _protocol(random: Random, *, named: bool) -> Manifest:
    """One item of `protocols`, v1alpha2."""
    if named and random.random() < 0.4:
        return {"destinationNamedPort": random.choice(("http", "none"))}
    places: list[Manifest] = [{"number": 80}, {"number": 82}, {"range": {"start": 1, "end": 65535}}]
    return {random.choice(("tcp", "tcp", "udp", "sctp")): {"destinationPort": random.choice(places)}}


def _namespaced(random: Random, number: int) -> Manifest:
    rules: list[Manifest] = [
        {},
        {"ports": [{"port": 80}]},
        {"ports": [{"port": "http"}, {"protocol": "UDP"}]},
    ]
    blocks: list[Manifest] = [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["192.0.2.0/24"]}}, {"podSelector": {}}]
    spec: Manifest = {
        "podSelector": random.choice(({}, {"matchLabels": {"app": "web"}})),
        "policyTypes": random.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"])),
    }
    for way, peers in (("ingress", "from"), ("egress", "to")):
        drawn = [random.choice(rules) for _ in range(random.randint(0, 2))]
        spec[way] = [{**rule, peers: [random.choice(blocks)]} if random.random() < 0.5 else rule for rule in drawn]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"n{number}", "namespace": random.choice("ab")},
        "spec": spec,
    }
