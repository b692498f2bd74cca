"""The lists and differences against those of np-guard's netpol-analyzer, on random clusters.

What it does not model is left out of the comparison: nodes, hostNetwork, finished pods, second addresses, IPv6. It
never lets an ipBlock match a pod, so that pods have no address here when netpol is asked, and it resolves named ports
in a way of its own, so that the random policies have numbers in their place. Each of these disagreements has a test of
its own, with the sentence that decides.
"""

from __future__ import annotations

import json
from collections import defaultdict
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from netpol.model.ports import PortMap, PortSet
from netpol.policy.classes import Side
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_list import list_allowed
from netpol.policy.difference import difference
from tests.oracles.oracle import Oracle, build
from tests.policy import clusters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from netpol.model.inventory import Inventory

Manifest = dict[str, Any]
Allowed = dict[tuple[str, str], PortMap]

STRANGERS = tuple(map(ip_address, ("192.0.2.1", "192.0.2.77", "10.0.9.9", "10.0.0.77", "172.16.0.1", "1.1.1.1")))


@pytest.fixture(scope="session")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with Oracle(build("analyzer", tmp_path_factory.mktemp("analyzer"))) as oracle:
        yield oracle


def _simplified(cluster: Manifest) -> Manifest:
    """Running pods with one container each, no ports twice, no addresses."""
    pods = []
    for pod in cluster["pods"]:
        ports = {
            (port["containerPort"], port.get("protocol", "TCP")): port
            for container in pod["spec"]["containers"]
            for port in container["ports"]
        }
        pods.append(
            {
                "metadata": pod["metadata"],
                "spec": {"nodeName": "", "containers": [{"name": "main", "ports": list(ports.values())}]},
                "status": {"phase": "Running", "podIPs": []},
            }
        )
    return {**cluster, "pods": pods, "nodes": []}


def _ipv4(policies: list[Manifest]) -> list[Manifest]:
    """The policies as the API server stores them, without rules with an IPv6 block, and with numbers for names."""
    policies = json.loads(json.dumps(policies).replace('"http"', "82").replace('"metrics"', "443"))
    kept = []
    for policy in policies:
        spec = policy["spec"]
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        fields = {
            name: [rule for rule in spec.get(name) or [] if "::" not in json.dumps(rule)]
            for name in ("ingress", "egress")
        }
        selector = spec.get("podSelector") or {}
        kept.append({**policy, "spec": {"podSelector": selector, "policyTypes": types, **fields}})
    return kept


def _folder(root: Path, cluster: Manifest, policies: list[Manifest]) -> str:
    """Both as files; each pod gets an address of its own, because the analyzer wants one."""
    root.mkdir(parents=True, exist_ok=True)
    items = [{"apiVersion": "v1", "kind": "Namespace", **item} for item in cluster["namespaces"]]
    for number, pod in enumerate(cluster["pods"]):
        status = {"phase": "Running", "hostIP": "172.31.0.1", "podIPs": [{"ip": f"172.30.0.{number + 1}"}]}
        items.append({"apiVersion": "v1", "kind": "Pod", **pod, "status": status})
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*items, *policies]})
    (root / "all.json").write_text(text, encoding="utf-8")
    return str(root)


def _ports(found: dict[str, list[list[int]]]) -> PortMap:
    return PortMap.of(
        {clusters.PROTOCOLS[name]: PortSet.of(*((first, last) for first, last in some)) for name, some in found.items()}
    )


def _stranger_in(text: str) -> list[str]:
    """The strangers in a range or block; the text itself where it is a pod."""
    if "[" in text:
        return [text]
    if "/" in text:
        network = ip_network(text)
        return [str(address) for address in STRANGERS if address in network]
    first, last = (ip_address(part) for part in text.split("-"))
    if first.version == 6:
        return []
    return [str(address) for address in STRANGERS if int(first) <= int(address) <= int(last)]


def _points(rows: Iterable[tuple[str, str, PortMap]]) -> Allowed:
    """By pods and strangers: the two cut the outside in different places."""
    found: defaultdict[tuple[str, str], PortMap] = defaultdict(lambda: PortMap.EMPTY)
    for source, destination, ports in rows:
        for one in _stranger_in(source):
            for other in _stranger_in(destination):
                if ports:
                    found[one, other] |= ports
    return dict(found)


def _listed(policies: list[Manifest], inventory: Inventory) -> Allowed:
    listing = list_allowed(Connectivity.of(clusters.read(policies), inventory))
    return _points((row.source.text, row.destination.text, row.ports) for row in listing.rows)


def _theirs(answer: Manifest, side: str) -> Allowed:
    assert "error" not in answer, answer
    return _points((row["source"], row["destination"], _ports(row[side])) for row in answer["rows"] or ())


