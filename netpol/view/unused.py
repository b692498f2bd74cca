"""What a policy set allows, pair by pair, where a policy has a say in it at all.

Between two ends that no policy restricts everything is allowed, and by nobody's decision: such pairs are left out, or a
cluster without policies would be a picture of every workload joined to every other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netpol.model.cidr import AddressSet
from netpol.model.endpoint import ExternalEnd, PodEnd
from netpol.policy.atoms_ports import ALL, EMPTY, PortNumbers
from netpol.policy.classes import Partition, Side
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_places import Places
from netpol.policy.connectivity_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netpol.model.ports import PortMap
    from netpol.policy.connectivity_places import Group, Place
    from netpol.policy.connectivity_rows import CodedRow
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.verdict import Way

_HALF = 32


class Allowed(NamedTuple):
    """What is allowed between two workloads, or a workload and addresses.

    Attributes:
        before: What was allowed by the policies before; the same as `after` where there were none to compare with.
    """

    source: Place
    destination: Place
    before: PortMap
    after: PortMap


def allowed(new: Side, evaluator: Evaluator, old: Side | None = None) -> Iterator[Allowed]:
    """All pairs in which a policy has a say; single pods are listed where replicas differ.

    Args:
        new: The policies, and the cluster.
        evaluator: Of the same policies.
        old: The policies before, and the same cluster.
    """
    partition = Partition([new] if old is None else [old, new])
    numbers = PortNumbers()
    after = Connectivity(partition, len(partition.sides) - 1, numbers)
    before = after if old is None else Connectivity(partition, 0, numbers)
    leaving, entering = (_open(partition, evaluator, way) for way in ("egress", "ingress"))

    def codes(sources: NDArray[np.intp], destinations: NDArray[np.intp]) -> NDArray[np.int64]:
        now = after.matrix(sources, destinations)
        result = before.matrix(sources, destinations).astype(np.int64) << _HALF | now
        result[(now == EMPTY) | ((now == ALL) & leaving[sources][:, None] & entering[destinations])] = 0
        return result

    places = Places(partition)
    rows = Rows(places, codes)
    for position, group in enumerate(places.groups):
        if not _in_host_network(group):
            for row in _of(rows, places, position):
                was, now = row.code >> _HALF, row.code & ((1 << _HALF) - 1)
                yield Allowed(row.source, row.destination, numbers[was], numbers[now])


def addresses_of(place: Place) -> AddressSet:
    """The addresses that a place outside stands for."""
    first, _, last = place.text.partition("-")
    if not last:
        return AddressSet.of(first)
    ((low, _),), ((high, _),) = AddressSet.of(first).ranges(), AddressSet.of(last).ranges()
    return AddressSet.of((low, high))


def party(place: Place) -> PodEnd | ExternalEnd:
    """One end of the place, to ask the evaluator about."""
    if place.first is not None:
        return ExternalEnd(place.first)
    return PodEnd(place.members[0].pod)


def _of(rows: Rows, places: Places, position: int) -> Iterator[CodedRow]:
    for pair in rows.to_workloads(position):
        if not _in_host_network(places.groups[pair.other]):
            yield from pair.rows
    if places.groups[position].place.members[0].pod.workload.kind != "Pod":
        yield from rows.within(position)
    yield from rows.outside(position)


def _in_host_network(group: Group) -> bool:
    """Policies see such pods as addresses, and the rows about addresses have them."""
    return group.place.members[0].pod.host_network


def _open(partition: Partition, evaluator: Evaluator, way: Way) -> NDArray[np.bool_]:
    """The classes that no NetworkPolicy isolates, addresses among them."""
    kinds = partition.kinds(len(partition.sides) - 1)
    return np.array([kind.example is None or not evaluator.isolating(kind.example, way) for kind in kinds], bool)
