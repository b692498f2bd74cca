"""Labels that Cilium leaves out of identities: no selector matches them there.

Cilium's agent compares keys with a list of patterns from their beginning, and the longest match decides
(pkg/labelsfilter; "Limiting Identity-Relevant Labels" of its documentation). Labels of namespaces are all kept, under a
prefix of Cilium's own, so that namespaceSelectors are not concerned.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netpol.model.labels import Operator
from netpol.model.policy import PodPeer
from netpol.policy.verdict import SOURCES
from netpol.review.findings import Check, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.inventory import Inventory
    from netpol.model.labels import LabelSelector
    from netpol.review.findings import FieldPath, Finding, Written
    from netpol.review.scene import Scene

CILIUM_LABEL: Final = Check(
    id="cilium-ignored-label",
    severity=Severity.INFO,
    title="A label that Cilium leaves out of identities",
    meaning="By default Cilium's identities do not hold this label of a pod, so that there the condition never matches "
    "(In, Exists) or always does (NotIn, DoesNotExist). A warning where the cluster runs Cilium.",
    remedy="Select by a label that names the workload, or add the key to Cilium's identity-relevant labels",
)

_KEPT: Final = tuple(
    re.compile(pattern)
    for pattern in (r"app\.kubernetes\.io", r"io\.kubernetes\.pod\.namespace", r"io\.cilium\.k8s\.policy\.")
)
_LEFT_OUT: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"io\.kubernetes",
        r"kubernetes\.io",
        r"statefulset\.kubernetes\.io/pod-name",
        r"apps\.kubernetes\.io/pod-index",
        r"batch\.kubernetes\.io/job-completion-index",
        r"batch\.kubernetes\.io/controller-uid",
        r".*beta\.kubernetes\.io",
        r"k8s\.io",
        r"topology\.kubernetes\.io",  # since 1.20
        r"pod-template-generation",
        r"pod-template-hash",
        r"controller-revision-hash",
        r"annotation.*",
        r"controller-uid",
        r"etcd_node",
    )
)


def cilium(scene: Scene) -> Iterator[Finding]:
    """CILIUM_LABEL for each key of a podSelector, of policies and of peers."""
    severity = Severity.WARNING if runs_cilium(scene.inventory) else Severity.INFO
    for written in scene.written:
        yield from _judge(written, ("spec", "podSelector"), written.policy.pod_selector, severity)
        for way, path, rule in written.rules():
            for index, peer in enumerate(rule.peers):
                if isinstance(peer, PodPeer) and peer.pod_selector is not None:
                    field = (*path, SOURCES[way], index, "podSelector")
                    yield from _judge(written, field, peer.pod_selector, severity)


def leaves_out(key: str) -> bool:
    """Whether Cilium's default list keeps a pod's label out of its identity."""
    return _longest(_LEFT_OUT, key) > _longest(_KEPT, key)


def runs_cilium(inventory: Inventory) -> bool:
    """Whether Cilium's agent is among the pods; its DaemonSet and Helm chart give it this label."""
    return any(
        pod.labels.get("k8s-app") == "cilium" and pod.workload.kind == "DaemonSet" and pod.ended is None
        for pod in inventory.pods
    )


def _longest(patterns: tuple[re.Pattern[str], ...], key: str) -> int:
    return max((match.end() for pattern in patterns if (match := pattern.match(key))), default=-1)


def _judge(written: Written, path: FieldPath, selector: LabelSelector, severity: Severity) -> Iterator[Finding]:
    for key in sorted(key for key in selector.keys if leaves_out(key)):
        conditions = [requirement for requirement in selector.requirements if requirement.key == key]
        met = all(item.operator in {Operator.NOT_IN, Operator.DOES_NOT_EXIST} for item in conditions)
        says = " and ".join(map(str, conditions))
        message = f"Cilium leaves {key} out of identities, so that {says} {'always' if met else 'never'} holds there"
        yield CILIUM_LABEL.found(written, path, message, severity=severity)
