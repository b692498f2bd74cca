"""Nodes, and the ranges that a cluster hands addresses out of, read from wherever a cluster writes them down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.fields import Fields
from netpol.cluster.safe_yaml import read_yaml
from netpol.errors import InputError
from netpol.model.cidr import parse_cidr
from netpol.model.inventory import Node

if TYPE_CHECKING:
    from netpol.cluster.fields import Object
    from netpol.cluster.looks import Look
    from netpol.model.flow import Address

_NODE_TYPES: Final = frozenset({"InternalIP", "ExternalIP"})
TUNNEL_ANNOTATIONS: Final = (
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
    "network.cilium.io/ipv4-cilium-host",
    "network.cilium.io/ipv6-cilium-host",
    "io.cilium.network.ipv4-cilium-host",
    "io.cilium.network.ipv6-cilium-host",
)
"""Addresses out of the pod range that a network plugin gives to the node itself, and writes on the Node."""
_POD_FLAG, _SERVICE_FLAG = "--cluster-cidr", "--service-cluster-ip-range"
RANGE_FLAGS: Final = (_POD_FLAG, _SERVICE_FLAG)
"""What `read_flags` looks for on command lines."""
SYSTEM_NAMESPACE: Final = "kube-system"
"""Where control planes keep their pods and configuration."""


@dataclass(slots=True)
class Ranges:
    """The ranges of a cluster, in canonical form."""

    pods: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)


def read_node(item: Object, look: Look) -> Node:
    """Reads a Node and tells the look the times in it.

    Raises:
        InputError: A field is malformed.
    """
    status, spec = item.fields("status"), item.fields("spec")
    created = item.metadata.time("creationTimestamp")
    heartbeats = [
        one.time(name) for one in status.each("conditions") for name in ("lastHeartbeatTime", "lastTransitionTime")
    ]
    look.saw(created, *heartbeats)
    addresses = [
        address
        for entry in status.each("addresses")
        if entry.text("type") in _NODE_TYPES and (address := entry.address("address")) is not None
    ]
    annotations = item.metadata.fields("annotations")
    for name in TUNNEL_ANNOTATIONS:
        address = annotations.address(name)
        if address is not None:
            addresses.append(address)
    cidrs = spec.cidrs("podCIDRs") or ((_cidr(spec, "podCIDR"),) if spec.text("podCIDR") else ())
    return Node(
        name=item.object_name,
        addresses=tuple(dict.fromkeys(addresses)),
        pod_cidrs=cidrs,
        labels=item.metadata.labels(),
        started=created,
    )


def read_flags(item: Object, ranges: Ranges) -> None:
    """Takes the ranges from the command line of a control-plane pod (kubeadm's static pods).

    Raises:
        InputError: A flag is malformed.
    """
    for container in item.fields("spec").each("containers"):
        for name in ("command", "args"):
            for word in container.texts(name):
                flag, _, value = word.partition("=")
                if flag == _POD_FLAG:
                    ranges.pods.update(_split(container, name, value))
                elif flag == _SERVICE_FLAG:
                    ranges.services.update(_split(container, name, value))


def read_config(item: Object, ranges: Ranges) -> bool:
    """Takes the ranges from kubeadm's, kube-proxy's or Cilium's ConfigMap; False for any other.

    Raises:
        InputError: A range in it is malformed.
    """
    if item.namespace != SYSTEM_NAMESPACE:
        return False
    data = item.fields("data")
    if item.object_name == "kubeadm-config":
        networking = _embedded(data, "ClusterConfiguration").fields("networking")
        ranges.pods.update(_split(networking, "podSubnet", networking.text("podSubnet")))
        ranges.services.update(_split(networking, "serviceSubnet", networking.text("serviceSubnet")))
    elif item.object_name == "kube-proxy":
        config = _embedded(data, "config.conf")
        ranges.pods.update(_split(config, "clusterCIDR", config.text("clusterCIDR")))
    elif item.object_name == "cilium-config":
        for name in ("cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr"):
            ranges.pods.update(_split(data, name, data.text(name).replace(" ", ",")))
    else:
        return False
    return True


def read_service_cidr(item: Object, ranges: Ranges) -> None:
    """Takes the range from a networking.k8s.io ServiceCIDR (KEP-1880).

    Raises:
        InputError: It is malformed.
    """
    ranges.services.update(item.fields("spec").cidrs("cidrs"))


def read_ip_pool(item: Object, ranges: Ranges) -> None:
    """Takes the range from a Calico IPPool.

    Raises:
        InputError: It is malformed.
    """
    spec = item.fields("spec")
    if spec.text("cidr") and not spec.flag("disabled"):
        ranges.pods.add(_cidr(spec, "cidr"))


def node_own_addresses(cidrs: tuple[str, ...]) -> tuple[Address, ...]:
    """The addresses of a pod range that the node keeps: the range's own and the first.

    host-local plugins give the first to the bridge that pods see as their gateway (cni0, cbr0), and flannel gives the
    range's own to the tunnel from which the node speaks to pods elsewhere (flannel.1).
    """
    found: list[Address] = []
    for cidr in cidrs:
        network = parse_cidr(cidr)
        if network.num_addresses >= 4:
            found += [network[0], network[1]]
    return tuple(found)


def _embedded(data: Fields, name: str) -> Fields:
    """A configuration file inside a ConfigMap."""
    try:
        values: list[Any] = [value for value in read_yaml(data.text(name).encode()) if isinstance(value, dict)]
    except UnicodeEncodeError:
        raise data.error(name, "is not text") from None
    except InputError as error:
        raise error.inside(data.error(name, "").where[0]) from None
    return Fields(values[0] if values else {}, data, name)


def _cidr(fields: Fields, name: str) -> str:
    (block,) = _split(fields, name, fields.text(name)) or {""}
    if not block:
        raise fields.error(name, "is not a CIDR", "Write it like 10.9.8.0/24 or 2001:db8::/64")
    return block


def _split(fields: Fields, name: str, text: str) -> set[str]:
    """Ranges joined by commas, one a family."""
    try:
        return {str(parse_cidr(part.strip())) for part in text.split(",") if part.strip()}
    except InputError as error:
        raise error.inside(fields.error(name, "").where[0]) from None
