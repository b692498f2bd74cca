"""The policies for netpol's own pods: who gets in and out, asked of the judge that knows nothing of the generator."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from netpol.agent.deploy_network import own_policies
from netpol.agent.deploy_settings import HUB, Settings, selecting
from netpol.agent.deploy_surroundings import Surroundings
from netpol.agent.hub.place import PORT
from netpol.model.cidr import Network  # noqa: TC001  # hypothesis reads the annotations
from netpol.model.endpoint import ExternalEnd, PodEnd
from netpol.model.flow import TCP, UDP, Address
from netpol.model.inventory import EndpointAddress, Inventory, Namespace, Node, Pod, Service, WorkloadRef
from netpol.policy.evaluate import Evaluator

SETTINGS = Settings(image="netpol:1")


def pod(namespace: str, name: str, address: str, labels: dict[str, str]) -> Pod:
    ref = WorkloadRef(namespace=namespace, name=name, kind="Pod")
    return Pod(
        uid=name,
        namespace=namespace,
        name=name,
        labels=labels,
        workload=ref,
        addresses=(ip_address(address),),
        node="n",
    )


OWN = pod("netpol", "hub", "10.244.1.5", {**selecting(HUB), "app.kubernetes.io/part-of": "netpol"})
APP = pod("shop", "web", "10.244.1.6", {"app": "web"})
NEIGHBOUR = pod("netpol", "debug", "10.244.1.7", {"app": "debug"})


def judge(around: Surroundings) -> Evaluator:
    spaces = {name: Namespace(name=name, labels={"kubernetes.io/metadata.name": name}) for name in ("netpol", "shop")}
    pods = (OWN, APP, NEIGHBOUR)
    world = Inventory(namespaces=spaces, pods=pods, workloads={}, services=(), nodes=())
    return Evaluator(own_policies(SETTINGS, around).exact, world)


def allows_in(verdicts: Evaluator, source: str, port: int = PORT, protocol: int = TCP) -> bool:
    end = ExternalEnd(ip_address(source))
    return verdicts.verdict(end, PodEnd(OWN), protocol, port).allowed


def allows_out(verdicts: Evaluator, destination: str, port: int, protocol: int = TCP) -> bool:
    end = ExternalEnd(ip_address(destination))
    return verdicts.verdict(PodEnd(OWN), end, protocol, port).allowed


CLUSTER = Inventory(
    namespaces={},
    pods=(),
    workloads={},
    services=(
        Service(
            namespace="default",
            name="kubernetes",
            selector=None,
            addresses=(ip_address("10.96.0.1"),),
            endpoints=(EndpointAddress(address=ip_address("192.0.2.10"), ports=((TCP, "https", 6443),)),),
        ),
    ),
    nodes=(
        Node(name="a", addresses=(ip_address("192.0.2.20"),), pod_cidrs=("10.244.1.0/24",)),
        Node(name="b", addresses=(ip_address("2001:db8::20"), ip_address("10.244.9.9"))),
        Node(name="gone", addresses=(ip_address("192.0.2.66"),), ended=1),
    ),
)


def test_nodes_and_api_server_get_in_and_nobody_else() -> None:
    found = judge(Surroundings.of(CLUSTER))
    # Node addresses, those of tunnels that nodes speak from, and the API server's service proxy.
    for source in ("192.0.2.20", "10.244.1.0", "2001:db8::20", "10.244.9.9", "192.0.2.10"):
        assert allows_in(found, source)
        assert not allows_in(found, source, PORT + 1)
        assert not allows_in(found, source, protocol=UDP)
    for source in ("192.0.2.21", "192.0.2.66", "10.244.1.6", "10.96.0.1", "8.8.8.8", "2001:db8::21"):
        assert not allows_in(found, source)
    for other in (APP, NEIGHBOUR):
        assert not found.verdict(PodEnd(other), PodEnd(OWN), TCP, PORT).allowed
        assert not found.verdict(PodEnd(OWN), PodEnd(other), TCP, 80).allowed


def test_the_hub_gets_out_to_the_api_server_alone() -> None:
    found = judge(Surroundings.of(CLUSTER))
    assert allows_out(found, "192.0.2.10", 6443)
    for destination, port, protocol in (
        ("192.0.2.10", 443, TCP),
        ("192.0.2.20", 10250, TCP),
        ("10.96.0.10", 53, UDP),
        ("169.254.169.254", 80, TCP),
        ("203.0.113.1", 443, TCP),
    ):
        assert not allows_out(found, destination, port, protocol)


def test_pods_that_are_not_the_hub_are_left_alone() -> None:
    found = judge(Surroundings.of(CLUSTER))
    assert found.verdict(PodEnd(APP), PodEnd(NEIGHBOUR), TCP, 80).allowed


BLOCKS = st.integers(0, 2**32 - 1).flatmap(
    lambda base: st.integers(8, 32).map(lambda bits: ip_network(f"{ip_address(base)}/{bits}", strict=False))
)


@given(
    st.lists(BLOCKS, min_size=1, max_size=4),
    st.lists(st.tuples(BLOCKS, st.integers(1, 65535)), min_size=1, max_size=3),
    st.lists(st.integers(0, 2**32 - 1).map(ip_address), max_size=6),
)
def test_stated_blocks_are_allowed_exactly(
    nodes: list[Network], servers: list[tuple[Network, int]], others: list[Address]
) -> None:
    """Neighbours, overlaps and repetitions among the blocks change nothing about what they say."""
    found = judge(Surroundings().with_blocks(nodes, servers))
    (policy,) = own_policies(SETTINGS, Surroundings().with_blocks(nodes, servers)).exact
    edges = {
        end
        for block in [*nodes, *(block for block, _ in servers)]
        for end in (block[0], block[-1], block[0] - 1 if int(block[0]) else block[0])
    }
    for address in {*edges, *others} - {OWN.addresses[0]}:
        inside = any(address in block for block in nodes)
        served = {port for block, port in servers if address in block}
        assert allows_in(found, str(address)) == (inside or bool(served))
        for _, port in servers:
            assert allows_out(found, str(address), port) == (port in served)
    assert all(rule.peers and rule.ports for rule in (*policy.ingress, *policy.egress))
