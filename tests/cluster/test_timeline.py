from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster.timeline import BEGINNING, FOREVER, SKEW, Outside, Tenancy, Timeline, Virtual
from netpol.model.flow import AMBIGUOUS_TENANCY, NO_TENANCY, TCP, UDP, Address
from netpol.model.inventory import (
    ContainerPort,
    EndpointAddress,
    Inventory,
    Node,
    Pod,
    Service,
    ServicePort,
    WorkloadRef,
)

if TYPE_CHECKING:
    from netpol.flows.knowledge import Knowledge

SECOND = 10**9


def pod(name: str, *ips: str, **more: Any) -> Pod:
    ref = WorkloadRef(namespace="shop", name=name, kind="Pod")
    addresses = tuple(map(ip_address, ips))
    return Pod(uid=name, namespace="shop", name=name, workload=ref, addresses=addresses, **{"labels": {}, **more})


def timeline(**parts: Any) -> Timeline:
    given: dict[str, Any] = {key: tuple(value) for key, value in parts.items()}
    return Timeline.of(Inventory(namespaces={}, **given))


def columns(addresses: list[Address]) -> tuple[Any, Any]:
    family = np.array([address.version for address in addresses], dtype=np.uint8)
    halves = [(int(address) >> 64, int(address) & (2**64 - 1)) for address in addresses]
    return family, np.array(halves, dtype=np.uint64).reshape(-1, 2)


def owner(line: Timeline, ip: str, first: int = 0, last: int = 0) -> str:
    """The owner of an address over a span in seconds."""
    index = line.find(ip_address(ip), first * SECOND, last * SECOND)
    names = {NO_TENANCY: "nobody", AMBIGUOUS_TENANCY: "ambiguous"}
    return names.get(index) or line.tenancies_list[index].label


class TestPods:
    def test_an_address_has_one_owner_after_the_other(self) -> None:
        line = timeline(
            pods=[
                pod("a", "10.0.0.1", started=0, ended=100 * SECOND),
                pod("b", "10.0.0.1", started=200 * SECOND),
            ]
        )
        spans = {(10, 20): "pod shop/a", (110, 190): "nobody", (300, 10**6): "pod shop/b", (50, 250): "ambiguous"}
        assert {span: owner(line, "10.0.0.1", *span) for span in spans} == spans
        assert line.conflicts == ()

    def test_clocks_may_differ_by_two_seconds(self) -> None:
        line = timeline(pods=[pod("a", "10.0.0.1", started=100 * SECOND, ended=200 * SECOND)])
        assert SKEW == 2 * SECOND
        expected = {(98, 99): "pod shop/a", (97, 97): "nobody", (201, 201): "pod shop/a", (202, 203): "nobody"}
        assert {span: owner(line, "10.0.0.1", *span) for span in expected} == expected
        # Somebody unknown began the one; peers that had not heard of the end went on with the other.
        assert owner(line, "10.0.0.1", 90, 150) == "ambiguous"
        assert owner(line, "10.0.0.1", 150, 900) == "pod shop/a"

    def test_a_job_that_was_over_within_the_second_held_its_address_for_some_of_it(self) -> None:
        """Times are whole seconds, the rest cut off (metav1.Time)."""
        line = timeline(pods=[pod("a", "10.0.0.1", started=100 * SECOND, ended=100 * SECOND)])
        expected = {(97, 97): "nobody", (100, 100): "pod shop/a", (100, 101): "pod shop/a", (103, 103): "nobody"}
        assert {span: owner(line, "10.0.0.1", *span) for span in expected} == expected

    def test_a_flow_at_the_change_of_owners_is_nobodys(self) -> None:
        line = timeline(
            pods=[pod("a", "10.0.0.1", ended=100 * SECOND), pod("b", "10.0.0.1", started=100 * SECOND)],
        )
        expected = {97: "pod shop/a", 99: "ambiguous", 101: "ambiguous", 103: "pod shop/b"}
        assert {time: owner(line, "10.0.0.1", time, time) for time in expected} == expected

    def test_two_live_pods_with_one_address_are_reported(self) -> None:
        line = timeline(pods=[pod("a", "10.0.0.1"), pod("b", "10.0.0.1"), pod("c", "10.0.0.2")])
        assert owner(line, "10.0.0.1") == "ambiguous"
        assert line.conflicts == (IPv4Address("10.0.0.1"),)

    def test_finished_pods_hold_no_address_after_their_end(self) -> None:
        line = timeline(
            pods=[
                pod("a", "10.0.0.1", finished=True, started=0, ended=10 * SECOND),
                pod("b", "10.0.0.2", finished=True),
                pod("c", "10.0.0.3", finished=True, started=5, ended=5),
            ]
        )
        assert owner(line, "10.0.0.1", 5, 5) == "pod shop/a"
        assert [owner(line, f"10.0.0.{last}", 60, 60) for last in (1, 2, 3)] == ["nobody"] * 3

    def test_both_families(self) -> None:
        line = timeline(pods=[pod("a", "10.0.0.1", "fd00::1")])
        assert owner(line, "fd00::1") == "pod shop/a"
        # ::10.0.0.1 has the same integer value as 10.0.0.1 and is another address.
        assert owner(line, "::a00:1") == "nobody"


