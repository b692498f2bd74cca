"""What Calico NetworkPolicies allow, written from Calico's documentation alone: slow, and easy to check by eye.

("Network policy", its tables of rules, entity rules and selectors.) The policies hold Allow rules only and no order, so
that their order says nothing: what selects a pod in a direction and matches nothing denies.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from netpol.model.flow import PORT_PROTOCOLS, protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.dialects.ends import Ending

Manifest = dict[str, Any]


class Calico:
    """A cluster with policies.

    Args:
        policies: Calico NetworkPolicies as parsed YAML.
        resolved: The addresses that DNS has answered for a domain.
    """

    def __init__(self, policies: Iterable[Manifest], *, resolved: Mapping[str, Iterable[str]] | None = None) -> None:
        self.policies = list(policies)
        self.resolved = {name: set(found) for name, found in (resolved or {}).items()}

    def allows(self, source: Ending, destination: Ending, protocol: int, port: int | None) -> bool:
        """Whether the connection is let out by the source and in by the destination."""
        if source is destination:
            return True
        ends = (source, destination)
        return self.side("Egress", source, ends, protocol, port) and self.side(
            "Ingress", destination, ends, protocol, port
        )

    def side(self, way: str, subject: Ending, ends: tuple[Ending, Ending], protocol: int, port: int | None) -> bool:
        source, destination = ends
        if subject.kind != "pod":
            return True
        if way == "Ingress" and source.kind == "node" and source.node == subject.node:
            return True
        isolated = False
        for policy in self.policies:
            spec, namespace = policy["spec"], policy["metadata"]["namespace"]
            if subject.namespace != namespace or way not in spec["types"]:
                continue
            if not holds(spec["selector"], labels_of(subject)):
                continue
            isolated = True
            for rule in spec.get(way.lower(), []):
                assert rule["action"] == "Allow"
                if (
                    self.of_protocol(rule, protocol)
                    and self.covers(rule.get("source", {}), source, namespace, protocol, None)
                    and self.covers(rule.get("destination", {}), destination, namespace, protocol, port)
                ):
                    return True
        return not isolated

    @staticmethod
    def of_protocol(rule: Manifest, protocol: int) -> bool:
        if "icmp" in rule:
            assert rule["icmp"]["type"] == {"ICMP": 8, "ICMPv6": 128}[rule["protocol"]]
        return "protocol" not in rule or rule["protocol"] == protocol_name(protocol)

    def covers(self, entity: Manifest, end: Ending, namespace: str, protocol: int, port: int | None) -> bool:
        if "nets" in entity and not any(inside(end, net) for net in entity["nets"]):
            return False
        if "notNets" in entity and not met_outside(end, entity):
            return False
        if "domains" in entity and not any(
            str(address) in self.resolved.get(name, ()) for name in entity["domains"] for address in end.addresses
        ):
            return False
        if ("selector" in entity or "namespaceSelector" in entity) and not selected(entity, end, namespace):
            return False
        return "ports" not in entity or any(is_port(item, end, protocol, port) for item in entity["ports"])


def selected(entity: Manifest, end: Ending, namespace: str) -> bool:
    """Without a namespaceSelector the policy's own namespace is meant."""
    if end.kind != "pod" or not holds(entity.get("selector", "all()"), labels_of(end)):
        return False
    if "namespaceSelector" not in entity:
        return end.namespace == namespace
    return holds(entity["namespaceSelector"], {**end.namespace_labels, "projectcalico.org/name": end.namespace})


def inside(end: Ending, net: str) -> bool:
    return any(address in ip_network(net) for address in end.addresses)


def met_outside(end: Ending, entity: Manifest) -> bool:
    """An address in the nets and in none of the notNets: each packet has one address."""
    return any(
        any(address in ip_network(net) for net in entity["nets"])
        and not any(address in ip_network(net) for net in entity["notNets"])
        for address in end.addresses
    )


def is_port(item: int | str, end: Ending, protocol: int, port: int | None) -> bool:
    if protocol not in PORT_PROTOCOLS or port is None:
        return False
    if isinstance(item, int):
        return item == port
    if ":" in item:
        first, last = item.split(":")
        return int(first) <= port <= int(last)
    return any((held.name, held.protocol, held.port) == (item, protocol, port) for held in end.ports)


def labels_of(pod: Ending) -> dict[str, str]:
    return {
        **pod.labels,
        "projectcalico.org/namespace": pod.namespace,
        "projectcalico.org/orchestrator": "k8s",
    }


KEY = r"[a-zA-Z0-9_./-]{1,512}"
FORMS = (
    (r"all\(\)", lambda _, __: True),
    (rf"has\(({KEY})\)", lambda labels, found: found[1] in labels),
    (rf"!has\(({KEY})\)", lambda labels, found: found[1] not in labels),
    (rf"({KEY}) == '([^']*)'", lambda labels, found: labels.get(found[1]) == found[2]),
    (rf"({KEY}) in {{ (.*) }}", lambda labels, found: labels.get(found[1]) in words(found[2])),
    (rf"({KEY}) not in {{ (.*) }}", lambda labels, found: labels.get(found[1]) not in words(found[2])),
)


def holds(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether an expression holds for labels; the forms are those of the documentation, joined by `&&`."""
    for part in selector.split(" && "):
        found = [judge(labels, match) for form, judge in FORMS if (match := re.fullmatch(form, part))]
        assert found, f"not an expression: {part}"
        if not found[0]:
            return False
    return True


def words(text: str) -> list[str]:
    found = re.findall(r"'([^']*)'", text)
    assert text == ", ".join(f"'{word}'" for word in found)
    return found
