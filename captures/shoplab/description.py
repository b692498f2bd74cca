"""The shop as data: its nodes, workloads and Services.

Everything else is made from this: the lab's namespaces and addresses, the rewriting rules and the cluster snapshot, so
that the captures and the manifests that go with them cannot disagree.

Addresses come from the documentation ranges (RFC 5737) outside the cluster and from kubeadm's usual ranges inside it.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"
LOAD_BALANCER = "192.0.2.100"
SHOPPERS = ("203.0.113.7", "203.0.113.40")
"""Outside clients: the first comes through the load balancer, the second through the node port."""
PARTNER = "198.51.100.20"
PARTNER_NAME = "api.partner.example"
PARTNER_PORT = 8443
BLACK_HOLE = "198.51.100.99"
"""An outside address whose packets the network throws away."""

_SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of Kubernetes' generated names (apimachinery, util/rand)."""


def uid(*parts: str) -> str:
    """A uid that is the same on every run, so that a new capture changes no more of the snapshot than its times."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "npshop/" + "/".join(parts)))


def suffix(length: int, *parts: str) -> str:
    """`length` letters as the API server generates them, the same on every run."""
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return "".join(_SAFE_ALPHABET[byte % len(_SAFE_ALPHABET)] for byte in digest[:length])


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node; `number` is the third octet of its pod range and the last of its own address, less ten."""

    name: str
    number: int

    @property
    def address(self) -> str:
        """Its address on the network between the nodes."""
        return f"192.0.2.{10 + self.number}"

    @property
    def bridge(self) -> str:
        """Its own address on cni0, where the kubelet's probes come from."""
        return f"10.244.{self.number}.1"

    @property
    def pod_cidrs(self) -> tuple[str, str]:
        """The IPv4 and the IPv6 range that it hands out."""
        return f"10.244.{self.number}.0/24", f"fd00:10:244:{self.number}::/64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A declared containerPort."""

    name: str
    number: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A controller and the places of its pods.

    Attributes:
        selector: spec.selector.matchLabels; for a CronJob the labels of its pod template, because it has no selector.
        more_labels: Labels of the pod template that are not in the selector.
        places: One (node, last octet of the address) for each pod.
        probe: What the kubelet asks: `http`, `tcp`, `exec`, or nothing; and the port.
    """

    namespace: str
    name: str
    kind: str
    image: str
    selector: Mapping[str, str]
    places: tuple[tuple[Node, int], ...]
    more_labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    probe: tuple[str, int] | None = None
    host_network: bool = False
    schedule: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}[{self.kind}]"

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the pod template."""
        return {**self.selector, **self.more_labels}

    @property
    def template_hash(self) -> str:
        """What a Deployment's ReplicaSet and a StatefulSet's revision carry in their names."""
        return suffix(10, self.kind, self.namespace, self.name, self.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod of a workload."""

    workload: Workload
    ordinal: int
    node: Node
    host: int

    @property
    def key(self) -> str:
        """A short name for the lab: `api-1`."""
        return f"{self.workload.name}-{self.ordinal}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """status.podIPs: IPv4 first, then IPv6; the node's own address for a pod on the host's network."""
        if self.workload.host_network:
            return (self.node.address,)
        return f"10.244.{self.node.number}.{self.host}", f"fd00:10:244:{self.node.number}::{self.host:x}"

    @property
    def address(self) -> str:
        """status.podIP."""
        return self.addresses[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a Service; `target` is a containerPort's name or a number."""

    name: str
    port: int
    target: str | int
    protocol: str = "TCP"
    node_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A Service and the workload behind it, or its selector alone when nothing is behind it."""

    namespace: str
    name: str
    address: str
    ports: tuple[ServicePort, ...]
    workload: Workload | None = None
    selector: Mapping[str, str] = field(default_factory=dict)
    load_balancer: str = ""

    def backends(self, port: ServicePort) -> list[tuple[Pod, int]]:
        """The pods behind a port, and the port on which each of them listens."""
        if self.workload is None:
            return []
        target = port.target
        if isinstance(target, str):
            target = next(p.number for p in self.workload.ports if (p.name, p.protocol) == (target, port.protocol))
        return [(pod, target) for pod in pods_of(self.workload)]


def pods_of(workload: Workload) -> list[Pod]:
    """The pods of a workload in the order of their ordinals."""
    return [
        Pod(workload=workload, ordinal=ordinal, node=node, host=host)
        for ordinal, (node, host) in enumerate(workload.places)
    ]


NODE_A, NODE_B = NODES = (Node(name="node-a", number=1), Node(name="node-b", number=2))

_HELM = {"app.kubernetes.io/instance": "shop"}

WEB = Workload(
    namespace="shop",
    name="web",
    kind="Deployment",
    image="registry.example/shop/web:2.4.1",
    selector={"app.kubernetes.io/name": "web", **_HELM},
    more_labels={"app.kubernetes.io/version": "2.4.1"},
    annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "9113"},
    ports=(Port(name="http", number=8080), Port(name="metrics", number=9113)),
    probe=("http", 8080),
    places=((NODE_A, 11),),
)
API = Workload(
    namespace="shop",
    name="api",
    kind="Deployment",
    image="registry.example/shop/api:5.0.2",
    selector={"app.kubernetes.io/name": "api", **_HELM},
    more_labels={"app.kubernetes.io/version": "5.0.2"},
    # 9102 is not among the containerPorts: an undeclared port that works all the same.
    annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "9102"},
    ports=(Port(name="http", number=3000),),
    probe=("http", 3000),
    places=((NODE_A, 12), (NODE_B, 12)),
)
ADMIN = Workload(
    namespace="shop",
    name="admin",
    kind="Deployment",
    image="registry.example/shop/admin:1.1.0",
    selector={"app.kubernetes.io/name": "admin", **_HELM},
    more_labels={"app.kubernetes.io/version": "1.1.0"},
    ports=(Port(name="http", number=8080),),
    places=((NODE_B, 13),),
)
"""Never in traffic: it gets no policy."""
REPORT = Workload(
    namespace="shop",
    name="report",
    kind="CronJob",
    image="registry.example/shop/report:1.9.0",
    selector={"app.kubernetes.io/name": "report"},
    more_labels={"app.kubernetes.io/version": "1.9.0"},
    schedule="*/10 * * * *",
    places=((NODE_B, 30),),
)
SWEEP = Workload(
    namespace="shop",
    name="sweep",
    kind="CronJob",
    image="registry.example/shop/sweep:1.0.3",
    selector={"app.kubernetes.io/name": "sweep"},
    more_labels={"app.kubernetes.io/version": "1.0.3"},
    schedule="*/15 * * * *",
    places=((NODE_B, 30),),
)
"""Takes the address that the finished report pod gave back."""
POSTGRES = Workload(
    namespace="data",
    name="postgres",
    kind="StatefulSet",
    image="docker.io/library/postgres:15",
    selector={"app": "postgres"},
    ports=(Port(name="postgres", number=5432),),
    probe=("tcp", 5432),
    places=((NODE_B, 20),),
)
REDIS = Workload(
    namespace="data",
    name="redis",
    kind="StatefulSet",
    image="docker.io/library/redis:7",
    selector={"app": "redis"},
    ports=(Port(name="redis", number=6379),),
    probe=("exec", 6379),
    places=((NODE_A, 21),),
)
COREDNS = Workload(
    namespace="kube-system",
    name="coredns",
    kind="Deployment",
    image="registry.k8s.io/coredns/coredns:v1.11.3",
    selector={"k8s-app": "kube-dns"},
    ports=(Port(name="dns", number=53, protocol="UDP"), Port(name="dns-tcp", number=53)),
    places=((NODE_A, 2), (NODE_B, 2)),
)
PROMETHEUS = Workload(
    namespace="monitoring",
    name="prometheus",
    kind="StatefulSet",
    image="quay.io/prometheus/prometheus:v3.1.0",
    selector={"app.kubernetes.io/name": "prometheus"},
    ports=(Port(name="web", number=9090),),
    places=((NODE_B, 50),),
)
NODE_EXPORTER = Workload(
    namespace="monitoring",
    name="node-exporter",
    kind="DaemonSet",
    image="quay.io/prometheus/node-exporter:v1.8.2",
    selector={"app.kubernetes.io/name": "node-exporter"},
    ports=(Port(name="metrics", number=9100),),
    host_network=True,
    places=((NODE_A, 0), (NODE_B, 0)),
)

WORKLOADS = (ADMIN, API, COREDNS, NODE_EXPORTER, POSTGRES, PROMETHEUS, REDIS, REPORT, SWEEP, WEB)
NAMESPACES = ("data", "default", "kube-system", "monitoring", "shop")

SERVICES = (
    Service(
        namespace="shop",
        name="web",
        address="10.96.71.14",
        workload=WEB,
        load_balancer=LOAD_BALANCER,
        ports=(ServicePort(name="http", port=80, target="http", node_port=30080),),
    ),
    Service(
        namespace="shop",
        name="api",
        address="10.96.140.62",
        workload=API,
        ports=(ServicePort(name="http", port=80, target=3000),),
    ),
    Service(
        namespace="shop",
        name="recommendations",
        address="10.96.33.201",
        selector={"app.kubernetes.io/name": "recommendations", **_HELM},
        ports=(ServicePort(name="http", port=80, target="http"),),
    ),
    Service(
        namespace="data",
        name="postgres",
        address="10.96.88.5",
        workload=POSTGRES,
        ports=(ServicePort(name="postgres", port=5432, target="postgres"),),
    ),
    Service(
        namespace="data",
        name="redis",
        address="10.96.88.6",
        workload=REDIS,
        ports=(ServicePort(name="redis", port=6379, target="redis"),),
    ),
    Service(
        namespace="kube-system",
        name="kube-dns",
        address=DNS_ADDRESS,
        workload=COREDNS,
        ports=(
            ServicePort(name="dns", port=53, target="dns", protocol="UDP"),
            ServicePort(name="dns-tcp", port=53, target="dns-tcp"),
        ),
    ),
)


def all_pods() -> Iterator[Pod]:
    """Every pod, the job runs included."""
    for workload in WORKLOADS:
        yield from pods_of(workload)
