"""One direction of one policy set: the ports that each class's own policies open to or from every other class.

In egress the class is the source and named ports are those of its peers; in ingress the class is the destination and
they are its own. Classes that the same policies isolate share one row.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.inventory import ContainerPort
from netpol.policy import matching
from netpol.policy.atoms_ports import ALL, EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from netpol.model.policy import NetworkPolicy, PolicyPort, Rule
    from netpol.policy.atoms_ports import PortNumbers
    from netpol.policy.classes import Kind, NamedPorts
    from netpol.policy.connectivity_index import SelectorIndex
    from netpol.policy.verdict import Way

_Row = tuple[tuple[int, ...], int]
"""The policies that isolate a class, and which of the named ports it has (0 where no rule asks)."""


class Direction:
    """The rows of one direction.

    Attributes:
        row_of: intp[classes]: the row of each class; 0 is the row of classes that nothing isolates: all ones.
        rows: int32[rows, classes]: the number of the ports that the row's policies open to (from) each class.
    """

    def __init__(
        self,
        way: Way,
        policies: Sequence[NetworkPolicy],
        kinds: Sequence[Kind],
        index: SelectorIndex,
        ports: PortNumbers,
    ) -> None:
        self._way = way
        self._index = index
        self._ports = ports
        self._policies = policies
        self._everyone = np.arange(len(kinds), dtype=np.intp)
        self._declared: list[NamedPorts] = [()]
        self._names = self._number_names(kinds)
        self._covered: dict[tuple[tuple[PolicyPort, ...], int], int] = {}
        self._asks_for_names = [_asks_for_names(self._rules(policy)) for policy in policies]
        rows: dict[_Row, int] = {((), 0): 0}
        self.row_of: NDArray[np.intp] = np.zeros(len(kinds), np.intp)
        for number, isolating in self._isolated().items():
            asked = way == "ingress" and any(self._asks_for_names[policy] for policy in isolating)
            key = (tuple(isolating), int(self._names[number]) if asked else 0)
            self.row_of[number] = rows.setdefault(key, len(rows))
        self.rows: NDArray[np.int32] = np.full((len(rows), len(kinds)), ALL, np.int32)
        for (positions, names), row in rows.items():
            if positions:
                self.rows[row] = self._row(positions, names)

    def _number_names(self, kinds: Sequence[Kind]) -> NDArray[np.intp]:
        """intp[classes]: which of `_declared` each class has; addresses and hostNetwork pods have the first: none."""
        numbers: dict[NamedPorts, int] = {(): 0}
        found = np.array([numbers.setdefault(kind.names, len(numbers)) for kind in kinds], np.intp)
        self._declared = list(numbers)
        return found

    def _rules(self, policy: NetworkPolicy) -> tuple[Rule, ...]:
        return policy.ingress if self._way == "ingress" else policy.egress

    def _isolated(self) -> dict[int, list[int]]:
        """The isolated classes, each with the policies that isolate it, in order."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for position, policy in enumerate(self._policies):
            if policy.isolates_ingress if self._way == "ingress" else policy.isolates_egress:
                for number in self._index.selected(policy):
                    found[number].append(position)
        return found

    def _row(self, isolating: tuple[int, ...], names: int) -> NDArray[np.int32]:
        row = np.full(len(self._everyone), EMPTY, np.int32)
        for position in isolating:
            policy = self._policies[position]
            for rule in self._rules(policy):
                peers = self._index.peers(policy.namespace, rule.peers) if rule.peers else self._everyone
                for some, number in self._opened(rule, peers, names):
                    row[some] = self._ports.union(row[some], number)
        return row

    def _opened(self, rule: Rule, peers: NDArray[np.intp], names: int) -> Iterator[tuple[NDArray[np.intp], int]]:
        """The rule's peers, grouped by what its ports cover at the destination, with that set's number."""
        if self._way == "ingress" or not _asks_for_names((rule,)):
            yield peers, self._cover(rule, names)
            return
        of_peers = self._names[peers]
        for value in np.unique(of_peers):
            yield peers[of_peers == value], self._cover(rule, int(value))

    def _cover(self, rule: Rule, names: int) -> int:
        key = (rule.ports, names)
        found = self._covered.get(key)
        if found is None:
            declared = (
                ContainerPort(protocol=protocol, port=port, name=name) for name, protocol, port in self._declared[names]
            )
            found = self._covered[key] = self._ports.number(matching.rule_ports(rule, declared))
        return found


def _asks_for_names(rules: Sequence[Rule]) -> bool:
    return any(isinstance(port.port, str) for rule in rules for port in rule.ports)
