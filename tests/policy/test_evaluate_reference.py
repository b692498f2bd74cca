"""The judge against a second one that was written from the rules alone, over random clusters and policies."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.policy.evaluate import Evaluator
from tests.policy import clusters, reference

if TYPE_CHECKING:
    from netpol.model.inventory import Inventory
    from netpol.policy.evaluate import Party


def _ends(cluster: dict[str, Any], inventory: Inventory) -> list[tuple[reference.Ending, Party]]:
    """All running pods as such, and all addresses, also those that a finished pod once held."""
    pods: list[tuple[reference.Ending, Party]] = [
        (("pod", pod.namespace, pod.name), pod) for pod in inventory.pods if not pod.finished
    ]
    held = {item["ip"] for pod in cluster["pods"] for item in pod["status"]["podIPs"]}
    texts = sorted(held | {"192.0.2.1", "172.16.0.1"})
    return pods + [(("address", text), ip_address(text)) for text in texts]


@settings(max_examples=100, deadline=None)
@given(
    cluster=clusters.clusters(),
    policies=clusters.policy_sets(),
    ports=st.lists(st.sampled_from(clusters.PORTS), min_size=1, max_size=2, unique=True),
)
def test_every_verdict_is_the_reference_judges(
    cluster: dict[str, Any], policies: list[dict[str, Any]], ports: list[int]
) -> None:
    inventory = clusters.inventory(cluster)
    evaluator = Evaluator(clusters.read_set(policies), inventory)
    ends = _ends(cluster, inventory)
    for source_name, source in ends:
        for destination_name, destination in ends:
            for protocol, number in clusters.PROTOCOLS.items():
                for port in ports:
                    expected = reference.judge(policies, cluster, source_name, destination_name, (protocol, port))
                    found = evaluator.verdict(source, destination, number, port)
                    assert found.ruling.value == expected, (source_name, destination_name, protocol, port, found)
