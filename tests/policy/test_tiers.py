"""Cluster-wide policies: the judge and the engine against the reference, where most rules matter."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from netpol.model.flow import ICMP, SCTP, TCP, UDP
from netpol.model.inventory import Pod
from netpol.policy.classes import Side
from netpol.policy.connectivity import Connectivity
from netpol.policy.difference import difference
from netpol.policy.evaluate import Evaluator
from netpol.policy.verdict import Ruling
from tests.policy import clusters, reference, tier_worlds

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.policy.verdict import Verdict

Manifest = dict[str, Any]

SETS = 25
"""Policy sets a run; each is asked about every pair of ends."""
CONNECTIONS = (("TCP", TCP, 80), ("TCP", TCP, 82), ("UDP", UDP, 81), ("SCTP", SCTP, 400), ("ICMP", ICMP, 80))
CLUSTER = tier_worlds.cluster()
INVENTORY = clusters.inventory(CLUSTER)


def _ends() -> list[tuple[reference.Ending, Pod | Address]]:
    found: list[tuple[reference.Ending, Pod | Address]] = [
        (("pod", pod.namespace, pod.name), pod) for pod in INVENTORY.pods
    ]
    return found + [(("address", text), ip_address(text)) for text in ("192.0.2.1", "10.9.9.9", "172.16.0.2")]


@pytest.mark.parametrize("run", range(8))
def test_every_point_is_the_reference_judges(run: int) -> None:
    for number in range(SETS):
        seed = run * SETS + number
        policies = tier_worlds.policy_set(Random(seed))
        policy_set = clusters.read_set(policies)
        evaluator, connectivity = Evaluator(policy_set, INVENTORY), Connectivity.of(policy_set, INVENTORY)
        for source_name, source in _ends():
            for destination_name, destination in _ends():
                some_pod = isinstance(source, Pod) or isinstance(destination, Pod)
                ports = connectivity.ports(source, destination) if some_pod else None
                for word, protocol, port in CONNECTIONS:
                    expected = reference.judge(policies, CLUSTER, source_name, destination_name, (word, port))
                    found = evaluator.verdict(source, destination, protocol, port)
                    assert found.ruling.value == expected, (seed, source_name, destination_name, word, port)
                    if ports is not None and protocol != ICMP:
                        assert ((protocol, port) in ports) is found.allowed, (seed, source_name, destination_name, word)


def test_differences_are_those_of_the_lists() -> None:
    """Every change is one of what either side allows, and the other way round it is mirrored."""
    for seed in range(20):
        sides = [clusters.read_set(tier_worlds.policy_set(Random(seed + more))) for more in (0, 1000)]
        old, new = (Side(policies=policies, inventory=INVENTORY) for policies in sides)
        before, after = (Connectivity.of(policies, INVENTORY) for policies in sides)
        found, mirrored = difference(old, new), difference(new, old)
        assert not difference(old, old)
        assert {(str(item.source), str(item.destination), item.before, item.after) for item in found.changes} == {
            (str(item.source), str(item.destination), item.after, item.before) for item in mirrored.changes
        }
        changed = {(str(item.source), str(item.destination)): item for item in found.changes}
        for source in INVENTORY.pods:
            for destination in INVENTORY.pods:
                if source is not destination:
                    ports = before.ports(source, destination), after.ports(source, destination)
                    change = changed.get((str(source.workload), str(destination.workload)))
                    assert (ports[0] == ports[1]) is (change is None)
                    assert change is None or (change.before, change.after) == ports


def _tier(**spec: Any) -> Manifest:
    found = {"priority": 10, "subject": {"namespaces": {}}, **spec}
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": found,
    }


def _verdict(
    policies: list[Manifest],
    protocol: int,
    port: int | None,
    destination: str = "a/db",
) -> Verdict:
    """From a/web to a pod, or to an address."""
    pods = {f"{pod.namespace}/{pod.name}": pod for pod in INVENTORY.pods}
    server = pods[destination] if destination in pods else ip_address(destination)
    return Evaluator(clusters.read_set(policies), INVENTORY).verdict(pods["a/web"], server, protocol, port)


def test_the_rule_that_decided_is_named() -> None:
    everyone: Manifest = {"namespaces": {}}
    rules = [
        {"action": "Pass", "to": [{"networks": ["192.0.2.0/24"]}]},
        {"action": "Deny", "to": [{"networks": ["192.0.2.0/24"]}, everyone], "ports": [{"portNumber": {"port": 80}}]},
    ]
    verdict = _verdict([_tier(egress=rules)], TCP, 80)
    assert verdict.ruling is Ruling.DENIED
    assert verdict.blocked_by == "egress"
    assert list(map(str, verdict.blocking)) == ["AdminNetworkPolicy/p"]
    assert str(verdict.egress.decided_by) == "AdminNetworkPolicy/p: spec.egress[1].to[1], ports[0]"


def test_the_baseline_is_not_to_blame_for_pods_that_a_network_policy_isolates() -> None:
    baseline = {
        **_tier(ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}]),
        "kind": "BaselineAdminNetworkPolicy",
    }
    baseline["metadata"] = {"name": "default"}
    del baseline["spec"]["priority"]
    assert list(map(str, _verdict([baseline], TCP, 80).blocking)) == ["BaselineAdminNetworkPolicy/default"]
    closed = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "a"},
        "spec": {"podSelector": {}},
    }
    assert list(map(str, _verdict([baseline, closed], TCP, 80).blocking)) == ["a/closed"]
    closed["spec"] = {"podSelector": {}, "ingress": [{}]}
    assert _verdict([baseline, closed], TCP, 80).allowed


def test_rules_without_ports_speak_of_every_protocol() -> None:
    """AdminNetworkPolicyEgressRule: "If Ports is not set then the rule does not filter traffic via port"."""
    everyone: list[Manifest] = [{"namespaces": {}}]
    assert _verdict([_tier(egress=[{"action": "Deny", "to": everyone}])], ICMP, None).ruling is Ruling.DENIED
    some = [{"portRange": {"start": 1, "end": 65535}}]
    assert _verdict([_tier(egress=[{"action": "Deny", "to": everyone, "ports": some}])], ICMP, None).allowed


def test_a_port_that_is_not_known_is_undefined_where_it_matters() -> None:
    everyone: list[Manifest] = [{"namespaces": {}}]
    ports = [{"portNumber": {"port": 80}}]
    deny = {"action": "Deny", "to": everyone}
    verdict = _verdict([_tier(egress=[{**deny, "ports": ports}])], TCP, None)
    assert (verdict.ruling, verdict.reason) == (Ruling.UNDEFINED, "undefined: the port is not known")
    assert _verdict([_tier(egress=[{**deny, "ports": ports}])], UDP, None).allowed
    assert _verdict([_tier(egress=[{**deny, "ports": ports}, deny])], TCP, None).ruling is Ruling.DENIED
    every = [{"portRange": {"start": 1, "end": 65535}}]
    assert _verdict([_tier(egress=[{**deny, "ports": every}])], TCP, None).ruling is Ruling.DENIED


def test_what_a_name_stands_for_is_not_guessed() -> None:
    names = {"action": "Allow", "to": [{"domainNames": ["*.example.com"]}]}
    deny = {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}
    verdict = _verdict([_tier(egress=[names, deny])], TCP, 443, "192.0.2.1")
    assert verdict.ruling is Ruling.UNDEFINED
    assert "depends on the answers of DNS to *.example.com" in verdict.reason
    # No pod has such a name, and where the outcome is the same anyway the name does not matter.
    assert _verdict([_tier(egress=[names, deny])], TCP, 443).ruling is Ruling.DENIED
    assert _verdict([_tier(egress=[names])], TCP, 443, "192.0.2.1").allowed


def test_no_policy_parts_a_pod_from_its_own_node_or_itself() -> None:
    rules = [{"action": "Deny", "to": [{"namespaces": {}}, {"nodes": {}}, {"networks": ["0.0.0.0/0"]}]}]
    cluster = tier_worlds.cluster()
    cluster["pods"][0]["spec"]["nodeName"] = "n1"
    inventory = clusters.inventory(cluster)
    evaluator = Evaluator(clusters.read_set([_tier(egress=rules)]), inventory)
    web = inventory.pods[0]
    assert evaluator.verdict(web, ip_address("172.16.0.1"), TCP, 22).reason == "own node"
    assert evaluator.verdict(web, web, TCP, 22).reason == "own address"
    assert evaluator.verdict(web, ip_address("172.16.0.2"), TCP, 22).ruling is Ruling.DENIED
