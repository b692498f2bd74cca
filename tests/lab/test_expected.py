"""The expected policies, written by hand, allow what the shop really did and nothing else.

The little evaluator here knows just the policies' own vocabulary (matchLabels, ipBlock of one address, numeric ports)
and shares no code with netpol.
"""

from __future__ import annotations

from ipaddress import ip_network
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.lab.conftest import Shop

Rule = dict[str, Any]
Edge = tuple[str, str, str, int]
_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")


class Side:
    """A workload, or an address outside."""

    def __init__(self, name: str, namespace: str = "", labels: dict[str, str] | None = None, address: str = "") -> None:
        self.name = name
        self.namespace = namespace
        self.labels = labels or {}
        self.address = address


def _sides(shop: Shop) -> list[Side]:
    sides = [
        Side(row[end], address=row[end])
        for row in shop.truth
        for end in ("source", "destination")
        if row[end][0].isdigit()
    ]
    sides += [
        Side(f"node/{n['metadata']['name']}", address=n["status"]["addresses"][0]["address"])
        for n in shop.of_kind("Node")
    ]
    for kind in _KINDS:
        for item in shop.of_kind(kind):
            spec = item["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else item["spec"]
            if spec["template"]["spec"].get("hostNetwork"):
                continue
            data = item["metadata"]
            labels = spec["template"]["metadata"]["labels"]
            sides.append(Side(f"{data['namespace']}/{data['name']}[{kind}]", data["namespace"], labels))
    return list({side.name: side for side in sides}.values())


@pytest.fixture(scope="module")
def policies(shipped: Shop) -> list[Rule]:
    return [yaml.safe_load(path.read_text()) for path in sorted((shipped.samples / "expected").rglob("*.yaml"))]


def _matches(selector: Rule, labels: dict[str, str]) -> bool:
    assert set(selector) == {"matchLabels"}
    assert selector["matchLabels"], "an empty selector means everyone"
    return bool(selector["matchLabels"].items() <= labels.items())


def _selects(policy: Rule, side: Side) -> bool:
    return side.namespace == policy["metadata"]["namespace"] and _matches(policy["spec"]["podSelector"], side.labels)


def _meets(peer: Rule, side: Side, namespace: str) -> bool:
    if "ipBlock" in peer:
        assert set(peer) == {"ipBlock"}
        assert ip_network(peer["ipBlock"]["cidr"]).num_addresses == 1
        return bool(side.address) and ip_network(peer["ipBlock"]["cidr"]) == ip_network(side.address)
    if not side.namespace or not _matches(peer["podSelector"], side.labels):
        return False
    if "namespaceSelector" in peer:
        return _matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": side.namespace})
    return side.namespace == namespace


def _lets(policies: list[Rule], direction: str, subject: Side, peer: Side, port: tuple[str, int]) -> bool:
    """Whether the subject's own policies let the connection pass in this direction."""
    mine = [policy for policy in policies if _selects(policy, subject)]
    return not mine or any(
        {"protocol": port[0], "port": port[1]} in rule["ports"]
        and any(
            _meets(other, peer, policy["metadata"]["namespace"])
            for other in rule["to" if direction == "egress" else "from"]
        )
        for policy in mine
        for rule in policy["spec"][direction]
    )


def _allowed(shop: Shop, policies: list[Rule]) -> set[Edge]:
    """Everything that the policies let pass, between ends of which at least one has a policy."""
    sides = _sides(shop)
    governed = {side.name for side in sides if any(_selects(policy, side) for policy in policies)}
    ports = {(row["protocol"], row["port"]) for row in shop.truth}
    return {
        (source.name, destination.name, *port)
        for source, destination, port in product(sides, sides, sorted(ports))
        if source is not destination
        and governed & {source.name, destination.name}
        and _lets(policies, "egress", source, destination, port)
        and _lets(policies, "ingress", destination, source, port)
    }


def _edges(shop: Shop, *purposes: str) -> set[Edge]:
    return {
        (row["source"], row["destination"], row["protocol"], row["port"])
        for row in shop.truth
        if row["purpose"] in purposes
    }


def test_expected_policies_allow_exactly_what_the_shop_did(shipped: Shop, policies: list[Rule]) -> None:
    assert _allowed(shipped, policies) == _edges(shipped, "shop")


def test_nothing_that_failed_or_scanned_is_allowed(shipped: Shop, policies: list[Rule]) -> None:
    unwanted = _edges(shipped, "scan", "failure", "noise", "probe", "own-node") - _edges(shipped, "shop")
    assert len(unwanted) > 50
    assert not unwanted & _allowed(shipped, policies)


def test_one_policy_for_each_workload_seen_outside_the_system_namespaces(shipped: Shop, policies: list[Rule]) -> None:
    ends = {end for source, destination, _, _ in _edges(shipped, "shop") for end in (source, destination)}
    seen = {end for end in ends if "[" in end}
    named = {f"{policy['metadata']['namespace']}/{policy['metadata']['name']}" for policy in policies}
    assert named == {name.partition("[")[0] for name in seen if not name.startswith("kube-system/")}
    assert len(named) == len(policies)


def test_each_policy_selects_its_own_workload_alone_and_closes_both_directions(
    shipped: Shop, policies: list[Rule]
) -> None:
    for policy in policies:
        data = policy["metadata"]
        selected = [side.name.partition("[")[0] for side in _sides(shipped) if _selects(policy, side)]
        assert selected == [f"{data['namespace']}/{data['name']}"]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert data["labels"] == {"app.kubernetes.io/managed-by": "netpol"}


def test_no_policy_depends_on_labels_that_change(policies: list[Rule]) -> None:
    for policy in policies:
        text = yaml.safe_dump(policy)
        for key in ("pod-template-hash", "controller-uid", "job-name", "revision", "pod-name", "pod-index", "version:"):
            assert key not in text.replace("apiVersion:", "")
