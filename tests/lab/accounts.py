"""The accounts that netpol's manifests give to agents and the hub, and one for a reader, in a real API server."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from shoplab.description import NODES

from netpol.cluster.rights import hub_rules
from tests.cluster.control_plane import MERGE

if TYPE_CHECKING:
    from pathlib import Path

    from shoplab.description import Node

    from tests.cluster.control_plane import Cluster

_NAMESPACE = "netpol"
_AGENT, _HUB, _READER = "netpol-agent", "netpol-hub", "reader"
_AUDIENCE = "netpol-hub"
_API_AUDIENCE = "https://netpol.test"
"""What the control plane of the tests calls itself."""


class Accounts:
    """Service accounts with the hub's rights and no others, and the agents' pods, to which their tokens are bound.

    Args:
        server: With the nodes in it.
    """

    def __init__(self, server: Cluster) -> None:
        self._server = server
        server.call("/api/v1/namespaces", {"metadata": {"name": _NAMESPACE}})
        for name in (_AGENT, _HUB, _READER):
            server.call(f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts", {"metadata": {"name": name}})
        server.allow(f"system:serviceaccount:{_NAMESPACE}:{_HUB}", hub_rules())
        pods = {node: self._pod(node) for node in NODES}
        self.tokens = {
            node.name: server.token(_NAMESPACE, _AGENT, [_AUDIENCE], pod=pod) for node, pod in pods.items()
        } | {"reader": server.token(_NAMESPACE, _READER, [_AUDIENCE])}

    def hub_options(self, folder: Path) -> list[str]:
        """What the hub is told, its kubeconfig in a folder that its user can read."""
        token = self._server.token(_NAMESPACE, _HUB, [_API_AUDIENCE])
        config = json.loads(self._server.kubeconfig(token).read_text())
        authority = folder / "cluster-ca.crt"
        shutil.copyfile(self._server.authority, authority)
        config["clusters"][0]["cluster"]["certificate-authority"] = str(authority)
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config))
        rights = [f"--writer={_NAMESPACE}/{_AGENT}", f"--reader={_NAMESPACE}/{_READER}"]
        return [*rights, "--watch", f"--kubeconfig={path}"]

    def _pod(self, node: Node) -> Any:
        """An agent's pod as the kubelet of its node would have it."""
        path = f"/api/v1/namespaces/{_NAMESPACE}/pods"
        spec = {"hostNetwork": True, "nodeName": node.name, "serviceAccountName": _AGENT}
        name = f"{_AGENT}-{node.name}"
        containers = [{"name": "agent", "image": "registry.example/netpol:lab"}]
        pod = self._server.call(path, {"metadata": {"name": name}, "spec": {**spec, "containers": containers}})
        status = {"phase": "Running", "hostIP": node.address, "podIP": node.address, "podIPs": [{"ip": node.address}]}
        self._server.call(f"{path}/{name}/status", {"status": status}, method="PATCH", kind=MERGE)
        return pod
