"""What generated policies let in from outside: those who were seen, or everybody, as the doors of a workload say."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.graph.label_graph import OutsideGroup
from netpol.model.endpoint import NodeEnd
from netpol.model.inventory import WorkloadRef
from netpol.policy.generate_rules import Opening
from netpol.policy.generate_statements import Topic
from netpol.policy.outside_doors import doors_of
from netpol.policy.outside_statements import nothing_to_open, outside_statements
from netpol.policy.outside_world import World, world

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from netpol.graph.label_graph import Edge, LabelGraph, Vertex
    from netpol.model.inventory import Inventory
    from netpol.policy.generate import Options
    from netpol.policy.generate_statements import Statement
    from netpol.policy.outside_doors import Door


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrances:
    """Doors and who comes in.

    Attributes:
        doors: By workload, protocol and port.
        worlds: Who everybody is, for workloads with doors that are open.
        nodes: All addresses of nodes, sorted.
    """

    doors: tuple[Door, ...] = ()
    worlds: Mapping[WorkloadRef, World] = field(default_factory=dict)
    nodes: tuple[NodeEnd, ...] = ()

    def of(self, workloads: Collection[WorkloadRef]) -> Entrances:
        """Those of some workloads."""
        doors = tuple(door for door in self.doors if door.workload in workloads)
        return Entrances(doors=doors, worlds=self.worlds, nodes=self.nodes)

    def incoming(self, graph: LabelGraph, workload: WorkloadRef) -> Iterator[tuple[Vertex | World, Edge | Opening]]:
        """What is to be allowed into a workload: its edges, with everybody in the place of outside clients."""
        doors = {(door.protocol, door.port): door for door in self.doors if door.workload == workload}
        for edge in graph.incoming(workload):
            door = doors.get((edge.protocol, edge.port))
            if not isinstance(edge.source, OutsideGroup) or door is None or not door.opens_to_world:
                yield edge.source, edge
        for (protocol, port), door in doors.items():
            if door.opens_to_world:
                yield self.worlds[workload], Opening(protocol, port)
            if door.opens_to_nodes:
                for node in self.nodes:
                    yield node, Opening(protocol, port)


def entrances_of(graph: LabelGraph, inventory: Inventory, wish: Options) -> Entrances:
    """Finds the doors, and who everybody is where one is open."""
    doors = doors_of(graph, inventory, public=wish.public, few=wish.few_clients)
    clients: defaultdict[WorkloadRef, set[OutsideGroup]] = defaultdict(set)
    ports = {(door.workload, door.protocol, door.port) for door in doors if door.opens_to_world}
    for edge in graph.edges():
        source, end = edge.source, edge.destination
        if not isinstance(source, OutsideGroup) or not isinstance(end, WorkloadRef):
            continue
        if (end, edge.protocol, edge.port) in ports:
            clients[end].add(source)
    families: defaultdict[WorkloadRef, set[int]] = defaultdict(set)
    for pod in inventory.pods:
        families[pod.workload].update(address.version for address in pod.addresses)
    worlds = {
        workload: world(
            (address for group in clients[workload] for address in group.addresses),
            inventory,
            withheld=wish.withheld,
            families=families[workload],
        )
        for workload in sorted({workload for workload, _, _ in ports})
    }
    nodes = sorted(
        {NodeEnd(node.name, address) for node in inventory.nodes for address in node.addresses},
        key=lambda node: (node.name, node.address.version, int(node.address)),
    )
    return Entrances(doors=doors, worlds=worlds, nodes=tuple(nodes))


def with_entrances(
    statements: Iterable[Statement], entrances: Entrances, wish: Options, written: Collection[WorkloadRef]
) -> tuple[Statement, ...]:
    """The statements with those about the outside, in their order, and without those that are no longer true.

    An open door is not closed on silence; and a node's address at a door where nodes stand in for clients says what the
    door's statement says.
    """
    new = list(outside_statements(entrances.doors, entrances.worlds, few=wish.few_clients, nodes=len(entrances.nodes)))
    doors = {door.workload for door in entrances.doors}
    new += [nothing_to_open(workload) for workload in wish.public if workload in written and workload not in doors]
    told = {(item.topic, item.workload, item.ports) for item in new}
    kept = [
        item
        for item in statements
        if not (item.topic is Topic.SILENT_PORT and (Topic.PUBLIC, item.workload, item.ports) in told)
        and not (
            item.topic is Topic.NODE_PEER
            and item.direction == "ingress"
            and not {(topic, item.workload, item.ports) for topic in (Topic.PUBLIC, Topic.MASKED_CLIENTS)}.isdisjoint(
                told
            )
        )
    ]
    return tuple(
        sorted([*kept, *new], key=lambda item: (item.topic, item.workload, item.direction, item.ports, item.text))
    )
