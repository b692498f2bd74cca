"""What is left of old rules when everything that new ones allow is taken out: exact for whatever pods there will be.

Rules are taken apart into cells, a peer and a piece of ports each. Peers are compared as they are written, in one
canonical form; addresses and ports as sets. What remains is put together again in the fewest rules. The new rules and
the remainder together allow what both sets of rules allow, no more and no less.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.labels import EVERYTHING, LabelSelector
from netpol.model.policy import BlockPeer, Peer, PodPeer, PolicyPort, Rule
from netpol.model.ports import FIRST_PORT, LAST_PORT, PortSet
from netpol.policy.generate_rules import SHORTEST_RANGE
from netpol.policy.minimise import fewest_rectangles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_PIECES: Final = 8
"""A block of which a part is allowed anew remains as its other parts where these are no more; else it remains whole."""


class Column(NamedTuple):
    """A piece of the ports of one protocol that no rule cuts, or a port by name; protocol 0 is every port of all.

    A rule without ports is not the same as one with all ports of TCP, UDP and SCTP: it covers ICMP where the network
    plugin looks at that.
    """

    protocol: int
    first: int = 0
    last: int = 0
    name: str = ""


EVERY: Final = Column(0)


class Everyone(NamedTuple):
    """The peer of a rule that lists none."""


EVERYONE: Final = Everyone()

Row = PodPeer | IPBlock | Everyone
Cells = defaultdict[Row, set[Column]]


def remaining(namespace: str, new: Sequence[Rule], old: Sequence[Rule]) -> tuple[Rule, ...]:
    """The fewest rules that allow what the old ones allow and the new ones do not.

    Args:
        namespace: The policies' own: what a peer without a namespaceSelector means.
        new: Rules of one direction.
        old: Rules of the same direction of the same pods.
    """
    cutter = _Cutter([*new, *old])
    allowed, left = _cells(namespace, new, cutter), _cells(namespace, old, cutter)
    everyone = allowed.get(EVERYONE, set())
    for row in left:
        own = set() if isinstance(row, IPBlock) else allowed.get(row, set())
        left[row] -= cutter.covered_by(own | everyone)
    _reduce_columns(left, cutter)
    _reduce_blocks(left, allowed, cutter)
    return _rules(namespace, left)


class _Cutter:
    """The columns that some rules cut the ports into."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        starts = {protocol: {FIRST_PORT, LAST_PORT + 1} for protocol in (TCP, UDP, SCTP)}
        names: set[Column] = set()
        for port in (port for rule in rules for port in rule.ports):
            if isinstance(port.port, str):
                names.add(Column(port.protocol, name=port.port))
            elif port.port is not None:
                starts[port.protocol] |= {port.port, (port.end_port or port.port) + 1}
        self._pieces = {
            protocol: [Column(protocol, first, after - 1) for first, after in pairwise(found)]
            for protocol, found in ((protocol, sorted(cuts)) for protocol, cuts in starts.items())
        }
        self._starts = {protocol: [piece.first for piece in pieces] for protocol, pieces in self._pieces.items()}
        self.names = names

    def pieces(self, protocol: int) -> Sequence[Column]:
        """All ports of a protocol."""
        return self._pieces[protocol]

    def columns(self, rule: Rule) -> set[Column]:
        """What the rule's ports cover."""
        if not rule.ports:
            return {EVERY}
        found: set[Column] = set()
        for port in rule.ports:
            if isinstance(port.port, str):
                found.add(Column(port.protocol, name=port.port))
            else:
                first, last = port.port or FIRST_PORT, (port.end_port or port.port) or LAST_PORT
                starts = self._starts[port.protocol]
                found.update(self._pieces[port.protocol][bisect_left(starts, first) : bisect_right(starts, last)])
        return found

    def covered_by(self, columns: set[Column]) -> set[Column]:
        """These, and those that are superfluous beside them: a name beside all ports of its protocol."""
        if EVERY in columns:
            return {EVERY, *self.names, *(piece for pieces in self._pieces.values() for piece in pieces)}
        whole = {protocol for protocol, pieces in self._pieces.items() if columns.issuperset(pieces)}
        return columns | {name for name in self.names if name.protocol in whole}


def _cells(namespace: str, rules: Iterable[Rule], cutter: _Cutter) -> Cells:
    found: Cells = defaultdict(set)
    for rule in rules:
        columns = cutter.columns(rule)
        for peer in rule.peers:
            found[_row(namespace, peer)] |= columns
        if not rule.peers:
            found[EVERYONE] |= columns
    return found


def _row(namespace: str, peer: Peer) -> Row:
    """The peer with both selectors written out."""
    if isinstance(peer, BlockPeer):
        return peer.block
    namespaces = _named(namespace) if peer.namespace_selector is None else peer.namespace_selector
    return PodPeer(namespace_selector=namespaces, pod_selector=peer.pod_selector or EVERYTHING)


def _named(namespace: str) -> LabelSelector:
    return LabelSelector(match_labels={NAMESPACE_NAME_LABEL: namespace})


def _reduce_columns(left: Cells, cutter: _Cutter) -> None:
    """Takes out what other cells of the same row, or the row for everyone, make superfluous."""
    for row, columns in left.items():
        if EVERY in columns:
            left[row] = {EVERY}
        else:
            names = {column for column in columns if column.name}
            left[row] = columns - (cutter.covered_by(columns - names) & names)
    for row in left:
        if row != EVERYONE:
            left[row] = left[row] - cutter.covered_by(left.get(EVERYONE, set()))


