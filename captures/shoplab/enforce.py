"""The kernel as the judge: NetworkPolicies in force on the lab's nodes, anew whenever pods come or go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from shoplab.description import NODES
from shoplab.nftables import Place, ruleset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shoplab.description import Pod
    from shoplab.network import Lab
    from shoplab.nftables import Policy


def read_policies(folder: Path) -> list[Policy]:
    """Every NetworkPolicy in a folder's YAML files; other kinds are passed over."""
    documents = (doc for path in sorted(folder.rglob("*.yaml")) for doc in yaml.safe_load_all(path.read_text()))
    return [document for document in documents if document and document["kind"] == "NetworkPolicy"]


class Enforcer:
    """Puts policies in force in a lab."""

    def __init__(self, lab: Lab, policies: Sequence[Policy]) -> None:
        self._lab = lab
        self._policies = policies

    def apply(self, pods: Sequence[Pod]) -> None:
        """Replace the rules of all nodes by those for the pods that are there now."""
        places = [place(pod) for pod in pods]
        for node in NODES:
            self._lab.run(node.name, "nft", "-f", "-", text=ruleset(self._policies, places, node.name))


def place(pod: Pod) -> Place:
    """A pod as policies see it."""
    workload = pod.workload
    return Place(
        key=pod.key,
        namespace=workload.namespace,
        labels=workload.labels,
        namespace_labels={"kubernetes.io/metadata.name": workload.namespace},
        addresses=pod.addresses,
        node=pod.node.name,
        ports=tuple((port.protocol, port.name, port.number) for port in workload.ports),
        host_network=workload.host_network,
    )
