"""What is allowed and unused against a second judge that was written from the rules alone."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings

from netpol.model.cidr import AddressSet
from netpol.model.flow import PORT_PROTOCOLS
from netpol.policy.classes import Side
from netpol.policy.evaluate import Evaluator
from netpol.view.flow_graph import State
from netpol.view.unused import addresses_of, allowed
from tests.policy import clusters, reference
from tests.view.drawn import graph_of

if TYPE_CHECKING:
    from netpol.view.flow_graph import FlowEdge

OUTSIDE = ("192.0.2.1", "172.16.0.1")

PROTOCOLS = {name: number for name, number in clusters.PROTOCOLS.items() if number in PORT_PROTOCOLS}

Claim = tuple[str, str, str, int]
"""Source, destination, protocol and port: nobody used it, and a policy that has a say admits it."""


@settings(max_examples=40, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_unused_edges_are_what_the_reference_judge_allows_where_a_policy_has_a_say(
    cluster: dict[str, Any], policies: list[dict[str, Any]]
) -> None:
    inventory = clusters.inventory(cluster)
    graph = graph_of([], inventory, clusters.read(policies))
    assert {edge.state for edge in graph.edges} <= {State.UNUSED}
    assert all(edge.admitted_by for edge in graph.edges)
    pods = [pod for pod in inventory.pods if not (pod.finished or pod.host_network)]
    ends: list[tuple[str, reference.Ending]] = [(str(pod.workload), ("pod", pod.namespace, pod.name)) for pod in pods]
    held = {address for pod in inventory.pods for address in pod.addresses}
    held |= {address for node in inventory.nodes for address in node.addresses}
    ends += [(text, ("address", text)) for text in OUTSIDE if ip_address(text) not in held]
    names = {name for name, _ in ends}
    expected: set[Claim] = set()
    for (source, one), (destination, two) in product(ends, ends):
        if source == destination or (source in OUTSIDE and destination in OUTSIDE):
            continue
        if not (_isolated(policies, cluster, one, "Egress") or _isolated(policies, cluster, two, "Ingress")):
            continue
        for protocol, port in product(PROTOCOLS, clusters.PORTS):
            if reference.judge(policies, cluster, one, two, (protocol, port)) == "allowed":
                expected.add((source, destination, protocol, port))
    found = {claim for edge in graph.edges for claim in _claims(edge) if claim[0] in names and claim[1] in names}
    hosts = {str(pod.workload) for pod in inventory.pods if pod.host_network}
    assert {claim for claim in found if not {claim[0], claim[1]} & hosts} == {
        claim for claim in expected if not {claim[0], claim[1]} & hosts
    }


@settings(max_examples=20, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policy_sets())
def test_every_unused_edge_that_names_a_rule_names_one_of_the_policies(
    cluster: dict[str, Any], policies: list[dict[str, Any]]
) -> None:
    inventory = clusters.inventory(cluster)
    policy_set = clusters.read_set(policies)
    names = {str(policy) for policy in policy_set}
    for edge in graph_of([], inventory, policy_set).edges:
        assert {rule.policy for rule in edge.admitted_by} <= names


@settings(max_examples=20, deadline=None)
@given(cluster=clusters.clusters(), new=clusters.policies(), old=clusters.policies())
def test_new_and_unused_together_are_what_is_allowed_now(
    cluster: dict[str, Any], new: list[dict[str, Any]], old: list[dict[str, Any]]
) -> None:
    inventory = clusters.inventory(cluster)
    side, before = (Side(policies=clusters.read(some), inventory=inventory) for some in (new, old))
    evaluator = Evaluator(side.policies, inventory)
    alone = {(pair.source.text, pair.destination.text): pair.after for pair in allowed(side, evaluator)}
    for pair in allowed(side, evaluator, before):
        assert pair.after
        if pair.source.members and pair.destination.members:
            assert pair.after == alone.get((pair.source.text, pair.destination.text), pair.after)
    same = graph_of([], inventory, side.policies, side.policies)
    assert {edge.state for edge in same.edges} <= {State.UNUSED}


def _isolated(policies: list[dict[str, Any]], cluster: dict[str, Any], end: reference.Ending, kind: str) -> bool:
    return end[0] == "pod" and any(reference.isolates(policy, cluster, end, kind) for policy in policies)


def _claims(edge: FlowEdge) -> list[Claim]:
    """What the edge says about the ends and ports that are asked about."""
    found = []
    for source, destination in product(_ends(edge.source), _ends(edge.destination)):
        for protocol, number in PROTOCOLS.items():
            found += [(source, destination, protocol, port) for port in clusters.PORTS if (number, port) in edge.ports]
    return found


def _ends(name: str) -> list[str]:
    if not name.startswith("external "):
        return [name]
    text = name.removeprefix("external ")
    first, _, last = text.partition("-")
    area = AddressSet.of((ip_address(first), ip_address(last))) if last else AddressSet.of(first)
    return [text for text in OUTSIDE if ip_address(text) in area]


def test_addresses_are_read_back_from_what_is_printed() -> None:
    class Place:
        text = "192.0.2.1-192.0.2.6"

    assert addresses_of(Place()) == AddressSet.of((ip_address("192.0.2.1"), ip_address("192.0.2.6")))  # type: ignore[arg-type]
