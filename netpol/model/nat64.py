"""IPv4 addresses inside IPv6 ones: how what has IPv6 alone reaches the rest (RFC 6052, 2.1)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netpol.model.flow import Address

WELL_KNOWN: Final = 0x0064_FF9B << 96
"""64:ff9b::/96, the prefix whose last 32 bits are the IPv4 address behind the translator."""


def behind(address: Address) -> Address:
    """The IPv4 address that an address of the well-known prefix leads to; any other address itself."""
    number = int(address)
    if address.version == 6 and number >> 32 == WELL_KNOWN >> 32:
        return IPv4Address(number & 0xFFFF_FFFF)
    return address
