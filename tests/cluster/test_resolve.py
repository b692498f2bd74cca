from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest

from netpol.cluster.resolve import resolve
from netpol.cluster.timeline import Timeline
from netpol.model.endpoint import (
    AmbiguousEnd,
    Destination,
    ExternalEnd,
    NodeEnd,
    PodEnd,
    ResolvedFlow,
    ServiceEnd,
    UnknownEnd,
)
from netpol.model.flow import AMBIGUOUS_TENANCY, ICMP, TCP, UDP, Direction, Flow, Outcome
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

SECOND = 10**9


def pod(name: str, *ips: str, **more: Any) -> Pod:
    ref = WorkloadRef(namespace="shop", name=name, kind="Pod")
    addresses = tuple(map(ip_address, ips))
    return Pod(uid=name, namespace="shop", name=name, workload=ref, addresses=addresses, **{"labels": {}, **more})


def web(name: str, *ips: str, port: int = 8080, **more: Any) -> Pod:
    return pod(
        name,
        *ips,
        **{"labels": {"app": "web"}, "ports": (ContainerPort(protocol=TCP, port=port, name="http"),), **more},
    )


def service(*ips: str, ports: tuple[ServicePort, ...] = (), **more: Any) -> Service:
    given = {"namespace": "shop", "name": "web", "selector": {"app": "web"}, **more}
    return Service(addresses=tuple(map(ip_address, ips)), ports=ports or (HTTP,), **given)


HTTP = ServicePort(protocol=TCP, port=80, target="http", name="http", node_port=30080)


def seen(
    server: str,
    port: int | None = 80,
    *,
    client: str = "10.0.0.9",
    protocol: int = TCP,
    span: tuple[int, int] = (0, 1),
    **more: Any,
) -> Flow:
    return Flow(
        client=ip_address(client),
        server=ip_address(server),
        protocol=protocol,
        port=port,
        outcome=Outcome.ESTABLISHED,
        direction=Direction.SYN,
        connections=1,
        packets=1,
        bytes=1,
        first_seen=span[0] * SECOND,
        last_seen=span[1] * SECOND,
        two_way=True,
        **more,
    )


def one(flow: Flow, **parts: Any) -> ResolvedFlow:
    given: dict[str, Any] = {key: tuple(value) for key, value in parts.items()}
    (found,) = resolve([flow], Timeline.of(Inventory(namespaces={}, **given)))
    return found


