"""What `netpol deploy` prints, for processes in the lab: their arguments, their rights, and who they are in a cluster.

Nothing of it is written twice: a manifest that the programs do not get along with fails here, too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplab.description import NODES

from tests.agent.manifests import deployed, one, pod_of
from tests.cluster.control_plane import MERGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shoplab.description import Node

    from tests.cluster.control_plane import Cluster

Manifest = dict[str, Any]

AGENT, HUB = "DaemonSet", "Deployment"
"""The kinds of the two: there is one of each."""
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Role": f"{_RBAC}/namespaces/{{}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{}}/rolebindings",
}
_AUDIENCE = "netpol-hub"
_API_AUDIENCE = "https://netpol.test"
"""What the control plane of the tests calls itself."""


class Deployed:
    """The pods of one kind as the manifests have them.

    Args:
        kind: AGENT or HUB.
        mounts: For the path of each volume that the arguments speak of, a folder of the lab.
    """

    def __init__(self, kind: str, mounts: Mapping[str, Path]) -> None:
        self._pod = pod_of(one(deployed(), kind))["spec"]
        (self._container,) = self._pod["containers"]
        self._mounts = mounts

    @property
    def arguments(self) -> list[str]:
        """The command line, with the lab's folders in the place of the volumes."""
        words: list[str] = self._container["args"]
        for path, folder in self._mounts.items():
            words = [word.replace(f"={path}", f"={folder}") for word in words]
        return words

    @property
    def user(self) -> str:
        """Whose process it is; root's where no other user can run this Python: it lies in a folder of root's own."""
        wanted = str(self._pod["securityContext"]["runAsUser"])
        user = ["setpriv", f"--reuid={wanted}", f"--regid={wanted}", "--clear-groups"]
        can_read = subprocess.run([*user, "test", "-x", Path(sys.executable).resolve()], check=False)
        return "0" if can_read.returncode else wanted

    def command(self, program: Sequence[str], *, writable: Sequence[Path]) -> list[str]:
        """A program with the rights of the container: its user, its capabilities, and no file system to write to.

        Args:
            program: What to run.
            writable: The volumes that it may write to.
        """
        context = self._container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"]["drop"] == ["ALL"]
        kept = ",".join(["-all", *(f"+{name.lower()}" for name in context["capabilities"].get("add", ()))])
        user = self.user
        who = [] if user == "0" else [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        bare = ["setpriv", *who, f"--bounding-set={kept}", f"--inh-caps={kept}", "--no-new-privs"]
        # `ip netns exec` gave it mounts of its own: a bind mount stays writable when what is around it no longer is.
        mounts = "".join(f"mount --bind {folder} {folder} && " for folder in writable)
        return ["sh", "-c", f"{mounts}mount -o remount,bind,ro / && exec {' '.join([*bare, *program])}"]


class Accounts:
    """The service accounts of the manifests in a real API server, with the rights of the manifests.

    Args:
        server: With the nodes in it.

    Attributes:
        tokens: Of the agent on each node by the node's name, bound to its pod; and of the `reader`.
    """

    def __init__(self, server: Cluster) -> None:
        self._server = server
        manifests = deployed()
        for kind, path in _PATHS.items():
            for item in (item for item in manifests if item["kind"] == kind):
                server.call(path.format(item["metadata"].get("namespace", "")), item)
        agent = one(manifests, AGENT)
        self._namespace = agent["metadata"]["namespace"]
        spec = pod_of(agent)["spec"]
        self.tokens = {
            node.name: server.token(
                self._namespace, spec["serviceAccountName"], [_AUDIENCE], pod=self._agent(node, spec)
            )
            for node in NODES
        }
        self.tokens["reader"] = server.token(self._namespace, "netpol-reader", [_AUDIENCE])
        self._hub = pod_of(one(manifests, HUB))["spec"]["serviceAccountName"]

    def kubeconfig(self, folder: Path) -> Path:
        """The hub's, in a folder that its user can read: outside of a pod it takes the place of the pod's own token."""
        token = self._server.token(self._namespace, self._hub, [_API_AUDIENCE])
        config = json.loads(self._server.kubeconfig(token).read_text())
        authority = folder / "cluster-ca.crt"
        shutil.copyfile(self._server.authority, authority)
        config["clusters"][0]["cluster"]["certificate-authority"] = str(authority)
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def _agent(self, node: Node, spec: Manifest) -> Any:
        """An agent's pod as the kubelet of its node would have it: what its token is bound to."""
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        name = f"netpol-agent-{node.name}"
        # No controller of priorities runs here, which would have put a number in the place of the name.
        spec = {key: value for key, value in spec.items() if key != "priorityClassName"} | {"nodeName": node.name}
        pod = self._server.call(path, {"metadata": {"name": name}, "spec": spec})
        status = {"phase": "Running", "hostIP": node.address, "podIP": node.address, "podIPs": [{"ip": node.address}]}
        self._server.call(f"{path}/{name}/status", {"status": status}, method="PATCH", kind=MERGE)
        return pod
