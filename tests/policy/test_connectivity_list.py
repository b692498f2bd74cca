"""Rows against the judge: every pair of pods, every stranger's address, and nothing that is not so."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Pod, WorkloadRef
from netpol.model.ports import PortMap, PortSet
from netpol.policy.classes_pods import present_pods
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_list import Listing, list_allowed
from netpol.policy.evaluate import Evaluator
from tests.policy import clusters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.flow import Address
    from netpol.model.policy import NetworkPolicy

PORTS = (1, 79, 80, 81, 82, 400, 401, 443, 65535)
STRANGERS = tuple(map(ip_address, ("192.0.2.1", "198.51.100.7", "10.255.0.1", "2001:db8::1", "2001:db9::", "fd00:2::")))


def in_workloads(inventory: Inventory, names: dict[str, str]) -> Inventory:
    """The same pods as replicas of Deployments; names of pods to names of workloads."""
    pods = []
    for pod in inventory.pods:
        ref = WorkloadRef(namespace=pod.namespace, name=names[pod.name], kind="Deployment")
        pods.append(
            Pod(
                uid=pod.uid,
                namespace=pod.namespace,
                name=pod.name,
                labels=pod.labels,
                workload=ref,
                addresses=pod.addresses,
                node=pod.node,
                host_network=pod.host_network,
                ports=pod.ports,
                finished=pod.finished,
            )
        )
    return Inventory(namespaces=inventory.namespaces, pods=tuple(pods), nodes=inventory.nodes)


def pod_rows(listing: Listing, pods: Iterable[Pod]) -> dict[tuple[str, str], PortMap]:
    """What the rows say of two pods: the union of those that are about them or their workloads."""
    texts = [(pod, {f"{pod.namespace}/{pod.name}[Pod]", str(pod.workload)}) for pod in pods]
    found: defaultdict[tuple[str, str], PortMap] = defaultdict(lambda: PortMap.EMPTY)
    for row in listing.rows:
        for source, sources in texts:
            for destination, destinations in texts:
                if row.source.text in sources and row.destination.text in destinations:
                    found[source.uid, destination.uid] |= row.ports
    return found


def has(text: str, address: Address) -> bool:
    """Whether the text of a row's end is a block or a range with the address."""
    if "[" in text:
        return False
    if "/" in text:
        return address in ip_network(text)
    first, last = map(ip_address, text.split("-"))
    return first.version == address.version and int(first) <= int(address) <= int(last)


def asked(evaluator: Evaluator, source: Pod | Address, destination: Pod | Address) -> dict[tuple[int, int], bool]:
    return {
        (protocol, port): evaluator.verdict(source, destination, protocol, port).allowed
        for protocol in (TCP, UDP, SCTP)
        for port in PORTS
    }


@settings(max_examples=30, deadline=None)
@given(
    cluster=clusters.clusters(),
    policies=clusters.policies(),
    names=st.fixed_dictionaries({f"pod{number}": st.sampled_from(["x", "y"]) for number in range(4)}),
)
def test_rows_say_what_the_judge_says_of_each_pod(
    cluster: dict[str, Any], policies: list[dict[str, Any]], names: dict[str, str]
) -> None:
    inventory = in_workloads(clusters.inventory(cluster), names)
    policy_set = clusters.read(policies)
    evaluator, listing = Evaluator(policy_set, inventory), list_allowed(Connectivity.of(policy_set, inventory))
    pods = present_pods(inventory)
    rows = pod_rows(listing, pods)
    for source in pods:
        for destination in pods:
            if source.workload == destination.workload:
                assert (source.uid, destination.uid) not in rows
                continue
            allowed = rows[source.uid, destination.uid]
            for pair, expected in asked(evaluator, source, destination).items():
                assert (pair in allowed) is expected, (source, destination, pair)


@settings(max_examples=30, deadline=None)
@given(
    cluster=clusters.clusters(),
    policies=clusters.policies(),
    names=st.fixed_dictionaries({f"pod{number}": st.sampled_from(["x", "y"]) for number in range(4)}),
    stranger=st.sampled_from(STRANGERS),
)
def test_rows_say_what_the_judge_says_of_addresses_that_nobody_holds(
    cluster: dict[str, Any], policies: list[dict[str, Any]], names: dict[str, str], stranger: Address
) -> None:
    inventory = in_workloads(clusters.inventory(cluster), names)
    policy_set = clusters.read(policies)
    evaluator, listing = Evaluator(policy_set, inventory), list_allowed(Connectivity.of(policy_set, inventory))
    for pod in present_pods(inventory):
        texts = {f"{pod.namespace}/{pod.name}[Pod]", str(pod.workload)}
        there = [row.ports for row in listing.rows if row.source.text in texts and has(row.destination.text, stranger)]
        back = [row.ports for row in listing.rows if row.destination.text in texts and has(row.source.text, stranger)]
        # One range at most has the address: ranges with equal ports are merged, others are disjoint.
        assert len(there) <= 1
        assert len(back) <= 1
        for rows, ends in ((there, (pod, stranger)), (back, (stranger, pod))):
            for pair, expected in asked(evaluator, *ends).items():
                assert any(pair in ports for ports in rows) is expected, (ends, pair)


