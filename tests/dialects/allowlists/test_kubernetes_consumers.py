"""What reads NetworkPolicies and the policies of Cilium and Istio takes what is written for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.cluster.documents import Document
from netpol.dialects.allowlists.formats import FORMATS
from netpol.dialects.read import read_policies
from netpol.model.cidr import AddressSet
from netpol.model.policy import BlockPeer
from netpol.model.prefixes import Bound
from tests.dialects.allowlists.scene import DB, NEEDS, OPTIONS, WEB
from tests.oracles.oracle import Oracle, build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.dialects.allowlists.values import Options
    from netpol.model.flow import Address
    from netpol.model.inventory import WorkloadRef

WIDE = replace(OPTIONS, bound=Bound(max_prefixes=1))
BOUNDS = pytest.mark.parametrize("options", [OPTIONS, WIDE], ids=["exact", "bounded"])


def documents(name: str, options: Options = OPTIONS) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(FORMATS[name].write(NEEDS, options).text))


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with Oracle(build("validation", tmp_path_factory.mktemp("validation"))) as oracle:
        yield oracle


@pytest.fixture(scope="module")
def cilium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with Oracle(build("cilium", tmp_path_factory.mktemp("cilium"))) as oracle:
        yield oracle


@pytest.fixture(scope="module")
def istio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with Oracle(build("istio", tmp_path_factory.mktemp("istio"))) as oracle:
        yield oracle


@BOUNDS
def test_the_api_server_takes_the_network_policies(api_server: Oracle, options: Options) -> None:
    for document in documents("networkpolicy", options):
        assert api_server.ask(document) == {"errors": [], "policyTypes": ["Egress"]}


def test_network_policies_allow_what_was_seen_and_nothing_else() -> None:
    found = read_policies([Document(("f",), document) for document in documents("networkpolicy")]).policies
    allowed: dict[WorkloadRef, set[tuple[int, int, Address]]] = {}
    for workload, policy in zip((DB, WEB), found, strict=True):
        assert policy.namespace == workload.namespace
        assert policy.pod_selector == OPTIONS.selectors[workload][0]
        assert (policy.isolates_ingress, policy.isolates_egress) == (False, True)
        allowed[workload] = {
            (port.protocol, port.port, address)
            for rule in policy.egress
            for peer in rule.peers
            if isinstance(peer, BlockPeer)
            for port in rule.ports
            if isinstance(port.port, int)
            for first, last in AddressSet.of(peer.block.cidr).ranges()
            for address in (type(first)(number) for number in range(int(first), int(last) + 1))
        }
    for workload, triples in allowed.items():
        assert triples == {
            (need.protocol, need.port, address)
            for need in NEEDS
            if need.workload == workload
            for address in need.addresses
        }


@BOUNDS
def test_cilium_takes_its_policies(cilium: Oracle, options: Options) -> None:
    for document in documents("cilium", options):
        assert cilium.ask(document)["errors"] == []


def test_the_oracle_of_cilium_refuses_what_is_wrong(cilium: Oracle) -> None:
    document = documents("cilium")[1]
    document["spec"]["egress"][1]["toFQDNs"] = [{"matchName": "no name"}]
    assert cilium.ask(document)["errors"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*.store.example.com", ["a.store.example.com"]),
        ("**.cdn.example.net", ["x.cdn.example.net", "x.y.cdn.example.net"]),
        ("**.cluster.local", ["api.partner.example.shop.svc.cluster.local"]),
    ],
)
def test_a_pattern_means_the_same_to_cilium(cilium: Oracle, pattern: str, matched: list[str]) -> None:
    assert pattern in FORMATS["cilium"].write(NEEDS, OPTIONS).text
    names = ["a.store.example.com", "a.b.store.example.com", "store.example.com", "x.cdn.example.net"]
    names += ["x.y.cdn.example.net", "cdn.example.net", "api.partner.example.shop.svc.cluster.local", "evil.example"]
    assert cilium.ask({"pattern": pattern, "names": names})["matched"] == matched


def test_every_name_that_cilium_allows_may_be_asked_for_in_dns() -> None:
    for document in documents("cilium"):
        dns, *rules = document["spec"]["egress"]
        asked = dns["toPorts"][0]["rules"]["dns"]
        assert all(name in asked for rule in rules for name in rule.get("toFQDNs", []))


@BOUNDS
def test_istio_takes_its_entries(istio: Oracle, options: Options) -> None:
    for document in documents("istio", options):
        assert istio.ask(document)["errors"] == []


def test_the_oracle_of_istio_refuses_what_is_wrong(istio: Oracle) -> None:
    document = documents("istio")[1]
    document["spec"]["hosts"] = ["*"]
    assert istio.ask(document)["errors"]


CALICO_RULE = {"action", "protocol", "destination"}
CALICO_PEER = {"domains", "nets", "ports", "selector", "namespaceSelector"}


@pytest.mark.parametrize("name", ["calico", "calico-sets"])
@BOUNDS
def test_calico_gets_the_fields_of_its_definitions(name: str, options: Options) -> None:
    """By the reference of projectcalico.org/v3: NetworkPolicy (EntityRule) and GlobalNetworkSet."""
    sets = set()
    selected = set()
    for document in documents(name, options):
        assert document["apiVersion"] == "projectcalico.org/v3"
        spec = document["spec"]
        if document["kind"] == "GlobalNetworkSet":
            assert document["metadata"].keys() == {"name", "labels"}
            assert len(spec.keys() & {"nets", "allowedEgressDomains"}) == len(spec) == 1
            sets.add(document["metadata"]["labels"]["netpol-allowlist"])
            continue
        assert document["kind"] == "NetworkPolicy"
        assert spec.keys() == {"selector", "types", "egress"}
        for rule in spec["egress"]:
            assert rule.keys() == CALICO_RULE
            peer = rule["destination"]
            assert peer.keys() <= CALICO_PEER
            # A rule without a peer would allow everyone.
            assert peer.keys() & {"domains", "nets", "selector"}
            # domains stand with ports alone.
            assert "domains" not in peer or peer.keys() <= {"domains", "ports"}
            if peer.get("namespaceSelector") == "global()":
                selected.add(peer["selector"].split("'")[1])
    assert sets == selected
    assert bool(sets) is (name == "calico-sets")