class TestNodes:
    def test_a_host_network_pod_never_owns_its_nodes_address(self) -> None:
        line = timeline(
            pods=[pod("proxy", "192.168.0.1", host_network=True)],
            nodes=[Node(name="w1", addresses=(IPv4Address("192.168.0.1"),), started=50 * SECOND)],
        )
        assert owner(line, "192.168.0.1", 0, 10) == "node w1"

    def test_an_address_that_two_nodes_had_in_turn(self) -> None:
        line = timeline(
            nodes=[
                Node(name="w1", addresses=(IPv4Address("192.168.0.1"),), started=0, ended=100 * SECOND),
                Node(name="w2", addresses=(IPv4Address("192.168.0.1"),), started=200 * SECOND),
            ]
        )
        assert (owner(line, "192.168.0.1", 50, 60), owner(line, "192.168.0.1", 300, 300)) == ("node w1", "node w2")

    def test_bridge_and_tunnel_are_the_nodes_where_its_pods_prove_the_range(self) -> None:
        node = Node(name="w1", pod_cidrs=("10.244.1.0/24", "fd00:1::/64"))
        line = timeline(pods=[pod("a", "10.244.1.5", node="w1")], nodes=[node])
        expected = {"10.244.1.0": "node w1", "10.244.1.1": "node w1", "10.244.1.2": "nobody", "fd00:1::1": "nobody"}
        assert {ip: owner(line, ip) for ip in expected} == expected

    @pytest.mark.parametrize(
        "parts",
        [
            {"pods": []},
            {"pods": [pod("a", "10.244.1.5", node="w1"), pod("b", "10.9.9.9", node="w1")]},
            {"pods": [pod("a", "10.244.1.5", node="w1"), pod("b", "10.244.1.1", node="w1")]},
            {"pods": [pod("a", "10.244.1.5", node="w1")], "addresses": (IPv4Address("10.244.1.77"),)},
            {"pods": [pod("a", "10.244.1.5", node="w1", host_network=True)]},
        ],
    )
    def test_otherwise_nothing_is_concluded(self, parts: dict[str, Any]) -> None:
        node = Node(name="w1", pod_cidrs=("10.244.1.0/24",), addresses=parts.get("addresses", ()))
        line = timeline(pods=parts["pods"], nodes=[node])
        assert owner(line, "10.244.1.1") in {"nobody", "pod shop/b"}


class TestServices:
    def test_virtual_addresses_are_shared_and_nodes_come_first(self) -> None:
        shared, k3s = IPv4Address("203.0.113.1"), IPv4Address("192.168.0.1")
        web = Service(namespace="shop", name="web", selector=None, addresses=(shared, k3s))
        api = Service(namespace="shop", name="api", selector=None, addresses=(shared,))
        line = timeline(services=[api, web], nodes=[Node(name="w1", addresses=(k3s,))])
        assert line.tenants(shared) == (Tenancy(address=shared, owner=Virtual((api, web))),)
        assert owner(line, "192.168.0.1") == "node w1"
        family, address = columns([shared, k3s, IPv4Address("10.0.0.9")])
        assert line.virtual(family, address).tolist() == [True, False, False]

    def test_endpoints_without_a_pod_are_outside(self) -> None:
        endpoints = (
            EndpointAddress(address=IPv4Address("10.9.0.1")),
            EndpointAddress(address=IPv4Address("10.9.0.2"), pod="shop/gone"),
        )
        line = timeline(services=[Service(namespace="shop", name="db", selector=None, endpoints=endpoints)])
        assert [one.owner for one in line.tenancies_list] == [Outside(("shop/db",))]
        assert owner(line, "10.9.0.2") == "nobody"