# Shrinking would ask the other engine thousands of times.
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SETTINGS
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_lists_are_the_same(analyzer: Oracle, tmp_path: Path, cluster: Manifest, policies: list[Manifest]) -> None:
    cluster, policies = _simplified(cluster), _ipv4(policies)
    answer = analyzer.ask({"list": _folder(tmp_path / "list", cluster, policies)})
    assert _listed(policies, clusters.inventory(cluster)) == _theirs(answer, "after")


@SETTINGS
@given(cluster=clusters.clusters(), old=clusters.policies(), new=clusters.policies())
def test_differences_are_the_same(
    analyzer: Oracle, tmp_path: Path, cluster: Manifest, old: list[Manifest], new: list[Manifest]
) -> None:
    cluster, old, new = _simplified(cluster), _ipv4(old), _ipv4(new)
    folders = {"old": _folder(tmp_path / "old", cluster, old), "new": _folder(tmp_path / "new", cluster, new)}
    answer = analyzer.ask(folders)
    inventory = clusters.inventory(cluster)
    sides = [Side(policies=clusters.read(policies), inventory=inventory) for policies in (old, new)]
    found = difference(*sides)
    changes = [*found.added, *found.removed, *found.changed]
    ours = [
        _points((change.source.text, change.destination.text, getattr(change, side)) for change in changes)
        for side in ("before", "after")
    ]
    assert ours == [_theirs(answer, "before"), _theirs(answer, "after")]


def _web(**ports: Any) -> Manifest:
    """A cluster of two pods: web, which serves http on TCP/80 at 172.30.0.1, and client at 172.30.0.2."""
    pods = [
        {
            "metadata": {"namespace": "a", "name": name, "labels": {"app": name}},
            "spec": {"nodeName": "", "containers": [{"name": "main", "ports": declared}]},
            "status": {"phase": "Running", "podIPs": [{"ip": address}]},
        }
        for name, address, declared in (("web", "172.30.0.1", [ports] if ports else []), ("client", "172.30.0.2", []))
    ]
    return {"namespaces": [{"metadata": {"name": "a", "labels": {}}}], "pods": pods, "nodes": []}


def _one_policy(**spec: Any) -> list[Manifest]:
    item = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "a"}}
    return [{**item, "spec": {"podSelector": {"matchLabels": {"app": "client"}}, **spec}}]


def test_a_block_matches_pods(analyzer: Oracle, tmp_path: Path) -> None:
    """The conformance test "egress access to server in CIDR block" names a pod by its address, and expects a match."""
    cluster = _web()
    policies = _one_policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "172.30.0.0/24"}}]}])
    theirs = _theirs(analyzer.ask({"list": _folder(tmp_path, cluster, policies)}), "after")
    assert ("a/client[Pod]", "a/web[Pod]") not in theirs
    assert _listed(policies, clusters.inventory(cluster))["a/client[Pod]", "a/web[Pod]"] == PortMap.ALL


def test_a_named_port_is_one_of_its_protocol(analyzer: Oracle, tmp_path: Path) -> None:
    """A port named http of TCP is no port of UDP.

    "If present, only traffic on the specified protocol AND port will be matched" (NetworkPolicyPort, networking/v1).
    """
    cluster = _web(name="http", containerPort=80)
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "http", "protocol": "UDP"}]}
    policies = _one_policy(policyTypes=["Egress"], egress=[rule])
    theirs = _theirs(analyzer.ask({"list": _folder(tmp_path, cluster, policies)}), "after")
    assert theirs["a/client[Pod]", "a/web[Pod]"] == PortMap(udp=PortSet.of(80))
    assert ("a/client[Pod]", "a/web[Pod]") not in _listed(policies, clusters.inventory(cluster))


def test_a_named_port_for_everyone_is_one_of_pods(analyzer: Oracle, tmp_path: Path) -> None:
    """A valid policy that opens nothing to addresses; the analyzer gives no answer at all.

    "This can either be a numerical or named port on a pod" (NetworkPolicyPort, networking/v1): addresses have none.
    """
    cluster = _web(name="http", containerPort=80)
    policies = _one_policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])
    answer = analyzer.ask({"list": _folder(tmp_path, cluster, policies)})
    assert "cannot convert named port for an IP destination" in answer["error"]
    ours = _listed(policies, clusters.inventory(cluster))
    assert ours["a/client[Pod]", "a/web[Pod]"] == PortMap(tcp=PortSet.of(80))
    assert not [pair for pair in ours if pair[0] == "a/client[Pod]" and pair[1] != "a/web[Pod]"]
