"""NetworkPolicies as Kubernetes YAML, in the order in which people write it.

The text depends on the policies alone: no times and no counts, so that a difference in git is a difference in what is
allowed. It is put together here and not by a YAML library: the shape is closed, comments and quoting are wanted, and
for 40,000 edges a round-trip emitter takes 95 s of CPU time where this takes two. That it is the YAML that was meant
is for independent readers to say, of YAML 1.1 and 1.2; the tests ask both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.dialects.files import files_of
from netpol.dialects.scalars import scalar
from netpol.model.flow import protocol_name
from netpol.model.labels import is_dns_subdomain
from netpol.model.policy import BlockPeer
from netpol.policy.merge_marks import is_kept, kept_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netpol.model.flow import Address
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy, Peer, PolicyPort, Rule

KEPT_POLICY = "# kept: nothing of it was exercised in the capture"
KEPT_RULE = "# kept: not exercised in the capture"


def to_yaml(policies: Iterable[NetworkPolicy], *, nodes: Mapping[Address, str] | None = None) -> str:
    """One stream, a document per policy.

    Args:
        policies: In the order in which they are to appear.
        nodes: Node addresses, which get the node's name as a comment.
    """
    known = nodes or {}
    return "---\n".join("\n".join(_document(policy, known)) + "\n" for policy in policies)


def to_files(policies: Iterable[NetworkPolicy], *, nodes: Mapping[Address, str] | None = None) -> dict[str, str]:
    """Relative paths to texts: `kustomization.yaml` and `NAMESPACE/NAME.yaml` for each policy, sorted.

    Raises:
        ValueError: Two policies have the same namespace and name.
    """
    return files_of((policy.namespace, policy.name, to_yaml([policy], nodes=nodes)) for policy in policies)


def _document(policy: NetworkPolicy, nodes: Mapping[Address, str]) -> Iterator[str]:
    if is_kept(policy):
        yield KEPT_POLICY
    yield "apiVersion: networking.k8s.io/v1"
    yield "kind: NetworkPolicy"
    yield "metadata:"
    yield f"  name: {scalar(policy.name)}"
    yield f"  namespace: {scalar(policy.namespace)}"
    for field, pairs in (("labels", policy.labels), ("annotations", policy.annotations)):
        if pairs:
            yield f"  {field}:"
            yield from _indented(_pairs(pairs), 4)
    yield "spec:"
    comment = " # every pod of the namespace" if policy.pod_selector.is_empty else ""
    yield from _indented(_selector("podSelector", policy.pod_selector, comment), 2)
    yield "  policyTypes:"
    yield from (f"    - {way}" for way in policy.policy_types)
    kept = kept_rules(policy)
    closed = "nobody may connect" if policy.isolates_ingress else ""
    yield from _side("ingress", policy.ingress, nodes, {index for way, index in kept if way == "ingress"}, closed)
    closed = "may connect to nobody" if policy.isolates_egress else ""
    yield from _side("egress", policy.egress, nodes, {index for way, index in kept if way == "egress"}, closed)


def _side(
    field: str, rules: tuple[Rule, ...], nodes: Mapping[Address, str], kept: set[int], closed: str
) -> Iterator[str]:
    if rules:
        yield f"  {field}:"
        peers = "from" if field == "ingress" else "to"
        for index, rule in enumerate(rules):
            if index in kept:
                yield f"    {KEPT_RULE}"
            yield from _item(_rule(rule, peers, nodes), 4)
    elif closed:
        yield f"  {field}: [] # {closed}"


def _rule(rule: Rule, field: str, nodes: Mapping[Address, str]) -> Iterator[str]:
    if rule.peers:
        yield f"{field}:"
        for peer in rule.peers:
            yield from _item(_peer(peer, nodes), 2)
    if rule.ports:
        yield "ports:"
        for port in rule.ports:
            yield from _item(_port(port), 2)
    if not rule.peers and not rule.ports:
        yield "{} # anyone, on any port"


def _peer(peer: Peer, nodes: Mapping[Address, str]) -> Iterator[str]:
    if not isinstance(peer, BlockPeer):
        if peer.namespace_selector is not None:
            yield from _selector("namespaceSelector", peer.namespace_selector)
        if peer.pod_selector is not None:
            yield from _selector("podSelector", peer.pod_selector)
        return
    network = peer.block.cidr
    node = nodes.get(network.network_address) if network.prefixlen == network.max_prefixlen else None
    comment = ""
    if node is not None:
        # Only a valid name may stand in a comment: another could end the line.
        comment = f" # node {node}" if is_dns_subdomain(node) else " # a node"
    yield "ipBlock:"
    yield f"  cidr: {scalar(str(network))}{comment}"
    if peer.block.except_:
        yield "  except:"
        yield from (f"    - {scalar(str(cut))}" for cut in peer.block.except_)


def _port(port: PolicyPort) -> Iterator[str]:
    yield f"protocol: {protocol_name(port.protocol)}"
    if port.port is not None:
        yield f"port: {scalar(port.port) if isinstance(port.port, str) else port.port}"
    if port.end_port is not None:
        yield f"endPort: {port.end_port}"


def _selector(field: str, selector: LabelSelector, comment: str = "") -> Iterator[str]:
    if selector.is_empty:
        yield f"{field}: {{}}{comment}"
        return
    yield f"{field}:"
    if selector.match_labels:
        yield "  matchLabels:"
        yield from _indented(_pairs(selector.match_labels), 4)
    if selector.match_expressions:
        yield "  matchExpressions:"
    for requirement in selector.match_expressions:
        yield f"    - key: {scalar(requirement.key)}"
        yield f"      operator: {requirement.operator.value}"
        if requirement.values:
            yield "      values:"
            yield from (f"        - {scalar(value)}" for value in requirement.values)


def _pairs(pairs: Mapping[str, str]) -> Iterator[str]:
    return (f"{scalar(key)}: {scalar(value)}" for key, value in sorted(pairs.items()))


def _item(lines: Iterable[str], depth: int) -> Iterator[str]:
    """The lines as one item of a list: a dash before the first."""
    lead = " " * depth + "- "
    for line in lines:
        yield lead + line
        lead = " " * (depth + 2)


def _indented(lines: Iterable[str], depth: int) -> Iterator[str]:
    return (" " * depth + line for line in lines)
