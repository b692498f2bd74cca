"""NetworkPolicies as Calico NetworkPolicies (projectcalico.org/v3): the same connections in Calico's words.

`projectcalico.org/v3` is the API that Calico's API server, `calicoctl apply` and, from 3.32 on, Calico's own custom
resources take. `crd.projectcalico.org/v1` is how Calico stores it, which nobody but Calico is to write.

What differs, and how it is met (docs.tigera.io, "Network policy", "Network set", "Default endpoint to host action"):

- A rule has one selector on each side and one protocol: a rule becomes one for each peer and protocol. All of them are
  `Allow` and none has an order, so that these policies add up with NetworkPolicies, whatever comes first. What selects
  a pod in a direction and matches nothing denies at the end of the tier.
- Addresses match whoever holds them, as an ipBlock does. Both families in one rule are refused.
- What a pod opens to its own node goes through its egress rules. Calico has no word for "its own node": what was seen
  is allowed to the addresses of all nodes.
- Domains are matched by Calico Enterprise and Calico Cloud alone. Elsewhere such a field would be dropped, and its rule
  would allow everyone: only those who ask for them get them.
- ICMP is dropped unless a rule allows it: what was seen is allowed.
"""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from netpol.dialects.block import Noted
from netpol.dialects.calico_selectors import entity, subject
from netpol.dialects.documents import CLOSED, sides, write
from netpol.dialects.named_needs import NamedNeeds
from netpol.dialects.translation import Remarks, Translation
from netpol.model.cidr import IPBlock
from netpol.model.flow import ICMP, protocol_name
from netpol.model.labels import is_dns_subdomain
from netpol.model.policy import BlockPeer, PolicyPort
from netpol.model.wildcard import Depth, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dialects.block import Document, Value
    from netpol.dialects.named_needs import Named, Pattern
    from netpol.dialects.translation import Surroundings, Written
    from netpol.model.cidr import Network
    from netpol.model.policy import NetworkPolicy, Peer, Rule
    from netpol.policy.verdict import Way

_API: Final = ("projectcalico.org/v3", "NetworkPolicy")
_EDITIONS: Final = "Calico Enterprise and Calico Cloud alone: elsewhere this field is dropped, and everyone is allowed"
"""A file outlives what was said when it was written: what makes it dangerous elsewhere stands in it."""
ECHO_REQUEST: Final = {ICMP: 8}
"""The type of an echo request (RFC 792, RFC 4443); 128 for ICMPv6."""


def to_calico(policies: Iterable[NetworkPolicy], around: Surroundings, *, domains: bool = False) -> Translation:
    """The policies as Calico NetworkPolicies of the same namespaces and names.

    Args:
        policies: In the order in which they are to appear.
        around: What the addresses are.
        domains: Put names in the place of addresses, for Calico Enterprise and Calico Cloud.
    """
    remarks = Remarks()
    return Translation(
        documents=tuple(_Policy(policy, around, remarks, domains=domains).written() for policy in policies),
        remarks=remarks.all(),
    )


