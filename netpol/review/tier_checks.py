"""What can be seen in one cluster-wide policy alone: what it selects, whom it names, and what nobody can decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.policy import PodPeer
from netpol.model.tier_peers import DomainNamesPeer, NodesPeer
from netpol.model.tiers import Action, NamedPort, Tier
from netpol.policy.matching import node_addresses
from netpol.policy.verdict import SOURCES
from netpol.review.findings import Check, Severity
from netpol.review.implication import is_satisfiable
from netpol.review.impossible import NEVER_MATCHES
from netpol.review.peers import MATCHES_NOTHING
from netpol.review.port_checks import NAMED_PORT
from netpol.review.scene import listed
from netpol.review.subjects import HOST_NETWORK, SELECTS_NO_POD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.labels import LabelSelector
    from netpol.model.tier_peers import TierPeer
    from netpol.model.tiers import TierRule
    from netpol.policy.verdict import Way
    from netpol.review.findings import FieldPath, Finding, WrittenTier
    from netpol.review.scene import Scene

NO_RULES: Final = Check(
    id="no-rules",
    severity=Severity.WARNING,
    title="A cluster-wide policy without rules",
    meaning="Cluster-wide policies isolate nothing: without rules such a policy has no effect.",
    remedy="Give it rules, or remove it",
)
DOMAINS_UNDECIDED: Final = Check(
    id="domain-names-undecided",
    severity=Severity.INFO,
    title="Addresses that only DNS knows",
    meaning="Which addresses a domain name has, no manifest says. What such a rule allows is in no list and no "
    "difference, and explain calls a connection undefined where it depends on the rule.",
    remedy="Know it when you read lists and differences; networks in place of names can be decided",
)
DOMAINS_UNSUPPORTED: Final = Check(
    id="domain-names-unsupported",
    severity=Severity.WARNING,
    title="Domain names where they are not supported",
    meaning="domainNames is only supported for rules of the Admin tier that allow: no plugin knows all addresses of a "
    "name, so that a denying rule would let some through (network-policy-api, NPEP-133).",
    remedy="Allow the names in the Admin tier and deny everything else after them, or use networks",
)
OWN_NODE: Final = Check(
    id="own-node-denied",
    severity=Severity.INFO,
    title="A rule that denies pods their own node",
    meaning="Traffic between a pod and the node that it runs on is always allowed, the documentation of NetworkPolicy "
    "says; that of cluster-wide policies says nothing. It is taken to be allowed here; plugins may differ.",
    remedy="Try it out with your network plugin before you count on it",
)


def tier_checks(scene: Scene) -> Iterator[Finding]:
    """All of them, for each cluster-wide policy."""
    for written in scene.tiers:
        if not (written.policy.ingress or written.policy.egress):
            yield NO_RULES.found(written, ("spec",), "the policy has no rules, and so no effect")
        yield from _subject(scene, written)
        for way, path, rule in written.rules():
            for index, peer in enumerate(rule.peers):
                yield from _peer(scene, written, (*path, SOURCES[way], index), peer)
            yield from _names(written, way, path, rule)
            yield from _ports(scene, written, way, path, rule)
            yield from _own_nodes(scene, written, way, path, rule)


def _subject(scene: Scene, written: WrittenTier) -> Iterator[Finding]:
    subject, path = written.policy.subject, ("spec", "subject")
    if not _can_match(subject):
        yield from _contradictions(written, path, subject)
        return
    matched = scene.chosen(subject)
    if matched & ~scene.host:
        return
    if matched:
        message = f"it matches hostNetwork pods of {scene.names(matched)} only, which no policy can protect"
        yield HOST_NETWORK.found(written, path, message)
    elif reason := _why_nothing(scene, subject):
        yield SELECTS_NO_POD.found(written, path, reason)


def _peer(scene: Scene, written: WrittenTier, path: FieldPath, peer: TierPeer) -> Iterator[Finding]:
    if isinstance(peer, NodesPeer):
        if not is_satisfiable(peer.selector):
            yield from _contradiction(written, (*path, "nodes"), peer.selector)
        elif not any(peer.selector.matches(node.labels) for node in scene.inventory.nodes):
            message = f"no node has the labels {peer.selector}" if peer.selector.requirements else "no node is known"
            yield MATCHES_NOTHING.found(written, (*path, "nodes"), message)
    elif isinstance(peer, PodPeer):
        if not _can_match(peer):
            yield from _contradictions(written, path, peer)
            return
        matched = scene.chosen(peer)
        if matched and not matched & ~scene.host:
            message = f"it matches hostNetwork pods of {scene.names(matched)} only; a nodes peer would match them"
            yield MATCHES_NOTHING.found(written, path, message)
        elif not matched and (reason := _why_nothing(scene, peer)):
            yield MATCHES_NOTHING.found(written, path, reason)


def _can_match(peer: PodPeer) -> bool:
    return all(is_satisfiable(found) for found in (peer.pod_selector, peer.namespace_selector) if found is not None)


def _contradictions(written: WrittenTier, path: FieldPath, peer: PodPeer) -> Iterator[Finding]:
    whole = peer.pod_selector is None
    fields = {
        ("namespaces",) if whole else ("pods", "namespaceSelector"): peer.namespace_selector,
        ("pods", "podSelector"): peer.pod_selector,
    }
    for name, selector in fields.items():
        if selector is not None and not is_satisfiable(selector):
            yield from _contradiction(written, (*path, *name), selector)


def _contradiction(written: WrittenTier, path: FieldPath, selector: LabelSelector) -> Iterator[Finding]:
    yield NEVER_MATCHES.found(written, path, f"no labels can meet all of its conditions: {selector}")


def _why_nothing(scene: Scene, peer: PodPeer) -> str:
    """Why selectors match no pod, empty where they only wait for pods of namespaces that are there."""
    namespaces, pods = peer.namespace_selector, peer.pod_selector
    if namespaces is not None and not scene.namespaces(namespaces):
        return "the cluster has no namespace" if namespaces.is_empty else f"no namespace has the labels {namespaces}"
    if pods is None or pods.is_empty:
        return ""
    elsewhere = scene.names(scene.labelled(pods) & ~scene.host)
    return f"no pod of the selected namespaces has the labels {pods}" + (
        f"; elsewhere {elsewhere} has" if elsewhere else ""
    )


def _names(written: WrittenTier, way: Way, path: FieldPath, rule: TierRule) -> Iterator[Finding]:
    for index, peer in enumerate(rule.peers):
        if not isinstance(peer, DomainNamesPeer):
            continue
        place = (*path, SOURCES[way], index, "domainNames")
        names = listed(peer.names)
        if rule.action is not Action.ALLOW or written.policy.tier is not Tier.ADMIN:
            word = written.policy.kind.word(rule.action)
            message = f"a rule of the {written.policy.tier.value} tier with action {word} names {names}"
            yield DOMAINS_UNSUPPORTED.found(written, place, message)
        yield DOMAINS_UNDECIDED.found(written, place, f"which addresses {names} stands for is not known here")


def _ports(scene: Scene, written: WrittenTier, way: Way, path: FieldPath, rule: TierRule) -> Iterator[Finding]:
    wanted = [(index, port.name) for index, port in enumerate(rule.ports) if isinstance(port, NamedPort)]
    if not wanted:
        return
    pods = scene.chosen(written.policy.subject)
    if way == "egress":
        pods = 0
        for peer in rule.peers:
            pods |= scene.chosen(peer) if isinstance(peer, PodPeer) else 0
    declared = {item.name for group in scene.of(pods & ~scene.host) for item in group.ports}
    whose = "the policy's pods" if way == "ingress" else "the pods that the rule matches"
    for index, name in wanted:
        if pods & ~scene.host and name not in declared:
            place = (*path, written.policy.kind.ports, index)
            yield NAMED_PORT.found(written, place, f"none of {whose} declares a port named {name}")


def _own_nodes(scene: Scene, written: WrittenTier, way: Way, path: FieldPath, rule: TierRule) -> Iterator[Finding]:
    if way == "ingress" or rule.action is not Action.DENY:
        return
    selected = {group.workload for group in scene.of(scene.chosen(written.policy.subject) & ~scene.host)}
    running = {pod.node for pod in scene.inventory.pods if pod.workload in selected and not pod.finished}
    for index, peer in enumerate(rule.peers):
        if isinstance(peer, NodesPeer) and node_addresses(scene.inventory, peer.selector):
            nodes = sorted(
                node.name
                for node in scene.inventory.nodes
                if node.name in running and peer.selector.matches(node.labels)
            )
            if nodes:
                message = f"pods of the subject run on {listed(nodes)}, which the rule denies them"
                yield OWN_NODE.found(written, (*path, SOURCES[way], index, "nodes"), message)