class TestServices:
    def test_a_cluster_ip_is_its_pods_at_their_own_ports(self) -> None:
        first, second = web("a", "10.0.0.1"), web("b", "10.0.0.2", port=9090)
        unnamed, other = pod("c", "10.0.0.3", labels={"app": "web"}), pod("d", "10.0.0.4")
        found = one(seen("10.96.0.1"), pods=[other, unnamed, second, first], services=[service("10.96.0.1")])
        assert found.destinations == (Destination(PodEnd(first), 8080), Destination(PodEnd(second), 9090))
        assert found.service == "shop/web"

    def test_endpoints_come_before_the_selector_and_match_by_port_name(self) -> None:
        first, second = web("a", "10.0.0.1"), web("b", "10.0.0.2")
        ports = ((TCP, "metrics", 9100), (UDP, "http", 5), (TCP, "http", 8081))
        endpoints = (EndpointAddress(address=IPv4Address("10.0.0.2"), pod="shop/b", ports=ports),)
        found = one(seen("10.96.0.1"), pods=[first, second], services=[service("10.96.0.1", endpoints=endpoints)])
        assert found.destinations == (Destination(PodEnd(second), 8081),)

    def test_stale_endpoints_give_way_to_the_pods_of_the_time(self) -> None:
        gone, there = web("a", "10.0.0.1", ended=5 * SECOND), web("b", "10.0.0.2", started=20 * SECOND)
        ports = ((TCP, "http", 8080),)
        endpoints = (EndpointAddress(address=IPv4Address("10.0.0.1"), pod="shop/a", ports=ports),)
        parts = {"pods": [gone, there], "services": [service("10.96.0.1", endpoints=endpoints)]}
        assert one(seen("10.96.0.1", span=(0, 1)), **parts).destinations == (Destination(PodEnd(gone), 8080),)
        assert one(seen("10.96.0.1", span=(30, 31)), **parts).destinations == (Destination(PodEnd(there), 8080),)

    def test_the_protocol_must_match_and_what_cannot_be_mapped_stays_the_service(self) -> None:
        parts = {"pods": [web("a", "10.0.0.1")], "services": [service("10.96.0.1")]}
        for flow in (
            seen("10.96.0.1", protocol=UDP),
            seen("10.96.0.1", 81),
            seen("10.96.0.1", None, protocol=ICMP),
        ):
            found = one(flow, **parts)
            assert found.destinations == (Destination(ServiceEnd("shop", "web"), flow.port),)
            assert found.service == "shop/web"
        empty = one(seen("10.96.0.1"), services=[service("10.96.0.1")])
        assert empty.destinations == (Destination(ServiceEnd("shop", "web"), 80),)

    def test_families_are_matched(self) -> None:
        member = web("a", "10.0.0.1", "fd00::1")
        parts = {"pods": [member, web("b", "10.0.0.2")], "services": [service("fd00:96::1")]}
        assert one(seen("fd00:96::1"), **parts).destinations == (Destination(PodEnd(member), 8080),)

    def test_the_kubernetes_service_is_the_api_servers_address(self) -> None:
        ports = (ServicePort(protocol=TCP, port=443, target=6443, name="https"),)
        endpoints = tuple(
            EndpointAddress(address=IPv4Address(ip), ports=((TCP, "https", 6443),))
            for ip in ("192.168.0.1", "203.0.113.5")
        )
        api = service(
            "10.96.0.1", namespace="default", name="kubernetes", selector=None, ports=ports, endpoints=endpoints
        )
        node = Node(name="w1", addresses=(IPv4Address("192.168.0.1"),))
        found = one(seen("10.96.0.1", 443), services=[api], nodes=[node])
        assert found.destinations == (
            Destination(ExternalEnd(IPv4Address("203.0.113.5")), 6443),
            Destination(NodeEnd("w1", IPv4Address("192.168.0.1")), 6443),
        )
        assert one(seen("192.168.0.1", 6443), services=[api], nodes=[node]).destinations == (
            Destination(NodeEnd("w1", IPv4Address("192.168.0.1")), 6443),
        )

    def test_node_ports_and_balancers_at_node_addresses(self) -> None:
        member = web("a", "10.0.0.1")
        node = Node(name="w1", addresses=(IPv4Address("192.168.0.1"),))
        parts = {"pods": [member], "services": [service("192.168.0.1")], "nodes": [node]}
        for port in (30080, 80):
            found = one(seen("192.168.0.1", port, client="203.0.113.9"), **parts)
            assert found.destinations == (Destination(PodEnd(member), 8080),)
            assert (found.service, found.source) == ("shop/web", ExternalEnd(IPv4Address("203.0.113.9")))
        kubelet = one(seen("192.168.0.1", 10250), **parts)
        assert (kubelet.service, kubelet.destinations[0].end) == ("", NodeEnd("w1", IPv4Address("192.168.0.1")))
        udp = one(seen("192.168.0.1", 30080, protocol=UDP), **parts)
        assert udp.destinations == (Destination(NodeEnd("w1", IPv4Address("192.168.0.1")), 30080),)

    def test_a_host_network_pod_behind_a_service_is_its_node(self) -> None:
        member = web("a", "192.168.0.1", host_network=True, node="w1")
        found = one(seen("10.96.0.1"), pods=[member], services=[service("10.96.0.1")])
        assert found.destinations == (Destination(NodeEnd("w1", IPv4Address("192.168.0.1")), 8080),)

    def test_an_address_that_changed_services(self) -> None:
        old = service("10.96.0.1", name="old", started=0, ended=100 * SECOND, selector={"app": "old"})
        new = service("10.96.0.1", name="web", started=200 * SECOND)
        parts = {"pods": [web("a", "10.0.0.1"), web("o", "10.0.0.2", labels={"app": "old"})], "services": [old, new]}
        assert [one(seen("10.96.0.1", span=span), **parts).service for span in ((0, 9), (300, 301))] == [
            "shop/old",
            "shop/web",
        ]
        both = one(seen("10.96.0.1", span=(0, 300)), **parts)
        assert both.destinations[0].end == AmbiguousEnd(
            IPv4Address("10.96.0.1"), ("service shop/old", "service shop/web")
        )

    def test_all_ports_of_an_endpoint(self) -> None:
        endpoints = (EndpointAddress(address=IPv4Address("10.0.0.1"), pod="shop/a", ports=((TCP, "http", 0),)),)
        member = web("a", "10.0.0.1")
        ports = (ServicePort(protocol=TCP, port=80, target=8088, name="http"),)
        found = one(seen("10.96.0.1"), pods=[member], services=[service("10.96.0.1", ports=ports, endpoints=endpoints)])
        assert found.destinations == (Destination(PodEnd(member), 8088),)


