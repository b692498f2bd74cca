"""The rules of NetworkPolicy, one function each: what every judge of policies stands on.

Each function answers for one policy, peer or port; combining them (isolation, union, both ends) is the caller's. The
sentences quoted are those of the Kubernetes page "Network Policies" unless another source is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.inventory import NAMESPACE_NAME_LABEL
from netpol.model.policy import BlockPeer
from netpol.model.ports import PortMap, PortSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.model.cidr import IPBlock
    from netpol.model.flow import Address
    from netpol.model.inventory import ContainerPort, Inventory, Pod
    from netpol.model.policy import NetworkPolicy, Peer, PolicyPort, Rule


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
