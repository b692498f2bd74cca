"""Sets of addresses of both families, and the ipBlock of a policy.

The families never mix: a set keeps IPv4 and IPv6 apart, and no IPv6 range ever holds an IPv4 address. An IPv4-mapped
IPv6 address (`::ffff:10.0.0.1`, RFC 4291 2.5.5.2) is here what its type says, an IPv6 address: it names an IPv4 peer
inside one host and is not meant to be on the wire (RFC 4942 2.2). `parse_cidr` refuses it, as the API server does,
instead of guessing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, ClassVar, Self

from netpol.errors import InputError
from netpol.model import intervals
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.flow import Address
    from netpol.model.intervals import Ranges

Network = IPv4Network | IPv6Network

_CIDR = re.compile(r"([0-9A-Fa-f:.]+)/(0|[1-9][0-9]{0,2})")


def parse_cidr(text: str, *, masked: bool = False) -> Network:
    """A block as the API server reads it (`IsValidCIDR` with strict validation, the default since Kubernetes 1.36).

    Args:
        text: An address and a prefix length.
        masked: Drop the bits beyond the prefix, as the CEL function `isCIDR` lets them pass.

    Raises:
        InputError: Not an address and a prefix length; bits set beyond the prefix, unless `masked`; leading zeros (read
            as octal by some); an IPv4-mapped IPv6 address; a zone.
    """
    match = _CIDR.fullmatch(text)
    try:
        address = ip_address(match[1]) if match else None
    except ValueError:
        address = None
    if match is None or address is None or int(match[2]) > address.max_prefixlen:
        raise InputError(f"{shown(text)} is not a CIDR", remedy="Write it like 10.9.8.0/24 or 2001:db8::/64")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise InputError(f"{shown(text)} is an IPv4-mapped IPv6 block", remedy="Write the IPv4 block itself")
    network = ip_network(f"{address}/{match[2]}", strict=False)
    if network.network_address != address and not masked:
        raise InputError(
            f"{shown(text)} has bits set beyond the prefix length",
            remedy=f"Write {network} for the block or {address}/{address.max_prefixlen} for the address",
        )
    return network


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set of addresses. Build it with `of` or `collect`; `ALL` and `EMPTY` are the extremes.

    `|`, `&`, `-` and `~` are the set operations (`~` within both families), `<=` is inclusion, `in` is membership,
    `len` does not exist because Python bounds it: see `size`.

    Attributes:
        v4: Canonical inclusive ranges of IPv4 addresses as integers: ascending, neither overlapping nor touching.
        v6: The same for IPv6.
    """

    v4: Ranges = ()
    v6: Ranges = ()

    ALL: ClassVar[AddressSet]
    EMPTY: ClassVar[AddressSet]

    @classmethod
    def of(cls, *items: Address | Network | tuple[Address, Address] | str) -> Self:
        """The set of these addresses, blocks and inclusive ranges, in any order; a string is an address or a CIDR.

        Raises:
            InputError: A string that is neither; a range over two families or that ends before it begins.
        """
        return cls.collect(items)

    @classmethod
    def collect(cls, items: Iterable[Address | Network | tuple[Address, Address] | str]) -> Self:
        """Like `of`, from any iterable, in O(n log n) for n items."""
        v4: list[tuple[int, int]] = []
        v6: list[tuple[int, int]] = []
        for item in items:
            # Single addresses come by the million.
            if isinstance(item, IPv4Address):
                value = int(item)
                v4.append((value, value))
            else:
                version, pair = _range_of(item)
                (v4 if version == 4 else v6).append(pair)
        return cls(intervals.normalise(v4), intervals.normalise(v6))

    def __or__(self, other: AddressSet) -> AddressSet:
        return AddressSet(intervals.union(self.v4, other.v4), intervals.union(self.v6, other.v6))

    def __and__(self, other: AddressSet) -> AddressSet:
        return AddressSet(intervals.intersection(self.v4, other.v4), intervals.intersection(self.v6, other.v6))

    def __sub__(self, other: AddressSet) -> AddressSet:
        return AddressSet(intervals.difference(self.v4, other.v4), intervals.difference(self.v6, other.v6))

    def __invert__(self) -> AddressSet:
        return AddressSet.ALL - self

    def __le__(self, other: AddressSet) -> bool:
        return not self - other

    def __contains__(self, address: Address) -> bool:
        return intervals.contains(self.v4 if address.version == 4 else self.v6, int(address))

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    @property
    def size(self) -> int:
        """How many addresses the set has."""
        return intervals.size(self.v4) + intervals.size(self.v6)

    def ranges(self) -> Iterator[tuple[Address, Address]]:
        """Inclusive (first, last) ranges, ascending, IPv4 before IPv6."""
        for first, last in self.v4:
            yield IPv4Address(first), IPv4Address(last)
        for first, last in self.v6:
            yield IPv6Address(first), IPv6Address(last)

    def cidrs(self) -> Iterator[Network]:
        """The one smallest set of blocks that covers exactly this set, ascending, IPv4 before IPv6.

        Ranges that do not touch share no block, and the decomposition of one range into largest aligned blocks is
        unique, so joining the decompositions is minimal. O(n w) for n ranges of w-bit addresses.
        """
        for first, last in self.v4:
            for base, prefix in _blocks(first, last, 32):
                yield IPv4Network((base, prefix))
        for first, last in self.v6:
            for base, prefix in _blocks(first, last, 128):
                yield IPv6Network((base, prefix))

    def __str__(self) -> str:
        return ",".join(str(network) for network in self.cidrs())


