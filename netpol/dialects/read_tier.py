"""One cluster-wide policy out of its document, defaulted and validated as the API server does by their definitions.

Sources: the CustomResourceDefinitions of sigs.k8s.io/network-policy-api, experimental channel, v0.1.7 for v1alpha1 and
v0.2.0 for v1alpha2, with all their CEL rules. Three things are stricter, because the definitions let pass what their
own documentation excludes and no implementation could evaluate: label selectors are checked as the API's own are,
protocols are TCP, UDP or SCTP, and a portRange of v1alpha1 does not end before it begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.dialects.read_shared import (
    METADATA,
    read_annotations,
    read_labels,
    read_name,
)
from netpol.dialects.read_tier_parts import (
    EGRESS_PEERS,
    POD_PEERS,
    is_one_of,
    read_peer,
    read_pods,
    read_port,
    read_protocol_match,
    required,
)
from netpol.model.labels import EVERYTHING
from netpol.model.policy import PodPeer
from netpol.model.text import shown
from netpol.model.tiers import (
    BASELINE_ADMIN_NETWORK_POLICY,
    CLUSTER_NETWORK_POLICY,
    Action,
    Tier,
    TierKind,
    TierPolicy,
    TierRule,
    check_count,
    check_priority,
    check_rule,
    check_tier_name,
    one_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.dialects.read_fields import Field
    from netpol.model.tier_peers import TierPeer
    from netpol.model.tiers import TierPort

_LONGEST_NAME = 100
_TIERS = {tier.value: tier for tier in Tier}


def read_tier_policy(root: Field, kind: TierKind) -> TierPolicy | None:
    """The policy, or None where problems were noted.

    Args:
        root: The whole document.
        kind: What it says it is.
    """
    before = len(root.problems)
    root.expect_object("apiVersion", "kind", "metadata", "spec", "status")
    metadata = root.child("metadata").expect_object(*METADATA)
    name = read_name(metadata)
    if name and len(root.problems) == before:
        metadata.child("name").accepts(lambda text: check_tier_name(kind, text), name)
    labels, annotations = read_labels(metadata.child("labels")), read_annotations(metadata.child("annotations"))
    spec = required(root.child("spec"), "Give it: a subject and rules").expect_object(*_spec_fields(kind))
    tier, priority, subject = kind.tier or Tier.ADMIN, None, PodPeer(namespace_selector=EVERYTHING)
    if not spec.absent:
        tier, priority, subject = _read_tier(spec, kind), _read_priority(spec, kind), _read_subject(spec, kind)
    ingress = _read_rules(spec.child("ingress"), kind, "from")
    egress = _read_rules(spec.child("egress"), kind, "to")
    if len(root.problems) > before:
        return None
    return TierPolicy(
        kind=kind,
        name=name,
        tier=tier,
        priority=priority,
        subject=subject,
        ingress=ingress,
        egress=egress,
        labels=labels,
        annotations=annotations,
    )


def _spec_fields(kind: TierKind) -> tuple[str, ...]:
    own = () if kind is BASELINE_ADMIN_NETWORK_POLICY else ("priority",)
    return (*(("tier",) if kind.tier is None else ()), *own, "subject", "ingress", "egress")


def _read_tier(spec: Field, kind: TierKind) -> Tier:
    if kind.tier is not None:
        return kind.tier
    field = required(spec.child("tier"), f"Write {one_of(_TIERS)}")
    word = field.text()
    if word is not None and word not in _TIERS:
        field.note(f"{shown(word)} is not a tier", f"Use {one_of(_TIERS)}")
    return _TIERS.get(word or "", Tier.ADMIN)


def _read_priority(spec: Field, kind: TierKind) -> int | None:
    if kind is BASELINE_ADMIN_NETWORK_POLICY:
        return None
    field = required(spec.child("priority"), "Give a number; the lowest is asked first")
    priority = field.integer()
    if priority is not None:
        field.accepts(check_priority, priority)
    return priority


def _read_subject(spec: Field, kind: TierKind) -> PodPeer:
    field = required(spec.child("subject"), "Give namespaces or pods; namespaces: {} is every pod")
    everyone = PodPeer(namespace_selector=EVERYTHING)
    if field.absent:
        return everyone
    field.expect_object(*POD_PEERS)
    return (read_pods(field, kind) if is_one_of(field, "subject", POD_PEERS) else None) or everyone


def _read_rules(field: Field, kind: TierKind, peers: str) -> tuple[TierRule, ...]:
    items = list(field.items())
    field.accepts(lambda count: check_count(kind, count, "rules"), len(items))
    read = [_read_rule(item, kind, peers) for item in items]
    return tuple(rule for rule in read if rule is not None)


def _read_rule(rule: Field, kind: TierKind, peers: str) -> TierRule | None:
    """One rule; `peers` is the field that lists its peers."""
    before = len(rule.problems)
    required(rule, "Give a rule, or remove the item").expect_object("name", "action", peers, kind.ports)
    if rule.absent:
        return None
    name = rule.child("name").text() or ""
    if len(name) > _LONGEST_NAME:
        rule.child("name").note(f"has {len(name)} characters", f"Use {_LONGEST_NAME} at most")
    action = _read_action(rule.child("action"), kind)
    known: tuple[str, ...] = EGRESS_PEERS if peers == "to" else POD_PEERS
    if kind is BASELINE_ADMIN_NETWORK_POLICY:
        known = tuple(word for word in known if word != "domainNames")
    read_one: Callable[[Field], TierPort | None]
    read_one = read_protocol_match if kind is CLUSTER_NETWORK_POLICY else read_port
    found: list[TierPeer] = [
        item
        for field in _items(rule.child(peers), kind, "peers", needed=True)
        if (item := read_peer(field, kind, known)) is not None
    ]
    ports = [
        port for field in _items(rule.child(kind.ports), kind, kind.ports) if (port := read_one(field)) is not None
    ]
    if len(rule.problems) > before or action is None:
        return None
    read = TierRule(action=action, peers=tuple(found), ports=tuple(ports), name=name)
    return read if rule.accepts(lambda value: check_rule(kind, value), read) else None


def _items(field: Field, kind: TierKind, what: str, *, needed: bool = False) -> list[Field]:
    """The items of a list that is not empty where it is given, nor longer than the kind takes."""
    items = list(field.items())
    if field.value == [] or (needed and field.absent):
        remedy = "Give at least one; namespaces: {} is every pod" if needed else "Give at least one, or leave it out"
        field.note("is missing" if field.absent else "an empty list", remedy)
    field.accepts(lambda count: check_count(kind, count, what), len(items))
    return items


def _read_action(field: Field, kind: TierKind) -> Action | None:
    word = required(field, f"Write {one_of(kind.actions)}").text()
    if word is not None and word not in kind.actions:
        field.note(f"{shown(word)} is not an action of {kind.name}", f"Use {one_of(kind.actions)}")
    return kind.actions.get(word or "")
