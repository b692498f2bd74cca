"""A small cluster as its manifests, and what the checks find in policies for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netpol.cluster.documents import Document, documents_in
from netpol.cluster.manifests import inventory_of
from netpol.dialects.read import read_policies
from netpol.review.findings import Written, WrittenTier
from netpol.review.review import review
from netpol.review.scene import Scene

if TYPE_CHECKING:
    from netpol.model.inventory import Inventory
    from netpol.review.findings import AnyWritten, Finding

CLUSTER = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: red}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: empty}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.244.0.0/24]},
 status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tier: front}}
    spec: {containers: [{name: c, ports: [{containerPort: 8080, name: http}, {containerPort: 50051, name: grpc}]}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: shop
  labels: {app: web, tier: front, pod-template-hash: abc12}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-abc12, uid: u1, controller: true}]
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8080, name: http}]}]}
status: {phase: Running, podIPs: [{ip: 10.244.0.5}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db, tier: back}}
    spec: {containers: [{name: c, ports: [{containerPort: 5432, name: sql}]}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {metadata: {labels: {app: migrate}}, spec: {containers: [{name: c}]}}}
---
apiVersion: v1
kind: Pod
metadata:
  name: migrate-x
  namespace: shop
  labels: {app: migrate, run: once}
  ownerReferences: [{apiVersion: batch/v1, kind: Job, name: migrate, uid: u2, controller: true}]
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Succeeded}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: monitoring}
spec:
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {hostNetwork: true, containers: [{name: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: probe, namespace: monitoring, labels: {app: probe}},
 spec: {nodeName: n1, containers: [{name: c}]}, status: {phase: Running, podIPs: [{ip: 10.244.0.9}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}},
 spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 53, name: dns, protocol: UDP}]}]},
 status: {phase: Running, podIPs: [{ip: 10.244.0.2}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
 spec: {clusterIP: 10.96.0.20, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: default},
 spec: {clusterIP: 10.96.0.1, ports: [{port: 443, targetPort: 6443, name: https}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
ports: [{name: https, port: 6443, protocol: TCP}]
endpoints: [{addresses: [192.0.2.10]}]
"""

DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}],
}


def cluster(more: str = "") -> Inventory:
    """The small cluster, with more manifests."""
    return inventory_of(documents_in("cluster.yaml", f"{CLUSTER}---\n{more}".encode(), named=True))


def policy(spec: dict[str, Any], name: str = "p", namespace: str = "shop") -> dict[str, Any]:
    """A NetworkPolicy's manifest; `app` in the spec stands for a podSelector on that label."""
    spec = dict(spec)
    app = spec.pop("app", None)
    if app is not None:
        spec["podSelector"] = {"matchLabels": {"app": app}}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def tier(spec: dict[str, Any], name: str = "t", kind: str = "AdminNetworkPolicy") -> dict[str, Any]:
    """A cluster-wide policy's manifest, for every pod unless the spec says otherwise."""
    own: dict[str, Any] = {} if kind.startswith("Baseline") else {"priority": 10}
    if kind == "ClusterNetworkPolicy":
        own["tier"] = "Admin"
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": "default" if kind.startswith("Baseline") else name},
        "spec": {"subject": {"namespaces": {}}, **own, **spec},
    }


def written(*manifests: dict[str, Any]) -> tuple[Written, ...]:
    """The NetworkPolicies through the reader, each the document of its number."""
    return tuple(item for item in written_set(*manifests) if isinstance(item, Written))


def written_set(*manifests: dict[str, Any]) -> tuple[AnyWritten, ...]:
    """The same with the cluster-wide policies."""
    documents = [Document(("p.yaml", f"document {number}"), data) for number, data in enumerate(manifests, start=1)]
    data = {document.place: document.data for document in documents}
    found = read_policies(documents)
    tiers = zip(found.tiers, found.tier_places, strict=True)
    policies = zip(found.policies, found.places, strict=True)
    return (
        *(WrittenTier(policy=one, place=place, data=data[place]) for one, place in tiers),
        *(Written(policy=one, place=place, data=data[place]) for one, place in policies),
    )


def findings(*manifests: dict[str, Any], more: str = "") -> tuple[Finding, ...]:
    """What is found in policies for the small cluster."""
    return review(Scene(written_set(*manifests), cluster(more)))


def found(*manifests: dict[str, Any], more: str = "") -> list[tuple[str, str]]:
    """Ids and fields of what is found."""
    return [(finding.check.id, finding.path) for finding in findings(*manifests, more=more)]
