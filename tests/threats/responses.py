"""DNS responses that lead through aliases."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise
from typing import TYPE_CHECKING

from scapy.layers.dns import DNS, DNSQR, DNSRR

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVER = "198.51.100.66"


def response(name: str, chain: Sequence[str], *, addresses: Sequence[str] = (SERVER,), backwards: bool = False) -> DNS:
    """The name has each of the chain as an alias, the last of which has the addresses."""
    names = [name, *chain]
    records = [DNSRR(rrname=one, type="CNAME", rdata=other, ttl=60) for one, other in pairwise(names)]
    records += [
        DNSRR(rrname=names[-1], type="A" if ip_address(one).version == 4 else "AAAA", rdata=one, ttl=60)
        for one in addresses
    ]
    return DNS(id=7, qr=1, rd=1, ra=1, qd=[DNSQR(qname=name)], an=records[::-1] if backwards else records)
