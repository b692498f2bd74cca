"""NetworkPolicies as Kubernetes YAML, in the order in which people write it.

The text depends on the policies alone: no times and no counts, so that a difference in git is a difference in what is allowed.
"""

from __future__ import annotations

import re
from hashlib import sha256
from io import StringIO
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from netpol.model.flow import protocol_name
from netpol.model.labels import is_dns_subdomain
from netpol.model.policy import BlockPeer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.model.flow import Address
    from netpol.model.labels import LabelSelector
    from netpol.model.policy import NetworkPolicy, Peer, PolicyPort, Rule

LONGEST_STEM = 200
"""Characters of a file name before `.yaml`: file systems allow 255 bytes, the API names of 253."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|(?:[0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}")
_MISREAD = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that YAML 1.1 reads as booleans or null in any case (yaml.org/type/bool.html)."""


def to_yaml(policies: Iterable[NetworkPolicy], *, nodes: Mapping[Address, str] | None = None) -> str:
    """One stream, a document per policy.

    Args:
        policies: In the order in which they are to appear.
        nodes: Node addresses, which get the node's name as a comment.
    """
    return "---\n".join(_dump(_document(policy, nodes or {})) for policy in policies)


def to_files(policies: Iterable[NetworkPolicy], *, nodes: Mapping[Address, str] | None = None) -> dict[str, str]:
    """Relative paths to texts: `NAMESPACE/NAME.yaml` for each policy and `kustomization.yaml`, sorted.

    Namespaces and names are valid DNS names, so that no path leaves the folder: they hold no slash, and do not begin with a dot.

    Raises:
        ValueError: Two policies have the same namespace and name.
    """
    files: dict[str, str] = {}
    for policy in policies:
        path = f"{policy.namespace}/{_stem(policy.name)}.yaml"
        if path in files:
            raise ValueError(f"two policies are called {policy}")
        files[path] = to_yaml([policy], nodes=nodes)
    paths = sorted(files)
    kustomization = CommentedMap(
        apiVersion="kustomize.config.k8s.io/v1beta1", kind="Kustomization", resources=CommentedSeq(map(_text, paths))
    )
    return {"kustomization.yaml": _dump(kustomization), **{path: files[path] for path in paths}}


def _stem(name: str) -> str:
    if len(name) <= LONGEST_STEM:
        return name
    digest = sha256(name.encode()).hexdigest()[:16]
    return f"{name[: LONGEST_STEM - len(digest) - 1]}-{digest}"


def _dump(document: CommentedMap) -> str:
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 1 << 16
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _document(policy: NetworkPolicy, nodes: Mapping[Address, str]) -> CommentedMap:
    metadata = CommentedMap(name=_text(policy.name), namespace=_text(policy.namespace))
    for field, pairs in (("labels", policy.labels), ("annotations", policy.annotations)):
        if pairs:
            metadata[field] = _pairs(pairs)
    spec = CommentedMap(podSelector=_selector(policy.pod_selector))
    if policy.pod_selector.is_empty:
        spec.yaml_add_eol_comment("every pod of the namespace", "podSelector", column=0)
    spec["policyTypes"] = CommentedSeq(policy.policy_types)
    sides = (
        ("ingress", "from", policy.isolates_ingress, policy.ingress, "nobody may connect"),
        ("egress", "to", policy.isolates_egress, policy.egress, "may connect to nobody"),
    )
    for field, peers, isolated, rules, closed in sides:
        if rules or isolated:
            spec[field] = CommentedSeq(_rule(rule, peers, nodes) for rule in rules)
        if isolated and not rules:
            spec[field].fa.set_flow_style()
            spec.yaml_add_eol_comment(closed, field, column=0)
    return CommentedMap(apiVersion="networking.k8s.io/v1", kind="NetworkPolicy", metadata=metadata, spec=spec)


def _rule(rule: Rule, field: str, nodes: Mapping[Address, str]) -> CommentedMap:
    item = CommentedMap()
    if rule.peers:
        item[field] = CommentedSeq(_peer(peer, nodes) for peer in rule.peers)
    if rule.ports:
        item["ports"] = CommentedSeq(map(_port, rule.ports))
    return item


def _peer(peer: Peer, nodes: Mapping[Address, str]) -> CommentedMap:
    item = CommentedMap()
    if not isinstance(peer, BlockPeer):
        if peer.namespace_selector is not None:
            item["namespaceSelector"] = _selector(peer.namespace_selector)
        if peer.pod_selector is not None:
            item["podSelector"] = _selector(peer.pod_selector)
        return item
    block = CommentedMap(cidr=_text(str(peer.block.cidr)))
    network = peer.block.cidr
    node = nodes.get(network.network_address) if network.prefixlen == network.max_prefixlen else None
    if node is not None:
        # Only a valid name may stand in a comment: it could otherwise end the line.
        block.yaml_add_eol_comment(f"node {node}" if is_dns_subdomain(node) else "a node", "cidr", column=0)
    if peer.block.except_:
        block["except"] = CommentedSeq(_text(str(cut)) for cut in peer.block.except_)
    item["ipBlock"] = block
    return item


def _port(port: PolicyPort) -> CommentedMap:
    item = CommentedMap(protocol=protocol_name(port.protocol))
    if port.port is not None:
        item["port"] = _text(port.port) if isinstance(port.port, str) else port.port
    if port.end_port is not None:
        item["endPort"] = port.end_port
    return item


def _selector(selector: LabelSelector) -> CommentedMap:
    item = CommentedMap()
    if selector.match_labels:
        item["matchLabels"] = _pairs(selector.match_labels)
    if selector.match_expressions:
        item["matchExpressions"] = CommentedSeq()
        for requirement in selector.match_expressions:
            expression = CommentedMap(key=_text(requirement.key), operator=str(requirement.operator))
            if requirement.values:
                expression["values"] = CommentedSeq(map(_text, requirement.values))
            item["matchExpressions"].append(expression)
    return item


def _pairs(pairs: Mapping[str, str]) -> CommentedMap:
    return CommentedMap((_text(key), _text(value)) for key, value in sorted(pairs.items()))


def _text(text: str) -> Any:
    """The string, quoted unless every reader of YAML 1.1 and 1.2 takes it for the same string without quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _MISREAD:
        return text
    return DoubleQuotedScalarString(text)
