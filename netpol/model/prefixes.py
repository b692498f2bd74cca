"""Fewer blocks than an exact set of addresses needs, at a known price: addresses that are granted but were never seen.

The blocks of any such set are nodes of the longest-common-prefix tree over the blocks of the exact one, because a
block can be shrunk to the longest prefix that its addresses share without losing any. So the best set is a choice of
nodes, which a dynamic programme over the tree finds: with at most k blocks a node either covers all below it itself or
shares the k among its two children (Soldo, Markopoulou & Argyraki, "Optimal Source-Based Filtering of Malicious
Traffic", IEEE/ACM ToN 20(2), 2012). See `prefix_tree` for its cost.

The families are bounded one by one: an IPv6 block is larger than all of IPv4, so a common measure would spend
everything on IPv6, and what enforces blocks counts them by family too.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

from netpol.errors import InputError
from netpol.model.cidr import AddressSet, Network
from netpol.model.prefix_tree import Obstacles, PrefixTree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.intervals import Ranges

NO_PEERS: Final = AddressSet.of(
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/3",  # multicast, reserved, broadcast
    "::/127",
    "fe80::/10",
    "ff00::/8",
)
"""Where nobody outside the cluster is (IANA special-purpose registries, RFC 6890): never widened over, in any part."""

_SPECIAL_PURPOSE: Final = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    IPv6Network("::ffff:0:0/96"),
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
)
"""The others of the same registries. A block stays inside one or outside: on-premises peers have private addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How far a set of blocks may be from the exact one; exactly one of the two is given.

    Attributes:
        max_prefixes: At most this many blocks of each family, with the fewest addresses granted but never seen.
        max_waste: The fewest blocks such that in each family the addresses granted but never seen are at most this
            share of all addresses granted: 0 is exact, 1/2 is one never seen for one seen.
    """

    max_prefixes: int | None = None
    max_waste: Fraction | None = None

    def __post_init__(self) -> None:
        if (self.max_prefixes is None) == (self.max_waste is None):
            raise InputError("a bound is either a number of prefixes or a share of waste", remedy="Give one of the two")
        if self.max_prefixes is not None and self.max_prefixes < 1:
            raise InputError(f"{self.max_prefixes} prefixes hold no address", remedy="Allow at least one prefix")
        if self.max_waste is not None and not 0 <= self.max_waste < 1:
            raise InputError(
                f"{self.max_waste} is no share of waste",
                remedy="Give the addresses never seen as a share of all granted: from 0 to below 1, for example 0.5",
            )


@dataclass(frozen=True, slots=True)
class Prefix:
    """One block of a bounded set.

    Attributes:
        unseen: How many of its addresses were never seen.
    """

    network: Network
    unseen: int


def bounded(addresses: AddressSet, bound: Bound | None = None, *, never: AddressSet = AddressSet.EMPTY) -> list[Prefix]:
    """Blocks that cover all of `addresses`, ascending, IPv4 before IPv6.

    Without a bound they are the exact ones. A block that is not exact holds nothing of `never` or NO_PEERS, and lies
    inside one special-purpose range or outside all. Where the blocks cannot be as few as asked for because of that,
    they are as few as can be: more than `max_prefixes` then, which the caller has to tell.

    Args:
        addresses: What was seen.
        bound: How many blocks, or how much waste.
        never: What must not be granted unseen: ranges of pods, Services and nodes.
    """
    if bound is None:
        return [Prefix(network, 0) for network in addresses.cidrs()]
    never = never | NO_PEERS
    special = AddressSet.collect(_SPECIAL_PURPOSE)
    found: list[Prefix] = []
    for first, prefixlen, unseen in _family(AddressSet(v4=addresses.v4), 32, bound, never.v4, special.v4):
        found.append(Prefix(IPv4Network((first, prefixlen)), unseen))
    for first, prefixlen, unseen in _family(AddressSet(v6=addresses.v6), 128, bound, never.v6, special.v6):
        found.append(Prefix(IPv6Network((first, prefixlen)), unseen))
    return found


def waste(prefixes: Iterable[Prefix], version: int) -> Fraction:
    """The share of one family's granted addresses that were never seen; 0 where it has none."""
    chosen = [prefix for prefix in prefixes if prefix.network.version == version]
    granted = sum(prefix.network.num_addresses for prefix in chosen)
    return Fraction(sum(prefix.unseen for prefix in chosen), granted) if granted else Fraction(0)


def _family(
    addresses: AddressSet, width: int, bound: Bound, never: Ranges, special: Ranges
) -> list[tuple[int, int, int]]:
    """The blocks of one family as (first address, prefix length, addresses never seen)."""
    leaves = [(int(network.network_address), network.prefixlen) for network in addresses.cidrs()]
    if not leaves:
        return []
    tree = PrefixTree(leaves, width, Obstacles(never, special))
    if bound.max_prefixes is not None:
        return tree.fewest_addresses(bound.max_prefixes)
    # Unseen / granted <= share, with granted = seen + unseen, is granted <= seen / (1 - share).
    share = bound.max_waste or Fraction(0)
    return tree.fewest_prefixes(int(addresses.size / (1 - share)))
