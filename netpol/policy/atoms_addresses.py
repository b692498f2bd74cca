"""Addresses that no ipBlock, and no network or node of a cluster-wide policy, tells apart, taken together.

The boundaries of all blocks and their exceptions cut each family into elementary intervals; intervals that the same
blocks cover are one atom. Every address is in exactly one atom, and whatever a policy says of one of its addresses it
says of all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Protocol

from netpol.model.cidr import AddressSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.flow import Address
    from netpol.model.intervals import Ranges

_BITS = {4: 32, 6: 128}


class Block(Protocol):
    """Addresses that are meant together; hashable, and equal blocks have equal addresses."""

    @property
    def addresses(self) -> AddressSet:
        """All of them."""
        ...


class AddressAtoms:
    """The atoms that some blocks cut the address space into.

    Sets of blocks are integers: bit i is the i-th of `blocks`.

    Args:
        blocks: In any order, repeated or not.
    """

    def __init__(self, blocks: Iterable[Block]) -> None:
        self.blocks: tuple[Block, ...] = tuple(dict.fromkeys(blocks))
        self._cuts = {
            4: _sweep(block.addresses.v4 for block in self.blocks),
            6: _sweep(block.addresses.v6 for block in self.blocks),
        }
        atoms: defaultdict[int, list[tuple[Address, Address]]] = defaultdict(list)
        for version, (starts, masks) in self._cuts.items():
            kind = IPv4Address if version == 4 else IPv6Address
            ends = [start - 1 for start in starts[1:]] + [(1 << _BITS[version]) - 1]
            for first, last, mask in zip(starts, ends, masks, strict=True):
                atoms[mask].append((kind(first), kind(last)))
        self.atoms: dict[int, AddressSet] = {mask: AddressSet.collect(pairs) for mask, pairs in atoms.items()}
        """Covering blocks to addresses: the atoms themselves. They are disjoint and cover both families."""

    def covering(self, addresses: Iterable[Address]) -> int:
        """The blocks that have any of the addresses: `matching.block_matches` for all blocks at once."""
        found = 0
        for address in addresses:
            starts, masks = self._cuts[address.version]
            found |= masks[bisect_right(starts, int(address)) - 1]
        return found


def bits(mask: int) -> Iterator[int]:
    """The positions of the ones, ascending."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


def _sweep(ranges_of_blocks: Iterable[Ranges]) -> tuple[list[int], list[int]]:
    """Where the elementary intervals of one family start, the first at 0, and which blocks cover each."""
    toggles: defaultdict[int, int] = defaultdict(int)
    toggles[0] = 0
    for position, ranges in enumerate(ranges_of_blocks):
        for first, last in ranges:
            toggles[first] ^= 1 << position
            toggles[last + 1] ^= 1 << position
    starts, masks, covering = [], [], 0
    for start in sorted(toggles):
        covering ^= toggles[start]
        starts.append(start)
        masks.append(covering)
    # A block that reaches the family's last address ends one beyond it.
    if starts[-1] in {1 << size for size in _BITS.values()}:
        starts.pop()
        masks.pop()
    return starts, masks
