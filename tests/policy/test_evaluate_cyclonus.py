"""The judge against cyclonus, from which the policy assistant of network-policy-api descends.

What cyclonus does not model is left out of the comparison: nodes, hostNetwork, finished pods, second addresses, a port
with two names. Each of its three disagreements has a test of its own, with the sentence of the Kubernetes documentation
that decides; the random comparison reads policies as cyclonus does, so that nothing else can hide behind them.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from netpol.model.flow import TCP
from netpol.policy.evaluate import Evaluator
from tests.oracles.oracle import Oracle, build
from tests.policy import clusters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.policy.evaluate import Party

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def cyclonus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with Oracle(build("cyclonus", tmp_path_factory.mktemp("cyclonus"))) as oracle:
        yield oracle


def _simplified(cluster: Manifest) -> Manifest:
    """The cluster without what cyclonus does not model: each pod with one address and a node of its own."""
    pods: list[Manifest] = []
    for number, pod in enumerate(cluster["pods"]):
        held = [item["ip"] for item in pod["status"]["podIPs"] if not pod["spec"]["hostNetwork"]]
        taken = {item["ip"] for other in pods for item in other["status"]["podIPs"]}
        free = [address for address in (*held, f"10.0.2.{number + 1}") if address not in taken]
        ports = {
            (port["containerPort"], port.get("protocol", "TCP")): port
            for container in pod["spec"]["containers"]
            for port in container["ports"]
        }
        pods.append(
            {
                "metadata": pod["metadata"],
                "spec": {"nodeName": f"of-{number}", "containers": [{"ports": list(ports.values())}]},
                "status": {"podIPs": [{"ip": free[0]}]},
            }
        )
    return {**cluster, "pods": pods, "nodes": []}


def _defaulted(policy: Manifest) -> Manifest:
    """What the API server stores, which is what cyclonus expects."""
    spec = policy["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return {**policy, "spec": {**spec, "policyTypes": types}}


def _end(cluster: Manifest, pod: Manifest | None, address: str) -> Manifest:
    if pod is None:
        return {"ip": address}
    namespace = pod["metadata"]["namespace"]
    labels = [item["metadata"]["labels"] for item in cluster["namespaces"] if item["metadata"]["name"] == namespace]
    return {
        "ip": address,
        "namespace": namespace,
        "namespaceLabels": {**(labels[0] if labels else {}), "kubernetes.io/metadata.name": namespace},
        "labels": pod["metadata"]["labels"],
    }


def _port_name(pod: Manifest | None, port: int, protocol: str) -> str:
    declared = pod["spec"]["containers"][0]["ports"] if pod else []
    names = [
        item.get("name", "")
        for item in declared
        if (item["containerPort"], item.get("protocol", "TCP")) == (port, protocol)
    ]
    return str(names[0]) if names else ""


def _as_cyclonus_reads(tree: Any) -> Any:
    """The policy with NotIn as cyclonus has it, for which the key must be there."""
    if isinstance(tree, list):
        return [_as_cyclonus_reads(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    read = {name: _as_cyclonus_reads(value) for name, value in tree.items()}
    expressions = read.get("matchExpressions") or []
    present = [{"key": item["key"], "operator": "Exists"} for item in expressions if item["operator"] == "NotIn"]
    return {**read, "matchExpressions": [*expressions, *present]} if present else read


def _without_empty_values(tree: Any) -> Any:
    """Cyclonus takes an absent label for an empty one."""
    return json.loads(json.dumps(tree).replace('""', '"none"'))


def _connections(cluster: Manifest) -> Iterator[tuple[Party, Party, Manifest]]:
    """Both ends in the model's words, and the question in cyclonus's."""
    inventory = clusters.inventory(cluster)
    ends: list[tuple[Party, Manifest | None, str]] = [
        (model, pod, pod["status"]["podIPs"][0]["ip"])
        for model, pod in zip(inventory.pods, cluster["pods"], strict=True)
    ]
    ends += [(ip_address(address), None, address) for address in clusters.OUTSIDE]
    for source, source_pod, source_address in ends:
        for destination, pod, address in ends:
            for protocol in ("TCP", "UDP", "SCTP"):
                for port in (80, 81, 443):
                    yield (
                        source,
                        destination,
                        {
                            "source": _end(cluster, source_pod, source_address),
                            "destination": _end(cluster, pod, address),
                            "port": port,
                            "name": _port_name(pod, port, protocol),
                            "protocol": protocol,
                        },
                    )


@settings(max_examples=60, deadline=None)
@given(cluster=clusters.clusters().map(_simplified), policies=clusters.policies())
def test_verdicts_agree(cyclonus: Oracle, cluster: Manifest, policies: list[Manifest]) -> None:
    cluster, policies = _without_empty_values(cluster), _without_empty_values(policies)
    evaluator = Evaluator(clusters.read(_as_cyclonus_reads(policies)), clusters.inventory(cluster))
    connections = [item for item in _connections(cluster) if item[2]["source"] != item[2]["destination"]]
    theirs = cyclonus.ask(
        {"policies": [_defaulted(policy) for policy in policies], "connections": [item[2] for item in connections]}
    )
    for (source, destination, question), their in zip(connections, theirs, strict=True):
        verdict = evaluator.verdict(source, destination, clusters.PROTOCOLS[question["protocol"]], question["port"])
        assert verdict.allowed is their, question


def _both(cyclonus: Oracle, spec: Manifest, source: int, destination: int) -> tuple[bool, bool]:
    """Our answer and theirs, about TCP/80 between two of two pods of one namespace, the second with a label."""
    pods: list[Manifest] = [
        {
            "metadata": {"namespace": "a", "name": f"pod{number}", "labels": labels},
            "spec": {"nodeName": f"of-{number}", "containers": [{"ports": []}]},
            "status": {"podIPs": [{"ip": f"10.0.0.{number + 1}"}]},
        }
        for number, labels in enumerate([{}, {"tier": "x"}])
    ]
    cluster = {"namespaces": [], "pods": pods, "nodes": []}
    metadata = {"name": "p", "namespace": "a"}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    ends = [_end(cluster, pod, f"10.0.0.{number}") for number, pod in enumerate(pods, start=1)]
    question = {"source": ends[source], "destination": ends[destination], "port": 80, "name": "", "protocol": "TCP"}
    (theirs,) = cyclonus.ask({"policies": [_defaulted(policy)], "connections": [question]})
    inventory = clusters.inventory(cluster)
    evaluator = Evaluator(clusters.read([policy]), inventory)
    return evaluator.verdict(inventory.pods[source], inventory.pods[destination], TCP, 80).allowed, theirs


def test_a_pod_reaches_itself(cyclonus: Oracle) -> None:
    """Network Policies: "A Pod cannot block access to itself"."""
    assert _both(cyclonus, {"podSelector": {}}, 0, 0) == (True, False)


def test_not_in_matches_without_the_key(cyclonus: Oracle) -> None:
    """Labels and Selectors, on notin: "and all resources with no labels with the tier key"."""
    peer = {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}}
    assert _both(cyclonus, {"ingress": [{"from": [peer]}]}, 0, 1) == (True, False)


def test_an_absent_label_is_not_an_empty_one(cyclonus: Oracle) -> None:
    """Labels and Selectors: a pair in matchLabels "is equivalent to an element of matchExpressions", operator In.

    And In "selects all resources with key equal to" its own.
    """
    peer = {"podSelector": {"matchLabels": {"tier": ""}}}
    assert _both(cyclonus, {"ingress": [{"from": [peer]}]}, 0, 1) == (False, True)
