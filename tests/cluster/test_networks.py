from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netpol.errors import InputError
from netpol.model.inventory import Inventory
from tests.cluster.objects import thing

Load = Callable[..., Inventory]


def config(name: str, **data: str) -> dict[str, Any]:
    return thing("ConfigMap", name, "v1", metadata={"namespace": "kube-system"}, data=data)


def test_ranges_of_kube_proxy_and_cilium(load_looks: Load) -> None:
    inventory = load_looks(
        [
            config("kube-proxy", **{"config.conf": "clusterCIDR: 10.244.0.0/16,fd00:244::/56\n"}),
            config(
                "cilium-config",
                **{"cluster-pool-ipv4-cidr": "10.0.0.0/9 10.128.0.0/9", "cluster-pool-ipv6-cidr": "fd00::/104"},
            ),
            config("coredns"),
            thing("IPPool", "off", "crd.projectcalico.org/v1", spec={"cidr": "10.9.0.0/16", "disabled": True}),
        ]
    )
    assert inventory.pod_cidrs == ("10.0.0.0/9", "10.128.0.0/9", "10.244.0.0/16", "fd00:244::/56", "fd00::/104")
    assert inventory.passed_over == {"ConfigMap": 1}


def test_a_node_has_the_addresses_that_its_network_plugin_wrote_on_it(load_looks: Load) -> None:
    annotations = {
        "projectcalico.org/IPv4VXLANTunnelAddr": "10.244.7.64",
        "network.cilium.io/ipv6-cilium-host": "fd00::7",
    }
    addresses = [
        {"type": "InternalIP", "address": "192.168.0.1"},
        {"type": "ExternalIP", "address": "203.0.113.1"},
        {"type": "Hostname", "address": "w1"},
    ]
    item = thing("Node", "w1", "v1", metadata={"annotations": annotations}, spec={"podCIDR": "10.244.7.0/24"})
    (node,) = load_looks([{**item, "status": {"addresses": addresses}}]).nodes
    assert [str(address) for address in node.addresses] == ["192.168.0.1", "203.0.113.1", "10.244.7.64", "fd00::7"]
    assert node.pod_cidrs == ("10.244.7.0/24",)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            config("kubeadm-config", ClusterConfiguration="a: ["),
            "data.ClusterConfiguration: document 1: line 2: not valid YAML",
        ),
        (
            config("kubeadm-config", ClusterConfiguration="networking: 3"),
            "data.ClusterConfiguration.networking: is a number",
        ),
        (
            config("kubeadm-config", ClusterConfiguration="networking:\n  podSubnet: 10.0.0.1/8\n"),
            "data.ClusterConfiguration.networking.podSubnet: '10.0.0.1/8' has bits set",
        ),
        (config("kubeadm-config", ClusterConfiguration="\ud800"), "data.ClusterConfiguration: is not text"),
        (
            config("cilium-config", **{"cluster-pool-ipv4-cidr": "all"}),
            "data.cluster-pool-ipv4-cidr: 'all' is not a CIDR",
        ),
    ],
)
def test_malformed_ranges(load_looks: Load, item: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_looks([item])
    assert message in str(caught.value)


def test_a_configuration_without_ranges_states_none(load_looks: Load) -> None:
    inventory = load_looks([config("kubeadm-config", ClusterConfiguration="# nothing\n"), config("kubeadm-config")])
    assert (inventory.pod_cidrs, inventory.service_cidrs) == ((), ())
