"""What `Names` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netpol.model.flow import Address
    from netpol.model.host_name import HostName
    from netpol.model.outside import Grade


MOST_NAMES: Final = 50
"""Names that only DNS led to one address, told one by one: whoever runs a zone can lead any number of names there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A name that may be what a connection was meant for.

    Attributes:
        grade: STRONG, MEDIUM or AMBIGUOUS.
        handshakes: ClientHellos and HTTP requests that named it; 0: only DNS did.
        first: Packet time of the earliest evidence, nanoseconds since the Unix epoch.
        last: Packet time of the latest: of a greeting, or until when an answer held.
    """

    name: HostName
    grade: Grade
    handshakes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What names the connections of some clients to one server address and port.

    Attributes:
        candidates: Sorted by name; none: the address is all there is.
        sharing: Names that led one of the clients to the address too, while all its greetings named others; sorted.
        more: How many names only DNS knows beyond the first MOST_NAMES, which stand among the candidates or in sharing.
        remarks: Why a name may be missing or not be the whole truth, sorted.
    """

    candidates: tuple[Candidate, ...] = ()
    sharing: tuple[HostName, ...] = ()
    more: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Hidden:
    """A client that asks for names in a way that nobody between can read.

    Attributes:
        server: The resolver.
        protocol: IP protocol number.
        way: `DNS over TLS`, `DNS over QUIC` or `DNS over HTTPS`.
    """

    client: Address
    server: Address
    protocol: int
    way: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one client asked DNS, as far as it could be read.

    Attributes:
        asked: Questions.
        answered: Responses with records.
        empty: Responses that know the name, but nothing of the kind asked for.
        no_name: NXDOMAIN, which the search domains of a pod's resolver cause with every name from outside.
        failed: SERVFAIL, REFUSED and the other errors.
    """

    client: Address
    asked: int
    answered: int
    empty: int
    no_name: int
    failed: int
