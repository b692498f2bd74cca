"""What a workload needs outside the cluster: a name or an address, a port, and how well we know it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.inventory import WorkloadRef
    from netpol.model.wildcard import Wildcard


class Grade(IntEnum):
    """How well a name is known to be the one that was meant, best first."""

    STRONG = 0
    """The connection itself names it (TLS SNI, HTTP Host), and a DNS answer to the client gave the server's address."""
    MEDIUM = 1
    """One source alone names it."""
    AMBIGUOUS = 2
    """Several names led to the address, and the connection does not say which was meant."""
    NONE = 3
    """An address only."""

    @property
    def label(self) -> str:
        """The word used in every output."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one workload was seen to use outside the cluster: one name, or one address without a name, on one port.

    Attributes:
        name: None where nothing names the address; the grade is then NONE.
        protocol: IP protocol number: TCP, UDP or SCTP.
        addresses: Where the connections went, ascending, IPv4 before IPv6; at least one.
        sharing: Other names that led this workload to one of the addresses, sorted; a remark says where there are more.
        wildcard: Where wildcards were asked for: the pattern that may stand in the name's place, since the workload
            used enough names that it covers. It also admits names that were never seen: whoever prints it says so, and
            whoever cannot say it prints the name.
        by_address: Why the name is never written as allowed, only these addresses are: it also leads where nobody may
            go. Empty where it may be; one of the remarks where it may not.
        remarks: Why a name may be missing or not be the whole truth (Encrypted Client Hello, DNS over TLS), sorted.
        connections: How many; those of an address that several names share count for each name that they may be for.
        bytes: Their original lengths on the wire, both directions.
        first_seen: Packet time, nanoseconds since the Unix epoch.
        last_seen: Packet time, nanoseconds since the Unix epoch.
    """

    workload: WorkloadRef
    name: HostName | None
    protocol: int
    port: int
    grade: Grade
    addresses: tuple[Address, ...]
    sharing: tuple[HostName, ...] = ()
    wildcard: Wildcard | None = None
    by_address: str = ""
    remarks: tuple[str, ...] = ()
    connections: int
    bytes: int
    first_seen: int
    last_seen: int

    def __post_init__(self) -> None:
        if not self.addresses or (self.name is None) != (self.grade is Grade.NONE):
            raise ValueError(f"{self.name} at {len(self.addresses)} addresses, graded {self.grade.label}")
        if self.wildcard is not None and (self.name is None or not self.wildcard.covers(self.name)):
            raise ValueError(f"{self.wildcard} does not cover {self.name}")
