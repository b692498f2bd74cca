"""Everything that a policy set allows, exactly: the ports that each end may reach at each other end.

Takes a side of a partition; answers for classes, pods and addresses, point by point or as matrices of port-set numbers.
It stands on the same rules as `evaluate` and says the same for every connection; it differs in asking each question
once for all ends that no policy can tell apart.

An address stands for an end outside the cluster, whoever holds it: ask with the pod for a pod. Traffic that no policy
can forbid (a pod and itself, a pod and its own node) depends on the very pods, not on their classes: the matrices leave
it out, and `ports` has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netpol.model.inventory import Pod
from netpol.model.ports import PortMap
from netpol.policy.atoms_ports import EMPTY, PortNumbers
from netpol.policy.classes import Partition, Side
from netpol.policy.classes_pods import node_names, node_of
from netpol.policy.connectivity_direction import Direction
from netpol.policy.connectivity_index import SelectorIndex
from netpol.policy.policy_set import PolicySet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory
    from netpol.model.tiers import Policy


class Connectivity:
    """What one side allows.

    Args:
        partition: The ends.
        side: Which of the partition's sides.
        numbers: Shared by the sides that are to be compared.
    """

    def __init__(self, partition: Partition, side: int = 0, numbers: PortNumbers | None = None) -> None:
        self.partition = partition
        self.side = side
        self.numbers = numbers if numbers is not None else PortNumbers()
        of_side = partition.sides[side]
        kinds = partition.kinds(side)
        index = SelectorIndex(kinds, partition.atoms.blocks, of_side.inventory)
        policies = PolicySet.of(of_side.policies)
        self._egress, self._ingress = (
            Direction(way, policies, kinds, index, of_side.inventory, self.numbers) for way in ("egress", "ingress")
        )
        self._absent = np.array([not kind.present for kind in kinds], bool)
        self._some_absent = bool(self._absent.any())
        self._nodes = node_names(of_side.inventory)

    @classmethod
    def of(cls, policies: Iterable[Policy], inventory: Inventory) -> Connectivity:
        """What the policies allow in the cluster as it is now."""
        return cls(Partition([Side(policies=tuple(policies), inventory=inventory)]))

    def matrix(self, sources: NDArray[np.intp], destinations: NDArray[np.intp]) -> NDArray[np.int32]:
        """int32[sources, destinations]: the numbers of the ports that policies allow between the classes.

        A class that this side does not have reaches nothing and is reached by nothing.
        """
        leaves = self._egress.rows[self._egress.row_of[sources][:, None], destinations]
        enters = self._ingress.rows[self._ingress.row_of[destinations], sources[:, None]]
        result = self.numbers.meet(leaves, enters)
        if self._some_absent:
            result[self._absent[sources]] = EMPTY
            result[:, self._absent[destinations]] = EMPTY
        return result

    def ports(self, source: Pod | Address, destination: Pod | Address) -> PortMap:
        """Where the source may open connections to the destination.

        Raises:
            KeyError: A pod that is not there, or not there any more.
        """
        if isinstance(source, Pod) and isinstance(destination, Pod) and self._always(source, destination):
            return PortMap.ALL
        ends = np.array([self._class(source), self._class(destination)], np.intp)
        return self.numbers[int(self.matrix(ends[:1], ends[1:])[0, 0])]

    def _always(self, source: Pod, destination: Pod) -> bool:
        return source.uid == destination.uid or self.own_node(source, destination)

    def own_node(self, one: Pod, other: Pod) -> bool:
        """Whether one is a hostNetwork pod, and so the node, that the other runs on: no policy can part these."""
        if one.host_network == other.host_network:
            return False
        host, pod = (one, other) if one.host_network else (other, one)
        node = node_of(host, self._nodes)
        return bool(node) and node == pod.node

    def node(self, pod: Pod) -> str:
        """The node that the pod runs on, empty where it is not known."""
        return node_of(pod, self._nodes)

    def _class(self, end: Pod | Address) -> int:
        if isinstance(end, Pod):
            member = self.partition.member_of(end)
            if member is None:
                raise KeyError(f"{end.namespace}/{end.name}")
            return int(self.partition.class_of[member])
        return self.partition.outside_class(self.partition.atoms.covering([end]))
