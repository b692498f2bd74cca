"""Addresses and names that belong to the platform under a cluster, wherever it runs.

They are neither a workload's peers nor places in the world outside: the cloud's metadata service, its resolver and
clock, the DNS cache of a node, the kubelet. Each fact carries the place where its owner states it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from netpol.model.flow import TCP, UDP
from netpol.model.host_name import HostName
from netpol.model.nat64 import behind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.flow import Address


class Kind(Enum):
    """What a part of the platform does; the text is used in every output."""

    METADATA = "cloud metadata"
    """Tells whoever asks what the machine is and may do, often with its credentials."""
    CREDENTIALS = "cloud credentials"
    """Hands a pod or task credentials of its own."""
    CLOUD_DNS = "the cloud's DNS"
    CLOUD_TIME = "the cloud's clock"
    NODE_DNS = "node-local DNS"
    KUBELET = "kubelet"
    NODE = "node"
    API_SERVER = "API server"


@dataclass(frozen=True, slots=True)
class Platform:
    """One part of the platform.

    Attributes:
        owner: Whose it is or which one: `AWS`, a node's name; empty where the kind says all.
    """

    kind: Kind
    owner: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value} ({self.owner})" if self.owner else self.kind.value


KUBELET_PORTS: Final[Mapping[int, str]] = {10250: "kubelet API", 10255: "kubelet read-only API"}
"""TCP ports of the kubelet (kubernetes.io, "Ports and Protocols"; KubeletConfiguration v1beta1, port, readOnlyPort)."""

_DNS_PORT, _NTP_PORT = 53, 123

_ADDRESSES: Final[Mapping[Address, Platform]] = {
    ip_address(text): Platform(kind, owner)
    for text, kind, owner in (
        # AWS: EC2 User Guide, "Use the Instance Metadata Service". Azure: "Azure Instance Metadata Service". Google
        # Cloud: Compute Engine, "About VM metadata". OpenStack: Nova, "Metadata service". Also of DigitalOcean,
        # Hetzner, IBM Cloud and Oracle Cloud, by their pages of the same title.
        ("169.254.169.254", Kind.METADATA, "AWS, Azure, Google Cloud and others"),
        ("fd00:ec2::254", Kind.METADATA, "AWS"),  # the same page of AWS, IPv6 endpoint
        ("fd20:ce::254", Kind.METADATA, "Google Cloud"),  # Compute Engine, "Query metadata", IPv6-only instances
        ("fd00:c1::a9fe:a9fe", Kind.METADATA, "Oracle Cloud"),  # "Getting instance metadata", IPv6 endpoint
        ("192.0.0.192", Kind.METADATA, "Oracle Cloud"),  # Compute Classic, "Retrieving Instance Metadata"
        ("100.100.100.200", Kind.METADATA, "Alibaba Cloud"),  # ECS, "Instance metadata"
        ("169.254.0.23", Kind.METADATA, "Tencent Cloud"),  # metadata.tencentyun.com: CVM, "Instance metadata"
        ("169.254.42.42", Kind.METADATA, "Scaleway"),  # Instances, "Instance metadata"
        ("fd00:42::42", Kind.METADATA, "Scaleway"),  # the same page
        # GKE, "About Workload Identity Federation": to it the node rewrites what pods send to 169.254.169.254.
        ("169.254.169.252", Kind.METADATA, "Google Cloud"),
        # Azure, "What is IP address 168.63.129.16": WireServer (TCP 80 and 32526), DNS, DHCP and health probes.
        ("168.63.129.16", Kind.METADATA, "Azure"),
        ("169.254.170.2", Kind.CREDENTIALS, "AWS ECS"),  # ECS Developer Guide, "Task IAM role"
        ("169.254.170.23", Kind.CREDENTIALS, "AWS EKS"),  # EKS User Guide, "Set up the EKS Pod Identity Agent"
        ("fd00:ec2::23", Kind.CREDENTIALS, "AWS EKS"),  # the same page
        ("169.254.169.253", Kind.CLOUD_DNS, "AWS"),  # VPC User Guide, "Amazon DNS server"
        ("fd00:ec2::253", Kind.CLOUD_DNS, "AWS"),  # the same page
        ("169.254.169.123", Kind.CLOUD_TIME, "AWS"),  # EC2 User Guide, "Amazon Time Sync Service"
        ("fd00:ec2::123", Kind.CLOUD_TIME, "AWS"),  # the same page
        ("169.254.20.10", Kind.NODE_DNS, ""),  # KEP-1024, NodeLocal DNSCache
        ("169.254.25.10", Kind.NODE_DNS, ""),  # Kubespray, nodelocaldns_ip
    )
}

_NAMES: Final[Mapping[HostName, Platform]] = {
    HostName(text): Platform(Kind.METADATA, owner)
    for text, owner in (
        ("metadata.google.internal", "Google Cloud"),  # Compute Engine, "About VM metadata"
        ("metadata.goog", "Google Cloud"),  # the same page
        ("instance-data.ec2.internal", "AWS"),  # a name that AWS's resolver has for it
        ("metadata.tencentyun.com", "Tencent Cloud"),  # CVM, "Instance metadata"
    )
}


def platform_at(address: Address, protocol: int, port: int) -> Platform | None:
    """The part of a platform that a well-known address is, None for any other address.

    The same through NAT64. Google Cloud, Azure and Oracle Cloud answer DNS and NTP where they serve metadata: the port
    tells.

    Args:
        address: Where the connection went.
        protocol: IP protocol number.
        port: Where the server listens.
    """
    found = _ADDRESSES.get(behind(address))
    if found is not None and found.kind is Kind.METADATA:
        if protocol in {TCP, UDP} and port == _DNS_PORT:
            return Platform(Kind.CLOUD_DNS, found.owner)
        if protocol == UDP and port == _NTP_PORT:
            return Platform(Kind.CLOUD_TIME, found.owner)
    return found


def platform_named(name: HostName) -> Platform | None:
    """The part of a platform that a well-known name stands for, None for any other name."""
    return _NAMES.get(name)


def platform_of_node(node: str, protocol: int, port: int) -> Platform:
    """What a node's own address is on this port: the kubelet, or something else that runs there."""
    if protocol == TCP and port in KUBELET_PORTS:
        return Platform(Kind.KUBELET, node)
    return Platform(Kind.NODE, node)
