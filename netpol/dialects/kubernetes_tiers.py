"""Cluster-wide policies as documents of their kind, in one canonical form: what a comparison of YAML needs.

None is ever written for a cluster. What the reader reads of a document is the policy that it was made from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from netpol.model.flow import protocol_name
from netpol.model.policy import PodPeer
from netpol.model.tier_peers import NetworksPeer, NodesPeer
from netpol.model.tiers import BASELINE_ADMIN_NETWORK_POLICY, CLUSTER_NETWORK_POLICY, NamedPort

if TYPE_CHECKING:
    from netpol.model.labels import LabelSelector
    from netpol.model.tier_peers import TierPeer
    from netpol.model.tiers import TierKind, TierPolicy, TierPort, TierRule

Manifest = dict[str, Any]


def tier_yaml(policy: TierPolicy) -> str:
    """The document as YAML, in ASCII."""
    text: str = yaml.safe_dump(tier_document(policy), sort_keys=False)
    return text


def tier_document(policy: TierPolicy) -> Manifest:
    """The document as it is parsed."""
    kind = policy.kind
    metadata: Manifest = {"name": policy.name}
    for field, pairs in (("labels", policy.labels), ("annotations", policy.annotations)):
        if pairs:
            metadata[field] = dict(sorted(pairs.items()))
    spec: Manifest = {"tier": policy.tier.value} if kind.tier is None else {}
    if kind is not BASELINE_ADMIN_NETWORK_POLICY:
        spec["priority"] = policy.priority
    spec["subject"] = _pods(policy.subject)
    for field, peers, rules in (("ingress", "from", policy.ingress), ("egress", "to", policy.egress)):
        if rules:
            spec[field] = [_rule(rule, peers, kind) for rule in rules]
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec}


def _rule(rule: TierRule, peers: str, kind: TierKind) -> Manifest:
    document: Manifest = {"name": rule.name} if rule.name else {}
    document |= {"action": kind.word(rule.action), peers: [_peer(peer) for peer in rule.peers]}
    if rule.ports:
        write = _protocol if kind is CLUSTER_NETWORK_POLICY else _port
        document[kind.ports] = [write(port) for port in rule.ports]
    return document


def _peer(peer: TierPeer) -> Manifest:
    if isinstance(peer, PodPeer):
        return _pods(peer)
    if isinstance(peer, NodesPeer):
        return {"nodes": _selector(peer.selector)}
    if isinstance(peer, NetworksPeer):
        return {"networks": list(map(str, peer.networks))}
    return {"domainNames": list(peer.names)}


def _pods(peer: PodPeer) -> Manifest:
    namespaces = {} if peer.namespace_selector is None else _selector(peer.namespace_selector)
    if peer.pod_selector is None:
        return {"namespaces": namespaces}
    return {"pods": {"namespaceSelector": namespaces, "podSelector": _selector(peer.pod_selector)}}


def _selector(selector: LabelSelector) -> Manifest:
    document: Manifest = {"matchLabels": dict(selector.match_labels)} if selector.match_labels else {}
    if selector.match_expressions:
        document["matchExpressions"] = [
            {"key": item.key, "operator": item.operator.value, **({"values": list(item.values)} if item.values else {})}
            for item in selector.match_expressions
        ]
    return document


def _port(port: TierPort) -> Manifest:
    """v1alpha1."""
    if isinstance(port, NamedPort):
        return {"namedPort": port.name}
    protocol = protocol_name(port.protocol)
    if port.end_port is None:
        return {"portNumber": {"protocol": protocol, "port": port.port}}
    return {"portRange": {"protocol": protocol, "start": port.port, "end": port.end_port}}


def _protocol(port: TierPort) -> Manifest:
    """v1alpha2."""
    if isinstance(port, NamedPort):
        return {"destinationNamedPort": port.name}
    several = port.end_port is not None
    place: Manifest = {"range": {"start": port.port, "end": port.end_port}} if several else {"number": port.port}
    return {protocol_name(port.protocol).lower(): {"destinationPort": place}}
