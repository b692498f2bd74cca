"""Policies that use everything that the dialects can say, each with what surrounds it."""

from __future__ import annotations

from ipaddress import ip_address

from netpol.dialects.translation import Surroundings
from netpol.model.cidr import IPBlock
from netpol.model.flow import ICMP, ICMPV6, SCTP, TCP, UDP
from netpol.model.host_name import HostName
from netpol.model.inventory import WorkloadRef
from netpol.model.labels import LabelSelector
from netpol.model.outside import Grade, Need
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.model.wildcard import Depth, Wildcard
from netpol.policy.generate_extras import Extras, PingRule
from netpol.policy.merge_marks import rules_mark, whole_mark

WEB = WorkloadRef(namespace="shop", name="web", kind="Deployment")
NODES = {ip_address("172.16.0.1"): "n1", ip_address("172.16.0.2"): "n2", ip_address("fd99::1"): "n1"}
DNS = Rule(
    peers=(
        PodPeer(
            pod_selector=LabelSelector(match_labels={"k8s-app": "kube-dns"}),
            namespace_selector=LabelSelector(match_labels={"kubernetes.io/metadata.name": "kube-system"}),
        ),
    ),
    ports=(PolicyPort(protocol=UDP, port=53), PolicyPort(port=53), PolicyPort(port=9153)),
)


def blocks(*texts: str) -> tuple[BlockPeer, ...]:
    return tuple(BlockPeer(IPBlock.parse(text)) for text in texts)


def app(name: str) -> PodPeer:
    return PodPeer(pod_selector=LabelSelector(match_labels={"app": name}))


def policy(*, ingress: tuple[Rule, ...] = (), egress: tuple[Rule, ...] = (), **more: object) -> NetworkPolicy:
    fields = {"pod_selector": LabelSelector(match_labels={"app": "web"}), "isolates_egress": True, **more}
    return NetworkPolicy(namespace="shop", name="web", ingress=ingress, egress=egress, **fields)  # type: ignore[arg-type]


def need(name: str, *addresses: str, grade: Grade = Grade.STRONG, wildcard: Wildcard | None = None) -> Need:
    return Need(
        workload=WEB,
        name=HostName(name) if name else None,
        protocol=TCP,
        port=443,
        grade=grade,
        addresses=tuple(map(ip_address, addresses)),
        wildcard=wildcard,
        connections=1,
        bytes=1,
        first_seen=0,
        last_seen=0,
    )


def https(*texts: str) -> Rule:
    return Rule(peers=blocks(*texts), ports=(PolicyPort(port=443),))


BELOW = Wildcard(parent=HostName("example.com"), depth=Depth.ONE)
FAR_BELOW = Wildcard(parent=HostName("example.net"), depth=Depth.ANY)
NAMED = Surroundings(
    nodes=NODES,
    needs={
        "shop/web": (
            need("api.example.org", "203.0.113.1", "203.0.113.2"),
            need("a.example.com", "203.0.113.3", grade=Grade.MEDIUM, wildcard=BELOW),
            need("b.c.example.net", "203.0.113.3", wildcard=FAR_BELOW),
            need("shared.example", "203.0.113.4", grade=Grade.AMBIGUOUS),
            need("", "203.0.113.5", grade=Grade.NONE),
        )
    },
)
BEYOND = Surroundings(
    nodes=NODES,
    extras={
        "shop/web": Extras(
            pings=(
                PingRule(way="ingress", protocol=ICMP, peers=(app("probe"), *blocks("172.16.0.2/32"))),
                PingRule(way="egress", protocol=ICMPV6, peers=blocks("2001:db8::1/128")),
            ),
            own_node=(PolicyPort(protocol=UDP, port=8125),),
            own_node_pings=(ICMP,),
        )
    },
)
MANY = tuple(PolicyPort(port=port) for port in range(1000, 1100, 2))
SAMPLES: dict[str, tuple[NetworkPolicy, Surroundings]] = {
    "closed": (policy(), Surroundings()),
    "default-deny": (policy(pod_selector=LabelSelector()), Surroundings()),
    "ingress-only": (policy(isolates_egress=False, ingress=(Rule(peers=(app("gate"),)),)), Surroundings()),
    "everyone": (
        policy(ingress=(Rule(), Rule(ports=(PolicyPort(protocol=UDP), PolicyPort(port="http"))))),
        Surroundings(),
    ),
    "kinds-of-peers": (
        policy(
            ingress=(
                Rule(
                    peers=(app("gate"), *blocks("172.16.0.1/32", "fd99::1/128", "172.16.0.9/32", "192.0.2.0/24")),
                    ports=(PolicyPort(port=8080), PolicyPort(protocol=SCTP, port=9000, end_port=9010)),
                ),
            ),
            egress=(
                Rule(peers=(BlockPeer(IPBlock.parse("10.0.0.0/8", ["10.1.0.0/16"])), *blocks("0.0.0.0/0", "::/0"))),
                Rule(peers=(app("db"),), ports=(PolicyPort(port="sql"), *MANY)),
            ),
        ),
        Surroundings(nodes=NODES, api_servers=frozenset({ip_address("172.16.0.9")})),
    ),
    "names": (policy(egress=(DNS, https("203.0.113.1/32", "203.0.113.2/31", "203.0.113.4/31"))), NAMED),
    "names-without-dns": (policy(egress=(https("203.0.113.1/32", "203.0.113.2/31"),)), NAMED),
    "beyond": (policy(), BEYOND),
    "kept-rules": (
        policy(ingress=(https("192.0.2.1/32"), Rule(peers=(app("a"),))), annotations=rules_mark([("ingress", 1)])),
        Surroundings(),
    ),
    "kept": (policy(annotations={**whole_mark(), "team": 'a"b\n# c'}, labels={"yes": "on"}), Surroundings()),
}
