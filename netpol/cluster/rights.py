"""The rights that netpol asks a cluster for, made from the same list as its questions: they cannot drift apart."""

from __future__ import annotations

from typing import Any, Final

from netpol.cluster.kinds import CONFIG_KIND, CONFIGS, KINDS, POLICY_KINDS

READ: Final = ("list",)
"""The verb that `netpol snapshot`, and every command that asks the cluster once, takes."""
WATCH: Final = ("list", "watch")
"""The verbs that the hub's watcher takes."""
TOKEN_REVIEWS: Final[dict[str, Any]] = {
    "apiGroups": ["authentication.k8s.io"],
    "resources": ["tokenreviews"],
    "verbs": ["create"],
}
"""What the hub takes to know its agents, see `netpol.cluster.token_review`."""


def list_rules(verbs: tuple[str, ...] = WATCH) -> list[dict[str, Any]]:
    """One rule an API group, in the order in which they are asked for.

    Args:
        verbs: What may be done with each list: `READ` or `WATCH`.
    """
    groups: dict[str, list[str]] = {}
    for kind in (*KINDS, *POLICY_KINDS):
        groups.setdefault(kind.group, []).append(kind.resource)
    return [{"apiGroups": [group], "resources": found, "verbs": list(verbs)} for group, found in groups.items()]


def config_rule() -> dict[str, Any]:
    """The rule for the few ConfigMaps, all of which are in kube-system: a Role there is enough."""
    return {
        "apiGroups": [CONFIG_KIND.group],
        "resources": [CONFIG_KIND.resource],
        "resourceNames": list(CONFIGS),
        "verbs": ["get"],
    }


def cluster_rules(verbs: tuple[str, ...] = WATCH) -> list[dict[str, Any]]:
    """The rules of a ClusterRole that may read everything that netpol reads, and nothing else.

    Args:
        verbs: What it may do with each list: `READ` or `WATCH`.
    """
    return [*list_rules(verbs), config_rule()]


def hub_rules() -> list[dict[str, Any]]:
    """The rules of the hub's ClusterRole: it watches the cluster, and asks who its agents are."""
    return [*cluster_rules(WATCH), TOKEN_REVIEWS]
