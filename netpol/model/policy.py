"""A NetworkPolicy as a value: networking.k8s.io/v1 after the API server's defaulting, valid once it exists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.errors import InputError
from netpol.model.flow import PORT_PROTOCOLS, TCP, protocol_name
from netpol.model.labels import EVERYTHING, LabelSelector, is_dns_label, is_dns_subdomain, is_port_name
from netpol.model.ports import FIRST_PORT, LAST_PORT
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.cidr import IPBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPeer:
    """Pods of the policy's namespace, of the selected namespaces, or the selected pods of the selected namespaces.

    Attributes:
        pod_selector: None: every pod of the selected namespaces.
        namespace_selector: None: the policy's own namespace.
    """

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None

    def __post_init__(self) -> None:
        if self.pod_selector is None and self.namespace_selector is None:
            raise InputError(
                "a peer is empty",
                remedy="Give a podSelector, a namespaceSelector or an ipBlock; {} as a selector selects all",
            )


@dataclass(frozen=True, slots=True)
class BlockPeer:
    """Addresses: of pods too (the `ipBlock` tests of Kubernetes' conformance suite)."""

    block: IPBlock


Peer = PodPeer | BlockPeer


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPort:
    """Ports of one protocol.

    Attributes:
        protocol: IP protocol number: TCP (the API's default), UDP or SCTP.
        port: A number, the name of a containerPort of the destination pod, or None for every port of the protocol.
        end_port: The last port of an inclusive range that begins at a numeric `port`.
    """

    protocol: int = TCP
    port: int | str | None = None
    end_port: int | None = None

    def __post_init__(self) -> None:
        if self.protocol not in PORT_PROTOCOLS:
            raise InputError(
                f"a NetworkPolicy cannot name the protocol {protocol_name(self.protocol)}",
                remedy="Use TCP, UDP or SCTP",
            )
        if isinstance(self.port, str):
            check_port_name(self.port)
        elif self.port is not None:
            check_port_number(self.port)
        if self.end_port is not None:
            check_end_port(self.port, self.end_port)

    def __str__(self) -> str:
        name = protocol_name(self.protocol)
        if self.port is None:
            return name
        return f"{name}/{self.port}" + (f"-{self.end_port}" if self.end_port is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one ingress or egress rule allows: any of the peers on any of the ports.

    Attributes:
        peers: Empty: everyone.
        ports: Empty: every port of every protocol.
    """

    peers: tuple[Peer, ...] = ()
    ports: tuple[PolicyPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """A NetworkPolicy after defaulting.

    Attributes:
        pod_selector: The pods of the namespace that it is for; the empty selector is all of them.
        isolates_ingress: policyTypes has Ingress: what no policy allows into its pods is denied.
        isolates_egress: The same for what its pods open.
        ingress: Only of effect when it isolates ingress.
        egress: Only of effect when it isolates egress.
    """

    namespace: str
    name: str
    pod_selector: LabelSelector = EVERYTHING
    isolates_ingress: bool = True
    isolates_egress: bool = False
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        check_name(self.name)

    @property
    def policy_types(self) -> tuple[str, ...]:
        """spec.policyTypes: `Ingress`, `Egress` or both."""
        return ("Ingress",) * self.isolates_ingress + ("Egress",) * self.isolates_egress

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def check_namespace(text: str) -> None:
    """Raises InputError unless the text can name a namespace."""
    if not is_dns_label(text):
        raise InputError(
            f"{shown(text)} is not the name of a namespace",
            remedy="Use at most 63 lower-case letters, digits and '-', with a letter or digit at both ends",
        )


def check_name(text: str) -> None:
    """Raises InputError unless the text can name a NetworkPolicy."""
    if not is_dns_subdomain(text):
        raise InputError(
            f"{shown(text)} is not the name of an object",
            remedy="Use at most 253 lower-case letters, digits, '-' and '.', a letter or digit at each part's ends",
        )


def check_port_name(text: str) -> None:
    """Raises InputError unless the text can name a port."""
    if not is_port_name(text):
        remedy = "Use at most 15 lower-case letters, digits and single inner hyphens, at least one of them a letter"
        if text.isdecimal():
            remedy = "Write the number without quotes"
        raise InputError(f"{shown(text)} is not the name of a port", remedy=remedy)


def check_port_number(number: int) -> None:
    """Raises InputError unless the number is a port."""
    if not FIRST_PORT <= number <= LAST_PORT:
        side = f"below {FIRST_PORT}" if number < FIRST_PORT else f"above {LAST_PORT}"
        raise InputError(f"{shown(number)} is {side}", remedy=f"Ports go from {FIRST_PORT} to {LAST_PORT}")


def check_end_port(port: int | str | None, end_port: int) -> None:
    """Raises InputError unless the range from `port` to `end_port` is one (KEP-2079). `port` itself is not judged."""
    if not isinstance(port, int):
        raise InputError(
            "needs a port to begin at" if port is None else "needs a number as port, not a name",
            remedy="Give the first port of the range as a number",
        )
    check_port_number(end_port)
    if end_port < port:
        raise InputError(f"{end_port} is below port {shown(port)}", remedy="Give the last port of the range, inclusive")
