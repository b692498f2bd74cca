"""The exact verdict on one connection: may this end open it to that one, under these policies?

Takes policies and the inventory once, then any number of connections. A pod is isolated in a direction when a policy of
that type selects it; an isolated end admits what at least one rule of its policies admits; a connection needs both
ends. Cluster-wide policies are asked before and after those, in `evaluate_tiers`. Replies are part of the connection.
What the policies do not define is said to be undefined.

What no policy can forbid (a pod and itself, a pod and its own node) is laid down for NetworkPolicy alone: neither
KEP-2091 nor the documents of network-policy-api speak of it. It is taken to hold for cluster-wide policies too.

Policies are indexed by namespace, and what depends on labels only is remembered per distinct set of those labels that
some selector looks at, so that replaying many connections costs dictionary look-ups.
"""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from netpol.model.endpoint import AmbiguousEnd, End, ExternalEnd, NodeEnd, PodEnd, ServiceEnd, UnknownEnd
from netpol.model.flow import PORT_PROTOCOLS, Address, protocol_name
from netpol.model.inventory import Pod
from netpol.model.policy import PodPeer
from netpol.policy import matching
from netpol.policy.evaluate_rules import Asked, Kind, Resolved, first_match, misses
from netpol.policy.evaluate_tiers import TierAsked, TierJudge
from netpol.policy.policy_set import PolicySet, selected_keys
from netpol.policy.verdict import OPEN, RuleMiss, Ruling, Side, Verdict, Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy
    from netpol.model.tiers import Policy

Party = End | Pod | Address
"""What is taken as an end. A plain address stands for the pod or node that holds it, if one does."""


class Evaluator:
    """Judges connections under one set of policies in one cluster.

    Args:
        policies: In any order: verdicts do not depend on it.
        inventory: Namespaces (for their labels), nodes and pods (to tell whose a plain address is).
    """

    def __init__(self, policies: Iterable[Policy], inventory: Inventory) -> None:
        self._inventory = inventory
        policy_set = PolicySet.of(policies)
        self._tiers = TierJudge(policy_set, inventory) if policy_set.tiers else None
        self._policies: dict[str, list[NetworkPolicy]] = defaultdict(list)
        for policy in policy_set.namespaced:
            self._policies[policy.namespace].append(policy)
        # A label of each pod's own (its name, its template's hash) tells it from others only where a selector asks.
        self._keys = frozenset[str]().union(
            *map(_selected_keys, policy_set.namespaced), *map(selected_keys, policy_set.tiers)
        )
        self._nodes = {address: node.name for node in inventory.nodes for address in node.addresses}
        self._holders: dict[Address, list[Pod]] = defaultdict(list)
        for pod in inventory.pods:
            # Finished and deleted pods hold no address: theirs may be another's by now.
            if not (pod.host_network or pod.finished or pod.ended is not None):
                for address in pod.addresses:
                    self._holders[address].append(pod)
        self._kinds: dict[tuple[str, frozenset[tuple[str, str]]], Kind] = {}
        # Keyed by identity, which is quick; each value holds its pod, so that no identity is ever used twice.
        self._pods: dict[int, tuple[Pod, Resolved]] = {}

    def verdict(
        self,
        source: Party,
        destination: Party,
        protocol: int,
        port: int | None,
        *,
        addresses: tuple[Address | None, Address | None] = (None, None),
    ) -> Verdict:
        """Whether `source` may open a connection to `destination`.

        A pod that is given as such is judged as it was while it ran, finished or not: a connection that was seen proves
        that it held its address.

        Args:
            source: Who opens the connection.
            destination: Who serves it; behind a Service, the endpoint pod.
            protocol: IP protocol number.
            port: The port at the destination itself (of a Service, the targetPort); None where it is not known.
            addresses: At which addresses source and destination were met, None where it is not known: then any of a
                pod's addresses counts.
        """
        opener, server = self._resolve(source, addresses[0]), self._resolve(destination, addresses[1])
        unclear = opener.unclear or server.unclear
        if unclear:
            return Verdict.without_rules(Ruling.UNDEFINED, f"undefined: {unclear}")
        always = _always_allowed(opener, server)
        if always:
            return Verdict.without_rules(Ruling.ALLOWED, always)
        undefined = _undefined(protocol, port)
        asked = None if undefined else Asked(protocol, port or 0, server.pod.ports if server.pod else ())
        egress, ingress = _side("egress", opener, server, asked), _side("ingress", server, opener, asked)
        if self._tiers is not None:
            return self._tiered(self._tiers, (opener, server), (egress, ingress), TierAsked(protocol, port, ()))
        if undefined and (egress.isolated or ingress.isolated):
            return Verdict(ruling=Ruling.UNDEFINED, egress=egress, ingress=ingress, reason=f"undefined: {undefined}")
        ruling = Ruling.ALLOWED if egress.admits and ingress.admits else Ruling.DENIED
        return Verdict(ruling=ruling, egress=egress, ingress=ingress)

    @staticmethod
    def _tiered(
        judge: TierJudge, ends: tuple[Resolved, Resolved], sides: tuple[Side, Side], asked: TierAsked
    ) -> Verdict:
        """The verdict with cluster-wide policies: each end's tiers, then both ends."""
        opener, server = ends
        asked = asked._replace(declared=server.pod.ports if server.pod else ())
        undefined = _undefined(asked.protocol, asked.port)
        egress = judge.side(sides[0], opener, server, asked, undefined=undefined)
        ingress = judge.side(sides[1], server, opener, asked, undefined=undefined)
        rulings = {egress.ruling, ingress.ruling}
        if Ruling.DENIED not in rulings and Ruling.UNDEFINED in rulings:
            reason = f"undefined: {egress.unclear or ingress.unclear}"
            return Verdict(ruling=Ruling.UNDEFINED, egress=egress, ingress=ingress, reason=reason)
        ruling = Ruling.DENIED if Ruling.DENIED in rulings else Ruling.ALLOWED
        return Verdict(ruling=ruling, egress=egress, ingress=ingress)

    def misses(
        self,
        source: Party,
        destination: Party,
        protocol: int,
        port: int,
        *,
        addresses: tuple[Address | None, Address | None] = (None, None),
    ) -> tuple[RuleMiss, ...]:
        """Why no other rule admits the connection: each rule of the isolating policies that does not, egress first."""
        opener, server = self._resolve(source, addresses[0]), self._resolve(destination, addresses[1])
        asked = Asked(protocol, port, server.pod.ports if server.pod else ())
        return (*misses("egress", opener, server, asked), *misses("ingress", server, opener, asked))

    def isolating(self, pod: Pod, way: Way) -> tuple[NetworkPolicy, ...]:
        """The NetworkPolicies that isolate the pod in one direction, by namespace and name; none: it is open."""
        return self._resolve(pod, None).isolating(way)

    def holder(self, address: Address) -> End:
        """Whose an address is now: a running pod's, a node's, or nobody's in the cluster."""
        if address in self._nodes:
            return NodeEnd(self._nodes[address], address)
        pods = self._holders.get(address, [])
        if len(pods) > 1:
            return AmbiguousEnd(address, tuple(f"{pod.namespace}/{pod.name}" for pod in pods))
        return PodEnd(pods[0]) if pods else ExternalEnd(address)

    def _resolve(self, party: Party, address: Address | None) -> Resolved:
        if isinstance(party, IPv4Address | IPv6Address):
            return self._resolve(self.holder(party), party)
        if isinstance(party, PodEnd):
            party = party.pod
        if isinstance(party, Pod):
            known = self._pods.get(id(party))
            if known is None:
                known = self._pods[id(party)] = (party, self._resolve_pod(party))
            return known[1] if address is None else known[1].at(address)
        if isinstance(party, NodeEnd):
            return Resolved(addresses=(party.address,), node=party.name)
        if isinstance(party, ExternalEnd):
            return Resolved(addresses=(party.address,))
        return Resolved(unclear=_why_unclear(party))

    def _resolve_pod(self, pod: Pod) -> Resolved:
        if not pod.host_network:
            return Resolved(pod=pod, kind=self._kind(pod), addresses=pod.addresses)
        node = pod.node or next((self._nodes[address] for address in pod.addresses if address in self._nodes), "")
        return Resolved(addresses=pod.addresses, node=node)

    def _kind(self, pod: Pod) -> Kind:
        key = (pod.namespace, frozenset((name, value) for name, value in pod.labels.items() if name in self._keys))
        kind = self._kinds.get(key)
        if kind is None:
            selecting = [policy for policy in self._policies.get(pod.namespace, ()) if matching.selects(policy, pod)]
            kind = self._kinds[key] = Kind(
                example=pod,
                namespace_labels=matching.namespace_labels(self._inventory, pod.namespace),
                ingress=tuple(policy for policy in selecting if policy.isolates_ingress),
                egress=tuple(policy for policy in selecting if policy.isolates_egress),
            )
        return kind


