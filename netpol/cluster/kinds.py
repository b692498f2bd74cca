"""What netpol asks an API server for: the one list behind reading, watching and the rights that both take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netpol.cluster.networks import SYSTEM_NAMESPACE


@dataclass(frozen=True, slots=True)
class Kind:
    """One list to ask for.

    Attributes:
        prefix: The API group and version as it stands in paths.
        needed: Nothing can be done without it; a missing optional kind is a warning.
        expected: A server that does not serve it is worth a warning.
    """

    prefix: str
    resource: str
    kind: str
    namespaced: bool = True
    needed: bool = False
    expected: bool = True

    @property
    def version(self) -> str:
        """The apiVersion of its objects."""
        return self.prefix.removeprefix("apis/").removeprefix("api/")

    @property
    def group(self) -> str:
        """The API group, empty for core."""
        return self.version.rpartition("/")[0]

    def path(self, namespace: str = "") -> str:
        """Where its list is, of one namespace or of all."""
        scope = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"/{self.prefix}{scope}/{self.resource}"


KINDS: Final = (
    Kind("api/v1", "namespaces", "Namespace", namespaced=False),
    Kind("api/v1", "nodes", "Node", namespaced=False),
    Kind("api/v1", "pods", "Pod", needed=True),
    Kind("api/v1", "services", "Service"),
    Kind("apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    Kind("apis/apps/v1", "replicasets", "ReplicaSet"),
    Kind("apis/apps/v1", "deployments", "Deployment"),
    Kind("apis/apps/v1", "statefulsets", "StatefulSet"),
    Kind("apis/apps/v1", "daemonsets", "DaemonSet"),
    Kind("api/v1", "replicationcontrollers", "ReplicationController"),
    Kind("apis/batch/v1", "jobs", "Job"),
    Kind("apis/batch/v1", "cronjobs", "CronJob"),
    Kind("apis/networking.k8s.io/v1", "ingresses", "Ingress", expected=False),
    Kind("apis/networking.k8s.io/v1", "servicecidrs", "ServiceCIDR", namespaced=False, expected=False),
    Kind("apis/crd.projectcalico.org/v1", "ippools", "IPPool", namespaced=False, expected=False),
)
_TIERS: Final = "apis/policy.networking.k8s.io"
POLICY_KINDS: Final = (
    Kind("apis/networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    # Few clusters have any of these, and those that do have the older two or the newer one.
    Kind(f"{_TIERS}/v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", namespaced=False, expected=False),
    Kind(
        f"{_TIERS}/v1alpha1",
        "baselineadminnetworkpolicies",
        "BaselineAdminNetworkPolicy",
        namespaced=False,
        expected=False,
    ),
    Kind(f"{_TIERS}/v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy", namespaced=False, expected=False),
)
CONFIG_KIND: Final = Kind("api/v1", "configmaps", "ConfigMap")
"""Never listed, see `CONFIGS`."""
CONFIGS: Final = ("kubeadm-config", "kube-proxy", "cilium-config")
"""ConfigMaps in kube-system that state the cluster's ranges; nobody else's is asked for."""


def config_path(name: str) -> str:
    """Where one of `CONFIGS` is."""
    return f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/configmaps/{name}"
