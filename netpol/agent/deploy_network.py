"""Policies for netpol's own pods, written by netpol's own generator from the connections that the manifests make.

The hub is the only pod that a policy can speak of: agents are in their nodes' host network. Who connects is known, and
where from is the cluster's to tell:

- every agent to the hub, from its node's address, or from the tunnel's where the hub's pod is behind one;
- the API server to the hub, for those who read it through the API server's service proxy (`hub://`);
- the hub to the API server, at the endpoints of the Service default/kubernetes: policies see the address behind it.

The kubelet probes from the pod's own node, which needs no rule. The hub finds the API server by the address in its
environment and asks nobody else, so that it gets no rule for DNS.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from netpol.agent.deploy_settings import HUB, Settings, selecting
from netpol.agent.deploy_surroundings import API_SERVICE
from netpol.agent.hub.place import PORT
from netpol.errors import ProofError, UsageError
from netpol.graph.admit import admit
from netpol.graph.label_graph import LabelGraph
from netpol.graph.observation import Evidence, Observation
from netpol.graph.selectors import Selectors
from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.endpoint import Destination, NodeEnd, PodEnd, ResolvedFlow
from netpol.model.flow import TCP, Direction, Flow, Outcome
from netpol.model.inventory import (
    NAMESPACE_NAME_LABEL,
    ContainerPort,
    EndpointAddress,
    Inventory,
    Namespace,
    Node,
    Pod,
    Service,
    Workload,
    WorkloadRef,
)
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer
from netpol.policy.evaluate import Evaluator
from netpol.policy.generate import generate
from netpol.policy.replay import replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.agent.deploy_surroundings import Surroundings
    from netpol.model.cidr import Network
    from netpol.model.flow import Address
    from netpol.model.policy import NetworkPolicy, Rule
    from netpol.policy.generate import Generated

MOST_BLOCKS: Final = 1 << 14
"""Policies with many more would not fit into the 1.5 MiB that etcd takes for an object."""
_MOST_JUDGED: Final = 512
_HUB_ADDRESS: Final[Address] = ip_address("192.0.2.1")
"""Stands for the hub's pod, which has no address yet: no policy names it."""
_OWN_NODE: Final = "(own)"
"""The node of the hub's pod, whichever that will be: no node has such a name."""
_STAND_INS: Final = int(ip_address("198.18.0.0"))
"""The generator knows addresses, and is given one from here on (RFC 2544) for each block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPolicies:
    """What was generated.

    Attributes:
        generated: With the address that stands for it in the place of each block: for dialects that have other words
            for nodes and API servers than their addresses.
        exact: The same with the blocks.
        inventory: The small cluster that they were generated for.
        nodes: Addresses of nodes with their names.
    """

    generated: Generated
    exact: tuple[NetworkPolicy, ...]
    inventory: Inventory
    selectors: Selectors
    nodes: Mapping[Address, str]


def own_policies(settings: Settings, around: Surroundings) -> OwnPolicies:
    """Generates the policies, and proves that they say what they were generated for.

    Raises:
        UsageError: There are more blocks than a policy can hold.
        ProofError: A connection would be denied.
    """
    blocks = around.blocks()
    if len(blocks) > MOST_BLOCKS:
        raise UsageError(
            f"{len(blocks):,} addresses of nodes are too many for a policy", remedy="State their networks with --nodes"
        )
    stand_ins: dict[Network, Address] = {block: ip_address(_STAND_INS + n) for n, block in enumerate(blocks)}
    inventory = _inventory(settings, around, stand_ins)
    selectors = Selectors(inventory)
    (hub,) = inventory.pods
    admission = admit(_connections(hub, around, stand_ins), inventory, selectable=selectors.selectable)
    if admission.left_out:
        raise ProofError("connections of netpol's own were not learned", where=tuple(map(str, admission.left_out)))
    generated = generate(LabelGraph.of(admission, inventory), inventory, selectors)
    places = {address: block for block, address in stand_ins.items()}
    exact = tuple(_with_blocks(policy, places) for policy in generated.policies)
    _prove(exact, around, hub, inventory)
    return OwnPolicies(
        generated=generated,
        exact=exact,
        inventory=inventory,
        selectors=selectors,
        nodes={block.network_address: name for name, found in around.nodes.items() for block in found},
    )


def _prove(policies: tuple[NetworkPolicy, ...], around: Surroundings, hub: Pod, inventory: Inventory) -> None:
    """The blocks are exactly those that are meant, and the judge admits the first and last addresses of them.

    The judge is asked about some hundreds: it looks at one peer after the other, and clusters have thousands of nodes.

    Raises:
        ProofError: They do not.
    """
    wanted = {("ingress", PORT): AddressSet.collect(around.blocks())}
    for block, port in around.api_servers:
        wanted["egress", port] = wanted.get(("egress", port), AddressSet.EMPTY) | AddressSet.of(block)
    allowed: dict[tuple[str, int], AddressSet] = {}
    for policy in policies:
        for way, rules in (("ingress", policy.ingress), ("egress", policy.egress)):
            for rule in rules:
                addresses = AddressSet.collect(peer.block.cidr for peer in rule.peers if isinstance(peer, BlockPeer))
                for ports in rule.ports:
                    for number in range(int(ports.port or 0), int(ports.end_port or ports.port or 0) + 1):
                        allowed[way, number] = allowed.get((way, number), AddressSet.EMPTY) | addresses
    if allowed != wanted:
        raise ProofError("the policies for netpol's own pods do not say what they were generated for")
    judge = Evaluator(policies, inventory)
    blocks = around.blocks()
    for ends in ({block: block[0] for block in blocks}, {block: block[-1] for block in blocks}):
        flows = list(_connections(hub, around, ends))
        replay(map(_observed, flows[:: len(flows) // _MOST_JUDGED + 1]), judge).prove()


def _connections(hub: Pod, around: Surroundings, addresses: Mapping[Network, Address]) -> Iterator[ResolvedFlow]:
    """Who opens what to whom."""
    here = PodEnd(hub)
    for name, found in around.nodes.items():
        for block in found:
            yield _connection(NodeEnd(name, addresses[block]), here, PORT)
    for block, port in around.api_servers:
        there = NodeEnd(str(block), addresses[block])
        yield _connection(there, here, PORT)
        yield _connection(here, there, port)


def _connection(source: PodEnd | NodeEnd, destination: PodEnd | NodeEnd, port: int) -> ResolvedFlow:
    """One that was opened, answered and used."""
    flow = Flow(
        client=_address(source),
        server=_address(destination),
        protocol=TCP,
        port=port,
        outcome=Outcome.ESTABLISHED,
        direction=Direction.SYN,
        connections=1,
        packets=1,
        bytes=1,
        first_seen=0,
        last_seen=0,
        two_way=True,
    )
    return ResolvedFlow(flow=flow, source=source, destinations=(Destination(destination, port),))


def _address(end: PodEnd | NodeEnd) -> Address:
    return end.address if isinstance(end, NodeEnd) else _HUB_ADDRESS


def _observed(flow: ResolvedFlow) -> Observation:
    (destination,) = flow.destinations
    if not isinstance(flow.source, PodEnd | NodeEnd) or not isinstance(destination.end, PodEnd | NodeEnd):
        raise TypeError(f"{flow.source_text} to {flow.destination_text}")
    return Observation(
        source=flow.source,
        destination=destination.end,
        protocol=TCP,
        port=destination.port or 0,
        evidence=Evidence.of(flow.flow),
    )


def _inventory(settings: Settings, around: Surroundings, addresses: Mapping[Network, Address]) -> Inventory:
    """The hub as the manifests make it, among nodes and API servers."""
    labels = settings.metadata(HUB, HUB)["labels"]
    ref = WorkloadRef(namespace=settings.namespace, name=HUB, kind="Deployment")
    ports = (ContainerPort(protocol=TCP, port=PORT, name="https"),)
    own = {NAMESPACE_NAME_LABEL: settings.namespace}
    endpoints: defaultdict[Address, list[tuple[int, str, int]]] = defaultdict(list)
    for block, port in around.api_servers:
        endpoints[addresses[block]].append((TCP, "https", port))
    return Inventory(
        namespaces={settings.namespace: Namespace(name=settings.namespace, labels=own)},
        pods=(
            Pod(
                uid=HUB,
                namespace=settings.namespace,
                name=HUB,
                labels=labels,
                workload=ref,
                addresses=(_HUB_ADDRESS,),
                node=_OWN_NODE,
                ports=ports,
            ),
        ),
        workloads={
            ref: Workload(
                ref=ref, selector=LabelSelector(match_labels=selecting(HUB)), template_labels=labels, ports=ports
            )
        },
        services=(
            Service(
                namespace=API_SERVICE[0],
                name=API_SERVICE[1],
                selector=None,
                endpoints=tuple(
                    EndpointAddress(address=address, ports=tuple(sorted(found)))
                    for address, found in sorted(endpoints.items(), key=lambda item: int(item[0]))
                ),
            ),
        ),
        nodes=tuple(
            Node(name=name, addresses=tuple(addresses[block] for block in found))
            for name, found in around.nodes.items()
        ),
    )


def _with_blocks(policy: NetworkPolicy, places: Mapping[Address, Network]) -> NetworkPolicy:
    return replace(
        policy,
        ingress=tuple(_rule_with_blocks(rule, places) for rule in policy.ingress),
        egress=tuple(_rule_with_blocks(rule, places) for rule in policy.egress),
    )


def _rule_with_blocks(rule: Rule, places: Mapping[Address, Network]) -> Rule:
    """The rule with its blocks, less those that lie in others: an API server on a node, for one.

    Addresses were handed out in the order of blocks, of which none overlaps another but by lying in it.
    """
    found: list[Network] = []
    addresses = (peer.block.cidr.network_address for peer in rule.peers if isinstance(peer, BlockPeer))
    for block in (places[address] for address in sorted(addresses)):
        if not (found and block.version == found[-1].version and block[0] in found[-1]):
            found.append(block)
    return replace(rule, peers=tuple(BlockPeer(IPBlock(block)) for block in found))
