"""Nodes and edges as flat attributes, for formats that know text and whole numbers only.

Text holds no control, formatting or bidirectional characters: XML cannot hold the first (XML 1.0, 2.2), and nobody
should see the others. Lists are joined by blanks, as none of their items holds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.flows.write import timestamp
from netpol.model.flow import protocol_name
from netpol.model.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.view.flow_graph import FlowEdge, FlowNode, RuleRef

Attributes = dict[str, str | int]


def node_attributes(node: FlowNode) -> Attributes:
    """What is known of a node; every node has every attribute."""
    return {
        "label": plain(f"{node.namespace}/{node.name}" if node.namespace else node.name),
        "kind": plain(node.kind),
        "namespace": plain(node.namespace),
        "name": plain(node.name),
        "labels": _list(f"{key}={value}" for key, value in node.labels.items()),
        "pods": node.pods.count,
        "pod_names": _list(node.pods.names),
        "nodes": _list(node.nodes),
        "addresses": _list(node.addresses),
        "address_count": node.address_count,
        "names": _list(node.names),
        "roles": _list(role.value for role in node.roles),
        "policies": _list(node.policies),
        "isolated": _list(node.isolated),
    }


def edge_attributes(edge: FlowEdge) -> Attributes:
    """What is known of an edge but its ends; every edge has every attribute, with zeros where nothing was seen."""
    found: Attributes = {
        "label": edge.label,
        "protocols": _list(map(protocol_name, edge.protocols)),
        "ports": str(edge.ports),
        "state": edge.state.value,
        "reason": plain(edge.reason),
        "directed": "yes" if edge.directed else "no",
        "verdict": edge.ruling.value if edge.ruling else "",
        "admitted_by": _list(map(rule_text, edge.admitted_by)),
        "blocked_by": edge.blocked_by or "",
        "blocking_policies": _list(edge.blocking),
    }
    return found | _evidence(edge)


def rule_text(rule: RuleRef) -> str:
    """`shop/web:egress[0]`."""
    return f"{rule.policy}:{rule.way}[{rule.rule}]"


def _evidence(edge: FlowEdge) -> Attributes:
    seen = edge.sighting
    if seen is None:
        numbers = dict.fromkeys(("connections", "packets", "bytes", "midstream", "silent", "shared"), 0)
        texts = ("first_seen", "last_seen", "outcomes", "directions", "services", "nodes")
        pods = dict.fromkeys(("source_pods", "destination_pods"), 0)
        return {**numbers, **dict.fromkeys(texts, ""), **pods}
    evidence = seen.evidence
    return {
        "connections": evidence.connections,
        "packets": evidence.packets,
        "bytes": evidence.bytes,
        "midstream": evidence.midstream,
        "silent": evidence.silent,
        "shared": evidence.shared,
        "first_seen": timestamp(evidence.first_seen),
        "last_seen": timestamp(evidence.last_seen),
        "outcomes": _list(f"{outcome.label}={count}" for outcome, count in seen.outcomes),
        "directions": _list(f"{direction.label}={count}" for direction, count in evidence.directions),
        "services": _list(evidence.services),
        "nodes": _list(seen.nodes),
        "source_pods": seen.source_pods.count,
        "destination_pods": seen.destination_pods.count,
    }


def _list(items: Iterable[str]) -> str:
    return plain(" ".join(items))
