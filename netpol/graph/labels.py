"""Which labels of a pod last: the keys that a selector may use, and how much a reader would like to see each."""

from __future__ import annotations

UNSTABLE_KEYS = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
        "helm.sh/chart",
        "chart",
        "app.kubernetes.io/version",
        "heritage",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
    }
)
"""Set anew for each replica, rollout, job run or release, or by where a pod happens to run (KEP-4742)."""

_TIERS = {
    "app.kubernetes.io/name": 0,
    "app.kubernetes.io/instance": 0,
    "app.kubernetes.io/component": 0,
    "app": 1,
    "k8s-app": 2,
}
OTHER_TIER, EXISTS_TIER, ABSENT_TIER = 3, 4, 5


def tier(key: str) -> int:
    """How well a label key names a workload, 0 best: the recommended labels first, then custom, then the rest."""
    return _TIERS.get(key, OTHER_TIER)