AddressSet.ALL = AddressSet(((0, 2**32 - 1),), ((0, 2**128 - 1),))
AddressSet.EMPTY = AddressSet()


@dataclass(frozen=True, slots=True)
class IPBlock:
    """The ipBlock of a NetworkPolicy peer: a block less the blocks cut out of it.

    Attributes:
        cidr: The block.
        except_: Strict subsets of it, each once, in ascending order.
        addresses: What remains.
    """

    cidr: Network
    except_: tuple[Network, ...] = ()
    addresses: AddressSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for network in self.except_:
            if not is_strict_subset(network, self.cidr):
                raise InputError(
                    f"{network} is not a strict subset of the cidr {self.cidr}",
                    remedy="Cut out a smaller block that lies inside the cidr",
                )
        ordered = sorted(set(self.except_), key=lambda network: (int(network.network_address), network.prefixlen))
        object.__setattr__(self, "except_", tuple(ordered))
        object.__setattr__(self, "addresses", AddressSet.of(self.cidr) - AddressSet.collect(ordered))

    @classmethod
    def parse(cls, cidr: str, except_: Iterable[str] = ()) -> Self:
        """The block from text, validated as the API server does (`ValidateIPBlock`).

        Raises:
            InputError: See `parse_cidr`; an `except` that is no strict subset of `cidr`.
        """
        return cls(parse_cidr(cidr), tuple(parse_cidr(text) for text in except_))

    def __contains__(self, address: Address) -> bool:
        return address in self.addresses

    def __str__(self) -> str:
        return str(self.cidr) + (f" except {', '.join(map(str, self.except_))}" if self.except_ else "")


def is_strict_subset(inner: Network, outer: Network) -> bool:
    """Whether `inner` lies inside `outer` and is smaller; never true across families."""
    return (
        inner.version == outer.version
        and inner.prefixlen > outer.prefixlen
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )


def _range_of(item: Address | Network | tuple[Address, Address] | str) -> tuple[int, tuple[int, int]]:
    """The IP version and the inclusive integer range of one item of `AddressSet.of`."""
    if isinstance(item, str):
        item = parse_cidr(item) if "/" in item else _parse_address(item)
    if isinstance(item, IPv4Address | IPv6Address):
        value = int(item)
        return item.version, (value, value)
    if isinstance(item, tuple):
        first, last = item
        if first.version != last.version or int(first) > int(last):
            raise InputError(
                f"{first}-{last} is not a range of addresses", remedy="Give the lower end first, one family"
            )
        return first.version, (int(first), int(last))
    return item.version, (int(item.network_address), int(item.broadcast_address))


def _parse_address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise InputError(f"{shown(text)} is not an address", remedy="Write it like 10.9.8.7 or 2001:db8::7") from None


def _blocks(first: int, last: int, width: int) -> Iterator[tuple[int, int]]:
    """Largest aligned blocks (base, prefix length) that cover first to last exactly."""
    while first <= last:
        alignment = (first & -first).bit_length() - 1 if first else width
        bits = min(alignment, (last - first + 1).bit_length() - 1)
        yield first, width - bits
        first += 1 << bits
