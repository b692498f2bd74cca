"""Policies are read as the API server reads them; whatever is wrong is said all at once, with its place."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster.documents import Document
from netpol.dialects.read import PolicyDocuments, read_policies
from netpol.errors import InputError
from netpol.model.cidr import IPBlock
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.labels import LabelSelector, Operator, Requirement
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule


def _document(spec: object, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "api", "namespace": "shop", **metadata},
        "spec": spec,
    }


def _read(*manifests: dict[str, Any], **options: str) -> PolicyDocuments:
    documents = (Document(("f.yaml", f"document {number}"), data) for number, data in enumerate(manifests, start=1))
    return read_policies(documents, **options)


def _policy(spec: object, **metadata: Any) -> NetworkPolicy:
    (policy,) = _read(_document(spec, **metadata)).policies
    return policy


def _problems(*manifests: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        _read(*manifests)
    return str(caught.value).split("\n")


def test_what_a_cluster_holds_may_keep_its_host_bits() -> None:
    """Clusters before 1.36 accepted such blocks, and an update that leaves them alone still is."""
    spec = {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.1/8", "except": ["10.1.2.3/16"]}}]}]}
    (rule,) = _policy(spec, uid="0a1b").ingress
    assert rule.peers == (BlockPeer(IPBlock.parse("10.0.0.0/8", ["10.1.0.0/16"])),)
    assert len(_problems(_document(spec))) == 2


def test_a_policy_with_everything() -> None:
    spec = {
        "podSelector": {"matchLabels": {"app": "api"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [
                    {"podSelector": {}, "namespaceSelector": {"matchLabels": {"team": "a"}}},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                ],
                "ports": [{"port": "http"}, {"protocol": "UDP", "port": 53}, {"protocol": "SCTP"}],
            }
        ],
        "egress": [
            {
                "to": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}}],
                "ports": [{"port": 8000, "endPort": 8010}],
            }
        ],
    }
    app = Requirement("app", Operator.IN, ("a", "b"))
    team = LabelSelector(match_labels={"team": "a"})
    assert _policy(spec, labels={"a": "b"}, annotations={"note": "x y"}) == NetworkPolicy(
        namespace="shop",
        name="api",
        labels={"a": "b"},
        annotations={"note": "x y"},
        pod_selector=LabelSelector(match_labels={"app": "api"}),
        isolates_ingress=True,
        isolates_egress=True,
        ingress=(
            Rule(
                peers=(
                    PodPeer(pod_selector=LabelSelector(), namespace_selector=team),
                    BlockPeer(IPBlock.parse("10.0.0.0/8", ["10.1.0.0/16"])),
                ),
                ports=(PolicyPort(port="http"), PolicyPort(protocol=UDP, port=53), PolicyPort(protocol=SCTP)),
            ),
        ),
        egress=(
            Rule(
                peers=(PodPeer(pod_selector=LabelSelector(match_expressions=(app,))),),
                ports=(PolicyPort(protocol=TCP, port=8000, end_port=8010),),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        (None, ("Ingress",)),
        ({}, ("Ingress",)),
        ({"policyTypes": []}, ("Ingress",)),
        ({"policyTypes": None, "egress": [{}]}, ("Ingress", "Egress")),
        ({"egress": []}, ("Ingress",)),
        ({"egress": None}, ("Ingress",)),
        ({"policyTypes": ["Egress"]}, ("Egress",)),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, ("Egress",)),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, ("Ingress",)),
        ({"policyTypes": ["Ingress", "Ingress"]}, ("Ingress",)),
    ],
)
def test_policy_types_default_as_the_api_server_sets_them(spec: object, types: tuple[str, ...]) -> None:
    assert _policy(spec).policy_types == types


@pytest.mark.parametrize("selector", [{}, None, {"matchLabels": {}}, {"matchLabels": None, "matchExpressions": []}])
def test_an_empty_or_absent_pod_selector_is_everything(selector: object) -> None:
    assert _policy({"podSelector": selector}).pod_selector.is_empty


def test_null_is_the_same_as_absent() -> None:
    rule = {"from": None, "ports": [{"protocol": None, "port": 80, "endPort": None}]}
    assert _policy({"ingress": [None, rule]}).ingress == (Rule(), Rule(ports=(PolicyPort(port=80),)))


def test_a_policy_without_namespace_goes_where_the_caller_says() -> None:
    manifest = _document({})
    del manifest["metadata"]["namespace"]
    assert _read(manifest).policies[0].namespace == "default"
    assert _read(manifest, namespace="shop").policies[0].namespace == "shop"


def test_other_kinds_are_passed_over_and_counted() -> None:
    found = _read(
        {"apiVersion": "v1", "kind": "Pod"},
        {"apiVersion": "v1", "kind": "Pod"},
        {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy"},
        {"replicas": 3},
    )
    assert found.policies == ()
    assert found.passed_over == {"NetworkPolicy.projectcalico.org": 1, "Pod": 2, "no kind": 1}


def test_places_tell_where_each_policy_was() -> None:
    found = _read(_document({}), {"apiVersion": "v1", "kind": "Pod"}, _document({}, name="web"))
    assert found.places == (("f.yaml", "document 1"), ("f.yaml", "document 3"))


@pytest.mark.parametrize("version", ["extensions/v1beta1", "networking.k8s.io/v1beta1"])
def test_other_versions_are_errors(version: str) -> None:
    (line,) = _problems({**_document({}), "apiVersion": version})
    assert line.startswith(f"f.yaml: document 1: apiVersion: '{version}'")
    assert line.endswith("use networking.k8s.io/v1")


def test_the_same_policy_twice_is_an_error_with_both_places() -> None:
    assert _problems(_document({}), _document({}, name="web"), _document({"egress": [{}]})) == [
        "f.yaml: document 3: metadata.name: shop/api is in f.yaml: document 1 already; rename or remove one of them"
    ]


def test_all_errors_of_all_documents_are_said_at_once() -> None:
    first = {
        "podSelector": {"matchLabels": {"a b": "c"}},
        "ingress": [{}, {}, {"ports": [{"port": 80, "endPort": 70000}]}],
    }
    assert _problems(_document(first), _document({"polcyTypes": []}, name="web", namespace="A")) == [
        (
            "f.yaml: document 1: spec.podSelector.matchLabels: 'a b' is not a label key; use at most 63 letters, "
            "digits, '-', '_' and '.', with a letter or digit at both ends, after an optional DNS subdomain and '/'"
        ),
        "f.yaml: document 1: spec.ingress[2].ports[0].endPort: 70000 is above 65535; ports go from 1 to 65535",
        (
            "f.yaml: document 2: metadata.namespace: 'A' is not the name of a namespace; use at most 63 lower-case "
            "letters, digits and '-', with a letter or digit at both ends"
        ),
        "f.yaml: document 2: spec: unknown field 'polcyTypes'; write policyTypes, or remove it",
    ]


def _in_port(**port: Any) -> dict[str, Any]:
    return {"ingress": [{"ports": [port]}]}


def _in_peer(**peer: Any) -> dict[str, Any]:
    return {"egress": [{"to": [peer]}]}


def _in_requirement(**requirement: Any) -> dict[str, Any]:
    return {"podSelector": {"matchExpressions": [requirement]}}


@pytest.mark.parametrize(
    ("spec", "path", "problem"),
    [
        (_in_port(port=0), "spec.ingress[0].ports[0].port", "0 is below 1"),
        (_in_port(port=1 << 20_000), "spec.ingress[0].ports[0].port", "a number of 20001 bits is above"),
        (_in_port(port="80"), "spec.ingress[0].ports[0].port", "write the number without quotes"),
        (_in_port(port="a--b"), "spec.ingress[0].ports[0].port", "'a--b' is not the name of a port"),
        (_in_port(port=True), "spec.ingress[0].ports[0].port", "a boolean (True), not a whole number"),
        (_in_port(port=80.5), "spec.ingress[0].ports[0].port", "a number (80.5), not a whole number"),
        (_in_port(port=80, endPort=79), "spec.ingress[0].ports[0].endPort", "79 is below port 80"),
        (_in_port(port=80, endPort="90"), "spec.ingress[0].ports[0].endPort", "text ('90'), not a whole number"),
        (_in_port(port="http", endPort=90), "spec.ingress[0].ports[0].endPort", "needs a number as port"),
        (_in_port(endPort=90), "spec.ingress[0].ports[0].endPort", "needs a port"),
        (_in_port(protocol="tcp"), "spec.ingress[0].ports[0].protocol", "'tcp' is not a protocol"),
        (_in_port(protocol=""), "spec.ingress[0].ports[0].protocol", "'' is not a protocol"),
        (_in_port(protocol="ICMP"), "spec.ingress[0].ports[0].protocol", "'ICMP' is not a protocol"),
        (_in_peer(), "spec.egress[0].to[0]", "an empty peer"),
        ({"egress": [{"to": [None]}]}, "spec.egress[0].to[0]", "an empty peer"),
        ({"egress": [{"from": []}]}, "spec.egress[0]", "unknown field 'from'"),
        (_in_peer(ipBlock={"cidr": "::/0"}, podSelector={}), "spec.egress[0].to[0]", "ipBlock beside a selector"),
        (_in_peer(ipBlock={}), "spec.egress[0].to[0].ipBlock.cidr", "'' is not a CIDR"),
        (_in_peer(ipBlock={"cidr": "10.0.0.1/8"}), "spec.egress[0].to[0].ipBlock.cidr", "bits set beyond"),
        (
            _in_peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}),
            "spec.egress[0].to[0].ipBlock.except[0]",
            "not a strict subset",
        ),
        (
            _in_peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["2001:db8::/32"]}),
            "spec.egress[0].to[0].ipBlock.except[0]",
            "not a strict subset",
        ),
        (_in_requirement(key="a", operator="In"), "spec.podSelector.matchExpressions[0].values", "at least one value"),
        (
            _in_requirement(key="a", operator="Exists", values=["b"]),
            "spec.podSelector.matchExpressions[0].values",
            "takes no values",
        ),
        (
            _in_requirement(key="a", operator="in", values=["b"]),
            "spec.podSelector.matchExpressions[0].operator",
            "'in' is not an operator",
        ),
        (
            _in_requirement(key="a", operator="In", values=["b c"]),
            "spec.podSelector.matchExpressions[0].values[0]",
            "not a label value",
        ),
        (_in_requirement(operator="Exists"), "spec.podSelector.matchExpressions[0].key", "'' is not a label key"),
        ({"podSelector": {"matchLabels": {"a": 1}}}, "spec.podSelector.matchLabels['a']", "put it in quotes"),
        ({"podSelector": {"matchLabels": {1: "a"}}}, "spec.podSelector.matchLabels", "a number (1), not text"),
        ({"podSelector": []}, "spec.podSelector", "a list, not an object"),
        ({"ingress": {}}, "spec.ingress", "an object, not a list"),
        ({"ingress": "all"}, "spec.ingress", "text ('all'), not a list"),
        ({"policyTypes": ["ingress"]}, "spec.policyTypes[0]", "'ingress' is not a policy type"),
        ({"policyTypes": [None]}, "spec.policyTypes[0]", "'' is not a policy type"),
        ({"policyTypes": ["Ingress"] * 3}, "spec.policyTypes", "3 policyTypes"),
        ([], "spec", "a list, not an object"),
    ],
)
def test_each_problem_has_its_path(spec: object, path: str, problem: str) -> None:
    (line,) = _problems(_document(spec))
    assert line.startswith(f"f.yaml: document 1: {path}: ")
    assert problem in line


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"name": ""}, "metadata.name"),
        ({"name": None, "generateName": "a-"}, "metadata.name"),
        ({"name": ["a"]}, "metadata.name"),
        ({"name": "A"}, "metadata.name"),
        ({"namespace": "a.b"}, "metadata.namespace"),
        ({"labels": {"a": "b c"}}, "metadata.labels['a']"),
        ({"labels": []}, "metadata.labels"),
        ({"annotations": {"a b": ""}}, "metadata.annotations"),
        ({"annotations": {"a": "x" * (256 << 10)}}, "metadata.annotations"),
        ({"lables": {}}, "metadata"),
    ],
)
def test_metadata_is_checked(metadata: dict[str, Any], path: str) -> None:
    (line,) = _problems(_document({}, **metadata))
    assert line.startswith(f"f.yaml: document 1: {path}: ")


def test_what_a_cluster_exports_is_read() -> None:
    exported = _document(
        {},
        uid="x",
        resourceVersion="1",
        generation=1,
        creationTimestamp="2026-01-01T00:00:00Z",
        managedFields=[{"manager": "kubectl"}],
        ownerReferences=[{"kind": "Shop"}],
    )
    assert _read({**exported, "status": {}}).policies


def test_hostile_text_is_escaped_and_long_lists_are_cut() -> None:
    (line,) = _problems(_document({"podSelector": {"matchLabels": {"a": "\x1b[31m\u202e" + "x" * 1000}}}))
    assert line.isprintable()
    assert len(line) < 400
    lines = _problems(_document({"policyTypes": [], "ingress": [{"from": [{}] * 1000}]}))
    assert len(lines) == 201
    assert lines[-1] == "and 800 more errors"
    many = _problems(_document({f"field{number}": 1 for number in range(1000)}))
    assert len(many) == 21
    assert "980 more unknown fields" in many[-1]


_SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 70000) | st.floats() | st.text(max_size=3) | st.just("10.0.0.0/8")
)
_NAMES = st.sampled_from(
    [
        "podSelector",
        "policyTypes",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "port",
        "endPort",
        "protocol",
        "ipBlock",
        "cidr",
        "except",
        "namespaceSelector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "x",
    ]
)
_TREES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=25
)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries({"spec": _TREES, "metadata": _TREES | st.just({"name": "a"})}, optional={"status": _TREES})
)
def test_any_tree_is_a_policy_or_an_input_error(tree: dict[str, Any]) -> None:
    with contextlib.suppress(InputError):
        (policy,) = _read({**tree, "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}).policies
        assert policy.name == "a"
