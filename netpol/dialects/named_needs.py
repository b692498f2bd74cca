"""Which outside addresses of a rule a name can stand for, and which names: for every dialect that has names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.outside import Grade
from netpol.model.policy import BlockPeer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.outside import Need
    from netpol.model.policy import Peer, PolicyPort, Rule
    from netpol.model.wildcard import Wildcard

Pattern: TypeAlias = "HostName | Wildcard"
LARGEST_BLOCK = 256
"""Addresses of a block that is taken apart; a wider one was meant as a block, and stays whole."""


@dataclass(frozen=True, slots=True)
class Named:
    """Names in the place of addresses.

    Attributes:
        peers: The rule's peers without the addresses that names stand for.
        names: (protocol, port) to the names that its workloads used there; empty where no name can stand for anything.
    """

    peers: tuple[Peer, ...]
    names: dict[tuple[int, int], tuple[Pattern, ...]]


class NamedNeeds:
    """What the workloads of one policy use by name.

    An address is left to names where each need of each of the workloads that leads there on this port has a name that
    is graded strong or medium and leads nowhere that is barred: where one connection has no such name, or may be for
    another, the address is needed itself.
    """

    def __init__(self, needs: Iterable[Need]) -> None:
        self._names: defaultdict[tuple[int, int], dict[Address, list[Pattern]]] = defaultdict(lambda: defaultdict(list))
        self._doubtful: defaultdict[tuple[int, int], set[Address]] = defaultdict(set)
        for need in needs:
            place = need.protocol, need.port
            for address in need.addresses:
                if need.name is None or need.grade > Grade.MEDIUM or need.by_address:
                    self._doubtful[place].add(address)
                else:
                    self._names[place][address].append(need.wildcard or need.name)

    def __bool__(self) -> bool:
        return bool(self._names)

    def split(self, rule: Rule) -> Named:
        """The rule's peers, and the names that take the place of addresses among them.

        Only a rule with numbered ports can be split: elsewhere it is not known on which ports a name is used.
        """
        places = _places(rule.ports)
        if not places or not all(place in self._names for place in places):
            return Named(rule.peers, {})
        certain = set.intersection(*(self._names[place].keys() - self._doubtful[place] for place in places))
        by_name = AddressSet.collect(certain)
        peers: list[Peer] = []
        gone = AddressSet.EMPTY
        for peer in rule.peers:
            if not isinstance(peer, BlockPeer) or peer.block.except_ or peer.block.addresses.size > LARGEST_BLOCK:
                peers.append(peer)
                continue
            gone |= peer.block.addresses & by_name
            peers += [BlockPeer(IPBlock(network)) for network in (peer.block.addresses - by_name).cidrs()]
        left = [address for address in certain if address in gone]
        if not left:
            return Named(rule.peers, {})
        names = {
            place: tuple(sorted({name for address in left for name in self._names[place][address]}, key=str))
            for place in places
        }
        return Named(tuple(peers), names)


def _places(ports: Iterable[PolicyPort]) -> list[tuple[int, int]]:
    """Every (protocol, port), none where one is not a number."""
    found: list[tuple[int, int]] = []
    for port in ports:
        if not isinstance(port.port, int) or (port.end_port or port.port) - port.port >= LARGEST_BLOCK:
            return []
        found += [(port.protocol, number) for number in range(port.port, (port.end_port or port.port) + 1)]
    return found
