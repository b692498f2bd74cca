"""Peers and ports of a cluster-wide policy's rules out of their documents."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netpol.dialects.read_shared import read_protocol, read_selector
from netpol.model.cidr import parse_cidr
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.policy import PodPeer, PolicyPort, check_end_port, check_port_number
from netpol.model.text import shown
from netpol.model.tier_peers import (
    DomainNamesPeer,
    NetworksPeer,
    NodesPeer,
    TierPeer,
    check_domain_name,
    check_item_count,
)
from netpol.model.tiers import CLUSTER_NETWORK_POLICY, NamedPort, TierKind, TierPort

if TYPE_CHECKING:
    from netpol.dialects.read_fields import Field
    from netpol.model.cidr import Network

POD_PEERS = ("namespaces", "pods")
EGRESS_PEERS = (*POD_PEERS, "nodes", "networks", "domainNames")
_LONGEST_NETWORK = 43
_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}


def required(field: Field, remedy: str) -> Field:
    """The field, after noting that it is missing."""
    if field.absent:
        field.note("is missing", remedy)
    return field


def is_one_of(field: Field, what: str, known: tuple[str, ...]) -> bool:
    """Whether exactly one of the fields is given; notes it where not, unless what is given is not known."""
    given = [name for name in known if not field.child(name).absent]
    if len(given) == 1:
        return True
    if given:
        field.note(f"{' and '.join(given)} in one {what}", "Give one of them; alternatives are items of their own")
    elif isinstance(field.value, dict) and not field.value.keys() - set(known):
        field.note(f"an empty {what}", f"Give one of {', '.join(known)}; {{}} as a selector selects all")
    return False


def read_peer(peer: Field, kind: TierKind, known: tuple[str, ...]) -> TierPeer | None:
    """One item of `from` or `to`.

    Args:
        peer: The item.
        kind: Of the policy.
        known: The fields of which it may have one.
    """
    before = len(peer.problems)
    required(peer, f"Give one of {', '.join(known)}").expect_object(*known)
    if peer.absent or not is_one_of(peer, "peer", known):
        return None
    nodes, networks, names = (peer.child(name) for name in ("nodes", "networks", "domainNames"))
    if not nodes.absent:
        return NodesPeer(read_selector(nodes))
    if not networks.absent:
        blocks = [block for item in _texts(networks) if (block := _read_network(item)) is not None]
        return NetworksPeer(tuple(blocks)) if len(peer.problems) == before else None
    if not names.absent:
        domains = [item.value for item in _texts(names) if item.accepts(check_domain_name, item.value)]
        return DomainNamesPeer(tuple(domains)) if len(peer.problems) == before else None
    return read_pods(peer, kind)


def read_pods(field: Field, kind: TierKind) -> PodPeer | None:
    """`namespaces` or `pods`; v1alpha2 alone does not ask for a namespaceSelector, and takes all namespaces then."""
    namespaces, pods = field.child("namespaces"), field.child("pods")
    if not namespaces.absent:
        return PodPeer(namespace_selector=read_selector(namespaces))
    before = len(pods.problems)
    pods.expect_object("namespaceSelector", "podSelector")
    required(pods.child("podSelector"), "Write {} for all pods")
    if kind is not CLUSTER_NETWORK_POLICY:
        required(pods.child("namespaceSelector"), "Write {} for all namespaces")
    read = PodPeer(
        namespace_selector=read_selector(pods.child("namespaceSelector")),
        pod_selector=read_selector(pods.child("podSelector")),
    )
    return None if len(pods.problems) > before else read


def _texts(field: Field) -> list[Field]:
    """The items of a list of texts in which none is there twice."""
    items = list(field.items())
    if isinstance(field.value, list):
        field.accepts(check_item_count, len(items))
    found: dict[str, Field] = {}
    for item in items:
        text = required(item, "Remove it").text()
        if text is not None and text in found:
            item.note(f"{shown(text)} is there twice", "Remove one of them")
        elif text is not None:
            found[text] = item
    return list(found.values())


def _read_network(item: Field) -> Network | None:
    text: str = item.value
    if len(text) > _LONGEST_NETWORK:
        item.note(f"has {len(text)} characters", f"Use {_LONGEST_NETWORK} at most")
        return None
    read = partial(parse_cidr, masked=True)
    return read(text) if item.accepts(read, text) else None


def read_port(item: Field) -> TierPort | None:
    """One item of `ports`, v1alpha1."""
    before = len(item.problems)
    known = ("portNumber", "portRange", "namedPort")
    required(item, f"Give one of {', '.join(known)}").expect_object(*known)
    if item.absent or not is_one_of(item, "port", known):
        return None
    number, several, named = (item.child(name) for name in known)
    if not named.absent:
        name = named.text()
        return None if name is None else NamedPort(name)
    if not number.absent:
        number.expect_object("protocol", "port")
        protocol, first, last = read_protocol(number.child("protocol")), _read_number(number.child("port")), None
    else:
        several.expect_object("protocol", "start", "end")
        protocol = read_protocol(several.child("protocol"))
        first, last = _read_number(several.child("start")), _read_number(several.child("end"))
        if first and last:
            several.child("end").accepts(lambda number: check_end_port(first, number), last)
    return None if len(item.problems) > before else PolicyPort(protocol=protocol, port=first, end_port=last)


def read_protocol_match(item: Field) -> TierPort | None:
    """One item of `protocols`, v1alpha2."""
    before = len(item.problems)
    known = (*_PROTOCOLS, "destinationNamedPort")
    required(item, f"Give one of {', '.join(known)}").expect_object(*known)
    if item.absent or not is_one_of(item, "protocol", known):
        return None
    named = item.child("destinationNamedPort")
    if not named.absent:
        name = named.text()
        return None if name is None else NamedPort(name)
    word = next(name for name in _PROTOCOLS if not item.child(name).absent)
    protocol = item.child(word).expect_object("destinationPort")
    place = required(protocol.child("destinationPort"), "Give a number or a range; 1 to 65535 is every port")
    place.expect_object("number", "range")
    if place.absent or not is_one_of(place, "destinationPort", ("number", "range")):
        return None
    several = place.child("range")
    if several.absent:
        first, last = _read_number(place.child("number")), None
    else:
        several.expect_object("start", "end")
        first, last = _read_number(several.child("start")), _read_number(several.child("end"))
        if first and last and first >= last:
            several.child("end").note(f"{last} is not above start {first}", "Give number for a single port")
    return None if len(item.problems) > before else PolicyPort(protocol=_PROTOCOLS[word], port=first, end_port=last)


def _read_number(field: Field) -> int | None:
    """A port number; None after a problem."""
    number = required(field, "Give a number").integer()
    return number if number is not None and field.accepts(check_port_number, number) else None
