"""The judge and the engine against the conformance suite of network-policy-api: what its tests expect, ours says.

Read from the module's sources; nothing of it is kept here. v0.1.7 is the last with AdminNetworkPolicy and
BaselineAdminNetworkPolicy, v0.2.0 the first with ClusterNetworkPolicy.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Node, Pod, WorkloadRef
from netpol.policy.connectivity import Connectivity
from netpol.policy.evaluate import Evaluator
from tests.oracles.modules import module
from tests.policy import clusters, conformance

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}


def _inventory(manifests: list[dict[str, Any]]) -> Inventory:
    """The suite's StatefulSets with their replicas, each pod on a node of its own."""
    pods: list[Pod] = []
    nodes: list[Node] = []
    for item in manifests:
        if item["kind"] != "StatefulSet":
            continue
        metadata, template = item["metadata"], item["spec"]["template"]
        for number in range(item["spec"]["replicas"]):
            index = len(nodes) + 1
            node = Node(
                name=f"n{index}", addresses=(ip_address(f"192.0.2.{index}"),), labels={"kubernetes.io/os": "linux"}
            )
            nodes.append(node)
            on_host = template["spec"].get("hostNetwork", False)
            pods.append(
                Pod(
                    uid=f"{metadata['name']}-{number}",
                    namespace=metadata["namespace"],
                    name=f"{metadata['name']}-{number}",
                    labels=template["metadata"]["labels"],
                    workload=WorkloadRef(namespace=metadata["namespace"], name=metadata["name"], kind="StatefulSet"),
                    addresses=node.addresses if on_host else (ip_address(f"10.0.0.{index}"),),
                    node=node.name,
                    host_network=on_host,
                    ports=tuple(
                        ContainerPort(
                            protocol=PROTOCOLS[port["protocol"]], port=port["containerPort"], name=port.get("name", "")
                        )
                        for container in template["spec"]["containers"]
                        for port in container.get("ports", [])
                    ),
                )
            )
    namespaces = {
        item["metadata"]["name"]: Namespace(name=item["metadata"]["name"], labels=item["metadata"]["labels"])
        for item in manifests
        if item["kind"] == "Namespace"
    }
    return Inventory(namespaces=namespaces, pods=tuple(pods), nodes=tuple(nodes))


@pytest.mark.parametrize("version", ["v0.1.7", "v0.2.0"])
def test_every_connection_has_the_outcome_that_the_suite_expects(version: str, tmp_path: Path) -> None:
    suite = module(f"sigs.k8s.io/network-policy-api@{version}", tmp_path) / "conformance"
    inventory = _inventory(conformance.manifests(suite / "base" / "manifests.yaml"))
    pods = {(pod.namespace, pod.name): pod for pod in inventory.pods}
    found = list(conformance.pokes(suite, lambda name: str(pods[name].addresses[0])))
    for poke in found:
        policies = clusters.read_set(poke.policies)
        ends = pods[poke.source], pods[poke.destination]
        protocol = PROTOCOLS[poke.protocol]
        verdict = Evaluator(policies, inventory).verdict(*ends, protocol, poke.port)
        assert verdict.allowed is poke.allowed, (poke.test, poke.source, poke.destination, poke.protocol, poke.port)
        ports = Connectivity.of(policies, inventory).ports(*ends)
        assert ((protocol, poke.port) in ports) is poke.allowed
    assert len(found) == 289, "the calls of PokeServer in either version's sources"
