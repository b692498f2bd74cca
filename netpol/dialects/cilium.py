"""NetworkPolicies as CiliumNetworkPolicies (cilium.io/v2): the same connections in Cilium's words.

What differs, and how it is met (docs.cilium.io, "Layer 3 Policies", "Layer 4 Policies", "DNS based"):

- CIDR rules match neither pods nor nodes. A node's address becomes the entities `host` and `remote-node`, which stand
  for every node; an address of the API server becomes `kube-apiserver`. Other blocks stay what they are, without the
  pods and nodes in them.
- A direction is isolated by having a rule. Where nothing is allowed that rule is `{}`, which matches nothing.
- The kinds of peers do not stand together in one rule, and forty ports are the most that stand in one list.
- Names take the place of addresses where Cilium can see the workload's DNS: the rule that allows it gets a DNS part.
- ICMP and traffic to a pod's own node are dropped unless a rule allows them: what was seen is allowed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from netpol.dialects.block import Noted
from netpol.dialects.cilium_selectors import endpoint_selector, peer_selector
from netpol.dialects.documents import CLOSED, sides, write
from netpol.dialects.named_needs import NamedNeeds
from netpol.dialects.translation import Remarks, Translation
from netpol.model.flow import ICMP, SCTP, TCP, UDP, protocol_name
from netpol.model.platform import Kind, platform_at
from netpol.model.policy import BlockPeer, PolicyPort
from netpol.model.wildcard import Depth, Wildcard
from netpol.review.cilium import leaves_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dialects.block import Document, Value
    from netpol.dialects.named_needs import Named, Pattern
    from netpol.dialects.translation import Surroundings, Written
    from netpol.model.cidr import IPBlock
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy, Peer, Rule
    from netpol.policy.generate_extras import PingRule
    from netpol.policy.verdict import Way

_API: Final = ("cilium.io/v2", "CiliumNetworkPolicy")
MOST_PORTS: Final = 40
"""Ports of one item of toPorts (`MaxItems` of the CRD)."""

DNS_PORT: Final = 53
ECHO_REQUEST: Final = {ICMP: ("IPv4", 8)}
"""The family and type of an echo request (RFC 792, RFC 4443); ICMPv6 is the other."""

_SIDES: Final = {"ingress": ("from", "fromEndpoints"), "egress": ("to", "toEndpoints")}
_EVERYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})
_SHOWN: Final = 5


def to_cilium(policies: Iterable[NetworkPolicy], around: Surroundings) -> Translation:
    """The policies as CiliumNetworkPolicies of the same namespaces and names."""
    remarks = Remarks()
    return Translation(
        documents=tuple(_Policy(policy, around, remarks).written() for policy in policies), remarks=remarks.all()
    )


class _Policy:
    """The translation of one policy."""

    def __init__(self, policy: NetworkPolicy, around: Surroundings, remarks: Remarks) -> None:
        self._policy = policy
        self._around = around
        self._remarks = remarks
        self._extras = around.extras.get(str(policy))
        self._needs = NamedNeeds(around.needs.get(str(policy), ()))
        by_name = any(self._needs.split(rule).names for rule in policy.egress)
        if by_name and not _asks_dns(policy):
            self._remark(
                "cilium-no-dns",
                "it uses hosts outside the cluster by name, but no connection to a DNS server on port 53 was learned, "
                "which Cilium has to see: their addresses are allowed, not their names",
                "Capture from before the pods start, so that their DNS queries are seen",
            )
            by_name = False
        if not by_name:
            self._needs = NamedNeeds(())

    def written(self) -> Written:
        """The document."""
        policy = self._policy
        self._labels(policy.pod_selector)
        selector = endpoint_selector(policy.pod_selector) or Noted({}, "every pod of the namespace")
        found = sides(policy, self._rule, self._beyond)
        rules = {way: items or [Noted({}, CLOSED[way])] for way, items in found.rules.items()}
        return write(policy, _API, {"endpointSelector": selector, **rules}, found.kept)

    def _rule(self, way: Way, rule: Rule) -> Iterator[Document]:
        """The rules that one rule becomes: one for each kind of peer."""
        named: Named | None = self._needs.split(rule) if way == "egress" and self._needs else None
        peers = named.peers if named else rule.peers
        ports = {"toPorts": self._ports(way, rule.ports)} if rule.ports else {}
        prefix, endpoints = _SIDES[way]
        kinds = self._kinds(way, peers) if peers or not rule.peers else {}
        for kind, items in kinds.items():
            yield {endpoints if kind == "Endpoints" else f"{prefix}{kind}": items, **ports}
        if named:
            yield from self._names(named)

    def _kinds(self, way: Way, peers: Sequence[Peer]) -> dict[str, list[Value]]:
        """The peers by the field that names them, in the order of a reader's interest."""
        found: dict[str, list[Value]] = {"Endpoints": [], "Entities": [], "CIDR": [], "CIDRSet": []}
        if not peers:
            return {"Entities": ["all"]}
        entities: set[str] = set()
        for peer in peers:
            if not isinstance(peer, BlockPeer):
                found["Endpoints"].append(peer_selector(peer))
                if peer.pod_selector is not None:
                    self._labels(peer.pod_selector)
                continue
            stands_for = self._entities(way, peer.block)
            entities |= stands_for
            if not stands_for:
                cidr = str(peer.block.cidr)
                cuts: list[Value] = [str(cut) for cut in peer.block.except_]
                if cuts:
                    found["CIDRSet"].append({"cidr": cidr, "except": cuts})
                else:
                    found["CIDR"].append(cidr)
        if _EVERYWHERE.issubset(item for item in found["CIDR"] if isinstance(item, str)):
            found["CIDR"] = [item for item in found["CIDR"] if item not in _EVERYWHERE]
            entities.add("world")
        found["Entities"] += sorted(entities)
        return {kind: items for kind, items in found.items() if items}

    def _entities(self, way: Way, block: IPBlock) -> set[str]:
        """What stands for a node's or the API server's address; nothing for any other block."""
        network = block.cidr
        address = network.network_address
        if network.prefixlen == network.max_prefixlen:
            if address in self._around.api_servers:
                return {"kube-apiserver"}
            if address in self._around.nodes:
                self._remark(
                    "cilium-any-node",
                    f"{way} {'from' if way == 'ingress' else 'to'} node address {address}: Cilium's CIDR rules match "
                    "no nodes, and its entities host and remote-node stand for every node",
                    "Set Cilium's policy-cidr-match-mode to nodes and use the address, or label nodes and use "
                    "fromNodes and toNodes, where this node alone is meant",
                )
                return {"host", "remote-node"}
            platform = platform_at(address, UDP, DNS_PORT)
            if platform is not None and platform.kind is Kind.NODE_DNS:
                self._remark(
                    "cilium-node-dns",
                    f"{way}: {address} is a DNS cache on each node: where Cilium takes that for the node itself, or "
                    "redirects it to a pod, its address does not match",
                    "Allow the entity host, or the pods that a CiliumLocalRedirectPolicy leads to, on port 53",
                )
        inside = [f"node {name}" for held, name in self._around.nodes.items() if held in block]
        inside += [f"pod {name}" for held, name in self._around.pods.items() if held in block]
        if inside:
            more = f" and {len(inside) - _SHOWN} more" if len(inside) > _SHOWN else ""
            self._remark(
                "cilium-block-in-cluster",
                f"{way}: {block} holds {', '.join(sorted(inside)[:_SHOWN])}{more}, which Cilium's CIDR rules do not "
                "match: they are not allowed",
                "Allow them by selector or entity where they are meant",
            )
        return set()

    def _ports(self, way: Way, ports: Iterable[PolicyPort]) -> list[Value]:
        plain: list[Value] = []
        dns: list[Value] = []
        for port in ports:
            watched = way == "egress" and bool(self._needs) and _is_dns(port)
            (dns if watched else plain).append(self._port(way, port))
        found: list[Value] = [
            {"ports": plain[first : first + MOST_PORTS]} for first in range(0, len(plain), MOST_PORTS)
        ]
        if dns:
            found.append({"ports": dns, "rules": {"dns": [{"matchPattern": "*"}]}})
        return found

    def _port(self, way: Way, port: PolicyPort) -> Document:
        if port.protocol == SCTP:
            self._remark("cilium-sctp", "it allows SCTP, which Cilium drops unless it runs with SCTP support",
                         "Set the Helm value sctp.enabled")  # fmt: skip
        if isinstance(port.port, str) and way == "egress":
            self._remark(
                "cilium-named-port",
                f"egress to port {port.port}: Cilium takes the numbers that any pod of the cluster gives this name, "
                "not only those of the pods that the rule selects",
                "Write the number",
            )
        if port.end_port is not None:
            self._remark("cilium-port-range", "it has a range of ports, which Cilium knows from 1.16 on")
        found: dict[str, Value] = {"port": str(port.port or 0)}
        if port.end_port is not None:
            found["endPort"] = port.end_port
        return {**found, "protocol": protocol_name(port.protocol)}

    def _names(self, named: Named) -> Iterator[Document]:
        """One rule for each set of names, with the ports where they are used."""
        places: defaultdict[tuple[Pattern, ...], list[PolicyPort]] = defaultdict(list)
        for (protocol, port), names in named.names.items():
            places[names].append(PolicyPort(protocol=protocol, port=port))
        for names, ports in places.items():
            yield {"toFQDNs": [self._name(name) for name in names], "toPorts": self._ports("egress", ports)}

    def _name(self, name: Pattern) -> Document:
        if not isinstance(name, Wildcard):
            return {"matchName": name}
        pattern = f"{'*' if name.depth is Depth.ONE else '**'}.{name.parent}"
        self._remark(
            "cilium-wildcard", f"{pattern} also admits names that were never seen", "Leave --wildcards out to name each"
        )
        if name.depth is Depth.ANY:
            self._remark("cilium-deep-wildcard", f"{pattern}: releases of Cilium that do not know ** match less")
        return {"matchPattern": pattern}

    def _beyond(self, way: Way) -> Iterator[Document]:
        if self._extras is None:
            return
        prefix, endpoints = _SIDES[way]
        for ping in self._extras.pings:
            if ping.way == way:
                for kind, items in self._kinds(way, ping.peers).items():
                    yield {endpoints if kind == "Endpoints" else f"{prefix}{kind}": items, "icmps": [_echo(ping)]}
        if way == "egress":
            if self._extras.own_node:
                yield {"toEntities": ["host"], "toPorts": self._ports(way, self._extras.own_node)}
            for protocol in self._extras.own_node_pings:
                yield {"toEntities": ["host"], "icmps": [_echo_of(protocol)]}

    def _labels(self, selector: LabelSelector) -> None:
        for requirement in selector.requirements:
            if leaves_out(requirement.key):
                self._remark(
                    "cilium-ignored-label",
                    f"it selects by {requirement.key}, which Cilium leaves out of identities by default: "
                    f"there {requirement} is decided as if no pod had the label",
                    "Select by a label that names the workload, or add the key to Cilium's identity-relevant labels",
                )

    def _remark(self, identifier: str, text: str, remedy: str = "") -> None:
        self._remarks.add(identifier, self._policy, text, remedy)


def _asks_dns(policy: NetworkPolicy) -> bool:
    return any(_is_dns(port) for rule in policy.egress for port in rule.ports)


def _is_dns(port: PolicyPort) -> bool:
    """Whether Cilium's DNS proxy can watch the port: 53 itself, no range."""
    return port.port == DNS_PORT and port.end_port is None and port.protocol in {TCP, UDP}


def _echo(ping: PingRule) -> Document:
    return _echo_of(ping.protocol)


def _echo_of(protocol: int) -> Document:
    family, kind = ECHO_REQUEST.get(protocol, ("IPv6", 128))
    return {"fields": [{"type": kind, "family": family}]}
