"""What a person must know about who may come in from outside, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.flow import protocol_name
from netpol.policy.generate_statements import Statement, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netpol.model.inventory import WorkloadRef
    from netpol.policy.outside_doors import Door
    from netpol.policy.outside_world import World

SHOWN = 3
"""Services, blocks and addresses that a statement names."""


def outside_statements(
    doors: Iterable[Door], worlds: Mapping[WorkloadRef, World], *, few: int, nodes: int
) -> Iterator[Statement]:
    """One or more for each door that was used or opened.

    Args:
        doors: Of workloads that get policies.
        worlds: Who everybody is for those with open doors.
        few: Up to so many clients are listed one by one.
        nodes: How many addresses of nodes there are.
    """
    for door in doors:
        port = f"{protocol_name(door.protocol)}/{door.port}"
        if door.is_open:
            yield _say(Topic.PUBLIC, door, _opened(door, port, worlds.get(door.workload), few, nodes), _keep(door))
            continue
        if door.clients:
            yield _say(
                Topic.OUTSIDE_CLIENTS,
                door,
                f"{port}{_through(door)}: of all outside, only the {_addresses(len(door.clients))} seen may connect",
                f"{_option(door)} opens it to everybody outside",
            )
        if door.nodes and door.masked:
            yield _say(
                Topic.MASKED_CLIENTS,
                door,
                f"{port}{_through(door)} comes with nodes' addresses (externalTrafficPolicy: Cluster), and any node "
                f"may stand in for a client: of {_addresses(nodes)} of nodes, only the {len(door.nodes):,} seen may "
                "connect",
                f"{_option(door)} allows all nodes; externalTrafficPolicy: Local would show the clients",
            )
        for prober, count in door.probers:
            yield _say(
                Topic.HEALTH_CHECKS,
                door,
                f"{port} from {prober.block}: probes of a load balancer of {prober.owner}, of which only the "
                f"{_addresses(count)} seen may connect: it takes pods for dead that it cannot probe",
                f"Allow all of {prober.block} by hand, or use {_option(door)}",
            )


def nothing_to_open(workload: WorkloadRef) -> Statement:
    """About a workload that is to be open to everybody, at no port that is known."""
    return Statement(
        topic=Topic.PUBLIC,
        workload=workload,
        direction="ingress",
        text="--public asks for it, but no Service leads the outside to it and no outside client was seen: nothing was "
        "opened",
        remedy="Add the Service or the Ingress to the manifests, or leave --public out",
    )


def _say(topic: Topic, door: Door, text: str, remedy: str) -> Statement:
    return Statement(
        topic=topic,
        workload=door.workload,
        direction="ingress",
        ports=((door.protocol, door.port),),
        others=door.services,
        text=text,
        remedy=remedy,
    )


def _opened(door: Door, port: str, world: World | None, few: int, nodes: int) -> str:
    because = "--public asks for it" if door.asked else f"more than {few:,} outside clients came{_through(door)}"
    seen = f"{_addresses(len(door.clients) + sum(count for _, count in door.probers))} seen"
    granted = []
    if door.opens_to_world and world is not None:
        blocks = ", ".join(_block(block.cidr, len(block.except_)) for block in world.blocks[:SHOWN])
        more = f" and {len(world.blocks) - SHOWN} more" if len(world.blocks) > SHOWN else ""
        granted.append(f"{world.addresses.size:,} granted ({blocks}{more})")
    if door.opens_to_nodes:
        granted.append(f"all {_addresses(nodes)} of nodes, which stand in for clients")
    what = "everybody outside" if door.opens_to_world else "all nodes"
    return f"{port} is open to {what}: {because}; {seen}, {', and '.join(granted)}"


def _block(cidr: object, cuts: int) -> str:
    return f"{cidr} except {cuts} {'block' if cuts == 1 else 'blocks'}" if cuts else f"{cidr}"


def _keep(door: Door) -> str:
    return "" if door.asked else f"--few-clients {len(door.clients)} keeps it to the addresses seen"


def _through(door: Door) -> str:
    if not door.services:
        return ""
    names = ", ".join(door.services[:SHOWN])
    more = f" and {len(door.services) - SHOWN} more" if len(door.services) > SHOWN else ""
    return f" through Service {names}{more}"


def _option(door: Door) -> str:
    return f"--public {door.workload.namespace}/{door.workload.name}"


def _addresses(count: int) -> str:
    return f"{count:,} {'address' if count == 1 else 'addresses'}"