class TestEnds:
    def test_pods_directly_and_the_world(self) -> None:
        member = web("a", "10.0.0.1")
        found = one(seen("10.0.0.1", 8080, client="198.51.100.1"), pods=[member])
        assert found.source == ExternalEnd(IPv4Address("198.51.100.1"))
        assert (found.destinations, found.service) == ((Destination(PodEnd(member), 8080),), "")

    def test_an_address_that_changed_hands(self) -> None:
        first, second = web("a", "10.0.0.1", ended=100 * SECOND), web("b", "10.0.0.1", started=200 * SECOND)
        ends = [
            one(seen("10.0.0.1", span=span), pods=[first, second]).destinations[0].end for span in ((0, 9), (300, 301))
        ]
        assert ends == [PodEnd(first), PodEnd(second)]
        both = one(seen("10.0.0.1", span=(50, 250)), pods=[first, second]).destinations[0].end
        assert isinstance(both, AmbiguousEnd)
        assert both.owners == (
            "pod shop/a until 1970-01-01T00:01:40Z",
            "pod shop/b from 1970-01-01T00:03:20Z",
        )
        early = one(seen("10.0.0.1", span=(150, 250)), pods=[second]).destinations[0].end
        assert early == AmbiguousEnd(
            IPv4Address("10.0.0.1"), ("pod shop/b from 1970-01-01T00:03:20Z", "nobody known before")
        )
        between = one(seen("10.0.0.1", span=(150, 160)), pods=[first, second]).destinations[0].end
        assert isinstance(between, UnknownEnd)
        assert between.reason.startswith(
            "held at other times only, by pod shop/a until 1970-01-01T00:01:40Z; pod shop/b"
        )
        assert between.reason.endswith("take a snapshot of the cluster during the capture")

    def test_a_tenancy_that_the_flow_carries_stands(self) -> None:
        first, second = web("a", "10.0.0.1", ended=100 * SECOND), web("b", "10.0.0.1", started=200 * SECOND)
        carried = seen("10.0.0.1", server_tenancy=1, span=(50, 250))
        assert one(carried, pods=[first, second]).destinations[0].end == PodEnd(second)
        narrow = one(seen("10.0.0.1", server_tenancy=AMBIGUOUS_TENANCY, span=(0, 1)), pods=[first, second])
        assert isinstance(narrow.destinations[0].end, AmbiguousEnd)

    @pytest.mark.parametrize(
        ("ip", "word"),
        [
            ("10.244.3.4", "range of pods"),
            ("10.96.9.9", "range of Services"),
            ("224.0.0.251", "multicast"),
            ("ff02::fb", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("127.0.0.1", "loopback"),
            ("::1", "loopback"),
            ("0.0.0.0", "unspecified"),  # noqa: S104  # an address seen on the wire, nothing binds to it
            ("::", "unspecified"),
        ],
    )
    def test_what_is_never_a_peer(self, ip: str, word: str) -> None:
        found = one(seen(ip), pod_cidrs=["10.244.0.0/16"], service_cidrs=["10.96.0.0/12"]).destinations[0].end
        assert isinstance(found, UnknownEnd)
        assert word in found.reason

    @pytest.mark.parametrize(
        "ip", ["169.254.20.10", "169.254.169.254", "169.254.170.23", "8.8.8.8", "10.1.2.3", "fd00::1"]
    )
    def test_what_may_be_one(self, ip: str) -> None:
        found = one(seen(ip), pod_cidrs=["10.244.0.0/16"]).destinations[0].end
        assert found == ExternalEnd(ip_address(ip))

    def test_between_the_pods_of_one_node_is_not_outside(self) -> None:
        pods = [pod("a", "10.244.1.5", node="w1"), pod("b", "10.244.1.9", node="w1"), pod("c", "10.244.2.5", node="w2")]
        for ip, kind in {"10.244.1.7": UnknownEnd, "10.244.1.10": ExternalEnd, "10.244.2.4": ExternalEnd}.items():
            assert isinstance(one(seen(ip), pods=pods).destinations[0].end, kind)
        flat = Node(name="w1", addresses=(IPv4Address("10.244.1.200"),))
        assert isinstance(one(seen("10.244.1.7"), pods=pods, nodes=[flat]).destinations[0].end, ExternalEnd)

    def test_between_the_addresses_of_services_is_not_outside(self) -> None:
        """The smallest block that holds all ClusterIPs lies in the cluster's range, whatever that range is."""
        known = [service("10.96.0.1", "fd00:96::1"), service("10.96.200.9", "fd00:96::ff", name="other")]
        for ip, kind in {
            "10.96.77.7": UnknownEnd,
            "10.96.255.255": UnknownEnd,
            "10.97.0.1": ExternalEnd,
            "fd00:96::77": UnknownEnd,
            "fd00:96::100": ExternalEnd,
        }.items():
            assert isinstance(one(seen(ip), services=known).destinations[0].end, kind)

    @pytest.mark.parametrize(
        "more",
        [
            {"services": [service("10.96.0.1"), service("172.20.0.1", name="far")]},  # two ranges (KEP-1880)
            {"services": [service("10.96.0.1"), service("10.96.200.9", name="lb", external=True)]},  # a balancer's
            {"services": [service("10.96.0.1"), service("10.96.200.9", name="o")], "service_cidrs": ["10.96.0.0/24"]},
            {
                "services": [service("10.96.0.1"), service("10.96.200.9", name="other")],
                "nodes": [Node(name="n", addresses=(IPv4Address("10.96.9.1"),))],
            },
        ],
    )
    def test_where_services_tell_no_range(self, more: dict[str, Any]) -> None:
        assert isinstance(one(seen("10.96.77.7"), **more).destinations[0].end, ExternalEnd)

    def test_a_virtual_address_as_source(self) -> None:
        found = one(
            seen("10.0.0.1", 8080, client="10.96.0.1"), pods=[web("a", "10.0.0.1")], services=[service("10.96.0.1")]
        )
        assert found.source == ServiceEnd("shop", "web")

    def test_order_is_kept(self) -> None:
        flows = [seen("10.0.0.1"), seen("10.0.0.2"), seen("10.0.0.1")]
        found = list(resolve(flows, Timeline.of(Inventory(namespaces={}))))
        assert [item.flow for item in found] == flows
