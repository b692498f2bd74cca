"""Who is asked for names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.flow import Address
    from netpol.names.found import Found


class Naming(Protocol):
    """Who knows names: `netpol.names.table.Names`."""

    def towards(  # noqa: PLR0913, PLR0917 - what makes a connection is that many things
        self, clients: Iterable[Address], server: Address, protocol: int, port: int, first: int, last: int
    ) -> Found:
        """What names the connections of the clients to the server's port between the two times (nanoseconds)."""
        ...


def address_key(address: Address) -> tuple[int, int]:
    """Orders addresses: IPv4 before IPv6, ascending."""
    return address.version, int(address)
