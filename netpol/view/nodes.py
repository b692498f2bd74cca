"""The nodes of a flow graph: who they are, and what is known of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from netpol.policy.classes_pods import present_pods
from netpol.view.flow_graph import FlowEdge, FlowNode
from netpol.view.gather import OTHERS
from netpol.view.outside_names import KEPT_NAMES
from netpol.view.roles import roles_for
from netpol.view.sightings import nodes_of, replicas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from netpol.model.inventory import Inventory, Pod
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.verdict import Way

KEPT_ADDRESSES = 100
"""Addresses of a node that are listed; the count tells of the rest."""

OUTSIDE = "external "
"""How the ids of nodes for addresses outside begin."""

KINDS = {"node": "Node", "service": "Service", "external": "External", "unknown": "Unknown", "ambiguous": "Ambiguous"}


class Behind(NamedTuple):
    """What nodes that are no workload stand for.

    Attributes:
        addresses: Of each such node, by its id.
        names: What addresses are called.
    """

    addresses: Mapping[str, tuple[str, ...]]
    names: Mapping[str, tuple[str, ...]]


def nodes_for(
    edges: Collection[FlowEdge],
    seen: Mapping[str, dict[str, Pod]],
    behind: Behind,
    inventory: Inventory,
    evaluator: Evaluator,
) -> tuple[FlowNode, ...]:
    """One node for each id that an edge names, sorted.

    Args:
        edges: All edges.
        seen: Of each workload, the pods that were seen, by uid.
        behind: What is known of each other node.
        inventory: Says what there is.
        evaluator: Says which policies select whom.
    """
    present: defaultdict[str, list[Pod]] = defaultdict(list)
    for pod in present_pods(inventory):
        present[str(pod.workload)].append(pod)
    pods = {name: [*seen.get(name, {}).values(), *present.get(name, ())] for name in {*seen, *present}}
    roles = roles_for(edges, pods)
    found = []
    for name in {end for edge in edges for end in (edge.source, edge.destination)}:
        if name in pods:
            node = _workload(name, seen.get(name, {}).values(), present.get(name, ()), evaluator)
        else:
            node = _other(name, behind)
        found.append(replace(node, roles=roles.get(name, ())))
    return tuple(sorted(found, key=node_key))


def node_key(node: FlowNode) -> tuple[object, ...]:
    """Sorts nodes: workloads by namespace and name, then nodes, Services and the outside."""
    kinds = list(KINDS.values())
    rank = kinds.index(node.kind) + 1 if node.kind in kinds and not node.id.endswith("]") else 0
    return (rank, node.namespace, node.name, node.id)


def unseen_workloads(edges: Iterable[FlowEdge], inventory: Inventory) -> tuple[str, ...]:
    """Workloads with pods of their own addresses of which no edge speaks, sorted by namespace and name."""
    named = {end for edge in edges for end in (edge.source, edge.destination)}
    refs = {pod.workload for pod in present_pods(inventory) if not pod.host_network}
    return tuple(str(ref) for ref in sorted(refs) if str(ref) not in named)


def _workload(name: str, seen: Collection[Pod], present: Collection[Pod], evaluator: Evaluator) -> FlowNode:
    """Labels are those of the pods that were seen; policies are those of the pods that are there."""
    shown, judged = list(seen or present), list(present or seen)
    shared = set.intersection(*(set(pod.labels.items()) for pod in shown))
    ways: tuple[Way, Way] = ("ingress", "egress")
    isolating = {way: [evaluator.isolating(pod, way) for pod in judged] for way in ways}
    ref = shown[0].workload
    return FlowNode(
        id=name,
        kind=ref.kind,
        name=ref.name,
        namespace=ref.namespace,
        labels=dict(sorted(shared)),
        pods=replicas(seen),
        nodes=nodes_of(seen),
        policies=tuple(sorted({str(one) for sides in isolating.values() for side in sides for one in side})),
        isolated=tuple(way for way in ways if all(isolating[way])),
    )


def _other(name: str, known: Behind) -> FlowNode:
    addresses = known.addresses.get(name, ())
    external = name.startswith(OUTSIDE)
    word, _, rest = name.partition("/")
    namespace, _, short = rest.rpartition("/") if word == "service" else ("", "", rest)
    # What is allowed to addresses of which none was seen has only its name to say which.
    behind = addresses or ((name.removeprefix(OUTSIDE),) if external and name != OTHERS else ())
    return FlowNode(
        id=name,
        kind="External" if external else KINDS.get(word, "Unknown"),
        name=name if external else short or name,
        namespace=namespace,
        addresses=behind[:KEPT_ADDRESSES],
        address_count=len(behind),
        names=tuple(sorted({called for one in behind for called in known.names.get(one, ())})[:KEPT_NAMES]),
    )
