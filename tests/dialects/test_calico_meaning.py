"""What is written as Calico NetworkPolicy allows what the NetworkPolicies allow, but for what the dialect documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings

from netpol.dialects.calico import to_calico
from netpol.dialects.translation import Surroundings
from netpol.model.endpoint import NodeEnd
from netpol.model.flow import PORT_PROTOCOLS
from netpol.policy.evaluate import Evaluator
from tests.dialects import small_world
from tests.dialects.calico_reference import Calico
from tests.dialects.ends import Ending, pairs
from tests.policy import clusters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy


def calico(policies: Iterable[NetworkPolicy], inventory: Inventory) -> list[dict[str, Any]]:
    known = {address: node.name for node in inventory.nodes for address in node.addresses}
    return list(yaml.safe_load_all(to_calico(policies, Surroundings(nodes=known)).to_yaml()))


def expected(judge: Evaluator, source: Ending, destination: Ending, protocol: int, port: int) -> bool:
    """The NetworkPolicies' verdict; but a pod is not let out to its own node without a rule."""
    target = destination.party
    if destination.kind == "node":
        target = NodeEnd("no pod's", destination.addresses[0])
    return judge.verdict(source.party, target, protocol, port).allowed


def compare(read: list[NetworkPolicy], inventory: Inventory, strangers: Iterable[str], ports: Iterable[int]) -> None:
    documents = calico(read, inventory)
    judge, evaluator = Calico(documents), Evaluator(read, inventory)
    for source, destination in pairs(inventory, strangers):
        for protocol in sorted(PORT_PROTOCOLS):
            for port in ports:
                found = judge.allows(source, destination, protocol, port)
                assert found is expected(evaluator, source, destination, protocol, port), (
                    f"{source} to {destination} on {protocol}/{port}",
                    documents,
                )


@settings(max_examples=40, deadline=None)
@given(small_world.policies(names_in_egress=True))
def test_a_small_world(policies: list[NetworkPolicy]) -> None:
    compare(policies, small_world.WORLD, small_world.OUTSIDE, small_world.PORTS)


@settings(max_examples=15, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_random_worlds(cluster: clusters.Manifest, policies: list[clusters.Manifest]) -> None:
    compare(list(clusters.read(policies)), clusters.inventory(cluster), clusters.OUTSIDE, clusters.PORTS)


def test_the_sample_shop() -> None:
    """Every pair of everyone there, on every port that a policy speaks of and one that none does."""
    policies, inventory = small_world.shop()
    ports = {port.port for policy in policies for rule in (*policy.ingress, *policy.egress) for port in rule.ports}
    compare(policies, inventory, ["198.51.100.7", "203.0.113.9"], [*sorted(filter(None, map(number, ports))), 4711])


def number(port: int | str | None) -> int:
    return port if isinstance(port, int) else 0
