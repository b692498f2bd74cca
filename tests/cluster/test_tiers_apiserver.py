"""Cluster-wide policies and a real API server: what it lets in the reader reads, what it refuses the reader refuses.

The definitions come from the module's sources, experimental channel, and are installed in an API server with nothing
else in it; random documents are then created there (as a dry run, with strict decoding) and read here.
"""

from __future__ import annotations

import copy
import json
import urllib.error
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.cluster.documents import Document
from netpol.cluster.live import LiveReading, read_live_documents
from netpol.dialects.read import read_policies
from netpol.errors import InputError
from netpol.model.tiers import TIER_KINDS
from tests.oracles.modules import module
from tests.policy import tier_worlds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.control_plane import Cluster

Manifest = dict[str, Any]

GROUP = "/apis/policy.networking.k8s.io"
PLURALS = {
    "AdminNetworkPolicy": "v1alpha1/adminnetworkpolicies",
    "BaselineAdminNetworkPolicy": "v1alpha1/baselineadminnetworkpolicies",
    "ClusterNetworkPolicy": "v1alpha2/clusternetworkpolicies",
}
DOCUMENTS = 600
STRICTER = (
    # The definitions take label selectors for any text; metav1.LabelSelector says what they are.
    "is not a label key",
    "is not a label value",
    "is not an operator",
    "needs at least one value",
    "takes no values",
    # "Protocol is the network protocol (TCP, UDP, or SCTP) which traffic must match" (v1alpha1, Port).
    "is not a protocol that",
    # "The End value must be greater than Start" (v1alpha1, PortRange).
    "is below port",
)
"""What is refused here and let in there, with the sentence of the API that decides."""


def _read(cluster: Cluster, token: str) -> tuple[list[str], LiveReading]:
    """The cluster-wide policies that somebody sees."""
    reading = LiveReading()
    documents = read_live_documents(kubeconfig=cluster.kubeconfig(token), reading=reading, policies=True)
    return sorted(map(str, read_policies(documents).tiers)), reading


def test_a_cluster_without_them_has_none(control_plane: Cluster) -> None:
    """This test has to come before those that install the definitions."""
    found, reading = _read(control_plane, "admin")
    assert (found, reading.warnings) == ([], [])


