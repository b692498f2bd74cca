"""The judge against cyclonus, from which the policy assistant of network-policy-api descends.

What cyclonus does not model is left out of the comparison: nodes, hostNetwork, finished pods, second addresses, a port
with two names. Each of its three disagreements has a test of its own, with the sentence of the Kubernetes documentation
that decides; the random comparison reads policies as cyclonus does, so that nothing else can hide behind them.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from netpol.model.flow import TCP
from netpol.policy.evaluate import Evaluator
from tests.oracles.oracle import Oracle, build
from tests.policy import clusters
from tests.policy.cyclonus_words import (
    as_cyclonus_reads,
    defaulted,
    end,
    port_name,
    simplified,
    without_empty_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.policy.evaluate import Party

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def cyclonus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with Oracle(build("cyclonus", tmp_path_factory.mktemp("cyclonus"))) as oracle:
        yield oracle


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
                            "source": end(cluster, source_pod, source_address),
                            "destination": end(cluster, pod, address),
                            "port": port,
                            "name": port_name(pod, port, protocol),
                            "protocol": protocol,
                        },
                    )


@settings(max_examples=60, deadline=None)
@given(cluster=clusters.clusters().map(simplified), policies=clusters.policies())
def test_verdicts_agree(cyclonus: Oracle, cluster: Manifest, policies: list[Manifest]) -> None:
    cluster, policies = without_empty_values(cluster), without_empty_values(policies)
    evaluator = Evaluator(clusters.read(as_cyclonus_reads(policies)), clusters.inventory(cluster))
    connections = [item for item in _connections(cluster) if item[2]["source"] != item[2]["destination"]]
    theirs = cyclonus.ask(
        {"policies": [defaulted(policy) for policy in policies], "connections": [item[2] for item in connections]}
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
    ends = [end(cluster, pod, f"10.0.0.{number}") for number, pod in enumerate(pods, start=1)]
    question = {"source": ends[source], "destination": ends[destination], "port": 80, "name": "", "protocol": "TCP"}
    (theirs,) = cyclonus.ask({"policies": [defaulted(policy)], "connections": [question]})
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
