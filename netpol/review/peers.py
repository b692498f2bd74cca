"""Peers that match nothing in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.policy import PodPeer
from netpol.policy.verdict import SOURCES
from netpol.review.findings import Check, Severity
from netpol.review.impossible import can_match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy
    from netpol.review.findings import Finding
    from netpol.review.scene import Scene

MATCHES_NOTHING: Final = Check(
    id="peer-matches-nothing",
    severity=Severity.WARNING,
    title="A peer that matches nothing",
    meaning="Its selectors match no namespace, or no pod there, running or finished, and no workload's template; or "
    "hostNetwork pods only, which selectors never mean. A peer whose selectors are empty or name an existing namespace "
    "only is no finding: it waits for pods.",
    remedy="Compare the peer with the labels of the pods and namespaces that it is meant for",
)


def peers(scene: Scene) -> Iterator[Finding]:
    """MATCHES_NOTHING for each peer with selectors."""
    for written in scene.written:
        for way, path, rule in written.rules():
            for index, peer in enumerate(rule.peers):
                if isinstance(peer, PodPeer) and can_match(peer):
                    message = _reason(scene, written.policy, peer)
                    if message:
                        yield MATCHES_NOTHING.found(written, (*path, SOURCES[way], index), message)


def _reason(scene: Scene, policy: NetworkPolicy, peer: PodPeer) -> str:
    """Why it matches nothing, empty where it matches something or may later."""
    namespaces = peer.namespace_selector
    if namespaces is not None and not scene.namespaces(namespaces):
        return _no_namespace(namespaces)
    matched = scene.peer_candidates(policy, peer)
    if matched & ~scene.host:
        return ""
    if matched:
        return f"it matches hostNetwork pods of {scene.names(matched)} only; an ipBlock of their nodes would match them"
    if peer.pod_selector is None or peer.pod_selector.is_empty:
        return ""
    place = f"of namespace {policy.namespace}" if namespaces is None else "of the selected namespaces"
    elsewhere = scene.names(scene.labelled(peer.pod_selector) & ~scene.host)
    return f"no pod {place} has the labels {peer.pod_selector}" + (f"; elsewhere {elsewhere} has" if elsewhere else "")


def _no_namespace(selector: LabelSelector) -> str:
    names = selector.match_labels.get(NAMESPACE_NAME_LABEL)
    if names is not None and len(selector.requirements) == 1:
        return f"the cluster has no namespace {names}"
    return f"no namespace has the labels {selector}"
