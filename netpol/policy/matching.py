"""The rules of NetworkPolicy and of cluster-wide policies, one function each: what every judge of policies stands on.

Each function answers for one policy, peer or port; combining them (isolation, union, both ends) is the caller's. The
sentences quoted are those of the Kubernetes page "Network Policies" unless another source is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.cidr import AddressSet
from netpol.model.flow import PORT_PROTOCOLS
from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.policy import BlockPeer, PolicyPort
from netpol.model.ports import PortMap, PortSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.model.cidr import IPBlock
    from netpol.model.flow import Address
    from netpol.model.inventory import ContainerPort, Inventory, Pod
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy, Peer, Rule
    from netpol.model.tiers import TierPort, TierRule


def namespace_labels(inventory: Inventory, name: str) -> Mapping[str, str]:
    """A namespace's labels, the one with its name always among them.

    The control plane sets that one, also where a manifest lacks it (KEP-2161). A namespace that the inventory does not
    have carries it alone.
    """
    namespace = inventory.namespaces.get(name)
    return {**(namespace.labels if namespace else {}), NAMESPACE_NAME_LABEL: name}


def selects(policy: NetworkPolicy, pod: Pod) -> bool:
    """Whether the policy is for this pod.

    Never for a hostNetwork pod: its traffic is the node's, and the usual plugin ignores it when matching selectors.
    """
    return policy.namespace == pod.namespace and not pod.host_network and policy.pod_selector.matches(pod.labels)


def peer_selects(peer: Peer, policy_namespace: str, pod: Pod, labels_of_namespace: Mapping[str, str]) -> bool:
    """Whether the peer's selectors match the pod. An ipBlock selects nothing: see `block_matches`.

    podSelector alone looks in the policy's namespace; namespaceSelector alone takes all pods there; both in one peer
    must both match. hostNetwork pods are never selected.
    """
    if isinstance(peer, BlockPeer) or pod.host_network:
        return False
    if peer.namespace_selector is None:
        if pod.namespace != policy_namespace:
            return False
    elif not peer.namespace_selector.matches(labels_of_namespace):
        return False
    return peer.pod_selector is None or peer.pod_selector.matches(pod.labels)


def block_matches(block: IPBlock, addresses: Iterable[Address]) -> bool:
    """Whether any of the addresses is in the block and in none of its exceptions.

    Pods' addresses are no different (conformance test "egress access to server in CIDR block"); of a dual-stack pod
    any of status.podIPs counts.
    """
    # Asked for every connection: a plain loop takes half the time of any() over a generator.
    for address in addresses:  # noqa: SIM110
        if address in block.addresses:
            return True
    return False


def port_matches(port: PolicyPort, protocol: int, number: int, declared: Iterable[ContainerPort]) -> bool:
    """Whether the policy's port covers this protocol and port number.

    Args:
        port: One item of a rule's `ports`.
        protocol: IP protocol number of the connection.
        number: The port at the destination.
        declared: The destination pod's container ports, by which a name is resolved; nothing for an address, where a
            name never resolves.
    """
    if port.protocol != protocol:
        return False
    if port.port is None:
        return True
    if isinstance(port.port, str):
        return any(item.name == port.port and item.protocol == protocol and item.port == number for item in declared)
    return port.port <= number <= (port.end_port or port.port)


def covered_ports(port: PolicyPort, declared: Iterable[ContainerPort]) -> PortSet:
    """The ports of its protocol that it covers at a destination: `port_matches` for all numbers at once."""
    if port.port is None:
        return PortSet.ALL
    if isinstance(port.port, str):
        wanted = (port.port, port.protocol)
        return PortSet.of(*(item.port for item in declared if (item.name, item.protocol) == wanted))
    return PortSet.of((port.port, port.end_port or port.port))


def rule_ports(rule: Rule, declared: Iterable[ContainerPort]) -> PortMap:
    """All that a rule's `ports` cover at a destination; a rule without ports covers every port of every protocol."""
    if not rule.ports:
        return PortMap.ALL
    containers = tuple(declared)
    result = PortMap.EMPTY
    for port in rule.ports:
        result |= PortMap.of({port.protocol: covered_ports(port, containers)})
    return result


def tier_port_matches(port: TierPort, protocol: int, number: int, declared: Iterable[ContainerPort]) -> bool:
    """`port_matches` for a cluster-wide policy, whose named ports are of whatever protocol the container says."""
    if isinstance(port, PolicyPort):
        return port_matches(port, protocol, number, declared)
    return any((item.name, item.protocol, item.port) == (port.name, protocol, number) for item in declared)


def tier_ports(rule: TierRule, declared: Iterable[ContainerPort]) -> PortMap:
    """All that a cluster-wide rule's ports cover at a destination; without ports, every port of every protocol."""
    if not rule.ports:
        return PortMap.ALL
    containers = tuple(declared)
    result = PortMap.EMPTY
    for port in rule.ports:
        if isinstance(port, PolicyPort):
            result |= PortMap.of({port.protocol: covered_ports(port, containers)})
            continue
        for item in containers:
            if item.name == port.name and item.protocol in PORT_PROTOCOLS:
                result |= PortMap.of({item.protocol: PortSet.of(item.port)})
    return result


def node_addresses(inventory: Inventory, selector: LabelSelector) -> AddressSet:
    """The addresses of the nodes that a selector means: "it selects the nodeIPs as the peer type".

    A hostNetwork pod has its node's, and so is met by them (NPEP-126).
    """
    selected = (node for node in inventory.nodes if selector.matches(node.labels))
    return AddressSet.collect(address for node in selected for address in node.addresses)
