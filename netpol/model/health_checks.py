"""Addresses from which load balancers of clouds probe the health of what they lead to, as far as they are published.

A balancer that probes a node's healthCheckNodePort (externalTrafficPolicy: Local) is answered by kube-proxy on the node
itself, which no policy is about. Balancers that lead to pods probe the pods. Those of AWS probe from addresses of their
own in the cluster's subnets (Elastic Load Balancing, "Health checks for Network Load Balancer target groups"), which
are like any other client's.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netpol.model.cidr import Network
    from netpol.model.flow import Address


@dataclass(frozen=True, slots=True)
class Prober:
    """A block from all of which a cloud's load balancers send probes."""

    owner: str
    block: Network


_PROBERS: Final = tuple(
    Prober(owner, ip_network(text))
    for text, owner in (
        # Cloud Load Balancing, "Firewall rules": health checks, and requests that Google's front ends hand on.
        ("35.191.0.0/16", "Google Cloud"),
        ("130.211.0.0/22", "Google Cloud"),
        ("2600:2d00:1:b029::/64", "Google Cloud"),
        ("2600:2d00:1:1::/64", "Google Cloud"),
        # Azure, "What is IP address 168.63.129.16".
        ("168.63.129.16/32", "Azure"),
    )
)


def prober_of(address: Address) -> Prober | None:
    """Whose prober a client may be, None for any other address."""
    return next((one for one in _PROBERS if one.block.version == address.version and address in one.block), None)
