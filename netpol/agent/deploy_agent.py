"""The agent on every node, with everything taken away from it that it can do without.

It runs as root, with every capability but NET_RAW dropped, because root is what both of its needs come down to:

- Capabilities that a container adds reach its process only if that is root: the kernel clears them at execve for any
  other user, and Kubernetes has no ambient capabilities (KEP-2763 is open). A file capability on the interpreter would
  survive that on most runtimes, but then the same image could not start without NET_RAW: the kernel refuses to execute
  a file whose capability is outside of the bounding set (capabilities(7)), which is where the hub keeps its own.
- The kubelet makes a hostPath as root's own, 0755, and sets no group on it: nobody else could write the spool without a
  second, more powerful container that changes its owner.

Without DAC_OVERRIDE and its like, root reads and writes what belongs to root, and the root file system is read-only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netpol.agent.alive import ALIVE
from netpol.agent.deploy_settings import AGENT, HUB, Settings, selecting
from netpol.agent.deploy_tls import trust_volume
from netpol.agent.hub.callers import AUDIENCE
from netpol.agent.hub.place import PORT
from netpol.dialects.block import Noted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.dialects.block import Document

EXCEPTIONS: Final[Mapping[str, str]] = {
    "host namespaces": "the packets of all pods pass through the interfaces of the node's own network namespace",
    "hostPath volumes": "what the hub has not confirmed yet outlives the pod, and a restart of the node",
    "unrestricted capabilities": "NET_RAW opens packet sockets; nothing else is added",
    "runAsNonRoot != true": "Kubernetes gives an added capability to root alone, and makes a hostPath as root's own",
    "runAsUser=0": "the same",
}
"""What the pod needs beyond the restricted pod security level, in the words of Kubernetes' admission, and why.

The first three also go beyond the baseline level.
"""
SPOOL, TOKEN, TRUST = "/spool", "/var/run/secrets/netpol", "/etc/netpol"
_TOKEN_SECONDS: Final = 3600


def agent(settings: Settings) -> list[Document]:
    """The DaemonSet, and the priority of its pods."""
    return [_priority(settings), _daemon_set(settings)]


def agent_arguments(settings: Settings) -> list[str]:
    """The agent's command line."""
    return [
        "agent",
        f"--hub=https://{HUB}.{settings.namespace}.svc:{PORT}",
        f"--token-file={TOKEN}/token",
        f"--ca-file={TRUST}/ca.crt",
        f"--spool={SPOOL}",
        f"--spool-size={settings.spool}",
        *([f"--duration={settings.duration}"] if settings.duration else []),
        *(f"--interfaces={name}" for name in settings.interfaces),
    ]


def _priority(settings: Settings) -> Document:
    """Above what has none, so that agents are not the first to go; but an observer pushes nobody out."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": settings.metadata(f"{AGENT}{settings.everywhere}", AGENT, namespaced=False),
        "description": "netpol's agents: one on each node, and no pod has to leave for it.",
        "value": 1_000_000,
        "preemptionPolicy": "Never",
    }


def _daemon_set(settings: Settings) -> Document:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": settings.metadata(AGENT, AGENT),
        "spec": {
            "selector": {"matchLabels": selecting(AGENT)},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {"labels": settings.metadata(AGENT, AGENT)["labels"]},
                "spec": _pod(settings),
            },
        },
    }


def _pod(settings: Settings) -> Document:
    return {
        "hostNetwork": Noted(True, EXCEPTIONS["host namespaces"]),
        "dnsPolicy": "ClusterFirstWithHostNet",
        "serviceAccountName": AGENT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": f"{AGENT}{settings.everywhere}",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [Noted({"operator": "Exists"}, "pods talk on every node, whatever else it is kept free of")],
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsUser": Noted(0, EXCEPTIONS["runAsNonRoot != true"]),
            "runAsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings)],
        "volumes": _volumes(settings),
    }


def _container(settings: Settings) -> Document:
    return {
        "name": "agent",
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "args": agent_arguments(settings),
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": [Noted("NET_RAW", EXCEPTIONS["unrestricted capabilities"])]},
        },
        "livenessProbe": _probe(failures=4),
        "readinessProbe": _probe(failures=1),
        "resources": {
            "requests": {"cpu": "100m", "memory": "160Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
        "volumeMounts": [
            {"name": "spool", "mountPath": SPOOL},
            {"name": "token", "mountPath": TOKEN, "readOnly": True},
            {"name": "trust", "mountPath": TRUST, "readOnly": True},
        ],
    }


def _probe(*, failures: int) -> Document:
    """The agent touches a file every second. It listens nowhere: in the host network that would be the node's port."""
    return {
        "exec": {"command": ["sh", "-c", f'test -n "$(find {SPOOL}/{ALIVE} -mmin -1)"']},
        "initialDelaySeconds": 10,
        "periodSeconds": 30,
        "timeoutSeconds": 10,
        "failureThreshold": failures,
    }


def _volumes(settings: Settings) -> list[Any]:
    # When the agent first started is kept there, too: in another folder, the time that it may record begins anew.
    path = "/".join(filter(None, ("/var/lib/netpol", settings.namespace, settings.run)))
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    return [
        Noted(
            {"name": "spool", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}, EXCEPTIONS["hostPath volumes"]
        ),
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "trust", **trust_volume(settings)},
    ]