def _selected_keys(policy: NetworkPolicy) -> Iterator[str]:
    """The keys of pod labels that the policy's selectors look at."""
    yield from policy.pod_selector.keys
    for rule in (*policy.ingress, *policy.egress):
        for peer in rule.peers:
            if isinstance(peer, PodPeer) and peer.pod_selector is not None:
                yield from peer.pod_selector.keys


def _always_allowed(opener: Resolved, server: Resolved) -> str:
    """Why no policy can forbid this, empty where one could.

    "A Pod cannot block access to itself"; "traffic to and from the node where a Pod is running is always allowed".
    """
    if opener.pod and server.pod:
        return "own address" if opener.pod is server.pod or opener.pod.uid == server.pod.uid else ""
    if opener.pod and server.node:
        return "own node" if opener.pod.node == server.node else ""
    if server.pod and opener.node:
        return "own node" if server.pod.node == opener.node else ""
    return ""


def _side(way: Way, subject: Resolved, peer: Resolved, asked: Asked | None) -> Side:
    """What one end's policies say; without rules that match where what was asked is undefined."""
    isolating = subject.isolating(way)
    if not isolating:
        return OPEN[way]
    return Side(way=way, isolated_by=isolating, match=None if asked is None else first_match(way, subject, peer, asked))


def _undefined(protocol: int, port: int | None) -> str:
    """Why NetworkPolicies say nothing about such a connection, empty where they do.

    "It is only guaranteed to deny TCP, UDP and SCTP connections. For other protocols, such as ICMP, the behaviour is
    undefined", for allow rules too.
    """
    if protocol not in PORT_PROTOCOLS:
        return f"policies are about TCP, UDP and SCTP, not {protocol_name(protocol)}"
    return "the port is not known" if port is None else ""


def _why_unclear(end: ServiceEnd | AmbiguousEnd | UnknownEnd) -> str:
    if isinstance(end, ServiceEnd):
        return f"whether a policy sees the virtual address of service {end.namespace}/{end.name}"
    if isinstance(end, AmbiguousEnd):
        return f"{end.address} had more than one owner"
    return f"who held {end.address} is not known"
