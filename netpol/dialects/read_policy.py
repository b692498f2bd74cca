"""One networking.k8s.io/v1 NetworkPolicy out of its document, defaulted and validated as the API server does.

Sources: pkg/apis/networking/v1/defaults.go, pkg/apis/networking/validation and the metadata and selector validation of
apimachinery, as of Kubernetes 1.36 (the first that refuses blocks with host bits by default). Three things are more
lenient: `status` is passed over, because clusters of 1.24 to 1.27 export one; what metadata holds for the API server
only (ownerReferences, managedFields, times) is not looked into; and a policy that a cluster holds, which its uid tells,
may keep the host bits that it came with, as `AllowCIDRsEvenIfInvalid` there lets it. Network plugins mask them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netpol.dialects.read_shared import (
    METADATA,
    read_annotations,
    read_labels,
    read_name,
    read_protocol,
    read_selector,
)
from netpol.model.cidr import IPBlock, Network, is_strict_subset, parse_cidr
from netpol.model.policy import (
    BlockPeer,
    NetworkPolicy,
    Peer,
    PodPeer,
    PolicyPort,
    Rule,
    check_end_port,
    check_namespace,
    check_port_name,
    check_port_number,
)
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.dialects.read_fields import Field

    _ReadCidr = Callable[[str], Network]

_TYPES = frozenset({"Ingress", "Egress"})


def read_policy(root: Field, default_namespace: str) -> NetworkPolicy | None:
    """The policy, or None where problems were noted.

    Args:
        root: The whole document.
        default_namespace: For a policy that names none.
    """
    before = len(root.problems)
    root.expect_object("apiVersion", "kind", "metadata", "spec", "status")
    metadata = root.child("metadata").expect_object(*METADATA)
    name = read_name(metadata)
    namespace = metadata.child("namespace").text() or default_namespace
    metadata.child("namespace").accepts(check_namespace, namespace)
    labels = read_labels(metadata.child("labels"))
    annotations = read_annotations(metadata.child("annotations"))
    spec = root.child("spec").expect_object("podSelector", "policyTypes", "ingress", "egress")
    selector = read_selector(spec.child("podSelector"))
    types = _read_types(spec.child("policyTypes"))
    read_cidr = partial(parse_cidr, masked=not metadata.child("uid").absent)
    ingress = tuple(_read_rule(rule, "from", read_cidr) for rule in spec.child("ingress").items())
    egress = tuple(_read_rule(rule, "to", read_cidr) for rule in spec.child("egress").items())
    if len(root.problems) > before:
        return None
    if not types:
        types = {"Ingress", "Egress"} if egress else {"Ingress"}
    return NetworkPolicy(
        namespace=namespace,
        name=name,
        pod_selector=selector,
        isolates_ingress="Ingress" in types,
        isolates_egress="Egress" in types,
        ingress=ingress,
        egress=egress,
        labels=labels,
        annotations=annotations,
    )


def _read_types(field: Field) -> set[str]:
    """The policy types; the same one twice is accepted, more than two are not, as in `ValidateNetworkPolicySpec`."""
    items = list(field.items())
    if len(items) > len(_TYPES):
        field.note(f"{len(items)} policyTypes", "Give Ingress, Egress or both")
        return set()
    types = set()
    for item in items:
        name = "" if item.absent else item.text()
        if name in _TYPES:
            types.add(name)
        elif name is not None:
            item.note(f"{shown(name)} is not a policy type", "Use Ingress or Egress")
    return types


def _read_rule(rule: Field, peers: str, read_cidr: _ReadCidr) -> Rule:
    """One ingress or egress rule; `peers` is the field that lists its peers."""
    rule.expect_object(peers, "ports")
    read = [_read_peer(peer, read_cidr) for peer in rule.child(peers).items()]
    ports = [_read_port(port) for port in rule.child("ports").items()]
    return Rule(
        peers=tuple(peer for peer in read if peer is not None), ports=tuple(port for port in ports if port is not None)
    )


def _read_peer(peer: Field, read_cidr: _ReadCidr) -> Peer | None:
    before = len(peer.problems)
    peer.expect_object("podSelector", "namespaceSelector", "ipBlock")
    pods, namespaces, block = (peer.child(name) for name in ("podSelector", "namespaceSelector", "ipBlock"))
    addresses = None if block.absent else _read_block(block, read_cidr)
    selects = not (pods.absent and namespaces.absent)
    pod_selector = None if pods.absent else read_selector(pods)
    namespace_selector = None if namespaces.absent else read_selector(namespaces)
    if len(peer.problems) == before and block.absent and not selects:
        peer.note("an empty peer", "Give a podSelector, namespaceSelector or ipBlock; {} as a selector selects all")
    elif selects and not block.absent:
        peer.note("ipBlock beside a selector", "Write them as two peers")
    if len(peer.problems) > before:
        return None
    if addresses is not None:
        return BlockPeer(addresses)
    return PodPeer(pod_selector=pod_selector, namespace_selector=namespace_selector)


def _read_block(block: Field, read_cidr: _ReadCidr) -> IPBlock | None:
    before = len(block.problems)
    block.expect_object("cidr", "except")
    cidr = _read_cidr(block.child("cidr"), read_cidr)
    cut = []
    for item in block.child("except").items():
        network = _read_cidr(item, read_cidr)
        if network and cidr and not is_strict_subset(network, cidr):
            item.note(f"{network} is not a strict subset of the cidr {cidr}", "Cut out a smaller block inside the cidr")
        elif network:
            cut.append(network)
    return None if cidr is None or len(block.problems) > before else IPBlock(cidr, tuple(cut))


def _read_cidr(field: Field, read_cidr: _ReadCidr) -> Network | None:
    text = "" if field.absent else field.text()
    return read_cidr(text) if text is not None and field.accepts(read_cidr, text) else None


def _read_port(item: Field) -> PolicyPort | None:
    before = len(item.problems)
    item.expect_object("protocol", "port", "endPort")
    protocol = read_protocol(item.child("protocol"))
    field, last = item.child("port"), item.child("endPort")
    port: int | str | None = field.text() if isinstance(field.value, str) else field.integer()
    if isinstance(port, str):
        field.accepts(check_port_name, port)
    elif port is not None:
        field.accepts(check_port_number, port)
    end_port = last.integer()
    if end_port is not None and (port is not None or field.absent):
        last.accepts(lambda number: check_end_port(port, number), end_port)
    return None if len(item.problems) > before else PolicyPort(protocol=protocol, port=port, end_port=end_port)
