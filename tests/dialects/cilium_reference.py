"""What CiliumNetworkPolicies allow, written from Cilium's documentation alone: slow, and easy to check by eye.

Everyone has an identity, which is a set of labels with a source. Selectors look at identities; CIDR rules at addresses
outside the cluster only ("Layer 3 Policies", "Layer 4 Policies", "Policy Enforcement Modes"). Traffic from a pod's own
node is always let in where Cilium runs in Kubernetes (`allow-localhost`).
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from netpol.model.flow import PORT_PROTOCOLS, protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.model.flow import Address
    from tests.dialects.ends import Ending

Manifest = dict[str, Any]

NAMESPACE = "k8s:io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "k8s:io.cilium.k8s.namespace.labels."
ECHO = {("IPv4", 8): 1, ("IPv6", 128): 58}


class Cilium:
    """A cluster with policies.

    Args:
        policies: CiliumNetworkPolicies as parsed YAML.
        everyone: All pods, by whose ports the names of ports are resolved in egress.
        api_servers: Addresses that have the identity kube-apiserver beside their own.
        resolved: The addresses that DNS has answered for a name or a name that a pattern covers.
        ignored: Keys of pod labels that are left out of identities.
    """

    def __init__(
        self,
        policies: Iterable[Manifest],
        everyone: Iterable[Ending],
        *,
        api_servers: Iterable[Address] = (),
        resolved: Mapping[str, Iterable[str]] | None = None,
        ignored: Iterable[str] = (),
    ) -> None:
        self.policies = list(policies)
        self.everyone = list(everyone)
        self.api_servers = set(api_servers)
        self.resolved = {name: set(found) for name, found in (resolved or {}).items()}
        self.ignored = set(ignored)

    def allows(self, source: Ending, destination: Ending, protocol: int, port: int | None) -> bool:
        """Whether the connection is let out by the source and in by the destination."""
        if source is destination:
            return True
        return self.side("egress", source, destination, protocol, port) and self.side(
            "ingress", destination, source, protocol, port
        )

    def side(self, way: str, subject: Ending, peer: Ending, protocol: int, port: int | None) -> bool:
        if subject.kind != "pod":
            return True
        if way == "ingress" and peer.kind == "node" and peer.node == subject.node:
            return True
        isolated = False
        for policy in self.policies:
            if policy["metadata"]["namespace"] != subject.namespace:
                continue
            spec = policy["spec"]
            if not matches(spec["endpointSelector"], self.identity(subject, subject)):
                continue
            for rule in spec.get(way, []):
                isolated = True
                server = subject if way == "ingress" else peer
                if self.covers(way, rule, policy["metadata"]["namespace"], subject, peer) and self.on_port(
                    way, rule, server, protocol, port
                ):
                    return True
        return not isolated

    def identity(self, end: Ending, seen_by: Ending) -> dict[str, str]:
        if end.kind == "pod":
            labels = {f"k8s:{key}": value for key, value in end.labels.items() if key not in self.ignored}
            labels[NAMESPACE] = end.namespace
            return {**labels, **{f"{NAMESPACE_LABELS}{key}": value for key, value in end.namespace_labels.items()}}
        labels = {"reserved:kube-apiserver": ""} if self.api_servers & set(end.addresses) else {}
        if end.kind == "node":
            return {**labels, ("reserved:host" if end.node == seen_by.node else "reserved:remote-node"): ""}
        return {**labels, "reserved:world": ""}

    def covers(  # noqa: PLR0911 - one answer for each field that names peers
        self, way: str, rule: Manifest, namespace: str, subject: Ending, peer: Ending
    ) -> bool:
        side = "from" if way == "ingress" else "to"
        identity = self.identity(peer, subject)
        listed = [key for key in rule if key not in {"toPorts", "icmps"}]
        if not rule:
            return False
        if not listed:
            return True
        (kind,) = listed
        if kind == f"{side}Endpoints":
            return any(matches(within(selector, namespace), identity) for selector in rule[kind])
        if kind == f"{side}Entities":
            return any(entity == "all" or f"reserved:{entity}" in identity for entity in rule[kind])
        if peer.kind != "outside":
            return False
        (address,) = peer.addresses
        if kind == f"{side}CIDR":
            return any(address in ip_network(cidr) for cidr in rule[kind])
        if kind == f"{side}CIDRSet":
            return any(
                address in ip_network(item["cidr"])
                and not any(address in ip_network(cut) for cut in item.get("except", []))
                for item in rule[kind]
            )
        assert kind == "toFQDNs", kind
        names = {item.get("matchName") or item["matchPattern"] for item in rule[kind]}
        return any(str(address) in self.resolved.get(name, ()) for name in names)

    def on_port(self, way: str, rule: Manifest, server: Ending, protocol: int, port: int | None) -> bool:
        if "icmps" in rule:
            fields = [field for item in rule["icmps"] for field in item["fields"]]
            return protocol in {ECHO[field["family"], field["type"]] for field in fields}
        if "toPorts" not in rule:
            return True
        if protocol not in PORT_PROTOCOLS or port is None:
            return False
        named = server.ports if way == "ingress" else [item for pod in self.everyone for item in pod.ports]
        for item in (found for part in rule["toPorts"] for found in part["ports"]):
            if item["protocol"] != protocol_name(protocol):
                continue
            if not item["port"].isdecimal():
                if any((held.name, held.protocol, held.port) == (item["port"], protocol, port) for held in named):
                    return True
            elif item["port"] == "0" or int(item["port"]) <= port <= item.get("endPort", int(item["port"])):
                return True
        return False


def within(selector: Manifest, namespace: str) -> Manifest:
    """The selector of a peer with the policy's namespace, unless it speaks of namespaces itself."""
    labels = selector.get("matchLabels", {})
    keys = [*labels, *(item["key"] for item in selector.get("matchExpressions", []))]
    if any(key == NAMESPACE or key.startswith(NAMESPACE_LABELS) for key in keys):
        return selector
    return {**selector, "matchLabels": {**labels, NAMESPACE: namespace}}


def matches(selector: Manifest, identity: Mapping[str, str]) -> bool:
    """A key with a source means that source's label; one without means the label of any source."""
    for key, value in selector.get("matchLabels", {}).items():
        if value not in values_of(key, identity):
            return False
    for item in selector.get("matchExpressions", []):
        found = values_of(item["key"], identity)
        if item["operator"] == "In" and not any(value in item["values"] for value in found):
            return False
        if item["operator"] == "NotIn" and any(value in item["values"] for value in found):
            return False
        if item["operator"] == "Exists" and not found:
            return False
        if item["operator"] == "DoesNotExist" and found:
            return False
    return True


def values_of(key: str, identity: Mapping[str, str]) -> list[str]:
    return [value for name, value in identity.items() if key in {name, name.partition(":")[2]}]