class _Policy:
    """The translation of one policy."""

    def __init__(self, policy: NetworkPolicy, around: Surroundings, remarks: Remarks, *, domains: bool) -> None:
        self._policy = policy
        self._around = around
        self._remarks = remarks
        self._extras = around.extras.get(str(policy))
        self._needs = NamedNeeds(around.needs.get(str(policy), ()))
        if not domains:
            if any(self._needs.split(rule).names for rule in policy.egress):
                self._remark(
                    "calico-names",
                    "it uses hosts outside the cluster by name: Calico's open-source edition matches no names, so that "
                    "the addresses that were seen are allowed",
                    "With Calico Enterprise or Calico Cloud use --dialect calico-enterprise",
                )
            self._needs = NamedNeeds(())

    def written(self) -> Written:
        """The document."""
        policy = self._policy
        found = sides(policy, self._rule, self._beyond)
        rules = {way: items or Noted([], CLOSED[way]) for way, items in found.rules.items()}
        spec: Document = {"selector": subject(policy.pod_selector), "types": list(policy.policy_types), **rules}
        return write(policy, _API, spec, found.kept)

    def _rule(self, way: Way, rule: Rule) -> Iterator[Document]:
        """The rules that one rule becomes: one for each peer and protocol."""
        named: Named | None = self._needs.split(rule) if way == "egress" and self._needs else None
        peers = named.peers if named else rule.peers
        if peers or not rule.peers:
            for peer in self._entities(peers):
                yield from _allow(way, peer, rule.ports)
        if named:
            places: defaultdict[tuple[Pattern, ...], list[PolicyPort]] = defaultdict(list)
            for (protocol, port), names in named.names.items():
                places[names].append(PolicyPort(protocol=protocol, port=port))
            for names, ports in places.items():
                domains = Noted([self._name(name) for name in names], _EDITIONS)
                yield from _allow(way, {"domains": domains}, ports)

    def _entities(self, peers: Sequence[Peer]) -> Iterator[Document]:
        """The peers: pods each by themselves, then addresses together, then blocks that others are cut out of."""
        if not peers:
            yield {}
        blocks = [peer.block for peer in peers if isinstance(peer, BlockPeer)]
        yield from (entity(peer) for peer in peers if not isinstance(peer, BlockPeer))
        yield from self._nets(block for block in blocks if not block.except_)
        for block in blocks:
            if block.except_:
                yield {"nets": [str(block.cidr)], "notNets": [str(cut) for cut in block.except_]}

    def _nets(self, blocks: Iterable[IPBlock]) -> Iterator[Document]:
        """Blocks of one family each: a rule must not mix them."""
        families: defaultdict[int, list[Value]] = defaultdict(list)
        for block in blocks:
            families[block.cidr.version].append(self._net(block.cidr))
        yield from ({"nets": nets} for _, nets in sorted(families.items()))

    def _net(self, network: Network) -> Value:
        node = self._around.nodes.get(network.network_address)
        if node is None or network.prefixlen != network.max_prefixlen:
            return str(network)
        # Only a valid name may stand in a comment: another could end the line.
        return Noted(str(network), f"node {node}" if is_dns_subdomain(node) else "a node")

    def _name(self, name: Pattern) -> str:
        if not isinstance(name, Wildcard):
            return name
        pattern = f"*.{name.parent}"
        self._remark(
            "calico-wildcard", f"{pattern} also admits names that were never seen", "Leave --wildcards out to name each"
        )
        if name.depth is Depth.ONE:
            self._remark(
                "calico-wildcard-depth",
                f"{pattern} stands for one or more labels there: Calico cannot say that it is to be one",
                "Leave --wildcards out to name each",
            )
        return pattern

    def _beyond(self, way: Way) -> Iterator[Document]:
        if self._extras is None:
            return
        for ping in self._extras.pings:
            if ping.way == way:
                for peer in self._entities(ping.peers):
                    yield _echo(way, ping.protocol, peer)
        own_node = bool(self._extras.own_node or self._extras.own_node_pings)
        if way != "egress" or not own_node:
            return
        ports = ", ".join(map(str, self._extras.own_node)) or "ICMP"
        self._remark(
            "calico-own-node",
            f"its pods use {ports} of the node that they run on: Calico cannot say so, and allows it to all nodes",
            "Leave the rule out where the pods do not need it",
        )
        nodes = sorted(self._around.nodes, key=lambda address: (address.version, int(address)))
        for peer in self._nets(IPBlock(ip_network(address)) for address in nodes):
            if self._extras.own_node:
                yield from _allow(way, peer, self._extras.own_node)
        for protocol in self._extras.own_node_pings:
            family = 4 if protocol == ICMP else 6
            for peer in self._nets(IPBlock(ip_network(address)) for address in nodes if address.version == family):
                yield _echo(way, protocol, peer)

    def _remark(self, identifier: str, text: str, remedy: str = "") -> None:
        self._remarks.add(identifier, self._policy, text, remedy)


def _allow(way: Way, peer: Document, ports: Iterable[PolicyPort]) -> Iterator[Document]:
    """One rule for each protocol, one for all protocols where there are no ports."""
    by_protocol: defaultdict[int, list[PolicyPort]] = defaultdict(list)
    for port in ports:
        by_protocol[port.protocol].append(port)
    if not by_protocol:
        yield {"action": "Allow", **_sides(way, peer, [])}
    for protocol, some in by_protocol.items():
        numbers = [] if any(port.port is None for port in some) else [_port(port) for port in some]
        yield {"action": "Allow", "protocol": protocol_name(protocol), **_sides(way, peer, numbers)}


def _echo(way: Way, protocol: int, peer: Document) -> Document:
    kind: Document = {"type": ECHO_REQUEST.get(protocol, 128)}
    return {"action": "Allow", "protocol": protocol_name(protocol), "icmp": kind, **_sides(way, peer, [])}


def _sides(way: Way, peer: Document, ports: list[Value]) -> dict[str, Value]:
    """The peer and the ports on the sides where they belong; ports are always the destination's."""
    source: Document = peer if way == "ingress" else {}
    destination: Document = {**(peer if way == "egress" else {}), **({"ports": ports} if ports else {})}
    found: dict[str, Value] = {"source": source} if source else {}
    return {**found, "destination": destination} if destination else found


def _port(port: PolicyPort) -> Value:
    if port.end_port is not None:
        return f"{port.port}:{port.end_port}"
    return port.port or 0
