"""A second judge, written from the rules alone: point-wise, slow and obvious, on manifests as they are parsed.

It shares no code with the package. Ends are `("pod", namespace, name)`, `("address", text)` and `("node", name)`; the
answer is "allowed", "denied" or "undefined". The cluster is `{"namespaces": [...], "pods": [...], "nodes": [...]}` of
manifests.

Cluster-wide policies stand among the others and are told by their kind. Where it is not known whether a rule matches,
because it names domains or because the port is not known, both are tried.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

Manifest = dict[str, Any]
Ending = tuple[str, ...]


def judge(
    policies: list[Manifest], cluster: Manifest, source: Ending, destination: Ending, connection: tuple[str, int]
) -> str:
    """What the policies say about one connection: protocol name and port at the destination."""
    source, destination = owner(cluster, source), owner(cluster, destination)
    if "ambiguous" in {source[0], destination[0]}:
        return "undefined"
    if source[0] == "pod" and source[:3] == destination[:3]:
        return "allowed"
    if same_node(cluster, source, destination) or same_node(cluster, destination, source):
        return "allowed"
    leaves = side(policies, cluster, (source, destination), connection, "egress")
    enters = side(policies, cluster, (source, destination), connection, "ingress")
    if "denied" in {leaves, enters}:
        return "denied"
    return "undefined" if "undefined" in {leaves, enters} else "allowed"


def side(
    policies: list[Manifest], cluster: Manifest, ends: tuple[Ending, Ending], connection: tuple[str, int], way: str
) -> str:
    """What the policies of one end say: of the source for egress, of the destination for ingress."""
    subject = ends[0] if way == "egress" else ends[1]
    peer = ends[1] if way == "egress" else ends[0]
    answers = admin_tier(policies, cluster, (subject, peer, ends[1]), connection, way)
    return answers.pop() if len(answers) == 1 else "undefined"


Three = tuple[Ending, Ending, Ending]
"""Whom the policies are for, the other end, and the server."""


def admin_tier(
    policies: list[Manifest], cluster: Manifest, ends: Three, connection: tuple[str, int], way: str
) -> set[str]:
    """All that may come of it from the first tier on."""

    def priority(policy: Manifest) -> tuple[int, str, str]:
        return policy["spec"]["priority"], policy["kind"], policy["metadata"]["name"]

    found = [policy for policy in policies if tier_of(policy) == "Admin"]
    after = network_policies(policies, cluster, ends, connection, way)
    return first_match(sorted(found, key=priority), cluster, ends, connection, way, after)


def network_policies(
    policies: list[Manifest], cluster: Manifest, ends: Three, connection: tuple[str, int], way: str
) -> set[str]:
    """The same from NetworkPolicies on, which have the last word on the pods that they isolate."""
    found = [
        policy for policy in policies if tier_of(policy) == "" and isolates(policy, cluster, ends[0], way.capitalize())
    ]
    if not found:
        return baseline_tier(policies, cluster, ends, connection, way)
    if connection[0] not in {"TCP", "UDP", "SCTP"}:
        return {"undefined"}
    for policy in found:
        for rule in policy["spec"].get(way) or []:
            if permits(cluster, policy, rule, ends[1:], connection):
                return {"allowed"}
    return {"denied"}


def baseline_tier(
    policies: list[Manifest], cluster: Manifest, ends: Three, connection: tuple[str, int], way: str
) -> set[str]:
    """The same from the last tier on."""

    def priority(policy: Manifest) -> tuple[int, str, str]:
        return policy["spec"].get("priority", 1_000_000), policy["kind"], policy["metadata"]["name"]

    found = [policy for policy in policies if tier_of(policy) == "Baseline"]
    return first_match(sorted(found, key=priority), cluster, ends, connection, way, {"allowed"})


def tier_of(policy: Manifest) -> str:
    """Empty for a NetworkPolicy."""
    fixed = {"NetworkPolicy": "", "AdminNetworkPolicy": "Admin", "BaselineAdminNetworkPolicy": "Baseline"}
    return fixed[policy["kind"]] if policy["kind"] in fixed else policy["spec"]["tier"]


def first_match(
    ordered: list[Manifest],
    cluster: Manifest,
    ends: Three,
    connection: tuple[str, int],
    way: str,
    after: set[str],
) -> set[str]:
    """What may come of the rules of one tier; `after` is what may come of the next."""
    answers: set[str] = set()
    for policy in ordered:
        if not chosen(policy["spec"]["subject"], cluster, ends[0]):
            continue
        for rule in policy["spec"].get(way) or []:
            matches = does_match(rule, cluster, ends, connection)
            if matches != "no":
                action = rule["action"]
                answers |= after if action == "Pass" else {"denied" if action == "Deny" else "allowed"}
            if matches == "yes":
                return answers
    return answers | after


def does_match(rule: Manifest, cluster: Manifest, ends: Three, connection: tuple[str, int]) -> str:
    """Whether a cluster-wide rule matches: yes, no or perhaps."""
    _, peer, server = ends
    ports = rule.get("ports") or rule.get("protocols") or []
    if ports and not any(is_tier_port(item, cluster, server, *connection) for item in ports):
        return "no"
    meant = [is_tier_peer(item, cluster, peer) for item in rule.get("from") or rule["to"]]
    return "yes" if "yes" in meant else "perhaps" if "perhaps" in meant else "no"


def is_tier_peer(item: Manifest, cluster: Manifest, peer: Ending) -> str:
    """Whether one peer of a cluster-wide rule is this end: yes, no or perhaps."""
    if "networks" in item:
        blocks = [ip_network(text, strict=False) for text in item["networks"]]
        found = any(ip_address(text) in block for text in addresses_of(cluster, peer) for block in blocks)
    elif "nodes" in item:
        nodes = [node for node in cluster["nodes"] if fits(item["nodes"], node["metadata"].get("labels") or {})]
        held = {text for node in nodes for text in addresses_of_node(node)}
        found = any(text in held for text in addresses_of(cluster, peer))
    elif "domainNames" in item:
        local = any(f".{name}".rstrip(".").endswith(".cluster.local") for name in item["domainNames"])
        return "perhaps" if local or peer[0] != "pod" else "no"
    else:
        found = chosen(item, cluster, peer)
    return "yes" if found else "no"


def chosen(item: Manifest, cluster: Manifest, end: Ending) -> bool:
    """Whether a subject, or a peer with selectors, is for this end."""
    if end[0] != "pod":
        return False
    if "namespaces" in item:
        return fits(item["namespaces"], labels_of_namespace(cluster, end[1]))
    pods = item["pods"]
    return fits(pods.get("namespaceSelector") or {}, labels_of_namespace(cluster, end[1])) and fits(
        pods["podSelector"], labels_of_pod(cluster, end)
    )


def is_tier_port(item: Manifest, cluster: Manifest, server: Ending, protocol: str, port: int) -> bool:
    """Whether one item of `ports` (v1alpha1) or `protocols` (v1alpha2) covers the port at this destination."""
    name = item.get("namedPort", item.get("destinationNamedPort"))
    if name is not None:
        return server[0] == "pod" and any(
            (declared.get("name"), declared.get("protocol", "TCP"), declared["containerPort"]) == (name, protocol, port)
            for container in find_pod(cluster, server)["spec"]["containers"]
            for declared in container.get("ports") or []
        )
    if "portNumber" in item:
        place = item["portNumber"]
        return bool(place.get("protocol", "TCP") == protocol and place["port"] == port)
    if "portRange" in item:
        place = item["portRange"]
        return bool(place.get("protocol", "TCP") == protocol and place["start"] <= port <= place["end"])
    ((word, found),) = item.items()
    place = found["destinationPort"]
    first, last = (place["number"],) * 2 if "number" in place else (place["range"]["start"], place["range"]["end"])
    return bool(word.upper() == protocol and first <= port <= last)


def owner(cluster: Manifest, end: Ending) -> Ending:
    """Whose an address is, which then is the last word; a hostNetwork pod is its node."""
    if end[0] == "address":
        holders = [
            ("pod", pod["metadata"]["namespace"], pod["metadata"]["name"], end[1])
            for pod in cluster["pods"]
            if running(pod) and not on_host(pod) and end[1] in addresses_of_pod(pod)
        ]
        nodes = [
            ("node", node["metadata"]["name"], end[1]) for node in cluster["nodes"] if end[1] in addresses_of_node(node)
        ]
        if nodes:
            return nodes[0]
        if len(holders) > 1:
            return ("ambiguous",)
        return holders[0] if holders else end
    if end[0] == "pod" and on_host(find_pod(cluster, end)):
        return ("node", find_pod(cluster, end)["spec"]["nodeName"])
    return end


def same_node(cluster: Manifest, node: Ending, pod: Ending) -> bool:
    """Whether one is the node that the other, a pod, runs on."""
    return node[0] == "node" and pod[0] == "pod" and find_pod(cluster, pod)["spec"]["nodeName"] == node[1]


def isolates(policy: Manifest, cluster: Manifest, end: Ending, kind: str) -> bool:
    """Whether the policy selects the pod, and is of this type."""
    if end[0] != "pod" or end[1] != policy["metadata"]["namespace"]:
        return False
    types = policy["spec"].get("policyTypes") or []
    if not types:
        types = ["Ingress", "Egress"] if policy["spec"].get("egress") else ["Ingress"]
    return kind in types and fits(policy["spec"].get("podSelector") or {}, labels_of_pod(cluster, end))


def permits(
    cluster: Manifest, policy: Manifest, rule: Manifest, ends: tuple[Ending, Ending], connection: tuple[str, int]
) -> bool:
    """Whether one rule admits the peer, the first of the ends, on the port at the server, the second."""
    peers = rule.get("from") or rule.get("to") or []
    ports = rule.get("ports") or []
    return (not peers or any(is_peer(policy, cluster, item, ends[0]) for item in peers)) and (
        not ports or any(is_port(cluster, item, ends[1], *connection) for item in ports)
    )


def is_peer(policy: Manifest, cluster: Manifest, item: Manifest, peer: Ending) -> bool:
    """Whether one item of `from` or `to` means this end."""
    block = item.get("ipBlock")
    if block is not None:
        return any(in_block(block, address) for address in addresses_of(cluster, peer))
    if peer[0] != "pod":
        return False
    namespaces = item.get("namespaceSelector")
    if namespaces is None:
        if peer[1] != policy["metadata"]["namespace"]:
            return False
    elif not fits(namespaces, labels_of_namespace(cluster, peer[1])):
        return False
    pods = item.get("podSelector")
    return pods is None or fits(pods, labels_of_pod(cluster, peer))


def in_block(block: Manifest, text: str) -> bool:
    address = ip_address(text)
    return address in ip_network(block["cidr"]) and all(
        address not in ip_network(cut) for cut in block.get("except") or []
    )


def is_port(cluster: Manifest, item: Manifest, server: Ending, protocol: str, port: int) -> bool:
    """Whether one item of `ports` covers the port at this destination."""
    if item.get("protocol", "TCP") != protocol:
        return False
    wanted = item.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return int(wanted) <= port <= int(item.get("endPort", wanted))
    if server[0] != "pod":
        return False
    return any(
        declared.get("name") == wanted
        and declared.get("protocol", "TCP") == protocol
        and declared["containerPort"] == port
        for container in find_pod(cluster, server)["spec"]["containers"]
        for declared in container.get("ports") or []
    )


def fits(selector: Manifest, labels: dict[str, str]) -> bool:
    """The meaning of a label selector."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if key not in labels or labels[key] != value:
            return False
    for item in selector.get("matchExpressions") or []:
        key, values = item["key"], item.get("values") or []
        if item["operator"] == "In" and not (key in labels and labels[key] in values):
            return False
        if item["operator"] == "NotIn" and key in labels and labels[key] in values:
            return False
        if item["operator"] == "Exists" and key not in labels:
            return False
        if item["operator"] == "DoesNotExist" and key in labels:
            return False
    return True


