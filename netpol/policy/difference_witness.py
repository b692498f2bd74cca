"""One concrete connection that shows a change: what a reviewer can try out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from netpol.model.flow import protocol_name
from netpol.model.inventory import Pod
from netpol.policy.difference import NEW, OLD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.flow import Address
    from netpol.model.ports import PortMap
    from netpol.policy.connectivity_places import Place
    from netpol.policy.difference import Change

_TRIED = 1000
"""Pairs of pods that are looked at to find two that are neither the same nor on the same node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A connection that one side allows and the other does not.

    Attributes:
        allowed: Whether it is the new side that allows it.
    """

    source: Pod | Address
    destination: Pod | Address
    protocol: int
    port: int
    allowed: bool

    def __str__(self) -> str:
        port = f"{protocol_name(self.protocol)}/{self.port}"
        return f"{_name(self.source)} to {_name(self.destination)} {port}"


def witness(change: Change) -> Witness | None:
    """A connection of the change: an added one if there is any, at a port that the destination declares if it can be.

    None where the change is between pods of which none are given twice (a workload that may have one pod only).
    """
    ports, side = (change.added, NEW) if change.added else (change.removed, OLD)
    for source, destination in _pairs(change, side):
        protocol, port = _port(ports, destination)
        return Witness(source=source, destination=destination, protocol=protocol, port=port, allowed=side == NEW)
    return None


def _pairs(change: Change, side: int) -> Iterator[tuple[Pod | Address, Pod | Address]]:
    pairs = product(_ends(change.source, side), _ends(change.destination, side))
    for _, (source, destination) in zip(range(_TRIED), pairs, strict=False):
        if source is not destination and not _one_node(source, destination):
            yield source, destination


def _ends(place: Place, side: int) -> list[Pod | Address]:
    if place.first is not None:
        return [place.first]
    return [pod for member in place.members if (pod := member.pods[side]) is not None]


def _one_node(source: Pod | Address, destination: Pod | Address) -> bool:
    """Whether no policy could part them."""
    if not isinstance(source, Pod) or not isinstance(destination, Pod):
        return False
    return source.host_network != destination.host_network and source.node == destination.node != ""


def _port(ports: PortMap, destination: Pod | Address) -> tuple[int, int]:
    if isinstance(destination, Pod):
        for item in destination.ports:
            if (item.protocol, item.port) in ports:
                return item.protocol, item.port
    protocol, found = next(iter(ports))
    return protocol, next(iter(found))[0]


def _name(end: Pod | Address) -> str:
    return f"{end.namespace}/{end.name}" if isinstance(end, Pod) else str(end)
