"""Whether what learned policies close on silence alone is closed in the end.

A learned policy closes what it does not allow, but existing policies of the same pods add to it, and so do rules of
earlier captures that were kept. A statement that something is closed must not be made where it is not.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from netpol.policy.atoms_ports import EMPTY
from netpol.policy.connectivity import Connectivity
from netpol.policy.generate_statements import Topic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.tiers import Policy
    from netpol.policy.generate_statements import Statement


def sort_out(
    statements: Iterable[Statement], after: Iterable[Policy], inventory: Inventory
) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """The statements that are true of the whole set, and those about silence that are not.

    Args:
        statements: About the learned policies alone.
        after: All policies that there will be.
        inventory: The cluster.
    """
    whole = _Whole(Connectivity.of(after, inventory))
    true: list[Statement] = []
    untrue: list[Statement] = []
    for statement in statements:
        (true if whole.agrees(statement) else untrue).append(statement)
    return tuple(true), tuple(untrue)


class _Whole:
    def __init__(self, connectivity: Connectivity) -> None:
        self._connectivity = connectivity
        partition = connectivity.partition
        self._everyone = np.arange(len(partition), dtype=np.intp)
        self._classes: defaultdict[WorkloadRef, set[int]] = defaultdict(set)
        for number, member in enumerate(partition.members):
            self._classes[member.pod.workload].add(int(partition.class_of[number]))

    def agrees(self, statement: Statement) -> bool:
        """Whether what the statement says is closed is closed; true of statements about anything else."""
        classes = np.array(sorted(self._classes.get(statement.workload, ())), np.intp)
        if statement.topic is Topic.SILENT_EGRESS:
            return not self._ports(self._connectivity.matrix(classes, self._everyone))
        if statement.topic is Topic.SILENT_INGRESS:
            return not self._ports(self._connectivity.matrix(self._everyone, classes))
        if statement.topic is Topic.SILENT_PORT:
            allowed = self._ports(self._connectivity.matrix(self._everyone, classes))
            numbers = self._connectivity.numbers
            return not any(port in numbers[number] for number in allowed for port in statement.ports)
        return True

    @staticmethod
    def _ports(matrix: NDArray[np.int32]) -> list[int]:
        return [number for number in np.unique(matrix).tolist() if number != EMPTY]
