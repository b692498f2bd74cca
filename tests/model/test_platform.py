from __future__ import annotations

from ipaddress import ip_address

import pytest

from netpol.model.flow import TCP, UDP
from netpol.model.host_name import HostName
from netpol.model.platform import Kind, Platform, platform_at, platform_named, platform_of_node


@pytest.mark.parametrize(
    ("address", "protocol", "port", "kind"),
    [
        ("169.254.169.254", TCP, 80, Kind.METADATA),
        ("169.254.169.254", UDP, 53, Kind.CLOUD_DNS),
        ("169.254.169.254", UDP, 123, Kind.CLOUD_TIME),
        ("fd00:ec2::254", TCP, 80, Kind.METADATA),
        ("100.100.100.200", TCP, 80, Kind.METADATA),
        ("168.63.129.16", TCP, 32526, Kind.METADATA),
        ("168.63.129.16", TCP, 53, Kind.CLOUD_DNS),
        ("169.254.170.2", TCP, 80, Kind.CREDENTIALS),
        ("169.254.170.23", TCP, 80, Kind.CREDENTIALS),
        ("169.254.20.10", UDP, 53, Kind.NODE_DNS),
        ("64:ff9b::a9fe:a9fe", TCP, 80, Kind.METADATA),  # 169.254.169.254 through NAT64
    ],
)
def test_well_known_addresses_are_told_by_address_and_port(address: str, protocol: int, port: int, kind: Kind) -> None:
    found = platform_at(ip_address(address), protocol, port)
    assert found is not None
    assert found.kind is kind


@pytest.mark.parametrize("address", ["169.254.169.255", "198.51.100.20", "fd00:ec2::255", "8.8.8.8"])
def test_others_are_nothing_of_the_kind(address: str) -> None:
    assert platform_at(ip_address(address), TCP, 80) is None


def test_names_are_told_whole() -> None:
    assert platform_named(HostName("metadata.google.internal")) == Platform(Kind.METADATA, "Google Cloud")
    assert platform_named(HostName("metadata.google.internal.evil.example")) is None


def test_a_node_is_its_kubelet_on_the_ports_of_the_kubelet() -> None:
    assert str(platform_of_node("node-a", TCP, 10250)) == "kubelet (node-a)"
    assert str(platform_of_node("node-a", UDP, 10250)) == "node (node-a)"
    assert str(platform_of_node("node-a", TCP, 9100)) == "node (node-a)"
