"""One networking.k8s.io/v1 NetworkPolicy out of its document, defaulted and validated as the API server does.

Sources: pkg/apis/networking/v1/defaults.go, pkg/apis/networking/validation and the metadata and selector validation of
apimachinery, as of Kubernetes 1.36 (the first that refuses blocks with host bits by default). Two things are more
lenient: `status` is passed over, because clusters of 1.24 to 1.27 export one; what metadata holds for the API server
only (ownerReferences, managedFields, times) is not looked into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.cidr import IPBlock, Network, is_strict_subset, parse_cidr
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.labels import (
    LabelSelector,
    Operator,
    Requirement,
    check_label_key,
    check_label_value,
    check_value_count,
    parse_operator,
)
from netpol.model.policy import (
    BlockPeer,
    NetworkPolicy,
    Peer,
    PodPeer,
    PolicyPort,
    Rule,
    check_end_port,
    check_name,
    check_namespace,
    check_port_name,
    check_port_number,
)
from netpol.model.text import shown

if TYPE_CHECKING:
    from netpol.dialects.read_fields import Field

_METADATA = (
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "selfLink",
)
_TYPES = frozenset({"Ingress", "Egress"})
_PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
_LARGEST_ANNOTATIONS = 256 << 10
"""`TotalAnnotationSizeLimitB`: all keys and values together."""


def read_policy(root: Field, default_namespace: str) -> NetworkPolicy | None:
    """The policy, or None where problems were noted.

    Args:
        root: The whole document.
        default_namespace: For a policy that names none.
    """
    before = len(root.problems)
    root.expect_object("apiVersion", "kind", "metadata", "spec", "status")
    metadata = root.child("metadata").expect_object(*_METADATA)
    name = _read_name(metadata)
    namespace = metadata.child("namespace").text() or default_namespace
    metadata.child("namespace").accepts(check_namespace, namespace)
    labels = _read_labels(metadata.child("labels"))
    annotations = _read_annotations(metadata.child("annotations"))
    spec = root.child("spec").expect_object("podSelector", "policyTypes", "ingress", "egress")
    selector = _read_selector(spec.child("podSelector"))
    types = _read_types(spec.child("policyTypes"))
    ingress = tuple(_read_rule(rule, "from") for rule in spec.child("ingress").items())
    egress = tuple(_read_rule(rule, "to") for rule in spec.child("egress").items())
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


def _read_name(metadata: Field) -> str:
    field = metadata.child("name")
    name = field.text() or ""
    if name:
        field.accepts(check_name, name)
    elif field.absent or field.value == "":
        field.note(
            "a policy needs a name", "Give one; generateName makes one only when the API server creates the object"
        )
    return name


def _read_labels(field: Field) -> dict[str, str]:
    """A map of labels, where each key and each value is checked."""
    labels = {}
    for key, item in field.pairs():
        value = item.text() or ""
        if field.accepts(check_label_key, key) and item.accepts(check_label_value, value):
            labels[key] = value
    return labels


def _read_annotations(field: Field) -> dict[str, str]:
    """Like labels, but keys in any case, values of any text, and a limit on the sum of their bytes."""
    annotations = {}
    for key, item in field.pairs():
        field.accepts(check_label_key, key.lower())
        annotations[key] = item.text() or ""
    size = sum(len(text.encode(errors="replace")) for pair in annotations.items() for text in pair)
    if size > _LARGEST_ANNOTATIONS:
        field.note(f"{size} bytes are more than {_LARGEST_ANNOTATIONS}", "Shorten the annotations")
    return annotations


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


def _read_rule(rule: Field, peers: str) -> Rule:
    """One ingress or egress rule; `peers` is the field that lists its peers."""
    rule.expect_object(peers, "ports")
    read = [_read_peer(peer) for peer in rule.child(peers).items()]
    ports = [_read_port(port) for port in rule.child("ports").items()]
    return Rule(
        peers=tuple(peer for peer in read if peer is not None), ports=tuple(port for port in ports if port is not None)
    )


def _read_peer(peer: Field) -> Peer | None:
    before = len(peer.problems)
    peer.expect_object("podSelector", "namespaceSelector", "ipBlock")
    pods, namespaces, block = (peer.child(name) for name in ("podSelector", "namespaceSelector", "ipBlock"))
    addresses = None if block.absent else _read_block(block)
    selects = not (pods.absent and namespaces.absent)
    pod_selector = None if pods.absent else _read_selector(pods)
    namespace_selector = None if namespaces.absent else _read_selector(namespaces)
    if len(peer.problems) == before and block.absent and not selects:
        peer.note("an empty peer", "Give a podSelector, namespaceSelector or ipBlock; {} as a selector selects all")
    elif selects and not block.absent:
        peer.note("ipBlock beside a selector", "Write them as two peers")
    if len(peer.problems) > before:
        return None
    if addresses is not None:
        return BlockPeer(addresses)
    return PodPeer(pod_selector=pod_selector, namespace_selector=namespace_selector)


def _read_selector(field: Field) -> LabelSelector:
    """A label selector; absent is the empty one. After a problem, what could be read of it."""
    field.expect_object("matchLabels", "matchExpressions")
    labels = _read_labels(field.child("matchLabels"))
    read = [_read_requirement(item) for item in field.child("matchExpressions").items()]
    return LabelSelector(match_labels=labels, match_expressions=tuple(item for item in read if item is not None))


def _read_requirement(item: Field) -> Requirement | None:
    before = len(item.problems)
    item.expect_object("key", "operator", "values")
    key = item.child("key").text() or ""
    item.child("key").accepts(check_label_key, key)
    values = ["" if value.absent else value.text() or "" for value in item.child("values").items()]
    word = item.child("operator").text() or ""
    if item.child("operator").accepts(parse_operator, word):
        item.child("values").accepts(lambda count: check_value_count(Operator(word), count), len(values))
    for index, value in enumerate(item.child("values").items()):
        value.accepts(check_label_value, values[index])
    if len(item.problems) > before:
        return None
    return Requirement(key, Operator(word), tuple(values))


def _read_block(block: Field) -> IPBlock | None:
    before = len(block.problems)
    block.expect_object("cidr", "except")
    cidr = _read_cidr(block.child("cidr"))
    cut = []
    for item in block.child("except").items():
        network = _read_cidr(item)
        if network and cidr and not is_strict_subset(network, cidr):
            item.note(f"{network} is not a strict subset of the cidr {cidr}", "Cut out a smaller block inside the cidr")
        elif network:
            cut.append(network)
    return None if cidr is None or len(block.problems) > before else IPBlock(cidr, tuple(cut))


def _read_cidr(field: Field) -> Network | None:
    text = "" if field.absent else field.text()
    return parse_cidr(text) if text is not None and field.accepts(parse_cidr, text) else None


def _read_port(item: Field) -> PolicyPort | None:
    before = len(item.problems)
    item.expect_object("protocol", "port", "endPort")
    protocol = _read_protocol(item.child("protocol"))
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


def _read_protocol(field: Field) -> int:
    """The protocol's number; absent is TCP (`SetDefaults_NetworkPolicyPort`), the empty text is none."""
    name = field.text()
    if name is not None and name not in _PROTOCOLS:
        field.note(
            f"{shown(name)} is not a protocol that a NetworkPolicy can name", "Use TCP, UDP or SCTP, in capitals"
        )
    return _PROTOCOLS.get(name or "TCP", TCP)
