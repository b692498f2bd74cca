"""Clusters and policies in the words of cyclonus, less what it does not model or reads in its own way."""

from __future__ import annotations

import json
from typing import Any

Manifest = dict[str, Any]


def simplified(cluster: Manifest) -> Manifest:
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


def defaulted(policy: Manifest) -> Manifest:
    """What the API server stores, which is what cyclonus expects."""
    spec = policy["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return {**policy, "spec": {**spec, "policyTypes": types}}


def end(cluster: Manifest, pod: Manifest | None, address: str) -> Manifest:
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


def port_name(pod: Manifest | None, port: int, protocol: str) -> str:
    declared = pod["spec"]["containers"][0]["ports"] if pod else []
    names = [
        item.get("name", "")
        for item in declared
        if (item["containerPort"], item.get("protocol", "TCP")) == (port, protocol)
    ]
    return str(names[0]) if names else ""


def as_cyclonus_reads(tree: Any) -> Any:
    """The policy with NotIn as cyclonus has it, for which the key must be there."""
    if isinstance(tree, list):
        return [as_cyclonus_reads(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    read = {name: as_cyclonus_reads(value) for name, value in tree.items()}
    expressions = read.get("matchExpressions") or []
    present = [{"key": item["key"], "operator": "Exists"} for item in expressions if item["operator"] == "NotIn"]
    return {**read, "matchExpressions": [*expressions, *present]} if present else read


def without_empty_values(tree: Any) -> Any:
    """Cyclonus takes an absent label for an empty one."""
    return json.loads(json.dumps(tree).replace('""', '"none"'))
