"""`summary.json`: every count that a person needs to trust the result. Keys are stable; additions are allowed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from netpol.cli.existing_json import existing_of
from netpol.flows.write import timestamp
from netpol.graph.label_graph import OutsideGroup
from netpol.graph.reasons import NEEDLESS, Reason
from netpol.model.endpoint import NodeEnd
from netpol.model.flow import Outcome, protocol_name
from netpol.policy.generate_statements import Topic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.cli.existing_json import Laid
    from netpol.cli.observe import Reading
    from netpol.graph.admit import Admission
    from netpol.graph.label_graph import LabelGraph
    from netpol.model.inventory import Inventory
    from netpol.policy.connectivity_figures import Figures
    from netpol.policy.generate import Generated
    from netpol.policy.generate_entrances import Entrances
    from netpol.policy.generate_statements import Statement
    from netpol.policy.outside_doors import Door
    from netpol.policy.replay import Replay
    from netpol.policy.tightness import Tightness

VERSION = 1

ON_SILENCE = frozenset({Topic.SILENT_PORT, Topic.SILENT_INGRESS, Topic.SILENT_EGRESS})
"""What was closed because nothing was seen: listed first, because it is what may break."""

FAILED = frozenset({Reason.REFUSED, Reason.UNANSWERED})
"""Connections that did not work."""

UNATTRIBUTED = frozenset({Reason.AMBIGUOUS_END, Reason.UNKNOWN_END, Reason.UNMAPPED_SERVICE})
"""Connections of which it is not known whose they were. What is left of the reasons is quarantined."""


def summary_of(
    reading: Reading,
    inventory: Inventory,
    admission: Admission,
    graph: LabelGraph,
    generated: Generated,
    proof: Replay,
    figures: Tightness,
    laid: Laid | None = None,
) -> dict[str, Any]:
    """The summary as JSON values.

    Args:
        reading: What the captures held.
        inventory: The cluster.
        admission: What was learned and what not.
        graph: What was learned.
        generated: The learned policies; their statements are true of all policies that there will be.
        proof: Of the policies that are written.
        figures: Of all policies that there were and will be.
        laid: How the result stands to existing policies, None where those were not looked at.
    """
    left_out = admission.left_out_connections()
    silence = [statement for statement in generated.statements if statement.topic in ON_SILENCE]
    others = [statement for statement in generated.statements if statement.topic not in ON_SILENCE]
    outcomes, window = _flows(reading)
    vertices = Counter(_vertex_kind(vertex) for vertex in graph.graph)
    return {
        "generator": "netpol",
        "version": VERSION,
        "closed_on_silence": [_statement(statement) for statement in silence],
        "window": window,
        "packets": _packets(reading),
        "connections": {"total": admission.total, **outcomes},
        "learned": admission.learned,
        "left_out": {
            "not_attributed": _reasons(left_out, UNATTRIBUTED),
            "not_working": _reasons(left_out, FAILED),
            "not_for_policies": _reasons(left_out, NEEDLESS),
            "quarantined": _reasons(left_out, set(Reason) - UNATTRIBUTED - FAILED - NEEDLESS),
        },
        "left_out_pairs": [
            {
                "reason": reason.identifier,
                "source": source,
                "destination": destination,
                "connections": tally.connections,
                "ports": [
                    f"{protocol_name(protocol)}/{port}" if port else protocol_name(protocol)
                    for protocol, port in tally.ports
                ],
                "more_ports": tally.more_ports,
                "first_seen": timestamp(tally.first_seen),
                "last_seen": timestamp(tally.last_seen),
            }
            for reason, pairs in admission.left_out.items()
            for (source, destination), tally in pairs.items()
        ],
        "scanners": [{"source": source, "since": timestamp(time)} for source, time in admission.scanners],
        "endpoints": {kind: vertices[kind] for kind in ("workloads", "nodes", "external")},
        "edges": len(graph),
        "policies": len(laid.merged.policies if laid else generated.policies),
        "rules": generated.rules,
        "rules_lower_bound": generated.rules_lower_bound,
        "selectors": generated.selectors,
        "proof": {"admitted": proof.admitted, "denied": len(proof.denied)},
        "outside": [_door(door, generated.entrances) for door in generated.entrances.doors],
        "pod_pair_ports": {
            "before": figures.before[""].pod_pair_ports,
            "after": figures.after[""].pod_pair_ports,
            "observed": figures.observed,
        },
        "tightness": figures.ratio,
        "blast_radius": {"before": _radius(figures.before[""]), "after": _radius(figures.after[""])},
        "namespaces": {
            name: {
                "pods": after.pods,
                "pod_pair_ports": {"before": figures.before[name].pod_pair_ports, "after": after.pod_pair_ports},
                "blast_radius": {"before": _radius(figures.before[name]), "after": _radius(after)},
            }
            for name, after in figures.after.items()
            if name
        },
        "existing": existing_of(laid) if laid else None,
        "statements": [_statement(statement) for statement in others],
        "notes": {
            "cluster": dict(inventory.notes),
            "cluster_passed_over": dict(inventory.passed_over),
            "flows": dict(reading.table.notes),
            "any_of_several_workloads": {
                service: [str(workload) for workload in workloads] for service, workloads in admission.spread.items()
            },
        },
    }


def _radius(figures: Figures) -> dict[str, float]:
    """Pods that one pod can reach: on average, and at worst."""
    return {"mean": round(float(figures.mean), 3), "worst": figures.worst}


def _packets(reading: Reading) -> dict[str, Any]:
    tally = reading.tally
    return {
        "read": tally.packets,
        "decoded": tally.decoded,
        "undecoded": dict(sorted(tally.undecoded.items())),
        "truncated": tally.truncated,
        "lost": tally.lost,
        "captures": tally.captures,
        "damaged": list(tally.damaged),
        "missing": dict(sorted(tally.missing.items())),
        "broken": list(tally.broken),
        "log_records": {
            "read": tally.log_records,
            "used": tally.log_records_used,
            "unplaced": tally.log_records_unplaced,
        },
        "untold": {kind: list(what) for kind, what in sorted(tally.untold.items())},
    }


def _flows(reading: Reading) -> tuple[dict[str, int], dict[str, str] | None]:
    """Connections by outcome, and the time that the flows span; None where there are none."""
    outcomes = Counter[Outcome]()
    times: list[int] = []
    for flow in reading.table:
        outcomes[flow.outcome] += flow.connections
        times = (
            [min(*times, flow.first_seen), max(*times, flow.last_seen)] if times else [flow.first_seen, flow.last_seen]
        )
    window = {"first_seen": timestamp(times[0]), "last_seen": timestamp(times[1])} if times else None
    return {outcome.label: outcomes[outcome] for outcome in Outcome}, window


def _reasons(left_out: dict[Reason, int], kinds: Iterable[Reason]) -> dict[str, int]:
    chosen = set(kinds)
    return {reason.identifier: count for reason, count in left_out.items() if reason in chosen}


def _vertex_kind(vertex: object) -> str:
    if isinstance(vertex, NodeEnd):
        return "nodes"
    return "external" if isinstance(vertex, OutsideGroup) else "workloads"


def _door(door: Door, entrances: Entrances) -> dict[str, Any]:
    """One port at which the outside comes in: who was seen, and who may."""
    everybody = entrances.worlds.get(door.workload) if door.opens_to_world else None
    probers = sum(count for _, count in door.probers)
    nodes = len(entrances.nodes if door.opens_to_nodes else door.nodes)
    return {
        "workload": str(door.workload),
        "port": f"{protocol_name(door.protocol)}/{door.port}",
        "services": list(door.services),
        "open": door.is_open,
        "because": ("asked" if door.asked else "many-clients") if door.is_open else None,
        "seen": {"addresses": len(door.clients) + probers, "of_probers": probers, "nodes": len(door.nodes)},
        "granted": {
            "addresses": everybody.addresses.size if everybody else len(door.clients) + probers,
            "nodes": nodes,
            "blocks": [str(block) for block in everybody.blocks] if everybody else None,
        },
    }


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "topic": statement.topic.identifier,
        "workload": str(statement.workload),
        "direction": statement.direction,
        "ports": [f"{protocol_name(protocol)}/{port}" for protocol, port in statement.ports],
        "others": list(statement.others),
        "text": statement.text,
        "remedy": statement.remedy,
    }
