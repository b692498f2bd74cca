"""The hub: one replica with a volume, within the restricted pod security level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netpol.agent.deploy_settings import AGENT, HUB, HUB_TLS, HUB_USER, Settings, selecting
from netpol.agent.hub.asking import READER
from netpol.agent.hub.place import PORT
from netpol.dialects.block import Noted

if TYPE_CHECKING:
    from netpol.dialects.block import Document

DATA, CERTIFICATE = "/data", "/etc/netpol/tls"


def hub(settings: Settings) -> list[Document]:
    """Service, volume, Deployment and disruption budget."""
    return [_service(settings), _claim(settings), _deployment(settings), _budget(settings)]


def hub_arguments(settings: Settings) -> list[str]:
    """The hub's command line."""
    return [
        "hub",
        f"--data={DATA}",
        f"--listen=[::]:{PORT}",
        f"--tls-cert={CERTIFICATE}/tls.crt",
        f"--tls-key={CERTIFICATE}/tls.key",
        f"--writer={settings.namespace}/{AGENT}",
        f"--reader={settings.namespace}/{READER}",
        f"--keep={settings.retention}",
        f"--max-size={settings.dataset_bytes}",
    ]


def _service(settings: Settings) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": settings.metadata(HUB, HUB),
        "spec": {
            "type": "ClusterIP",
            "selector": selecting(HUB),
            "ports": [{"name": "https", "port": PORT, "targetPort": "https", "protocol": "TCP"}],
        },
    }


def _claim(settings: Settings) -> Document:
    chosen = {"storageClassName": settings.storage_class} if settings.storage_class else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": settings.metadata(HUB, HUB),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            **chosen,
            "resources": {"requests": {"storage": settings.storage}},
        },
    }


def _budget(settings: Settings) -> Document:
    """One replica that may not be disrupted would hold up every drain of its node, for ever; agents wait for it."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": settings.metadata(HUB, HUB),
        "spec": {
            "selector": {"matchLabels": selecting(HUB)},
            "maxUnavailable": Noted(1, "a drain may move the hub: agents keep what it misses"),
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _deployment(settings: Settings) -> Document:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": settings.metadata(HUB, HUB),
        "spec": {
            "replicas": Noted(1, "a dataset has one writer"),
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selecting(HUB)},
            "template": {
                "metadata": {"labels": settings.metadata(HUB, HUB)["labels"]},
                "spec": _pod(settings),
            },
        },
    }


def _pod(settings: Settings) -> Document:
    return {
        "serviceAccountName": HUB,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": HUB_USER,
            "runAsGroup": HUB_USER,
            "fsGroup": HUB_USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings)],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": HUB}},
            {"name": "certificate", "secret": {"secretName": HUB_TLS, "defaultMode": Noted(0o440, "0440")}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}},
        ],
    }


def _container(settings: Settings) -> Document:
    return {
        "name": "hub",
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "args": hub_arguments(settings),
        "ports": [{"name": "https", "containerPort": PORT, "protocol": "TCP"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": _probe("/healthz", period=5, failures=60),
        "livenessProbe": _probe("/healthz", period=20, failures=3),
        "readinessProbe": _probe("/readyz", period=10, failures=3),
        "resources": {
            "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "64Mi"},
            "limits": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "3Gi"},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "certificate", "mountPath": CERTIFICATE, "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod alone
        ],
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    """The kubelet asks over TLS and takes any certificate."""
    return {
        "httpGet": {"path": path, "port": "https", "scheme": "HTTPS"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
