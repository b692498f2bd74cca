"""Everything at once against one question at a time: the engine, the judge, and the reference, on random clusters."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.flow import PORT_PROTOCOLS, SCTP, TCP, UDP, protocol_name
from netpol.policy.classes_pods import present_pods
from netpol.policy.connectivity import Connectivity
from netpol.policy.evaluate import Evaluator
from tests.policy import clusters, reference

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory, Pod

PORTS = (1, 79, 80, 81, 82, 400, 401, 443, 65535)
OUTSIDE = ("192.0.2.1", "192.0.2.2", "10.0.9.9", "0.0.0.1", "255.255.255.255", "2001:db8::1", "::", "fd00:1::ffff")


def _strangers(inventory: Inventory) -> list[IPv4Address | IPv6Address]:
    """Addresses that nobody in the cluster holds."""
    held = {address for pod in inventory.pods for address in pod.addresses}
    held |= {address for node in inventory.nodes for address in node.addresses}
    return [address for address in map(ip_address, OUTSIDE) if address not in held]


@settings(max_examples=60, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policy_sets())
def test_every_point_is_the_judges_verdict(cluster: dict[str, Any], policies: list[dict[str, Any]]) -> None:
    inventory, policy_set = clusters.inventory(cluster), clusters.read_set(policies)
    evaluator, connectivity = Evaluator(policy_set, inventory), Connectivity.of(policy_set, inventory)
    pods, strangers = present_pods(inventory), _strangers(inventory)
    pairs: list[tuple[Pod | Address, Pod | Address]] = [(one, other) for one in pods for other in pods]
    pairs += [(pod, address) for pod in pods for address in strangers]
    pairs += [(address, pod) for pod in pods for address in strangers]
    for source, destination in pairs:
        allowed = connectivity.ports(source, destination)
        for protocol in (TCP, UDP, SCTP):
            for port in PORTS:
                verdict = evaluator.verdict(source, destination, protocol, port)
                assert ((protocol, port) in allowed) is verdict.allowed, (source, destination, protocol, port)


@settings(max_examples=50, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policy_sets(), port=st.sampled_from(clusters.PORTS))
def test_every_point_is_the_reference_judges(
    cluster: dict[str, Any], policies: list[dict[str, Any]], port: int
) -> None:
    inventory = clusters.inventory(cluster)
    connectivity = Connectivity.of(clusters.read_set(policies), inventory)
    pods = present_pods(inventory)
    for source in pods:
        for destination in pods:
            allowed = connectivity.ports(source, destination)
            ends = (("pod", source.namespace, source.name), ("pod", destination.namespace, destination.name))
            for protocol in sorted(PORT_PROTOCOLS):
                expected = reference.judge(policies, cluster, *ends, (protocol_name(protocol), port))
                assert ((protocol, port) in allowed) is (expected == "allowed"), (ends, protocol, port)
