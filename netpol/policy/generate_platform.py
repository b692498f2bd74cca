"""What a person must know about the platform below the cluster: who reads what nobody should, and who uses the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.egress.places import Places
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.flow import protocol_name
from netpol.model.platform import KUBELET_PORTS, Kind
from netpol.policy.generate_statements import Statement, Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from netpol.graph.observation import Observation
    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.threats.sensitive import Use


def with_platform(
    statements: Iterable[Statement],
    uses: Iterable[Use],
    observations: Iterable[Observation],
    inventory: Inventory,
    why_not: Callable[[WorkloadRef], str],
) -> tuple[Statement, ...]:
    """The statements with those about the platform, in their order.

    A peer that is a part of the platform is named as that, and not as some pod in a node's host network.

    Args:
        statements: About generated policies.
        uses: What was barred.
        observations: What was learned.
        inventory: Tells where the API server is.
        why_not: Why a workload was not asked for, empty where it was.
    """
    new = [_barred(use) for use in uses if not why_not(use.workload)]
    peers = _peers(observations, Places(inventory))
    new += [statement for statement in peers if not why_not(statement.workload)]
    said = {(item.workload, item.ports, item.others) for item in new if item.topic is Topic.PLATFORM_PEER}
    kept = [
        item
        for item in statements
        if item.topic is not Topic.NODE_PEER or (item.workload, item.ports, item.others) not in said
    ]
    return tuple(
        sorted([*kept, *new], key=lambda item: (item.topic, item.workload, item.direction, item.ports, item.text))
    )


def _barred(use: Use) -> Statement:
    port = f"{protocol_name(use.protocol)}/{use.port}"
    if use.platform.kind is Kind.METADATA:
        return Statement(
            topic=Topic.METADATA,
            workload=use.workload,
            direction="egress",
            ports=((use.protocol, use.port),),
            others=(str(use.address),),
            text=f"it read {use.platform} at {use.address}, {port}, which often hands out the machine's credentials: "
            "no rule allows it",
            remedy="Find out why it does; --allow-metadata "
            f"{use.workload.namespace}/{use.workload.name} allows it where it is meant",
        )
    what = KUBELET_PORTS[use.port]
    where = f"node/{use.platform.owner}/{use.address}"
    closed = "it is its own node, which no NetworkPolicy can close" if use.own_node else "no rule allows it"
    return Statement(
        topic=Topic.KUBELET,
        workload=use.workload,
        direction="egress",
        ports=((use.protocol, use.port),),
        others=(where,),
        text=f"it spoke to the {what} of {where}, {port}, which knows, and may run, what is in every pod of the node: "
        f"{closed}",
        remedy="Find out why it does; a rule where it is meant has to be written by hand",
    )


def _peers(observations: Iterable[Observation], places: Places) -> Iterator[Statement]:
    said = set()
    for item in observations:
        end = item.destination
        platform = places.platform(item)
        if not isinstance(item.source, PodEnd) or platform is None or platform.kind is Kind.NODE:
            continue
        if not isinstance(end, NodeEnd | ExternalEnd):
            continue
        workload = item.source.pod.workload
        name = f"{end}/{end.address}" if isinstance(end, NodeEnd) else str(end.address)
        if (workload, name, item.protocol, item.port) in said:
            continue
        said.add((workload, name, item.protocol, item.port))
        meant = ", as --allow-metadata says that it may" if platform.kind is Kind.METADATA else ""
        yield Statement(
            topic=Topic.PLATFORM_PEER,
            workload=workload,
            direction="egress",
            ports=((item.protocol, item.port),),
            others=(name,),
            text=f"{protocol_name(item.protocol)}/{item.port} to {name}: {platform}{meant}",
        )
