"""The peers that only cluster-wide policies have: networks, nodes and domain names, all of egress rules alone.

Pods are named by a `PodPeer` with a namespaceSelector, as in a NetworkPolicy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netpol.errors import InputError
from netpol.model.cidr import AddressSet
from netpol.model.policy import PodPeer
from netpol.model.text import shown

if TYPE_CHECKING:
    from netpol.model.cidr import Network
    from netpol.model.labels import LabelSelector

MOST_ITEMS: Final = 25
"""Of `networks` and of `domainNames` in one peer."""
CLUSTER_DOMAIN: Final = "cluster.local"
"""The names of pods and Services end in it unless the cluster was set up otherwise."""

_LABEL: Final = re.compile(r"[A-z0-9][-A-Za-z0-9_]*+")


@dataclass(frozen=True, slots=True)
class NetworksPeer:
    """Addresses, those of pods and nodes too: "cluster-internal traffic will be checked against the rule as well".

    Attributes:
        networks: At least one.
        addresses: All of them.
    """

    networks: tuple[Network, ...]
    addresses: AddressSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_item_count(len(self.networks))
        object.__setattr__(self, "addresses", AddressSet.of(*self.networks))

    def __str__(self) -> str:
        return f"networks {', '.join(map(str, self.networks))}"


@dataclass(frozen=True, slots=True)
class NodesPeer:
    """The nodes with these labels, at any of the addresses in their status; the empty selector is all nodes."""

    selector: LabelSelector

    def __str__(self) -> str:
        return f"nodes {str(self.selector) or '{}'}"


@dataclass(frozen=True, slots=True)
class DomainNamesPeer:
    """The addresses that names resolve to, which depends on answers that no manifest holds.

    Attributes:
        names: At least one; `*.` in front stands for one or more whole labels.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        check_item_count(len(self.names))
        for name in self.names:
            check_domain_name(name)

    @property
    def may_be_pods(self) -> bool:
        """Whether a name can be that of a pod or of a headless Service, and so resolve to pods (NPEP-133)."""
        names = (f".{name.removeprefix('*.').removesuffix('.').lower()}" for name in self.names)
        return any(name.endswith(f".{CLUSTER_DOMAIN}") for name in names)

    def __str__(self) -> str:
        return f"domainNames {', '.join(self.names)}"


TierPeer = PodPeer | NetworksPeer | NodesPeer | DomainNamesPeer
"""A peer with selectors always has a namespaceSelector: no namespace is the policy's own."""


def check_item_count(count: int) -> None:
    """Raises InputError unless a peer may list so many networks or names."""
    if not count:
        raise InputError("an empty list", remedy="Give at least one item, or another peer")
    if count > MOST_ITEMS:
        raise InputError(f"{count} items are more than {MOST_ITEMS}", remedy="Divide them among several peers")


def check_domain_name(text: str) -> None:
    r"""Raises InputError unless the text is one the definitions' pattern takes: two labels at least, `*.` before them.

    The pattern's `A-z` is kept: it lets a label begin with one of ``[\]^_` ``.
    """
    labels = text.removeprefix("*.").removesuffix(".").split(".")
    if len(labels) < 2 or not all(map(_is_domain_label, labels)):
        raise InputError(
            f"{shown(text)} is not a domain name",
            remedy="Write it like example.com or *.example.com, with at least two labels after the *",
        )


def _is_domain_label(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None and (len(text) == 1 or text[-1].isalnum())
