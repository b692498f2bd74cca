"""Who netpol's pods are in the cluster, and the little that they may: from the list of what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netpol.agent.deploy_settings import AGENT, HUB, Settings
from netpol.agent.hub.asking import READER
from netpol.cluster.networks import SYSTEM_NAMESPACE
from netpol.cluster.rights import TOKEN_REVIEWS, config_rule, list_rules
from netpol.dialects.block import Noted

if TYPE_CHECKING:
    from netpol.dialects.block import Document

_RBAC: Final = "rbac.authorization.k8s.io"
_VERSION: Final = f"{_RBAC}/v1"


def rights(settings: Settings) -> list[Document]:
    """Service accounts, and what the hub may. Agents and readers may nothing: they are only known by their tokens."""
    everywhere = f"{HUB}{settings.everywhere}"
    elsewhere: dict[str, Any] = {
        "name": everywhere,
        "namespace": SYSTEM_NAMESPACE,
        "labels": settings.metadata(HUB, HUB)["labels"],
    }
    return [
        _account(settings, AGENT),
        _account(settings, HUB),
        _account(settings, READER),
        {
            "apiVersion": _VERSION,
            "kind": "ClusterRole",
            "metadata": settings.metadata(everywhere, HUB, namespaced=False),
            "rules": [*list_rules(), Noted(TOKEN_REVIEWS, "whose tokens agents send")],
        },
        {
            "apiVersion": _VERSION,
            "kind": "ClusterRoleBinding",
            "metadata": settings.metadata(everywhere, HUB, namespaced=False),
            **_binds(settings, "ClusterRole", everywhere),
        },
        {
            "apiVersion": _VERSION,
            "kind": "Role",
            "metadata": elsewhere,
            "rules": [Noted(config_rule(), "which state the ranges of pods and Services")],
        },
        {
            "apiVersion": _VERSION,
            "kind": "RoleBinding",
            "metadata": elsewhere,
            **_binds(settings, "Role", everywhere),
        },
    ]


def _account(settings: Settings, name: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": settings.metadata(name, name),
        "automountServiceAccountToken": False,
    }


def _binds(settings: Settings, kind: str, name: str) -> Document:
    return {
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": HUB, "namespace": settings.namespace}],
    }