@pytest.fixture(name="tiered", scope="module")
def _tiered(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The API server with the three kinds; both versions are of one group, and can be there together."""
    for version, names in (("v0.1.7", ("adminnetwork", "baselineadminnetwork")), ("v0.2.0", ("clusternetwork",))):
        folder = module(f"sigs.k8s.io/network-policy-api@{version}", tmp_path_factory.mktemp("module"))
        for name in names:
            path = folder / "config" / "crd" / "experimental" / f"policy.networking.k8s.io_{name}policies.yaml"
            definition = yaml.safe_load(path.read_text("utf-8"))
            control_plane.call("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
            control_plane.wait_for(f"{GROUP}/{PLURALS_BY_NAME[name]}")
    return control_plane


PLURALS_BY_NAME = {path.rpartition("/")[2].removesuffix("policies"): path for path in PLURALS.values()}


def _refusal(cluster: Cluster, document: Manifest) -> str:
    """Why the API server does not take a document, empty where it does."""
    path = f"{GROUP}/{PLURALS[document['kind']]}?dryRun=All&fieldValidation=Strict"
    try:
        cluster.call(path, document)
    except urllib.error.HTTPError as error:
        if error.code not in {400, 422}:
            raise
        return str(json.loads(error.read())["message"])
    return ""


def _complaint(document: Manifest) -> str:
    """Why the reader does not take it, empty where it does."""
    try:
        read_policies([Document(("f.yaml", "document 1"), document)])
    except InputError as error:
        return str(error)
    return ""


_WRONG: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 70000, 1001, 1.5, "", "x", "A", [], {}, ["x"], {"x": 1}, {"matchLabels": {"a": "b"}}),
    *("Allow", "Accept", "Deny", "Pass", "Admin", "Baseline", "TCP", "tcp", "x" * 101, "default", "http"),
    *("10.0.0.0/8", "10.0.0.1/8", "::/0", "::ffff:1.2.3.4/120", "010.0.0.0/8", "10.0.0.0/33", "10.0.0.0", "a.b/8"),
    *("example.com", "*.example.com.", "*.com", "com", "a_b.c", "_a.b", "a_.b", "a..b", "*.*.a.b", "-a.b", "a.b\n"),
    *({"namespaces": {}}, {"networks": ["10.0.0.0/8"]}, {"nodes": {}}, {"domainNames": ["a.b"]}),
    *({"port": 80}, {"start": 80, "end": 80}, {"start": 81, "end": 80}, {"number": 80}, {"podSelector": {}}),
)


def _mangled(document: Manifest, random: Random) -> Manifest:
    """The document with one or two things changed somewhere."""
    document = copy.deepcopy(document)
    for _ in range(random.choice((1, 1, 2))):
        places = list(_places(document, skip={"apiVersion", "kind"}))
        if places:
            holder, key = random.choice(places)
            _mangle(holder, key, random)
    return document


def _places(value: Any, skip: set[str]) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        if key not in skip:
            yield value, key
            yield from _places(value[key], set())


def _mangle(holder: Any, key: Any, random: Random) -> None:
    draw = random.random()
    if draw < 0.2:
        del holder[key]
    elif draw < 0.6:
        holder[key] = copy.deepcopy(random.choice(_WRONG))
    elif draw < 0.75 and isinstance(holder[key], dict):
        name = random.choice(("x", "to", "from", "name", "ports", "protocols", "networks", "nodes", "pods", "priority"))
        holder[key][name] = copy.deepcopy(random.choice(_WRONG))
    elif isinstance(holder[key], list):
        item = copy.deepcopy(random.choice(holder[key] or _WRONG))
        holder[key] += [copy.deepcopy(item) for _ in range(random.choice((1, 1, 25, 100)))]


def _stored(document: Manifest) -> Manifest:
    """As JSON carries it."""
    stored: Manifest = json.loads(json.dumps(document))
    return stored


def test_what_the_api_server_takes_is_what_the_reader_takes(tiered: Cluster) -> None:
    random = Random(20)
    taken = refused = 0
    for _ in range(DOCUMENTS // 3):
        for drawn in tier_worlds.policy_set(random):
            if drawn["kind"] not in TIER_KINDS:
                continue
            document = _stored(_mangled(drawn, random))
            theirs, ours = _refusal(tiered, document), _complaint(document)
            taken, refused = taken + (not theirs), refused + bool(theirs)
            if bool(theirs) != bool(ours):
                lines = ours.split("\n")
                explained = not theirs and all(any(word in line for word in STRICTER) for line in lines)
                assert explained, (document, theirs, ours)
    assert taken > 100
    assert refused > 100


def test_a_cluster_that_has_them_is_read_with_them(tiered: Cluster) -> None:
    subject: Manifest = {"namespaces": {}}
    rules = [{"action": "Deny", "from": [{"namespaces": {"matchLabels": {"team": "a"}}}]}]
    for kind, more in (
        ("AdminNetworkPolicy", {"priority": 7}),
        ("BaselineAdminNetworkPolicy", {}),
        ("ClusterNetworkPolicy", {"tier": "Baseline", "priority": 7}),
    ):
        version = f"policy.networking.k8s.io/{TIER_KINDS[kind].version}"
        spec = {"subject": subject, "ingress": rules, **more}
        document = {"apiVersion": version, "kind": kind, "metadata": {"name": "default"}, "spec": spec}
        tiered.call(f"{GROUP}/{PLURALS[kind]}", document)
    found, reading = _read(tiered, "admin")
    assert found == [
        "AdminNetworkPolicy/default",
        "BaselineAdminNetworkPolicy/default",
        "ClusterNetworkPolicy/default",
    ]
    assert reading.warnings == []
    # Whoever may see pods alone is told what is missing.
    rules_of_role = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    path = "/apis/rbac.authorization.k8s.io/v1"
    tiered.call(f"{path}/clusterroles", {"metadata": {"name": "pods"}, "rules": rules_of_role})
    binding = {
        "metadata": {"name": "pods"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pods"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}],
    }
    tiered.call(f"{path}/clusterrolebindings", binding)
    found, reading = _read(tiered, "viewer")
    assert found == []
    names = [path.rpartition("/")[2] for path in PLURALS.values()]
    assert [name for name in names if name in reading.missed] == names
