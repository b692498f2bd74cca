"""A Pod object, read: core/v1 Pod, its spec and status."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.cluster.owners import Owner, controller_of
from netpol.model.inventory import ContainerPort

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.cluster.fields import Fields, Object
    from netpol.cluster.looks import Look
    from netpol.model.flow import Address

_FINISHED: Final = frozenset({"Succeeded", "Failed"})


class PodSeen(NamedTuple):
    """What one look shows of a pod; a tuple, because there are as many as pods, and a frozen object takes longer.

    Attributes:
        host_addresses: The node's addresses as the kubelet reports them.
        started: Nanoseconds since the epoch, None when not written.
        ended: The same; None while it lives.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    owner: Owner | None
    node: str
    host_network: bool
    addresses: tuple[Address, ...]
    host_addresses: tuple[Address, ...]
    ports: tuple[ContainerPort, ...]
    finished: bool
    started: int | None
    ended: int | None


def read_pod(item: Object, look: Look) -> PodSeen:
    """Reads a Pod and tells the look the times in it.

    A pod starts when the kubelet acknowledged it (status.startTime), before it has an address; it ends when its last
    container finished, once its phase is terminal, because its address is free from then on; otherwise at its
    deletionTimestamp, which is when the grace period of its deletion is over.

    Raises:
        InputError: A field is malformed.
    """
    metadata, spec, status = item.metadata, item.fields("spec"), item.fields("status")
    created = metadata.time("creationTimestamp")
    started = status.time("startTime")
    finished_containers, others = _container_times(status)
    conditions = [time for one in status.each("conditions") if (time := one.time("lastTransitionTime")) is not None]
    look.saw(created, started, *finished_containers, *others, *conditions)
    finished = status.text("phase") in _FINISHED
    ended: int | None
    if finished:
        # An evicted pod may have no container that ever ran: then its conditions tell the end.
        ended = max(finished_containers or conditions or [started if started is not None else created or 0])
    else:
        ended = metadata.time("deletionTimestamp")
    host_addresses = _addresses(status, "hostIP", "hostIPs")
    return PodSeen(
        namespace=item.namespace,
        name=item.object_name,
        labels=metadata.labels(),
        owner=controller_of(metadata),
        node=spec.name("nodeName") if spec.text("nodeName") else "",
        host_network=spec.flag("hostNetwork"),
        addresses=_addresses(status, "podIP", "podIPs"),
        host_addresses=host_addresses,
        ports=read_ports(spec),
        finished=finished,
        started=started if started is not None else created,
        ended=ended,
    )


def read_ports(spec: Fields) -> tuple[ContainerPort, ...]:
    """The containerPorts of a pod spec, once each: of containers and of restartable init containers (KEP-753)."""
    ports: dict[tuple[int, int, str], None] = {}
    for container in _serving(spec):
        for port in container.each("ports"):
            number = port.port("containerPort")
            if not number:
                raise port.error("containerPort", "is missing", "Give the port's number")
            ports[port.protocol(), number, port.text("name")] = None
    return _container_ports(tuple(ports))


@lru_cache(maxsize=4096)
def _container_ports(ports: tuple[tuple[int, int, str], ...]) -> tuple[ContainerPort, ...]:
    """The ports of (protocol, port, name); those of replicas are one object."""
    return tuple(ContainerPort(protocol=protocol, port=port, name=name) for protocol, port, name in ports)


def _serving(spec: Fields) -> Iterator[Fields]:
    yield from spec.each("containers")
    for container in spec.each("initContainers"):
        if container.text("restartPolicy") == "Always":
            yield container


def _addresses(status: Fields, single: str, several: str) -> tuple[Address, ...]:
    """The addresses of both families: `podIP` repeats the first of `podIPs` (KEP-563), or stands alone."""
    found = [address for entry in status.each(several) if (address := entry.address("ip")) is not None]
    first = status.address(single)
    if first is not None and found[:1] != [first]:
        found.insert(0, first)
    return tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))


def _container_times(status: Fields) -> tuple[list[int], list[int]]:
    """When containers finished for good, and the other times written about them."""
    finished: list[int] = []
    others: list[int] = []
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for container in status.each(kind):
            for state_name in ("state", "lastState"):
                state = container.fields(state_name)
                for phase, name in (
                    ("running", "startedAt"),
                    ("terminated", "startedAt"),
                    ("terminated", "finishedAt"),
                ):
                    time = state.fields(phase).time(name) if state.has(phase) else None
                    if time is not None:
                        (finished if (state_name, name) == ("state", "finishedAt") else others).append(time)
    return finished, others
