"""The kernel as the judge: NetworkPolicies as iptables rules on the nodes, as a simple network plugin has them.

Each node filters for its own pods where it forwards packets: after a Service's address was rewritten and before
masquerading. What passes between a node and its own pods is not forwarded, so it is never filtered, as the API demands.
Only TCP and UDP are filtered: what policies mean for ICMP is undefined.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import yaml

from shoplab.description import NODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shoplab.description import Pod
    from shoplab.network import Lab

Policy = dict[str, Any]

_DIRECTIONS = (("Egress", "egress", "to", "-s", "-d"), ("Ingress", "ingress", "from", "-d", "-s"))
"""policyTypes entry, its list, the key of its peers, and how iptables names the subject's and the peer's address."""


def read_policies(folder: Path) -> list[Policy]:
    """Every NetworkPolicy in a folder's YAML files; other kinds are passed over."""
    documents = (doc for path in sorted(folder.rglob("*.yaml")) for doc in yaml.safe_load_all(path.read_text()))
    return [document for document in documents if document and document["kind"] == "NetworkPolicy"]


class Enforcer:
    """Puts policies in force in a lab, anew whenever pods come or go."""

    def __init__(self, lab: Lab, policies: Sequence[Policy]) -> None:
        self._lab = lab
        self._policies = policies
        for node in NODES:
            for command in ("iptables", "ip6tables"):
                self._lab.run(node.name, command, "-N", "POLICY")
                self._lab.run(node.name, command, "-I", "FORWARD", "-j", "POLICY")

    def apply(self, pods: Sequence[Pod]) -> None:
        """Replace the rules of all nodes by those for the pods that are there now."""
        for node in NODES:
            for version, command in ((4, "iptables-restore"), (6, "ip6tables-restore")):
                chains, rules = [":POLICY - [0:0]"], ["-A POLICY -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
                for pod in (pod for pod in pods if pod.node == node):
                    for chain, lines in self._chains(pod, pods, version):
                        chains.append(f":{chain} - [0:0]")
                        rules += lines
                self._lab.run(
                    node.name, command, "--noflush", text="\n".join(["*filter", *chains, *rules, "COMMIT", ""])
                )

    def _chains(self, pod: Pod, pods: Sequence[Pod], version: int) -> Iterator[tuple[str, list[str]]]:
        """One chain for each direction in which the pod is isolated, and its rules."""
        mine = [policy for policy in self._policies if _selects(policy, pod)]
        own = _of_version(pod.addresses, version)[0]
        for kind, key, peers_key, subject, other in _DIRECTIONS:
            isolating = [policy for policy in mine if kind in policy["spec"]["policyTypes"]]
            if not isolating:
                continue
            chain = f"{kind}-{pod.key}"
            lines = [f"-A POLICY {subject} {own} -p {protocol} -j {chain}" for protocol in ("tcp", "udp")]
            for policy in isolating:
                for rule in policy["spec"].get(key) or ():
                    addresses = _addresses(rule.get(peers_key), policy["metadata"]["namespace"], pods, version)
                    lines += [
                        f"-A {chain} {other} {address} {port} -j RETURN"
                        for address in addresses
                        for port in _ports(rule.get("ports"))
                    ]
            # Resets, because ICMP unreachables are limited in their rate, and a scan that meets silence takes minutes.
            reset = f"-A {chain} -p tcp -j REJECT --reject-with tcp-reset"
            yield chain, [*lines, reset, f"-A {chain} -j REJECT"]


def _selects(policy: Policy, pod: Pod) -> bool:
    same = policy["metadata"]["namespace"] == pod.workload.namespace
    return same and _matches(policy["spec"].get("podSelector") or {}, pod.workload.labels)


def _matches(selector: Policy, labels: dict[str, str]) -> bool:
    if set(selector) - {"matchLabels"}:
        raise ValueError(f"this judge knows matchLabels only, not {sorted(selector)}")
    return bool((selector.get("matchLabels") or {}).items() <= labels.items())


def _addresses(peers: list[Policy] | None, namespace: str, pods: Sequence[Pod], version: int) -> list[str]:
    """The addresses that a rule's peers stand for now."""
    if not peers:
        return ["0.0.0.0/0" if version == 4 else "::/0"]
    found: list[str] = []
    for peer in peers:
        if "ipBlock" in peer:
            if peer["ipBlock"].get("except"):
                raise ValueError("this judge does not know except")
            found += _of_version([peer["ipBlock"]["cidr"]], version)
            continue
        for pod in pods:
            place = {"kubernetes.io/metadata.name": pod.workload.namespace}
            selector = peer.get("namespaceSelector")
            here = pod.workload.namespace == namespace if selector is None else _matches(selector, place)
            if here and _matches(peer.get("podSelector") or {}, pod.workload.labels):
                found += _of_version(pod.addresses, version)
    return found


def _of_version(addresses: Sequence[str], version: int) -> list[str]:
    return [address for address in addresses if ip_network(address).version == version]


def _ports(ports: list[Policy] | None) -> list[str]:
    """How iptables says a rule's ports."""
    if not ports:
        return [""]
    return [
        f"-p {entry.get('protocol', 'TCP').lower()} --dport {int(entry['port'])}:{entry.get('endPort', entry['port'])}"
        for entry in ports
    ]
