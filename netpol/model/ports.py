"""Sets of ports, alone and per protocol, with the algebra that comparing policies needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from netpol.errors import InputError
from netpol.model import intervals
from netpol.model.flow import SCTP, TCP, UDP, protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.model.intervals import Ranges

FIRST_PORT, LAST_PORT = 1, 65535
"""The ports that a NetworkPolicy can name (`IsValidPortNum` of the API's validation). Nothing is served on port 0."""


@dataclass(frozen=True, slots=True)
class PortSet:
    """A set of ports between 1 and 65535. Build it with `of`; `ALL` and `EMPTY` are the extremes.

    `|`, `&`, `-` and `~` are the set operations, `<=` is inclusion, `in` is membership, iteration yields inclusive
    (first, last) ranges in ascending order, `len` counts ports.

    Attributes:
        ranges: Canonical: ascending, neither overlapping nor touching, so that equal sets compare and hash equal.
    """

    ranges: Ranges = ()

    ALL: ClassVar[PortSet]
    EMPTY: ClassVar[PortSet]

    def __post_init__(self) -> None:
        for first, last in self.ranges:
            if not FIRST_PORT <= first <= last <= LAST_PORT:
                raise InputError(
                    f"{first}-{last} is not a range of ports", remedy=f"Ports go from {FIRST_PORT} to {LAST_PORT}"
                )
        object.__setattr__(self, "ranges", intervals.normalise(self.ranges))

    @classmethod
    def of(cls, *items: int | tuple[int, int]) -> Self:
        """The set of these ports and inclusive (first, last) ranges, in any order.

        Raises:
            InputError: A port outside 1 to 65535, or a range that ends before it begins.
        """
        return cls(tuple((item, item) if isinstance(item, int) else item for item in items))

    def __or__(self, other: PortSet) -> PortSet:
        return PortSet(intervals.union(self.ranges, other.ranges))

    def __and__(self, other: PortSet) -> PortSet:
        return PortSet(intervals.intersection(self.ranges, other.ranges))

    def __sub__(self, other: PortSet) -> PortSet:
        return PortSet(intervals.difference(self.ranges, other.ranges))

    def __invert__(self) -> PortSet:
        return PortSet.ALL - self

    def __le__(self, other: PortSet) -> bool:
        return not intervals.difference(self.ranges, other.ranges)

    def __contains__(self, port: int) -> bool:
        return intervals.contains(self.ranges, port)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.ranges)

    def __len__(self) -> int:
        return intervals.size(self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __str__(self) -> str:
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ranges)


PortSet.ALL = PortSet(((FIRST_PORT, LAST_PORT),))
PortSet.EMPTY = PortSet()


@dataclass(frozen=True, slots=True)
class PortMap:
    """A set of (protocol, port) pairs over TCP, UDP and SCTP: all that a NetworkPolicy can tell apart.

    The same operations as `PortSet`; `map[protocol]` is the ports of one protocol (empty where it has none),
    iteration yields (protocol number, PortSet) of the protocols that have ports, `len` counts pairs.
    """

    tcp: PortSet = PortSet.EMPTY
    udp: PortSet = PortSet.EMPTY
    sctp: PortSet = PortSet.EMPTY

    ALL: ClassVar[PortMap]
    EMPTY: ClassVar[PortMap]

    @classmethod
    def of(cls, ports: Mapping[int, PortSet]) -> Self:
        """The map from IP protocol numbers to ports.

        Raises:
            InputError: A protocol other than TCP, UDP and SCTP.
        """
        for protocol in ports:
            if protocol not in {TCP, UDP, SCTP}:
                raise InputError(
                    f"a NetworkPolicy cannot name the protocol {protocol_name(protocol)}", remedy="Use TCP, UDP or SCTP"
                )
        return cls(
            tcp=ports.get(TCP, PortSet.EMPTY), udp=ports.get(UDP, PortSet.EMPTY), sctp=ports.get(SCTP, PortSet.EMPTY)
        )

    def __getitem__(self, protocol: int) -> PortSet:
        if protocol == TCP:
            return self.tcp
        if protocol == UDP:
            return self.udp
        return self.sctp if protocol == SCTP else PortSet.EMPTY

    def __or__(self, other: PortMap) -> PortMap:
        return PortMap(self.tcp | other.tcp, self.udp | other.udp, self.sctp | other.sctp)

    def __and__(self, other: PortMap) -> PortMap:
        return PortMap(self.tcp & other.tcp, self.udp & other.udp, self.sctp & other.sctp)

    def __sub__(self, other: PortMap) -> PortMap:
        return PortMap(self.tcp - other.tcp, self.udp - other.udp, self.sctp - other.sctp)

    def __invert__(self) -> PortMap:
        return PortMap.ALL - self

    def __le__(self, other: PortMap) -> bool:
        return self.tcp <= other.tcp and self.udp <= other.udp and self.sctp <= other.sctp

    def __contains__(self, pair: tuple[int, int]) -> bool:
        protocol, port = pair
        return port in self[protocol]

    def __iter__(self) -> Iterator[tuple[int, PortSet]]:
        return ((protocol, self[protocol]) for protocol in (TCP, UDP, SCTP) if self[protocol])

    def __len__(self) -> int:
        return len(self.tcp) + len(self.udp) + len(self.sctp)

    def __bool__(self) -> bool:
        return bool(self.tcp or self.udp or self.sctp)

    def __str__(self) -> str:
        return " ".join(f"{protocol_name(protocol)}/{ports}" for protocol, ports in self)

    def to_json(self) -> dict[str, list[list[int]]]:
        """`{"TCP": [[80, 80], [8000, 8010]]}`: inclusive ranges, protocols without ports left out."""
        return {protocol_name(protocol): [[first, last] for first, last in ports] for protocol, ports in self}


PortMap.ALL = PortMap(PortSet.ALL, PortSet.ALL, PortSet.ALL)
PortMap.EMPTY = PortMap()
