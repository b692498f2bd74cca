"""The flow graph out of what was gathered, what was learned, and the policies that judge it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.model.endpoint import NodeEnd
from netpol.policy.classes import Side
from netpol.policy.evaluate import Evaluator
from netpol.view.edges_seen import edges_of
from netpol.view.edges_unused import Used, edge_of, unused_key, unused_of
from netpol.view.flow_graph import FlowGraph, edge_key
from netpol.view.gather import node_id
from netpol.view.nodes import Behind, nodes_for, unseen_workloads
from netpol.view.outside import grouped
from netpol.view.unused import allowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netpol.graph.admit import Admission
    from netpol.model.inventory import Inventory, Pod
    from netpol.model.tiers import Policy
    from netpol.view.flow_graph import JudgedBy
    from netpol.view.gather import Gatherer
    from netpol.view.outside import Grouped

MOST_UNUSED = 10_000
"""Edges that nobody used, by source and destination; the graph says how many more there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """The policies that decide what every edge is.

    Attributes:
        by: Whether they were named or learned.
        old: The policies before; None: no edge is new.
    """

    policies: Sequence[Policy]
    by: JudgedBy
    old: Sequence[Policy] | None = None


def assemble(
    gatherer: Gatherer,
    admission: Admission,
    inventory: Inventory,
    judging: Judging,
    names: Mapping[str, tuple[str, ...]] | None = None,
) -> FlowGraph:
    """The whole graph.

    Args:
        gatherer: Its `watch` was given to `admit`; it has the evaluator of the policies where these were named.
        admission: What `admit` gave back.
        inventory: The cluster.
        judging: Its policies judge every edge.
        names: What addresses outside are called (`netpol.view.outside_names`).
    """
    policies, old = tuple(judging.policies), judging.old
    evaluator = Evaluator(policies, inventory)
    gatherer.judge(admission.observations, evaluator, None if old is None else Evaluator(old, inventory))
    seen, outside = grouped(gatherer.seen)
    pairs = allowed(
        Side(policies=policies, inventory=inventory),
        evaluator,
        None if old is None else Side(policies=tuple(old), inventory=inventory),
    )
    machines = {address: node_id(NodeEnd(node.name, address)) for node in inventory.nodes for address in node.addresses}
    unused = sorted(unused_of(pairs, Used(admission.observations), machines), key=unused_key)
    kept = [edge_of(item, evaluator) for item in unused[:MOST_UNUSED]]
    edges = sorted([*edges_of(seen), *kept], key=edge_key)
    behind = {name: tuple(map(str, group)) for name, group in outside.items()}
    behind |= _addresses(inventory) | gatherer.unplaced()
    return FlowGraph(
        judged_by=judging.by,
        compared=old is not None,
        nodes=nodes_for(edges, _pods(seen), Behind(behind, names or {}), inventory, evaluator),
        edges=tuple(edges),
        time=gatherer.time,
        window=gatherer.window,
        connections=admission.total,
        learned=admission.learned,
        left_out={reason.identifier: count for reason, count in admission.left_out_connections().items()},
        unseen=unseen_workloads(edges, inventory),
        unused_dropped=max(0, len(unused) - MOST_UNUSED),
    )


def _pods(seen: Grouped) -> Mapping[str, dict[str, Pod]]:
    """The pods of each workload that took part in anything, by uid."""
    found: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
    for part in seen.values():
        for side in part.pods:
            for uid, pod in side.items():
                found[str(pod.workload)][uid] = pod
    return found


def _addresses(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Those of nodes and Services."""
    found = {f"node/{node.name}": tuple(map(str, node.addresses)) for node in inventory.nodes}
    for service in inventory.services:
        found[f"service/{service.namespace}/{service.name}"] = tuple(map(str, service.addresses))
    return found
