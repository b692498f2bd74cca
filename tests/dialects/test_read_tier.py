"""Cluster-wide policies are read as their definitions say; whatever is wrong is said all at once, with its place."""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster.documents import Document
from netpol.dialects.kubernetes_tiers import tier_document, tier_yaml
from netpol.dialects.read import PolicyDocuments, read_policies
from netpol.errors import InputError
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.labels import EVERYTHING, LabelSelector
from netpol.model.policy import PodPeer, PolicyPort
from netpol.model.tier_peers import DomainNamesPeer, NetworksPeer, NodesPeer
from netpol.model.tiers import (
    ADMIN_NETWORK_POLICY,
    CLUSTER_NETWORK_POLICY,
    Action,
    NamedPort,
    Tier,
    TierPolicy,
    TierRule,
)
from tests.policy import tier_worlds

Manifest = dict[str, Any]

EVERYONE: Manifest = {"namespaces": {}}
VERSIONS = {
    "AdminNetworkPolicy": "v1alpha1",
    "BaselineAdminNetworkPolicy": "v1alpha1",
    "ClusterNetworkPolicy": "v1alpha2",
}


def _manifest(kind: str, **spec: Any) -> Manifest:
    own: Manifest = {} if kind.startswith("Baseline") else {"priority": 1}
    own |= {"tier": "Admin"} if kind == "ClusterNetworkPolicy" else {}
    return {
        "apiVersion": f"policy.networking.k8s.io/{VERSIONS[kind]}",
        "kind": kind,
        "metadata": {"name": "default"},
        "spec": {"subject": EVERYONE, **own, **spec},
    }


def _read(*manifests: Manifest) -> PolicyDocuments:
    return read_policies(
        Document(("f.yaml", f"document {number}"), data) for number, data in enumerate(manifests, start=1)
    )


def _problems(*manifests: Manifest) -> list[str]:
    with pytest.raises(InputError) as caught:
        _read(*manifests)
    return [line.removeprefix("f.yaml: document 1: ") for line in str(caught.value).split("\n")]


