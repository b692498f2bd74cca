"""NetworkPolicies in the words of nftables: what a simple network plugin would load on each node.

Written from the API's own words and Kubernetes' documentation, and from nothing of netpol's: it is what netpol's
verdicts are held against. Values that the API server would not have stored are not looked for.

A node filters for its own pods where it forwards packets: after a Service's address was rewritten and before
masquerading, so that rules meet the endpoint's address and port. What passes between a node and its own pods is not
forwarded and so never filtered, as the API demands. Only TCP, UDP and SCTP are filtered: for anything else policies are
undefined.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Policy = dict[str, Any]

TABLE = "policies"
_FAMILIES = {4: "ip", 6: "ip6"}
_PROTOCOLS = "{ tcp, udp, sctp }"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A running pod as policies see it.

    Attributes:
        key: A name that no other pod has, of letters, digits and hyphens.
        namespace_labels: `kubernetes.io/metadata.name` included.
        ports: Protocol, name and number of each named containerPort.
        host_network: It has its node's address: no selector finds it.
    """

    key: str
    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    addresses: tuple[str, ...]
    node: str
    ports: tuple[tuple[str, str, int], ...] = ()
    host_network: bool = False


def ruleset(policies: Sequence[Policy], places: Sequence[Place], node: str) -> str:
    """All rules of a node as input for `nft -f`, in the place of those that it had."""
    world = [place for place in places if not place.host_network]
    jumps: list[str] = []
    chains: list[str] = []
    for place in (place for place in world if place.node == node):
        for direction in (_EGRESS, _INGRESS):
            isolating = [policy for policy in policies if _isolates(policy, place, direction)]
            if not isolating:
                continue
            name = f"{direction.key}-{place.key}"
            jumps += [
                f"{match} meta l4proto {_PROTOCOLS} jump {name}"
                for match in _each_family(place.addresses, direction.subject)
            ]
            lines = [f"{line} return" for policy in isolating for line in _allowed(policy, place, world, direction)]
            # Resets, because ICMP unreachables are limited in their rate, and a scan that meets silence takes minutes.
            chains.append(_chain(name, [*lines, "meta l4proto tcp reject with tcp reset", "reject"]))
    # Policies speak of who opens a connection: what belongs to one that was let through passes.
    hook = "type filter hook forward priority filter; policy accept;"
    base = _chain("forward", [hook, "ct state established,related accept", *jumps])
    return f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{''.join([*chains, base])}}}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Direction:
    """One of policyTypes, its list of rules, the key of a rule's peers, and whose address a packet has where."""

    kind: str
    key: str
    peers: str
    subject: str
    other: str


_EGRESS = _Direction(kind="Egress", key="egress", peers="to", subject="saddr", other="daddr")
_INGRESS = _Direction(kind="Ingress", key="ingress", peers="from", subject="daddr", other="saddr")


def _chain(name: str, lines: Sequence[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _isolates(policy: Policy, place: Place, direction: _Direction) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    mine = policy["metadata"]["namespace"] == place.namespace
    return mine and direction.kind in types and _matches(spec.get("podSelector") or {}, place.labels)


def _matches(selector: Policy, labels: Mapping[str, str]) -> bool:
    exact = selector.get("matchLabels") or {}
    return exact.items() <= labels.items() and all(
        _holds(item, labels) for item in selector.get("matchExpressions") or ()
    )


def _holds(expression: Policy, labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    match operator:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":  # also where the key is absent
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"no such operator of a selector: {operator}")


def _allowed(policy: Policy, subject: Place, world: Sequence[Place], direction: _Direction) -> Iterator[str]:
    """What the rules of one policy let pass, as matches that stand for each other."""
    for rule in policy["spec"].get(direction.key) or ():
        ports = rule.get("ports") or [None]
        for peer in rule.get(direction.peers) or [None]:
            if peer is not None and "ipBlock" not in peer:
                pods = [place for place in world if _is_peer(peer, place, policy["metadata"]["namespace"])]
                yield from _to_pods(pods, ports, subject, direction)
            else:
                block = _block(peer["ipBlock"], direction.other) if peer else ""
                destination = subject if direction is _INGRESS else None
                yield from (f"{block} {match}".strip() for entry in ports for match in _ports(entry, destination))
                if direction is _EGRESS and peer is None:
                    # Everywhere, on a port that each pod has under a number of its own and an address has not at all.
                    yield from _to_pods(world, [entry for entry in ports if _is_named(entry)], subject, direction)


def _is_peer(peer: Policy, place: Place, namespace: str) -> bool:
    elsewhere = peer.get("namespaceSelector")
    here = place.namespace == namespace if elsewhere is None else _matches(elsewhere, place.namespace_labels)
    return here and _matches(peer.get("podSelector") or {}, place.labels)


def _to_pods(
    pods: Sequence[Place], ports: Sequence[Policy | None], subject: Place, direction: _Direction
) -> Iterator[str]:
    for pod in pods:
        for entry in ports:
            for match in _ports(entry, subject if direction is _INGRESS else pod):
                yield from (f"{ends} {match}".strip() for ends in _each_family(pod.addresses, direction.other))


def _each_family(addresses: Sequence[str], side: str) -> Iterator[str]:
    for version, family in _FAMILIES.items():
        own = [address for address in addresses if ip_network(address).version == version]
        if own:
            yield f"{family} {side} {{ {', '.join(own)} }}"


def _block(block: Policy, side: str) -> str:
    address = f"{_FAMILIES[ip_network(block['cidr']).version]} {side}"
    holes = f" {address} != {{ {', '.join(block['except'])} }}" if block.get("except") else ""
    if ip_network(block["cidr"]).prefixlen == 0:  # nft has no prefix of length 0
        return f"meta nfproto {'ipv4' if address.startswith('ip ') else 'ipv6'}{holes}"
    return f"{address} {block['cidr']}{holes}"


def _is_named(entry: Policy | None) -> bool:
    return entry is not None and isinstance(entry.get("port"), str)


def _ports(entry: Policy | None, destination: Place | None) -> list[str]:
    """The matches for one entry of `ports`: none where the destination has no port of that name."""
    if entry is None:
        return [""]
    protocol = entry.get("protocol") or "TCP"
    first = entry.get("port")
    if first is None:
        return [f"meta l4proto {protocol.lower()}"]
    if isinstance(first, str):
        named = destination.ports if destination else ()
        return [f"{protocol.lower()} dport {number}" for of, name, number in named if (of, name) == (protocol, first)]
    last = entry.get("endPort") or first
    return [f"{protocol.lower()} dport {first}" + (f"-{last}" if last != first else "")]