@settings(max_examples=30, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_rows_are_sorted_unique_and_never_empty(cluster: dict[str, Any], policies: list[dict[str, Any]]) -> None:
    inventory = clusters.inventory(cluster)
    listing = list_allowed(Connectivity.of(clusters.read(policies), inventory))
    ends = [(row.source.text, row.destination.text) for row in listing.rows]
    assert ends == sorted(set(ends))
    assert all(row.ports for row in listing.rows)
    assert all("[" in source or "[" in destination for source, destination in ends)
    assert all(source != destination for source, destination in ends)


@settings(max_examples=20, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies(), order=st.randoms())
def test_the_order_of_pods_and_policies_does_not_matter(
    cluster: dict[str, Any], policies: list[dict[str, Any]], order: Any
) -> None:
    inventory, policy_set = clusters.inventory(cluster), list(clusters.read(policies))
    expected = _as_texts(list_allowed(Connectivity.of(policy_set, inventory)))
    pods = list(inventory.pods)
    order.shuffle(pods)
    order.shuffle(policy_set)
    shuffled = Inventory(namespaces=inventory.namespaces, pods=tuple(pods), nodes=inventory.nodes)
    assert _as_texts(list_allowed(Connectivity.of(policy_set, shuffled))) == expected


@settings(max_examples=30, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies(), more=clusters.policies())
def test_a_union_whose_parts_isolate_alike_allows_the_union(
    cluster: dict[str, Any], policies: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    """Policies add up per end: what the union lets in is what either part lets in, where both isolate the end.

    Ends that one part leaves open are why the law needs a base: here both parts deny everything everywhere first.
    Between two isolated ends a part may let the connection out and the other let it in, so it holds for either
    direction alone.
    """
    inventory = clusters.inventory(cluster)
    for way in ("Ingress", "Egress"):
        base = [_deny(namespace, way) for namespace in clusters.NAMESPACES]
        first, second = _only(policies, way, "p"), _only(more, way, "q")
        parts = [Connectivity.of(clusters.read(base + part), inventory) for part in (first, second)]
        whole = Connectivity.of(clusters.read(base + first + second), inventory)
        ends: list[Pod | Address] = [*present_pods(inventory), *STRANGERS]
        for source in ends:
            for destination in ends:
                united = parts[0].ports(source, destination) | parts[1].ports(source, destination)
                assert whole.ports(source, destination) == united


def _deny(namespace: str, way: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": [way]},
    }


def _only(manifests: list[dict[str, Any]], way: str, prefix: str) -> list[dict[str, Any]]:
    """The same policies in one direction, under names of their own."""
    return [
        {
            **item,
            "metadata": {**item["metadata"], "name": f"{prefix}{item['metadata']['name']}"},
            "spec": {**item["spec"], "policyTypes": [way]},
        }
        for item in manifests
    ]


def _as_texts(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row.source.text, row.destination.text, str(row.ports)) for row in listing.rows]


def _deployment(name: str, *pods: dict[str, Any]) -> tuple[Pod, ...]:
    ref = WorkloadRef(namespace="a", name=name, kind="Deployment")
    return tuple(
        Pod(
            uid=f"{name}-{number}",
            namespace="a",
            name=f"{name}-{number}",
            workload=ref,
            **{"labels": {"app": name}, **pod},
        )
        for number, pod in enumerate(pods)
    )


def _list(pods: tuple[Pod, ...], *policies: NetworkPolicy) -> tuple[list[tuple[str, str, str]], list[str]]:
    inventory = Inventory(namespaces={"a": Namespace(name="a", labels={})}, pods=pods)
    listing = list_allowed(Connectivity.of(policies, inventory))
    between = [row for row in _as_texts(listing) if "[" in row[0] and "[" in row[1]]
    return between, [place.text for place in listing.differing]


def _policy(spec: dict[str, Any], name: str = "p") -> NetworkPolicy:
    item = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    (found,) = clusters.read([{**item, "metadata": {"name": name, "namespace": "a"}, "spec": spec}])
    return found


def test_replicas_that_declare_a_named_port_differently_are_listed_one_by_one() -> None:
    def port(number: int) -> dict[str, Any]:
        return {"ports": (ContainerPort(protocol=TCP, port=number, name="http"),)}

    pods = _deployment("web", port(80), port(8080)) + _deployment("client", {}, {})
    rows, differing = _list(
        pods,
        _policy({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": "http"}]}]}),
    )
    assert rows == [
        ("a/client[Deployment]", "a/web-0[Pod]", "TCP/80"),
        ("a/client[Deployment]", "a/web-1[Pod]", "TCP/8080"),
        ("a/web[Deployment]", "a/client[Deployment]", str(PortMap.ALL)),
    ]
    assert differing == ["a/web[Deployment]"]


def test_a_block_that_has_one_replica_lists_that_one() -> None:
    pods = _deployment("db", {"addresses": (ip_address("10.0.0.1"),)}, {"addresses": (ip_address("10.0.1.1"),)})
    pods += _deployment("client", {})
    rows, differing = _list(
        pods,
        _policy(
            {
                "podSelector": {"matchLabels": {"app": "client"}},
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"port": 5432}]}],
            }
        ),
    )
    assert rows == [
        ("a/client[Deployment]", "a/db-0[Pod]", "TCP/5432"),
        ("a/db[Deployment]", "a/client[Deployment]", str(PortMap.ALL)),
    ]
    assert differing == ["a/db[Deployment]"]