def test_an_admin_network_policy_with_everything() -> None:
    pods = {"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {}}
    egress = [
        {
            "name": "out",
            "action": "Allow",
            "to": [
                EVERYONE,
                {"nodes": {"matchLabels": {"zone": "x"}}},
                {"networks": ["10.0.0.1/8", "::/0"]},
                {"domainNames": ["*.example.com"]},
            ],
            "ports": [{"portNumber": {"port": 80}}, {"portRange": {"protocol": "UDP", "start": 1, "end": 9}}],
        },
        {"action": "Pass", "to": [{"pods": pods}], "ports": [{"namedPort": "http"}]},
    ]
    manifest = _manifest("AdminNetworkPolicy", priority=1000, subject={"pods": pods}, ingress=None, egress=egress)
    chosen = PodPeer(namespace_selector=LabelSelector(match_labels={"team": "a"}), pod_selector=EVERYTHING)
    assert _read(manifest).tiers == (
        TierPolicy(
            kind=ADMIN_NETWORK_POLICY,
            name="default",
            tier=Tier.ADMIN,
            priority=1000,
            subject=chosen,
            egress=(
                TierRule(
                    action=Action.ALLOW,
                    name="out",
                    peers=(
                        PodPeer(namespace_selector=EVERYTHING),
                        NodesPeer(LabelSelector(match_labels={"zone": "x"})),
                        NetworksPeer((ip_network("10.0.0.0/8"), ip_network("::/0"))),
                        DomainNamesPeer(("*.example.com",)),
                    ),
                    ports=(PolicyPort(port=80), PolicyPort(protocol=UDP, port=1, end_port=9)),
                ),
                TierRule(action=Action.PASS, peers=(chosen,), ports=(NamedPort("http"),)),
            ),
        ),
    )


def test_a_cluster_network_policy_with_every_protocol() -> None:
    protocols = [
        {"tcp": {"destinationPort": {"number": 80}}},
        {"udp": {"destinationPort": {"range": {"start": 1, "end": 9}}}},
        {"sctp": {"destinationPort": {"number": 7}}},
        {"destinationNamedPort": "http"},
    ]
    # Of this kind alone the namespaceSelector may be left out.
    peers: list[Manifest] = [{"pods": {"podSelector": {}}}]
    rule = {"action": "Accept", "from": peers, "protocols": protocols}
    (policy,) = _read(_manifest("ClusterNetworkPolicy", tier="Baseline", ingress=[rule])).tiers
    assert (policy.kind, policy.tier, policy.priority) == (CLUSTER_NETWORK_POLICY, Tier.BASELINE, 1)
    assert policy.ingress == (
        TierRule(
            action=Action.ALLOW,
            peers=(PodPeer(namespace_selector=EVERYTHING, pod_selector=EVERYTHING),),
            ports=(
                PolicyPort(protocol=TCP, port=80),
                PolicyPort(protocol=UDP, port=1, end_port=9),
                PolicyPort(protocol=SCTP, port=7),
                NamedPort("http"),
            ),
        ),
    )


def test_they_stand_among_others() -> None:
    namespaced = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": {}}
    others = {"apiVersion": "crd.antrea.io/v1beta1", "kind": "ClusterNetworkPolicy", "metadata": {"name": "p"}}
    found = _read(_manifest("BaselineAdminNetworkPolicy"), namespaced, others, _manifest("AdminNetworkPolicy"))
    assert list(map(str, found.everything)) == [
        "BaselineAdminNetworkPolicy/default",
        "AdminNetworkPolicy/default",
        "default/p",
    ]
    assert found.tier_places == (("f.yaml", "document 1"), ("f.yaml", "document 4"))
    assert found.passed_over == {"ClusterNetworkPolicy.crd.antrea.io": 1}


def test_the_same_kind_and_name_twice_is_an_error() -> None:
    (line,) = _problems(_manifest("AdminNetworkPolicy"), _manifest("AdminNetworkPolicy"))
    assert line.startswith("f.yaml: document 2: metadata.name: AdminNetworkPolicy/default is in f.yaml: document 1")


def test_other_versions_are_errors() -> None:
    assert _problems({**_manifest("ClusterNetworkPolicy"), "apiVersion": "policy.networking.k8s.io/v1alpha1"}) == [
        (
            "apiVersion: 'policy.networking.k8s.io/v1alpha1' is not known for ClusterNetworkPolicy; "
            "use policy.networking.k8s.io/v1alpha2"
        )
    ]


def _out(*peers: Any, **rule: Any) -> Manifest:
    return {"egress": [{"action": "Deny", "to": list(peers), **rule}]}


def _ports(*ports: Any) -> Manifest:
    return {"ingress": [{"action": "Deny", "from": [EVERYONE], "ports": list(ports)}]}


def _protocols(*protocols: Any) -> Manifest:
    return {"ingress": [{"action": "Deny", "from": [EVERYONE], "protocols": list(protocols)}]}


ANP, BANP, CNP = VERSIONS


@pytest.mark.parametrize(
    ("kind", "spec", "problem"),
    [
        (ANP, {"priority": 1001}, "spec.priority: 1001 is above 1000"),
        (ANP, {"priority": -1}, "spec.priority: -1 is below 0"),
        (ANP, {"priority": None}, "spec.priority: is missing"),
        (ANP, {"tier": "Admin"}, "spec: unknown field 'tier'"),
        (BANP, {"priority": 1}, "spec: unknown field 'priority'"),
        (CNP, {"tier": "admin"}, "spec.tier: 'admin' is not a tier; use Admin or Baseline"),
        (CNP, {"tier": None}, "spec.tier: is missing"),
        (ANP, {"subject": None}, "spec.subject: is missing"),
        (ANP, {"subject": {}}, "spec.subject: an empty subject"),
        (ANP, {"subject": {"namespaces": {}, "pods": {}}}, "spec.subject: namespaces and pods in one subject"),
        (ANP, {"subject": {"pods": {"podSelector": {}}}}, "spec.subject.pods.namespaceSelector: is missing"),
        (CNP, {"subject": {"pods": {"namespaceSelector": {}}}}, "spec.subject.pods.podSelector: is missing"),
        (ANP, {"ingress": [{"action": "Deny", "from": [EVERYONE]}] * 101}, "spec.ingress: 101 rules are more than 100"),
        (CNP, {"ingress": [{"action": "Deny", "from": [EVERYONE]}] * 26}, "spec.ingress: 26 rules are more than 25"),
        (ANP, _out(), "spec.egress[0].to: an empty list"),
        (ANP, {"egress": [{"action": "Deny"}]}, "spec.egress[0].to: is missing"),
        (ANP, _out(EVERYONE, action=None), "spec.egress[0].action: is missing; write Allow, Deny or Pass"),
        (ANP, _out(EVERYONE, action="Accept"), "'Accept' is not an action of AdminNetworkPolicy"),
        (BANP, _out(EVERYONE, action="Pass"), "'Pass' is not an action of BaselineAdminNetworkPolicy"),
        (CNP, _out(EVERYONE, action="Allow"), "use Accept, Deny or Pass"),
        (ANP, _out(EVERYONE, name="x" * 101), "spec.egress[0].name: has 101 characters"),
        (ANP, _out(*[EVERYONE] * 101), "spec.egress[0].to: 101 peers are more than 100"),
        (ANP, _out({}), "spec.egress[0].to[0]: an empty peer"),
        (ANP, _out({"namespaces": {}, "nodes": {}}), "namespaces and nodes in one peer"),
        (ANP, {"ingress": [{"action": "Deny", "from": [{"networks": ["::/0"]}]}]}, "unknown field 'networks'"),
        (BANP, _out({"domainNames": ["a.b"]}), "spec.egress[0].to[0]: unknown field 'domainNames'"),
        (ANP, _out({"networks": []}), "spec.egress[0].to[0].networks: an empty list"),
        (ANP, _out({"networks": ["::/0", "::/0"]}), "spec.egress[0].to[0].networks[1]: '::/0' is there twice"),
        (ANP, _out({"networks": ["10.0.0.0"]}), "spec.egress[0].to[0].networks[0]: '10.0.0.0' is not a CIDR"),
        (ANP, _out({"networks": ["::ffff:1.2.3.4/120"]}), "an IPv4-mapped IPv6 block"),
        (ANP, _out({"networks": [f"10.{n}.0.0/16" for n in range(26)]}), "26 items are more than 25"),
        (ANP, _out({"domainNames": ["*.com"]}), "spec.egress[0].to[0].domainNames[0]: '*.com' is not a domain name"),
        (ANP, _out({"nodes": {"matchLabels": {"a b": "c"}}}), "'a b' is not a label key"),
        (
            ANP,
            _out({"nodes": {}}, ports=[{"namedPort": "http"}]),
            "spec.egress[0]: a named port with networks, nodes or domainNames",
        ),
        (CNP, _out({"networks": ["::/0"]}, protocols=[{"destinationNamedPort": "a"}]), "a named port with networks"),
        (ANP, _ports(), "spec.ingress[0].ports: an empty list; give at least one, or leave it out"),
        (ANP, _ports({}), "spec.ingress[0].ports[0]: an empty port"),
        (ANP, _ports({"portNumber": {}}), "spec.ingress[0].ports[0].portNumber.port: is missing"),
        (ANP, _ports({"portNumber": {"port": 0}}), "spec.ingress[0].ports[0].portNumber.port: 0 is below 1"),
        (ANP, _ports({"portNumber": {"port": 1, "protocol": "ICMP"}}), "'ICMP' is not a protocol"),
        (ANP, _ports({"portRange": {"start": 9, "end": 8}}), "portRange.end: 8 is below port 9"),
        (CNP, _ports({"portNumber": {"port": 1}}), "spec.ingress[0]: unknown field 'ports'"),
        (CNP, _protocols({"icmp": {}}), "spec.ingress[0].protocols[0]: unknown field 'icmp'"),
        (CNP, _protocols({"tcp": {}}), "spec.ingress[0].protocols[0].tcp.destinationPort: is missing"),
        (CNP, _protocols({"tcp": {"destinationPort": {}}}), "an empty destinationPort"),
        (
            CNP,
            _protocols({"tcp": {"destinationPort": {"range": {"start": 80, "end": 80}}}}),
            "range.end: 80 is not above start 80; give number for a single port",
        ),
    ],
)
def test_each_problem_has_its_path(kind: str, spec: Manifest, problem: str) -> None:
    (line,) = _problems(_manifest(kind, **spec))
    assert problem in line


def test_the_baseline_has_one_name() -> None:
    manifest = _manifest("BaselineAdminNetworkPolicy")
    assert _problems({**manifest, "metadata": {"name": "mine"}}) == [
        "metadata.name: 'mine' cannot name this kind of policy; there can be one in a cluster, named default"
    ]


def test_all_errors_are_said_at_once() -> None:
    manifest = _manifest("AdminNetworkPolicy", priority=2000, **_out({}, {"networks": ["x"]}, action="Drop"))
    assert [line.partition(": ")[0] for line in _problems(manifest)] == [
        "spec.priority",
        "spec.egress[0].action",
        "spec.egress[0].to[0]",
        "spec.egress[0].to[1].networks[0]",
    ]


def test_what_is_written_is_read_back() -> None:
    for seed in range(100):
        manifests = [item for item in tier_worlds.policy_set(Random(seed)) if item["kind"] != "NetworkPolicy"]
        policies = _read(*manifests).tiers
        assert _read(*map(tier_document, policies)).tiers == policies
        assert _read(*(yaml.safe_load(tier_yaml(policy)) for policy in policies)).tiers == policies


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "subject",
                    "namespaces",
                    "pods",
                    "podSelector",
                    "egress",
                    "to",
                    "networks",
                    "ports",
                    "portRange",
                    "tcp",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(sorted(VERSIONS)), spec=_ANYTHING, metadata=_ANYTHING)
def test_anything_is_read_or_refused(kind: str, spec: Any, metadata: Any) -> None:
    manifest = _manifest(kind)
    for document in ({**manifest, "spec": spec}, {**manifest, "metadata": metadata}):
        with contextlib.suppress(InputError):
            _read(document)
    for field in ("subject", "ingress", "egress", "priority"):
        with contextlib.suppress(InputError):
            _read({**manifest, "spec": {**manifest["spec"], field: spec}})


def test_a_long_name_costs_no_time() -> None:
    """The definitions' pattern backtracks; a megabyte of hyphens is one that it could not end with."""
    manifest = _manifest("AdminNetworkPolicy", **_out({"domainNames": ["a" + "-" * 1_000_000 + ".b"]}))
    (line,) = _problems(manifest)
    assert len(line) < 300