def _reduce_blocks(left: Cells, allowed: Cells, cutter: _Cutter) -> None:
    """Takes out of the blocks what new blocks allow, and what wider blocks of the remainder allow."""
    blocks = sorted((row for row in left if isinstance(row, IPBlock)), key=_block_order)
    wanted = {block: left.pop(block) for block in blocks}
    anew = _addresses(allowed, cutter)
    wider = AddressSet.EMPTY
    for column in sorted({column for columns in wanted.values() for column in columns}):
        asked = [block for block in blocks if column in wanted[block]]
        found = _blocks_left(asked, anew[column] | wider)
        for block in found:
            left[block].add(column)
        if column == EVERY:
            wider = AddressSet.EMPTY
            for block in found:
                wider |= block.addresses


def _addresses(allowed: Mapping[Row, set[Column]], cutter: _Cutter) -> defaultdict[Column, AddressSet]:
    """The addresses that blocks allow in each column; in that of a name, those allowed on all ports of its protocol."""
    everyone = cutter.covered_by(allowed.get(EVERYONE, set()))
    found: defaultdict[Column, AddressSet] = defaultdict(lambda: AddressSet.EMPTY)
    for block, columns in allowed.items():
        if isinstance(block, IPBlock):
            for column in cutter.covered_by(columns):
                found[column] |= block.addresses
    for name in cutter.names:
        whole = AddressSet.ALL
        for piece in cutter.pieces(name.protocol):
            whole &= AddressSet.ALL if piece in everyone else found[piece]
        found[name] |= whole
    return found


def _blocks_left(asked: Iterable[IPBlock], covered: AddressSet) -> list[IPBlock]:
    """Blocks that are, together with what is covered, all that was asked for; merged where that wastes nothing."""
    plain = AddressSet.EMPTY
    cut: list[IPBlock] = []
    for block in asked:
        rest = block.addresses - covered
        pieces = list(rest.cidrs()) if rest else []
        if not rest:
            continue
        if block.except_:
            cut.append(block)
        else:
            plain |= rest if len(pieces) <= MOST_PIECES else block.addresses
    found = [IPBlock(network) for network in plain.cidrs()]
    # Of blocks with exceptions one after the other goes, so that what goes is covered by what stays.
    staying = [block for block in cut if not block.addresses <= plain | covered]
    for block in list(staying):
        others = plain | covered
        for other in staying:
            if other is not block:
                others |= other.addresses
        if block.addresses <= others:
            staying.remove(block)
    return found + staying


def _rules(namespace: str, cells: Cells) -> tuple[Rule, ...]:
    rows = sorted((row for row, columns in cells.items() if columns), key=lambda row: _row_order(namespace, row))
    columns = sorted({column for row in rows for column in cells[row]}, key=_column_order)
    cover = fewest_rectangles({row: cells[row] for row in rows}, columns)
    place = {row: index for index, row in enumerate(rows)}
    ordered = sorted(
        cover.rectangles, key=lambda item: ([place[row] for row in item.rows], [_column_order(c) for c in item.columns])
    )
    return tuple(
        Rule(
            peers=tuple(_peer(namespace, row) for row in item.rows if not isinstance(row, Everyone)),
            ports=_ports(item.columns),
        )
        for item in ordered
    )


def _peer(namespace: str, row: PodPeer | IPBlock) -> Peer:
    """The peer in the words that people use."""
    if isinstance(row, IPBlock):
        return BlockPeer(row)
    if row.namespace_selector == _named(namespace):
        return PodPeer(pod_selector=row.pod_selector)
    every = row.pod_selector is None or row.pod_selector.is_empty
    return PodPeer(namespace_selector=row.namespace_selector, pod_selector=None if every else row.pod_selector)


def _ports(columns: Sequence[Column]) -> tuple[PolicyPort, ...]:
    if EVERY in columns:
        return ()
    found: list[PolicyPort] = []
    for protocol in (TCP, UDP, SCTP):
        here = [column for column in columns if column.protocol == protocol]
        numbers = PortSet.of(*((column.first, column.last) for column in here if not column.name))
        if numbers == PortSet.ALL:
            found.append(PolicyPort(protocol=protocol))
            continue
        for first, last in numbers:
            if last - first + 1 >= SHORTEST_RANGE:
                found.append(PolicyPort(protocol=protocol, port=first, end_port=last))
            else:
                found += (PolicyPort(protocol=protocol, port=port) for port in range(first, last + 1))
        found += (PolicyPort(protocol=protocol, port=column.name) for column in here if column.name)
    return tuple(found)


def _row_order(namespace: str, row: Row) -> tuple[int, str, str, tuple[int, ...]]:
    """Own namespace, other namespaces, addresses, everyone."""
    if isinstance(row, Everyone):
        return 3, "", "", ()
    if isinstance(row, IPBlock):
        return 2, "", "", _block_order(row)
    place = 0 if row.namespace_selector == _named(namespace) else 1
    return place, str(row.namespace_selector), str(row.pod_selector), ()


def _block_order(block: IPBlock) -> tuple[int, ...]:
    networks = (block.cidr, *block.except_)
    return tuple(
        number for network in networks for number in (network.version, int(network.network_address), network.prefixlen)
    )


def _column_order(column: Column) -> tuple[int, bool, int, int, str]:
    order = (TCP, UDP, SCTP, 0).index(column.protocol)
    return order, bool(column.name), column.first, column.last, column.name
