"""One direction of one policy set: the ports that each class's own policies open to or from every other class.

In egress the class is the source and named ports are those of its peers; in ingress the class is the destination and
they are its own. Classes that the same policies select share one row.

A row is worked out from the last tier to the first: what the Baseline tier leaves of everything, or what
NetworkPolicies open where they isolate the class, and over that the Admin tier.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from netpol.model.inventory import ContainerPort
from netpol.model.tiers import NamedPort, TierRule
from netpol.policy import matching
from netpol.policy.atoms_ports import ALL, EMPTY
from netpol.policy.connectivity_tiers import TierFold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.model.tiers import TierPort
    from netpol.policy.atoms_ports import PortNumbers
    from netpol.policy.classes import Kind, NamedPorts
    from netpol.policy.connectivity_index import SelectorIndex
    from netpol.policy.policy_set import PolicySet
    from netpol.policy.verdict import Way

_Row = tuple[tuple[int, ...], tuple[int, ...], int]
"""The NetworkPolicies that isolate a class, the cluster-wide ones, and which named ports it has (0: no rule asks)."""


class Direction:
    """The rows of one direction.

    Attributes:
        row_of: intp[classes]: the row of each class; 0 is the row of classes that no policy selects: all ones.
        rows: int32[rows, classes]: the number of the ports that the row's policies open to (from) each class.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what one side of a partition consists of
        self,
        way: Way,
        policies: PolicySet,
        kinds: Sequence[Kind],
        index: SelectorIndex,
        inventory: Inventory,
        ports: PortNumbers,
    ) -> None:
        self._way = way
        self._index = index
        self._ports = ports
        self._policies = policies.namespaced
        self._everyone = np.arange(len(kinds), dtype=np.intp)
        self._declared: list[NamedPorts] = [()]
        self._names = self._number_names(kinds)
        self._covered: dict[tuple[tuple[TierPort, ...], int], int] = {}
        self._asks_for_names = [_asks_for_names(self._rules(policy)) for policy in self._policies]
        self._tiers = TierFold(way, policies, index, inventory, kinds) if policies.tiers else None
        rows: dict[_Row, int] = {((), (), 0): 0}
        self.row_of: NDArray[np.intp] = np.zeros(len(kinds), np.intp)
        for number, (isolating, tiers) in self._selected().items():
            asked = way == "ingress" and self._ask(isolating, tiers)
            key = (tuple(isolating), tuple(tiers), int(self._names[number]) if asked else 0)
            self.row_of[number] = rows.setdefault(key, len(rows))
        self.rows: NDArray[np.int32] = np.full((len(rows), len(kinds)), ALL, np.int32)
        for key, row in rows.items():
            if row:
                self.rows[row] = self._row(*key)

    def _number_names(self, kinds: Sequence[Kind]) -> NDArray[np.intp]:
        """intp[classes]: which of `_declared` each class has; addresses and hostNetwork pods have the first: none."""
        numbers: dict[NamedPorts, int] = {(): 0}
        found = np.array([numbers.setdefault(kind.names, len(numbers)) for kind in kinds], np.intp)
        self._declared = list(numbers)
        return found

    def _rules(self, policy: NetworkPolicy) -> tuple[Rule, ...]:
        return policy.ingress if self._way == "ingress" else policy.egress

    def _selected(self) -> dict[int, tuple[list[int], list[int]]]:
        """The classes that are selected, with the NetworkPolicies that isolate them and the cluster-wide policies."""
        found: defaultdict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for position, policy in enumerate(self._policies):
            if policy.isolates_ingress if self._way == "ingress" else policy.isolates_egress:
                for number in self._index.selected(policy):
                    found[number][0].append(position)
        if self._tiers is not None:
            for position, numbers in enumerate(self._tiers.subjects):
                for number in numbers.tolist():
                    found[number][1].append(position)
        return found

    def _ask(self, isolating: Sequence[int], tiers: Sequence[int]) -> bool:
        """Whether any of the policies asks for ports by name."""
        if any(self._asks_for_names[position] for position in isolating):
            return True
        return self._tiers is not None and any(self._tiers.asks_for_names(position) for position in tiers)

    def _row(self, isolating: tuple[int, ...], tiers: tuple[int, ...], names: int) -> NDArray[np.int32]:
        row = self._opened_by(isolating, names) if isolating else np.full(len(self._everyone), ALL, np.int32)
        if self._tiers is None:
            return row

        def opened(rule: TierRule, peers: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], int]]:
            return self._opened(rule, peers, names)

        return self._tiers.over(row, tiers, self._ports, opened, isolated=bool(isolating))

    def _opened_by(self, isolating: tuple[int, ...], names: int) -> NDArray[np.int32]:
        row = np.full(len(self._everyone), EMPTY, np.int32)
        for position in isolating:
            policy = self._policies[position]
            for rule in self._rules(policy):
                peers = self._index.peers(policy.namespace, rule.peers) if rule.peers else self._everyone
                for some, number in self._opened(rule, peers, names):
                    row[some] = self._ports.union(row[some], number)
        return row

    def _opened(
        self, rule: Rule | TierRule, peers: NDArray[np.intp], names: int
    ) -> Iterator[tuple[NDArray[np.intp], int]]:
        """The rule's peers, grouped by what its ports cover at the destination, with that set's number."""
        if self._way == "ingress" or not _asks_for_names((rule,)):
            yield peers, self._cover(rule, names)
            return
        of_peers = self._names[peers]
        for value in np.unique(of_peers):
            yield peers[of_peers == value], self._cover(rule, int(value))

    def _cover(self, rule: Rule | TierRule, names: int) -> int:
        key = (rule.ports, names)
        found = self._covered.get(key)
        if found is None:
            declared = (
                ContainerPort(protocol=protocol, port=port, name=name) for name, protocol, port in self._declared[names]
            )
            if isinstance(rule, TierRule):
                covered = matching.tier_ports(rule, declared)
            else:
                covered = matching.rule_ports(rule, declared)
            found = self._covered[key] = self._ports.number(covered)
        return found


def _asks_for_names(rules: Sequence[Rule | TierRule]) -> bool:
    ports = (port for rule in rules for port in rule.ports)
    return any(isinstance(port, NamedPort) or isinstance(port.port, str) for port in ports)