def addresses_of(cluster: Manifest, end: Ending) -> list[str]:
    if end[0] == "address":
        return [end[1]]
    if end[0] == "node":
        if len(end) > 2:
            return [end[2]]
        (node,) = (node for node in cluster["nodes"] if node["metadata"]["name"] == end[1])
        return addresses_of_node(node)
    if len(end) > 3:
        return [end[3]]
    return addresses_of_pod(find_pod(cluster, end))


def addresses_of_pod(pod: Manifest) -> list[str]:
    return [item["ip"] for item in pod["status"].get("podIPs") or []]


def addresses_of_node(node: Manifest) -> list[str]:
    return [item["address"] for item in node["status"]["addresses"]]


def running(pod: Manifest) -> bool:
    return pod["status"].get("phase") not in {"Succeeded", "Failed"}


def on_host(pod: Manifest) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def find_pod(cluster: Manifest, end: Ending) -> Manifest:
    (pod,) = (
        pod for pod in cluster["pods"] if (pod["metadata"]["namespace"], pod["metadata"]["name"]) == (end[1], end[2])
    )
    return dict(pod)


def labels_of_pod(cluster: Manifest, end: Ending) -> dict[str, str]:
    return dict(find_pod(cluster, end)["metadata"].get("labels") or {})


def labels_of_namespace(cluster: Manifest, name: str) -> dict[str, str]:
    labels = {}
    for namespace in cluster["namespaces"]:
        if namespace["metadata"]["name"] == name:
            labels = dict(namespace["metadata"].get("labels") or {})
    labels["kubernetes.io/metadata.name"] = name
    return labels
