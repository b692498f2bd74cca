"""What is no place outside: names and addresses of the cluster, and of the platform below it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from netpol.model.endpoint import ExternalEnd, NodeEnd
from netpol.model.platform import Kind, Platform, platform_at, platform_named, platform_of_node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.graph.observation import Observation
    from netpol.model.host_name import HostName
    from netpol.model.inventory import Inventory
    from netpol.names.found import Candidate, Found

CLUSTER_DOMAIN: Final = "cluster.local"
"""KubeletConfiguration v1beta1, clusterDomain, as every installer sets it unless told otherwise."""

_NAMESPACE, _SERVICE = "default", "kubernetes"
"""The Service whose endpoints the API server itself keeps (kubernetes.io, "Accessing the API from a Pod")."""


class Places:
    """Knows the cluster's own."""

    def __init__(self, inventory: Inventory) -> None:
        self._namespaces = inventory.namespaces.keys()
        self._api_server = frozenset(
            (endpoint.address, protocol, port)
            for service in inventory.services
            if (service.namespace, service.name) == (_NAMESPACE, _SERVICE)
            for endpoint in service.endpoints
            for protocol, _, port in endpoint.ports
        )

    def platform(self, observation: Observation) -> Platform | None:
        """The part of the platform that was spoken to, None for a pod or a place outside."""
        end, protocol, port = observation.destination, observation.protocol, observation.port
        if not isinstance(end, NodeEnd | ExternalEnd):
            return None
        through = f"{_NAMESPACE}/{_SERVICE}" in observation.evidence.services
        if through or (end.address, protocol, port) in self._api_server:
            return Platform(Kind.API_SERVER)
        if isinstance(end, NodeEnd):
            return platform_of_node(end.name, protocol, port)
        return platform_at(end.address, protocol, port)

    def outside(self, found: Found) -> Found:
        """What was found without the names that the cluster's own DNS makes: they mean nothing outside of it."""
        candidates = tuple(item for item in found.candidates if not self.is_own_name(item.name))
        sharing = tuple(name for name in found.sharing if not self.is_own_name(name))
        if (len(candidates), len(sharing)) == (len(found.candidates), len(found.sharing)):
            return found
        return replace(found, candidates=candidates, sharing=sharing)

    def is_own_name(self, name: HostName) -> bool:
        """Whether the name is one that the cluster's own DNS makes (kubernetes/dns, "DNS-Based Service Discovery").

        Below the usual domain of a cluster, or below `NAMESPACE.svc` and `NAMESPACE.pod` of a namespace that there is,
        whatever the cluster's domain.
        """
        if name.endswith(f".{CLUSTER_DOMAIN}"):
            return True
        labels = name.split(".")
        return any(kind in {"svc", "pod"} and namespace in self._namespaces for namespace, kind in pairwise(labels[1:]))


def platform_of_names(candidates: Iterable[Candidate]) -> Platform | None:
    """The part of a platform that the connections asked for by name, wherever that name led."""
    found = (platform_named(item.name) for item in candidates if item.handshakes)
    return next((platform for platform in found if platform is not None), None)