def test_own_nodes_do_not_tear_workloads_apart() -> None:
    pods = _deployment("web", {"node": "n1"}, {"node": "n2"})
    pods += _deployment("agent", {"node": "n1", "host_network": True}, {"node": "n2", "host_network": True})
    rows, differing = _list(pods, _policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
    everything = str(PortMap.ALL)
    assert rows == [
        ("a/agent-0[Pod]", "a/web-0[Pod]", everything),
        ("a/agent-1[Pod]", "a/web-1[Pod]", everything),
        ("a/web-0[Pod]", "a/agent-0[Pod]", everything),
        ("a/web-1[Pod]", "a/agent-1[Pod]", everything),
    ]
    assert not differing


def test_a_pod_and_its_only_node_are_whole_workloads() -> None:
    pods = _deployment("web", {"node": "n1"}) + _deployment("agent", {"node": "n1", "host_network": True})
    rows, _ = _list(pods, _policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
    everything = str(PortMap.ALL)
    assert rows == [
        ("a/agent[Deployment]", "a/web[Deployment]", everything),
        ("a/web[Deployment]", "a/agent[Deployment]", everything),
    ]


def test_addresses_with_equal_ports_are_one_range() -> None:
    pods = _deployment("web", {})
    inventory = Inventory(namespaces={}, pods=pods)
    policy = _policy(
        {
            "policyTypes": ["Egress"],
            "egress": [
                {"to": [{"ipBlock": {"cidr": "10.0.0.0/25"}}, {"ipBlock": {"cidr": "10.0.0.128/25"}}]},
                {"to": [{"ipBlock": {"cidr": "10.0.1.0/24", "except": ["10.0.1.0/30"]}}], "ports": [{"port": 53}]},
            ],
        }
    )
    listing = list_allowed(Connectivity.of([policy], inventory))
    assert [(row.destination.text, row.ports) for row in listing.rows if row.source.members] == [
        ("10.0.0.0/24", PortMap.ALL),
        ("10.0.1.4-10.0.1.255", PortMap(tcp=PortSet.of(53))),
    ]


def test_addresses_that_one_replica_alone_may_reach_are_its_own() -> None:
    pods = _deployment("web", {"labels": {"app": "web", "canary": "yes"}}, {})
    inventory = Inventory(namespaces={}, pods=pods)
    everywhere = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}
    near = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443}]}
    policies = [
        _policy({"policyTypes": ["Egress"], "egress": [near]}, "near"),
        _policy(
            {"podSelector": {"matchLabels": {"canary": "yes"}}, "policyTypes": ["Egress"], "egress": [everywhere]},
            "far",
        ),
    ]
    listing = list_allowed(Connectivity.of(policies, inventory))
    assert [(row.source.text, row.destination.text) for row in listing.rows if row.source.members] == [
        ("a/web-0[Pod]", "0.0.0.0-192.0.1.255"),
        ("a/web-0[Pod]", "192.0.3.0-255.255.255.255"),
        ("a/web[Deployment]", "192.0.2.0/24"),
    ]
    assert [place.text for place in listing.differing] == ["a/web[Deployment]"]
