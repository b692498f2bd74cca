"""Counts against counting: every pair of pods and every declared port, one by one."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings

from netpol.policy.classes_pods import present_pods
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_figures import figures
from netpol.policy.evaluate import Evaluator
from tests.policy import clusters


@settings(max_examples=30, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policy_sets())
def test_they_are_what_counting_gives(cluster: dict[str, Any], policies: list[dict[str, Any]]) -> None:
    inventory, policy_set = clusters.inventory(cluster), clusters.read_set(policies)
    connectivity, evaluator = Connectivity.of(policy_set, inventory), Evaluator(policy_set, inventory)
    pods = [pod for pod in present_pods(inventory) if not pod.host_network]
    pair_ports: defaultdict[str, int] = defaultdict(int)
    reached: dict[str, list[int]] = {pod.namespace: [] for pod in pods}
    for source in pods:
        others = [pod for pod in pods if pod is not source]
        reached[source.namespace].append(sum(bool(connectivity.ports(source, other)) for other in others))
        for other in others:
            for protocol, port in {(item.protocol, item.port) for item in other.ports}:
                pair_ports[other.namespace] += evaluator.verdict(source, other, protocol, port).allowed
    found = figures(connectivity)
    total = found.pop("")
    assert {name: item.pod_pair_ports for name, item in found.items()} == {name: pair_ports[name] for name in reached}
    assert {name: (item.pods, item.reached, item.worst) for name, item in found.items()} == {
        name: (len(counts), sum(counts), max(counts)) for name, counts in reached.items()
    }
    assert total.pods == len(pods)
    assert total.pod_pair_ports == sum(pair_ports.values())
