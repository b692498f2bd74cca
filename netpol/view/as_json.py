"""The flow graph as JSON: the one shape that the viewer, reports and scripts read. Keys are stable; more may come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netpol.flows.write import timestamp
from netpol.model.flow import protocol_name
from netpol.view.time_bins import runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.graph.label_graph import Replicas
    from netpol.view.flow_graph import FlowEdge, FlowGraph, FlowNode, Sighting

VERSION = 1


def json_pieces(graph: FlowGraph, more: Mapping[str, Any] | None = None) -> Iterator[str]:
    """The text, a line for each node and edge; ASCII only.

    Args:
        graph: What it tells.
        more: Further keys, before the nodes.
    """
    head = json.dumps({"generator": "netpol", "version": VERSION, **about(graph), **(more or {})}, indent=2)
    yield head.removesuffix("\n}")
    lists = (
        ("nodes", map(node_json, graph.nodes)),
        ("edges", (edge_json(number, edge) for number, edge in enumerate(graph.edges))),
    )
    for name, items in lists:
        lead = f',\n  "{name}": ['
        for item in items:
            yield f"{lead}\n    {json.dumps(item)}"
            lead = ","
        yield "\n  ]" if lead == "," else f"{lead}]"
    yield "\n}\n"


def about(graph: FlowGraph) -> dict[str, Any]:
    """Everything but nodes and edges."""
    first, last = graph.window or (0, 0)
    return {
        "judged_by": graph.judged_by,
        "compared": graph.compared,
        "window": {"first_seen": timestamp(first), "last_seen": timestamp(last)} if graph.window else None,
        "time": {
            "start": timestamp(graph.time.start),
            "bin_seconds": graph.time.width // 1_000_000_000,
            "bins": graph.time.count,
        }
        if graph.time
        else None,
        "connections": graph.connections,
        "learned": graph.learned,
        "left_out": dict(graph.left_out),
        "unseen": list(graph.unseen),
        "unused_dropped": graph.unused_dropped,
    }


def node_json(node: FlowNode) -> dict[str, Any]:
    """One node."""
    return {
        "id": node.id,
        "kind": node.kind,
        "namespace": node.namespace,
        "name": node.name,
        "labels": dict(node.labels),
        "pods": _replicas(node.pods),
        "nodes": list(node.nodes),
        "addresses": list(node.addresses),
        "address_count": node.address_count,
        "names": list(node.names),
        "roles": [role.value for role in node.roles],
        "policies": list(node.policies),
        "isolated": list(node.isolated),
    }


def edge_json(number: int, edge: FlowEdge) -> dict[str, Any]:
    """One edge; the number makes its id."""
    return {
        "id": f"e{number}",
        "source": edge.source,
        "destination": edge.destination,
        "label": edge.label,
        "protocols": [protocol_name(protocol) for protocol in edge.protocols],
        "port": edge.port,
        "ports": edge.ports.to_json(),
        "state": edge.state.value,
        "reason": edge.reason or None,
        "directed": edge.directed,
        "verdict": edge.ruling.value if edge.ruling else None,
        "admitted_by": [{"policy": rule.policy, "direction": rule.way, "rule": rule.rule} for rule in edge.admitted_by],
        "blocked_by": {"direction": edge.blocked_by, "policies": list(edge.blocking)} if edge.blocked_by else None,
        "seen": _sighting(edge.sighting) if edge.sighting else None,
    }


def _sighting(seen: Sighting) -> dict[str, Any]:
    evidence = seen.evidence
    return {
        "connections": evidence.connections,
        "packets": evidence.packets,
        "bytes": evidence.bytes,
        "first_seen": timestamp(evidence.first_seen),
        "last_seen": timestamp(evidence.last_seen),
        "active": [list(run) for run in runs(seen.active)],
        "outcomes": {outcome.label: count for outcome, count in seen.outcomes},
        "directions": {direction.label: count for direction, count in evidence.directions},
        "midstream": evidence.midstream,
        "silent": evidence.silent,
        "shared": evidence.shared,
        "services": list(evidence.services),
        "source_pods": _replicas(seen.source_pods),
        "destination_pods": _replicas(seen.destination_pods),
        "nodes": list(seen.nodes),
    }


def _replicas(pods: Replicas) -> dict[str, Any]:
    return {"count": pods.count, "names": list(pods.names)}
