"""Rules that another rule makes superfluous, for the pods of today and for all that there could be.

Rule R of policy P is contained in rule S of policy Q when both policies are of one namespace and isolate the same
direction, every pod that P could ever select Q selects too, and S allows whatever R allows: each of R's selector peers
selects no more than one of S's, R's blocks lie inside the union of S's blocks, and R's ports inside S's. Labels are
compared as sets of all possible labels, named ports by name, so that the answer does not depend on which pods exist.
Removing R (and leaving policyTypes as it is) then changes no verdict. Of rules that contain each other all but the
first, by name and position, are reported; removing all that are reported at once is safe too, because containment is
transitive.

What only several rules together contain is not reported.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.model.cidr import AddressSet
from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.labels import EVERYTHING, LabelSelector
from netpol.model.policy import PodPeer
from netpol.model.ports import PortMap, PortSet
from netpol.policy.matching import rule_ports
from netpol.review.findings import WAYS, Check, Severity, path_text
from netpol.review.implication import implies, is_satisfiable
from netpol.review.impossible import can_match

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.model.policy import Rule
    from netpol.policy.verdict import Way
    from netpol.review.findings import Finding, Written
    from netpol.review.scene import Scene

CONTAINED: Final = Check(
    id="rule-contained",
    severity=Severity.INFO,
    title="A rule that another rule contains",
    meaning="Another rule, of this policy or of one that selects at least the same pods, allows all that it allows, "
    "whatever pods there will be.",
    remedy="Remove the rule, but keep the direction in policyTypes",
)

NOT_COMPARED: Final = Check(
    id="rules-not-compared",
    severity=Severity.INFO,
    title="Too many rules to compare",
    meaning="From this rule on, the rules of this direction and namespace were not searched for superfluous ones.",
    remedy="Write rules with many peers instead of many rules",
)

MOST_PAIRS: Final = 2_000_000
"""Pairs of rules of one namespace and direction that are compared: some seconds."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Statement:
    """A rule, taken apart once.

    Attributes:
        pods: (namespaceSelector, podSelector) of each peer with selectors.
        names: (protocol, name) of named ports.
    """

    written: Written
    way: Way
    index: int
    everyone: bool
    addresses: AddressSet
    pods: tuple[tuple[LabelSelector, LabelSelector], ...]
    every_port: bool
    ports: PortMap
    names: frozenset[tuple[int, str]]

    def allows_all_of(self, other: _Statement) -> bool:
        """Whether this rule allows whatever the other allows, to the same subjects."""
        return self._has_ports_of(other) and self._has_peers_of(other)

    def _has_ports_of(self, other: _Statement) -> bool:
        if self.every_port or other.every_port:
            return self.every_port
        return other.ports <= self.ports and all(
            name in self.names or self.ports[name[0]] == PortSet.ALL for name in other.names
        )

    def _has_peers_of(self, other: _Statement) -> bool:
        if self.everyone or other.everyone:
            return self.everyone
        return other.addresses <= self.addresses and all(
            any(implies(theirs[0], ours[0]) and implies(theirs[1], ours[1]) for ours in self.pods)
            for theirs in other.pods
        )


def containment(scene: Scene) -> Iterator[Finding]:
    """CONTAINED for each rule that a single other one contains."""
    by_namespace: defaultdict[str, list[Written]] = defaultdict(list)
    for written in scene.written:
        if is_satisfiable(written.policy.pod_selector):
            by_namespace[written.policy.namespace].append(written)
    for policies in by_namespace.values():
        for way in WAYS:
            yield from _contained([written for written in policies if written.isolates(way)], way)


def _contained(policies: Sequence[Written], way: Way) -> Iterator[Finding]:
    statements = {
        id(written): [_statement(written, way, index, rule) for index, rule in enumerate(written.all_rules(way))]
        for written in policies
    }
    order = {id(one): number for number, one in enumerate(one for found in statements.values() for one in found)}
    left = MOST_PAIRS
    wider = _Wider(policies)
    for written in policies:
        others = [(other, one) for other in wider.than(written) for one in statements[id(other)]]
        for inner in statements[id(written)]:
            if not _says_something(inner):
                continue
            left -= len(others)
            if left < 0:
                message = f"namespace {written.policy.namespace} has too many {way} rules to compare all of them"
                yield NOT_COMPARED.found(written, ("spec", inner.way, inner.index), message)
                return
            for other, outer in others:
                if outer is not inner and outer.allows_all_of(inner):
                    mutual = inner.allows_all_of(outer) and implies(
                        other.policy.pod_selector, written.policy.pod_selector
                    )
                    if not mutual or order[id(outer)] < order[id(inner)]:
                        yield _finding(inner, outer)
                        break


def _finding(inner: _Statement, outer: _Statement) -> Finding:
    place = path_text(("spec", outer.way, outer.index))
    where = place if outer.written is inner.written else f"{place} of {outer.written.policy}"
    return CONTAINED.found(inner.written, ("spec", inner.way, inner.index), f"{where} allows all that this rule allows")


def _says_something(statement: _Statement) -> bool:
    """Whether anything can match at all: what never does is another check's."""
    return bool(statement.everyone or statement.addresses or statement.pods)


def _statement(written: Written, way: Way, index: int, rule: Rule) -> _Statement:
    own = LabelSelector(match_labels={NAMESPACE_NAME_LABEL: written.policy.namespace})
    addresses = AddressSet.EMPTY
    pods = []
    for peer in rule.peers:
        if not isinstance(peer, PodPeer):
            addresses |= peer.block.addresses
        elif can_match(peer):
            namespaces = own if peer.namespace_selector is None else peer.namespace_selector
            pods.append((namespaces, EVERYTHING if peer.pod_selector is None else peer.pod_selector))
    return _Statement(
        written=written,
        way=way,
        index=index,
        everyone=not rule.peers,
        addresses=addresses,
        pods=tuple(pods),
        every_port=not rule.ports,
        ports=rule_ports(rule, ()),
        names=frozenset((port.protocol, port.port) for port in rule.ports if isinstance(port.port, str)),
    )


class _Wider:
    """The policies that select at least what another selects, found without comparing each with each.

    A selector with a condition `key=value` can only contain selectors with the same condition.
    """

    def __init__(self, policies: Sequence[Written]) -> None:
        self._by_pair: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._others: list[int] = []
        self._policies = policies
        for number, written in enumerate(policies):
            pair = next(iter(written.policy.pod_selector.match_labels.items()), None)
            (self._others if pair is None else self._by_pair[pair]).append(number)

    def than(self, written: Written) -> Iterator[Written]:
        """By name, the policy itself among them."""
        selector = written.policy.pod_selector
        found = [*self._others]
        for pair in selector.match_labels.items():
            found += self._by_pair.get(pair, ())
        for number in sorted(found):
            if implies(selector, self._policies[number].policy.pod_selector):
                yield self._policies[number]
