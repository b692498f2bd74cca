"""What is written as CiliumNetworkPolicy allows what the NetworkPolicies allow, but for what the dialect documents."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings

from netpol.dialects.cilium import to_cilium
from netpol.dialects.translation import Surroundings
from netpol.model.endpoint import NodeEnd
from netpol.model.flow import PORT_PROTOCOLS
from netpol.model.policy import BlockPeer, NetworkPolicy, Rule
from netpol.policy.evaluate import Evaluator
from tests.dialects import small_world
from tests.dialects.cilium_reference import Cilium
from tests.dialects.ends import Ending, pairs, pods
from tests.policy import clusters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory


def cilium(policies: Iterable[NetworkPolicy], inventory: Inventory) -> list[dict[str, Any]]:
    known = {address: node.name for node in inventory.nodes for address in node.addresses}
    return list(yaml.safe_load_all(to_cilium(policies, Surroundings(nodes=known)).to_yaml()))


def without_blocks(policies: Iterable[NetworkPolicy], stays: Callable[[BlockPeer], bool]) -> list[NetworkPolicy]:
    """The policies without those ipBlocks that do not stay, and without the rules that had only such."""

    def kept(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        found = []
        for rule in rules:
            peers = tuple(peer for peer in rule.peers if not isinstance(peer, BlockPeer) or stays(peer))
            if peers or not rule.peers:
                found.append(Rule(peers=peers, ports=rule.ports))
        return tuple(found)

    return [replace(policy, ingress=kept(policy.ingress), egress=kept(policy.egress)) for policy in policies]


def numbered(policies: list[clusters.Manifest]) -> list[clusters.Manifest]:
    """Without names of ports in egress, which Cilium resolves in its own way."""
    for policy in policies:
        for rule in policy["spec"].get("egress") or []:
            for port in rule.get("ports") or []:
                if isinstance(port.get("port"), str):
                    port["port"] = 81
    return policies


class Expected:
    """The NetworkPolicies' verdict, with what Cilium's documentation says it does differently.

    - CIDR rules match no pods: pods are judged as if they had no addresses.
    - CIDR rules match no nodes. A block of one node's address stands for all nodes.
    - A pod's own node is let in, but a pod is not let out to it without a rule.
    """

    def __init__(self, policies: list[NetworkPolicy], inventory: Inventory) -> None:
        self.addresses = {address for node in inventory.nodes for address in node.addresses}
        nowhere = replace(inventory, pods=tuple(replace(pod, addresses=()) for pod in inventory.pods))
        self.for_pods = Evaluator(policies, nowhere)
        self.for_outside = Evaluator(policies, inventory)
        self.for_nodes = Evaluator(without_blocks(policies, self.is_node), nowhere)

    def is_node(self, peer: BlockPeer) -> bool:
        return peer.block.cidr in {ip_network(address) for address in self.addresses}

    def allows(self, source: Ending, destination: Ending, protocol: int, port: int) -> bool:
        if "node" in {source.kind, destination.kind}:
            return self._with_node(source, destination, protocol, port)
        if "outside" in {source.kind, destination.kind}:
            return self.for_outside.verdict(source.party, destination.party, protocol, port).allowed
        return self.for_pods.verdict(bare(source), bare(destination), protocol, port).allowed

    def _with_node(self, source: Ending, destination: Ending, protocol: int, port: int) -> bool:
        if source.kind == "node" and source.node == destination.node:
            return True
        return any(
            self.for_nodes.verdict(somewhere(source, address), somewhere(destination, address), protocol, port).allowed
            for address in self.addresses
        )


def bare(end: Ending) -> Any:
    return replace(end.party, addresses=())  # type: ignore[type-var]


def somewhere(end: Ending, address: Address) -> Any:
    """A node as one that no pod runs on, which is judged by the rules alone."""
    return NodeEnd("no pod's", address) if end.kind == "node" else bare(end)


def compare(read: list[NetworkPolicy], inventory: Inventory, strangers: Iterable[str], ports: Iterable[int]) -> None:
    documents = cilium(read, inventory)
    everyone = list(pods(inventory))
    judge, expected = Cilium(documents, everyone), Expected(read, inventory)
    for source, destination in pairs(inventory, strangers):
        for protocol in sorted(PORT_PROTOCOLS):
            for port in ports:
                found = judge.allows(source, destination, protocol, port)
                assert found is expected.allows(source, destination, protocol, port), (
                    f"{source} to {destination} on {protocol}/{port}",
                    documents,
                )


@settings(max_examples=40, deadline=None)
@given(small_world.policies(names_in_egress=False))
def test_a_small_world(policies: list[NetworkPolicy]) -> None:
    compare(policies, small_world.WORLD, small_world.OUTSIDE, small_world.PORTS)


@settings(max_examples=15, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_random_worlds(cluster: clusters.Manifest, policies: list[clusters.Manifest]) -> None:
    read = list(clusters.read(numbered(policies)))
    compare(read, clusters.inventory(cluster), clusters.OUTSIDE, clusters.PORTS)


def test_the_sample_shop() -> None:
    """Every pair of everyone there, on every port that a policy speaks of and one that none does."""
    policies, inventory = small_world.shop()
    ports = {port.port for policy in policies for rule in (*policy.ingress, *policy.egress) for port in rule.ports}
    compare(policies, inventory, ["198.51.100.7", "203.0.113.9"], [*sorted(filter(None, map(number, ports))), 4711])


def number(port: int | str | None) -> int:
    return port if isinstance(port, int) else 0
