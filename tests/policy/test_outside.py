"""Who may come in from outside: the doors, everybody, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.model.cidr import AddressSet
from netpol.model.flow import TCP
from netpol.model.health_checks import prober_of
from netpol.model.inventory import Node, Service, ServicePort, WorkloadRef
from netpol.policy.generate import Options
from netpol.policy.outside_world import own_ranges, world
from tests.graph.world import flow, inventory, node, pod
from tests.policy.learning import Learned, learn

if TYPE_CHECKING:
    from netpol.model.inventory import Inventory

WEB = pod("web-1", {"app": "web"}, owner="web", ports=[8080, 9090], address="10.0.1.5")
API = pod("api-1", {"app": "api"}, owner="api", ports=[80], address="10.0.2.5", node="n2")
HOST = pod("agent-1", {"app": "agent"}, owner="agent", host_network=True, address="192.0.2.2", node="n2")
REF = WorkloadRef(namespace="shop", name="web", kind="Deployment")


def front(*, local: bool, external: bool = True) -> Service:
    return Service(
        namespace="shop",
        name="front",
        selector={"app": "web"},
        ports=(ServicePort(protocol=TCP, port=443, target=8080, node_port=30443),),
        external=external,
        preserves_client=local,
    )


def cluster(*services: Service, **more: Any) -> Inventory:
    nodes = {"n1": "192.0.2.1", "n2": "192.0.2.2"}
    return inventory([WEB, API, HOST], nodes=nodes, services=services, **more)


def from_outside(count: int, port: int = 8080) -> list[Any]:
    return [flow(f"198.51.100.{number}", WEB, port) for number in range(1, count + 1)]


def said(learned: Learned) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
    return [(item.topic.identifier, item.ports) for item in learned.generated.statements if item.workload == REF]


def may(learned: Learned, source: Any, port: int = 8080) -> bool:
    found = flow(source, WEB, port)
    return learned.evaluator.verdict(found.source, found.destinations[0].end, TCP, port).allowed


def test_few_clients_are_allowed_one_by_one_and_told() -> None:
    learned = learn(from_outside(16), cluster(front(local=True)))
    assert may(learned, "198.51.100.16")
    assert not may(learned, "198.51.100.17")
    assert ("outside-clients", ((TCP, 8080),)) in said(learned)


def test_many_clients_behind_a_service_stand_for_everybody_but_not_for_pods() -> None:
    learned = learn(from_outside(17), cluster(front(local=True)))
    for outsider in ("198.51.100.1", "198.51.100.200", "8.8.8.8", "1.0.0.1"):
        assert may(learned, outsider)
    assert not may(learned, API)
    for inside in ("10.0.2.77", "192.0.2.2", "172.16.0.1", "100.64.0.1"):
        assert not may(learned, inside)
    # Of a family that nobody came from, nobody may come.
    assert not may(learned, "2001:db8::1")
    # Nor to another port.
    assert not may(learned, "8.8.8.8", 9090)
    (statement,) = [item for item in learned.generated.statements if item.topic.identifier == "public"]
    assert "more than 16 outside clients came through Service shop/front" in statement.text
    assert "17 addresses seen" in statement.text
    assert "--few-clients 17" in statement.remedy


def test_the_bound_is_the_users() -> None:
    learned = learn(from_outside(3), cluster(front(local=True)), Options(few_clients=2))
    assert may(learned, "8.8.8.8")
    learned = learn(from_outside(40), cluster(front(local=True)), Options(few_clients=40))
    assert not may(learned, "8.8.8.8")


@pytest.mark.parametrize("service", [None, front(local=True, external=False)])
def test_many_clients_without_a_service_for_the_outside_are_no_everybody(service: Service | None) -> None:
    learned = learn(from_outside(40), cluster(*([service] if service else [])))
    assert may(learned, "198.51.100.40")
    assert not may(learned, "198.51.100.41")
    assert said(learned)[0][0] == "silent-port"
    assert ("outside-clients", ((TCP, 8080),)) in said(learned)


def test_public_opens_what_services_lead_to_even_before_anybody_came() -> None:
    learned = learn([flow(API, WEB, 9090)], cluster(front(local=True)), Options(public=frozenset({REF})))
    assert may(learned, "8.8.8.8")
    assert may(learned, API, 9090)
    assert not may(learned, "8.8.8.8", 9090)
    assert not may(learned, API)
    # It is no longer true that the port is closed on silence.
    assert said(learned) == [("public", ((TCP, 8080),)), ("silent-egress", ())]


def test_public_opens_where_outside_clients_were_seen() -> None:
    learned = learn(from_outside(1, 9090), cluster(), Options(public=frozenset({REF})))
    assert may(learned, "8.8.8.8", 9090)
    assert not may(learned, "8.8.8.8", 8080)


def test_behind_a_masking_service_only_the_nodes_seen_may_and_it_is_said() -> None:
    learned = learn([flow(node("n2", "192.0.2.2"), WEB, 8080)], cluster(front(local=False)))
    assert may(learned, node("n2", "192.0.2.2"))
    assert not may(learned, "8.8.8.8")
    assert ("masked-clients", ((TCP, 8080),)) in said(learned)
    assert ("node-peer", ((TCP, 8080),)) not in said(learned)


def test_public_behind_a_masking_service_is_all_nodes_and_not_the_world() -> None:
    more = [Node(name="n3", addresses=(ip_address("192.0.2.3"), ip_address("2001:db8::3")))]
    known = cluster(front(local=False))
    known = replace(known, nodes=(*known.nodes, *more))
    learned = learn([flow(node("n2", "192.0.2.2"), WEB, 8080)], known, Options(public=frozenset({REF})))
    for address in ("192.0.2.2", "192.0.2.3", "2001:db8::3"):
        assert may(learned, node("n3", address))
    assert not may(learned, "8.8.8.8")


def test_what_a_list_names_is_cut_out_of_everybody() -> None:
    options = Options(public=frozenset({REF}), withheld=AddressSet.of("198.51.100.66"))
    learned = learn(from_outside(3), cluster(front(local=True)), options)
    assert may(learned, "198.51.100.65")
    assert not may(learned, "198.51.100.66")


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("35.191.1.2", "Google Cloud"), ("130.211.3.255", "Google Cloud"), ("130.211.4.0", None),
        ("168.63.129.16", "Azure"), ("2600:2d00:1:b029::5", "Google Cloud"), ("198.51.100.1", None),
    ],
)  # fmt: skip
def test_probers_of_load_balancers(address: str, owner: str | None) -> None:
    found = prober_of(ip_address(address))
    assert (found.owner if found else None) == owner


def test_probes_are_no_clients_and_are_never_widened_by_themselves() -> None:
    flows = [flow(f"35.191.0.{number}", WEB, 8080) for number in range(1, 40)]
    learned = learn(flows, cluster(front(local=True)))
    assert may(learned, "35.191.0.39")
    assert not may(learned, "35.191.0.40")
    (statement,) = [item for item in learned.generated.statements if item.topic.identifier == "health-checks"]
    assert "35.191.0.0/16" in statement.text
    assert "only the 39 addresses seen" in statement.text


def test_nothing_is_said_or_opened_without_anybody_from_outside() -> None:
    learned = learn([flow(API, WEB, 8080)], cluster(front(local=True)))
    assert [topic for topic, _ in said(learned)] == ["silent-port", "silent-egress"]


def test_public_without_any_way_in_says_so() -> None:
    learned = learn([flow(API, WEB, 8080)], cluster(), Options(public=frozenset({REF})))
    assert not may(learned, "8.8.8.8")
    (statement,) = [item for item in learned.generated.statements if item.topic.identifier == "public"]
    assert "nothing was opened" in statement.text


ANY = (st.integers(0, 2**32 - 1).map(IPv4Address)) | (st.integers(0, 2**128 - 1).map(IPv6Address))
NEAR = st.integers(0, 255).map(lambda number: ip_address(f"10.0.1.{number}"))


@given(st.lists(ANY | NEAR, max_size=6), st.lists(ANY, max_size=3), ANY | NEAR)
def test_everybody_is_all_of_the_families_seen_less_the_clusters_own(
    clients: list[Any], withheld: list[Any], other: Any
) -> None:
    clients = [one for one in clients if one not in withheld]
    found = world(clients, cluster(), withheld=AddressSet.collect(withheld), families={4}).addresses
    private = AddressSet.of("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
    assert all(client in found for client in clients)
    if other in clients:
        return
    versions = {client.version for client in clients} or {4}
    if other.version not in versions or other in withheld or other in own_ranges(cluster()):
        assert other not in found
    elif other not in private:
        assert other in found


def test_ranges_that_are_stated_are_cut_out_whole() -> None:
    known = cluster(pod_cidrs=("10.0.0.0/16",), service_cidrs=("10.96.0.0/12",))
    found = own_ranges(known)
    assert AddressSet.of("10.0.0.0/16", "10.96.0.0/12", "192.0.2.1", "192.0.2.2") == found
    around = own_ranges(cluster())
    assert AddressSet.of("10.0.1.0/24", "10.0.2.0/24", "192.0.2.1", "192.0.2.2") == around


@given(st.randoms(use_true_random=False))
def test_the_order_of_flows_changes_nothing(shuffled: Any) -> None:
    flows = from_outside(20)
    expected = learn(flows, cluster(front(local=True))).generated
    shuffled.shuffle(flows)
    assert learn(flows, cluster(front(local=True))).generated == expected
