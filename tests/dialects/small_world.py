"""One small cluster, and random policies in which nearly every peer means somebody there."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from hypothesis import strategies as st

from netpol.cluster.documents import read_documents
from netpol.cluster.manifests import load
from netpol.dialects.read import read_policies
from netpol.model.cidr import IPBlock
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Node, Pod, WorkloadRef
from netpol.model.labels import LabelSelector, Operator, Requirement
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule

OUTSIDE = ("192.0.2.1", "192.0.2.7", "198.51.100.1", "2001:db8::1")
PORTS = (80, 81, 82, 443)


SHOP = Path(__file__).parents[2] / "samples" / "shop"


def shop() -> tuple[list[NetworkPolicy], Inventory]:
    """The sample shop, and the policies that are to be learned for it."""
    return list(read_policies(read_documents([SHOP / "expected"])).policies), load([SHOP / "cluster.yaml"])


def _pod(name: str, namespace: str, labels: dict[str, str], addresses: list[str], node: str) -> Pod:
    return Pod(
        uid=f"{namespace}/{name}",
        namespace=namespace,
        name=name,
        labels=labels,
        workload=WorkloadRef(namespace=namespace, name=name, kind="Pod"),
        addresses=tuple(map(ip_address, addresses)),
        node=node,
        ports=(
            ContainerPort(protocol=TCP, port=80 if name == "web" else 81, name="http"),
            ContainerPort(protocol=UDP, port=82, name="http"),
        ),
    )


WORLD = Inventory(
    namespaces={
        "a": Namespace(name="a", labels={"kubernetes.io/metadata.name": "a", "team": "red"}),
        "b": Namespace(name="b", labels={"kubernetes.io/metadata.name": "b"}),
    },
    pods=(
        _pod("web", "a", {"app": "web", "tier": "front"}, ["10.0.0.1", "fd00::1"], "n1"),
        _pod("db", "a", {"app": "db"}, ["10.0.1.2"], "n2"),
        _pod("bare", "a", {}, ["10.0.1.3"], "n2"),
        _pod("web", "b", {"app": "web"}, ["10.0.0.4", "fd00::4"], "n1"),
    ),
    nodes=(
        Node(name="n1", addresses=(ip_address("172.16.0.1"), ip_address("fd99::1"))),
        Node(name="n2", addresses=(ip_address("172.16.0.2"),)),
    ),
)

_REQUIREMENTS = st.sampled_from(
    [
        Requirement("app", Operator.IN, ("web",)),
        Requirement("app", Operator.IN, ("db", "web")),
        Requirement("app", Operator.NOT_IN, ("web",)),
        Requirement("app", Operator.EXISTS),
        Requirement("tier", Operator.DOES_NOT_EXIST),
        Requirement("tier", Operator.NOT_IN, ("back", "front")),
    ]
)
_NAMESPACES = st.sampled_from(
    [
        Requirement("kubernetes.io/metadata.name", Operator.IN, ("a",)),
        Requirement("kubernetes.io/metadata.name", Operator.IN, ("a", "b")),
        Requirement("kubernetes.io/metadata.name", Operator.NOT_IN, ("a",)),
        Requirement("kubernetes.io/metadata.name", Operator.EXISTS),
        Requirement("team", Operator.EXISTS),
        Requirement("team", Operator.DOES_NOT_EXIST),
        Requirement("team", Operator.NOT_IN, ("red",)),
        Requirement("team", Operator.IN, ("red",)),
    ]
)


def _selector(requirements: st.SearchStrategy[Requirement]) -> st.SearchStrategy[LabelSelector]:
    return st.lists(requirements, max_size=2).map(lambda found: LabelSelector(match_expressions=tuple(found)))


_BLOCKS = st.sampled_from(
    [
        IPBlock.parse("10.0.0.0/8"),
        IPBlock.parse("10.0.0.0/16", ["10.0.1.0/24"]),
        IPBlock.parse("192.0.2.0/24", ["192.0.2.1/32"]),
        IPBlock.parse("192.0.2.0/24"),
        IPBlock.parse("0.0.0.0/0", ["192.0.2.0/29", "172.16.0.0/12"]),
        IPBlock.parse("0.0.0.0/0"),
        IPBlock.parse("::/0"),
        IPBlock.parse("172.16.0.1/32"),
        IPBlock.parse("172.16.0.2/32"),
        IPBlock.parse("172.16.0.0/16"),
        IPBlock.parse("fd99::1/128"),
        IPBlock.parse("10.0.0.1/32"),
        IPBlock.parse("2001:db8::/32"),
    ]
)
_PEERS = st.one_of(
    st.builds(PodPeer, pod_selector=_selector(_REQUIREMENTS)),
    st.builds(PodPeer, namespace_selector=_selector(_NAMESPACES)),
    st.builds(PodPeer, pod_selector=_selector(_REQUIREMENTS), namespace_selector=_selector(_NAMESPACES)),
    st.builds(BlockPeer, _BLOCKS),
    st.builds(BlockPeer, _BLOCKS),
)
_PROTOCOLS = st.sampled_from([TCP, UDP, SCTP])


def _port_items(*, names: bool) -> st.SearchStrategy[PolicyPort]:
    numbers: st.SearchStrategy[int | str] = st.sampled_from(PORTS)
    return st.one_of(
        st.builds(PolicyPort, protocol=_PROTOCOLS, port=numbers | st.just("http") if names else numbers),
        st.builds(PolicyPort, protocol=_PROTOCOLS),
        st.builds(PolicyPort, protocol=_PROTOCOLS, port=st.just(80), end_port=st.sampled_from([80, 82, 65535])),
    )


def _rules(*, names: bool) -> st.SearchStrategy[tuple[Rule, ...]]:
    rule = st.builds(
        Rule,
        peers=st.lists(_PEERS, max_size=3).map(tuple),
        ports=st.lists(_port_items(names=names), max_size=2).map(tuple),
    )
    return st.lists(rule, max_size=2).map(tuple)


def policies(*, names_in_egress: bool, names_in_ingress: bool = True) -> st.SearchStrategy[list[NetworkPolicy]]:
    """One or two policies in namespace `a`.

    Args:
        names_in_egress: Whether egress rules may name ports.
        names_in_ingress: Whether ingress rules may.
    """
    sides = st.sampled_from([(True, True), (True, True), (True, False), (False, True)])
    one = st.builds(
        lambda selector, isolates, ingress, egress: (selector, isolates, ingress, egress),
        _selector(_REQUIREMENTS),
        sides,
        _rules(names=names_in_ingress),
        _rules(names=names_in_egress),
    )
    return st.lists(one, min_size=1, max_size=2).map(
        lambda found: [
            NetworkPolicy(
                namespace="a",
                name=f"p{number}",
                pod_selector=selector,
                isolates_ingress=isolates[0],
                isolates_egress=isolates[1],
                ingress=ingress if isolates[0] else (),
                egress=egress if isolates[1] else (),
            )
            for number, (selector, isolates, ingress, egress) in enumerate(found)
        ]
    )
