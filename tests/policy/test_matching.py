"""The single rules, where a whole verdict would hide them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netpol.model.cidr import IPBlock
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Pod, WorkloadRef
from netpol.model.labels import EVERYTHING
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.policy import matching

_PROTOCOLS = st.sampled_from([TCP, UDP, SCTP])
_NUMBERS = st.integers(1, 20)
_POLICY_PORTS = st.one_of(
    st.builds(lambda protocol: PolicyPort(protocol=protocol), _PROTOCOLS),
    st.builds(lambda protocol, name: PolicyPort(protocol=protocol, port=name), _PROTOCOLS, st.sampled_from(["a", "b"])),
    st.builds(
        lambda protocol, first, more: PolicyPort(protocol=protocol, port=first, end_port=more and first + more - 1),
        _PROTOCOLS,
        _NUMBERS,
        st.none() | st.integers(1, 9),
    ),
)
_DECLARED = st.lists(
    st.builds(
        lambda protocol, port, name: ContainerPort(protocol=protocol, port=port, name=name),
        _PROTOCOLS,
        _NUMBERS,
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=4,
)


@given(st.lists(_POLICY_PORTS, max_size=3), _DECLARED)
def test_ports_at_once_and_one_by_one_agree(ports: list[PolicyPort], declared: list[ContainerPort]) -> None:
    whole = matching.rule_ports(Rule(ports=tuple(ports)), declared)
    for protocol in (TCP, UDP, SCTP):
        for number in (*range(1, 31), 65535):
            single = any(matching.port_matches(port, protocol, number, declared) for port in ports)
            assert ((protocol, number) in whole) is (single or not ports)


def _pod(*, host_network: bool) -> Pod:
    workload = WorkloadRef(namespace="a", name="x", kind="Pod")
    return Pod(uid="x", namespace="a", name="x", labels={}, workload=workload, host_network=host_network)


def test_nothing_selects_a_host_network_pod() -> None:
    policy, peer = NetworkPolicy(namespace="a", name="p"), PodPeer(pod_selector=EVERYTHING)
    everywhere = PodPeer(namespace_selector=EVERYTHING)
    for host_network in (False, True):
        pod = _pod(host_network=host_network)
        assert matching.selects(policy, pod) is not host_network
        assert matching.peer_selects(peer, "a", pod, {}) is not host_network
        assert matching.peer_selects(everywhere, "b", pod, {}) is not host_network
        assert not matching.peer_selects(peer, "b", pod, {})
        assert not matching.peer_selects(BlockPeer(IPBlock.parse("0.0.0.0/0")), "a", pod, {})


def test_the_control_planes_namespace_label_wins() -> None:
    written = Namespace(name="a", labels={"kubernetes.io/metadata.name": "b", "x": "y"})
    inventory = Inventory(namespaces={"a": written})
    assert matching.namespace_labels(inventory, "a") == {"kubernetes.io/metadata.name": "a", "x": "y"}
    assert matching.namespace_labels(inventory, "c") == {"kubernetes.io/metadata.name": "c"}
