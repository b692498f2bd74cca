from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from netpol.model.policy import BlockPeer
from netpol.policy import matching
from netpol.policy.evaluate_index import PeerIndex, Place
from tests.policy import clusters


@settings(max_examples=60, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_what_is_passed_over_selects_no_pod(cluster: dict[str, Any], policies: list[dict[str, Any]]) -> None:
    inventory = clusters.inventory(cluster)
    read = clusters.read(policies)
    for way in ("ingress", "egress"):
        listed = [(policy.namespace, policy.ingress if way == "ingress" else policy.egress) for policy in read]
        index = PeerIndex(listed)
        for pod in inventory.pods:
            labels = matching.namespace_labels(inventory, pod.namespace)
            always, matching_pod = [], []
            for number, (namespace, rules) in enumerate(listed):
                for position, rule in enumerate(rules):
                    always += [Place(number, position, -1)] * (not rule.peers)
                    for place, peer in enumerate(rule.peers):
                        if isinstance(peer, BlockPeer):
                            always.append(Place(number, position, place))
                        elif matching.peer_selects(peer, namespace, pod, labels):
                            matching_pod.append(Place(number, position, place))
            found = index.places(pod.namespace, pod.labels)
            assert found == sorted(set(found))
            assert set(always) | set(matching_pod) <= set(found)
            assert index.elsewhere() == always


def test_of_many_peers_few_are_looked_at() -> None:
    def peer(namespace: str, app: str) -> dict[str, Any]:
        return {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "podSelector": {"matchLabels": {"app": app}},
        }

    peers = [peer(namespace, f"app-{number}") for namespace in ("a", "b") for number in range(50)]
    peers += [
        {"podSelector": {"matchLabels": {"app": "app-7"}}},
        {"namespaceSelector": {}},
        {"ipBlock": {"cidr": "::/0"}},
    ]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "x", "namespace": "a"},
        "spec": {"podSelector": {}, "ingress": [{"from": peers}]},
    }
    (read,) = clusters.read([policy])
    index = PeerIndex([(read.namespace, read.ingress)])
    assert [place.peer for place in index.places("a", {"app": "app-7", "tier": "x"})] == [7, 100, 101, 102]
    assert [place.peer for place in index.places("b", {"app": "app-7"})] == [57, 101, 102]
    assert [place.peer for place in index.places("c", {})] == [101, 102]
