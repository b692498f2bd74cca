"""The pods that a policy is for: none, or such as no policy can protect."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from netpol.review.findings import Check, Severity
from netpol.review.implication import is_satisfiable
from netpol.review.scene import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.review.findings import Finding, Written
    from netpol.review.scene import Scene

SELECTS_NO_POD: Final = Check(
    id="selects-no-pod",
    severity=Severity.WARNING,
    title="A policy that selects no pod",
    meaning="Its podSelector matches no pod, running or finished, and no workload's template; or the namespace does "
    "not exist. An empty podSelector in a namespace that exists is no finding: it waits for pods.",
    remedy="Compare the podSelector and the namespace with the labels of the pods that it is meant for",
)
HOST_NETWORK: Final = Check(
    id="host-network-selected",
    severity=Severity.WARNING,
    title="A policy that selects hostNetwork pods",
    meaning="The podSelector matches hostNetwork pods by their labels. Their traffic is the node's, so that plugins "
    "leave them out: they stay open both ways.",
    remedy="Do not count on the policy for them: take them off the host network, or use a firewall of the node",
)
UNPROTECTED: Final = Check(
    id="host-network-unprotected",
    severity=Severity.INFO,
    title="A hostNetwork workload in a namespace with policies",
    meaning="The namespace is policed, but no policy can ever protect this workload: its traffic is the node's.",
    remedy="Take it off the host network, or know that it stays open both ways",
)


def subjects(scene: Scene) -> Iterator[Finding]:
    """SELECTS_NO_POD and HOST_NETWORK for each policy, UNPROTECTED for each namespace with policies."""
    unselected: defaultdict[str, list[Written]] = defaultdict(list)
    selected: defaultdict[str, int] = defaultdict(int)
    for written in scene.written:
        policy = written.policy
        matched = scene.candidates(policy)
        on_host = matched & scene.host
        unselected[policy.namespace].append(written)
        selected[policy.namespace] |= on_host
        if on_host:
            message = f"matches hostNetwork pods of {scene.names(on_host)}, which no policy can protect"
            yield HOST_NETWORK.found(written, ("spec", "podSelector"), message)
        elif not matched and is_satisfiable(policy.pod_selector):
            yield from _without_pods(scene, written)
    for namespace, policies in unselected.items():
        rest = scene.in_namespace(namespace) & scene.host & ~selected[namespace]
        for name in sorted({str(group.workload) for group in scene.of(rest)}):
            message = f"{name} is on the host network: none of the policies of its namespace can protect it"
            yield UNPROTECTED.found(policies[0], ("metadata", "namespace"), message)


def _without_pods(scene: Scene, written: Written) -> Iterator[Finding]:
    policy = written.policy
    if not scene.knows_namespace(policy.namespace):
        message = f"the cluster has no namespace {policy.namespace}"
        yield SELECTS_NO_POD.found(written, ("metadata", "namespace"), message)
    elif not policy.pod_selector.is_empty:
        message = f"no pod of namespace {policy.namespace} has the labels {policy.pod_selector}"
        elsewhere = sorted({group.workload.namespace for group in scene.of(scene.labelled(policy.pod_selector))})
        hint = f", but pods of {listed(elsewhere)} have" if elsewhere else ""
        yield SELECTS_NO_POD.found(written, ("spec", "podSelector"), message + hint)