def test_declared_ports() -> None:
    node = Node(name="w1", addresses=(IPv4Address("192.168.0.1"),))
    web = pod(
        "web", "10.0.0.1", "fd00::1", labels={"app": "web"}, ports=(ContainerPort(protocol=TCP, port=80, name="http"),)
    )
    bare = pod("bare", "10.0.0.2", labels={"app": "web"})
    host = pod("host", "192.168.0.1", host_network=True, ports=(ContainerPort(protocol=UDP, port=53),))
    service = Service(
        namespace="shop",
        name="web",
        selector={"app": "web"},
        addresses=(IPv4Address("10.96.0.1"),),
        ports=(
            ServicePort(protocol=TCP, port=8080, target="http", node_port=30080),
            ServicePort(protocol=UDP, port=5353, target=53),
        ),
        endpoints=(EndpointAddress(address=IPv4Address("10.9.0.1"), ports=((TCP, "", 6443), (UDP, "all", 0))),),
    )
    line = timeline(pods=[web, bare, host], services=[service], nodes=[node])
    expected = {
        ("10.0.0.1", TCP, 80),
        ("fd00::1", TCP, 80),
        ("10.0.0.1", UDP, 53),
        ("fd00::1", UDP, 53),
        ("10.0.0.2", UDP, 53),
        ("192.168.0.1", UDP, 53),
        ("192.168.0.1", TCP, 30080),
        ("10.96.0.1", TCP, 8080),
        ("10.96.0.1", UDP, 5353),
        ("10.9.0.1", TCP, 6443),
    }
    ips = ["10.0.0.1", "fd00::1", "10.0.0.2", "192.168.0.1", "10.96.0.1", "10.9.0.1", "8.8.8.8"]
    asked = [
        (ip, protocol, port) for ip in ips for protocol in (TCP, UDP) for port in (80, 53, 8080, 5353, 30080, 6443, 0)
    ]
    family, address = columns([ip_address(ip) for ip, _, _ in asked])
    protocol, port = np.array([row[1] for row in asked], np.uint8), np.array([row[2] for row in asked], np.uint16)
    answers = line.declared(family, address, protocol, port)
    assert {row for row, answer in zip(asked, answers, strict=True) if answer} == expected


def test_an_empty_cluster_knows_nothing() -> None:
    line: Knowledge = timeline()
    family, address = columns([IPv4Address("10.0.0.1"), IPv6Address("::1")])
    zero = np.zeros(2, dtype=np.int64)
    assert line.tenancies(family, address, zero, zero).tolist() == [NO_TENANCY] * 2
    assert line.virtual(family, address).tolist() == [False] * 2
    assert line.declared(family, address, zero.astype(np.uint8), zero.astype(np.uint16)).tolist() == [False] * 2


ADDRESSES = [
    ip_address(text) for text in ("10.0.0.1", "10.0.0.2", "255.255.255.255", "::a00:1", "fd00::1", "fd00:1::1")
]
times = st.integers(0, 12).map(lambda second: second * SECOND)


@st.composite
def histories(draw: st.DrawFn) -> list[Pod]:
    pods = []
    for number in range(draw(st.integers(0, 8))):
        started, ended = draw(st.none() | times), draw(st.none() | times)
        chosen = draw(st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True))
        pods.append(pod(f"p{number}", *map(str, chosen), started=started, ended=ended))
    return pods


def slow_answer(line: Timeline, address: Address, first: int, last: int) -> int:
    """The definition, tenancy by tenancy."""
    met = [
        index
        for index, one in enumerate(line.tenancies_list)
        if one.address == address and one.start <= last + SKEW and one.end > first - SKEW
    ]
    if len(met) != 1:
        return AMBIGUOUS_TENANCY if met else NO_TENANCY
    return met[0] if line.tenancies_list[met[0]].start - SKEW <= first else AMBIGUOUS_TENANCY


@settings(deadline=None, max_examples=150)
@given(
    histories(), st.lists(st.tuples(st.sampled_from([*ADDRESSES, ip_address("1.2.3.4")]), times, times), max_size=20)
)
def test_scalar_and_column_lookups_agree_with_the_definition(
    pods: list[Pod], asked: list[tuple[Address, int, int]]
) -> None:
    line = timeline(pods=pods)
    spans = [(address, min(one, two), max(one, two)) for address, one, two in asked]
    expected = [slow_answer(line, *span) for span in spans]
    assert [line.find(*span) for span in spans] == expected
    family, address = columns([span[0] for span in spans])
    first = np.array([span[1] for span in spans], dtype=np.int64)
    last = np.array([span[2] for span in spans], dtype=np.int64)
    assert line.tenancies(family, address, first, last).tolist() == expected


@settings(deadline=None, max_examples=50)
@given(histories(), st.randoms(use_true_random=False))
def test_tenancies_are_sorted_whatever_the_order_of_pods(pods: list[Pod], random: Any) -> None:
    expected = timeline(pods=pods).tenancies_list
    random.shuffle(pods)
    assert timeline(pods=pods).tenancies_list == expected
    held = sum(
        len(one.addresses)
        for one in pods
        if (BEGINNING if one.started is None else one.started) <= (FOREVER if one.ended is None else one.ended)
    )
    assert len(expected) == held
