"""Cilium's own code accepts what is written, and matches what the evaluator from the documentation says it matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings

from netpol.dialects.cilium import to_cilium
from netpol.dialects.translation import Surroundings
from netpol.model.flow import PORT_PROTOCOLS, protocol_name
from netpol.review.cilium import leaves_out
from tests.dialects import dialect_samples, small_world
from tests.dialects.cilium_reference import Cilium
from tests.dialects.ends import pairs, pods
from tests.oracles.oracle import Oracle, build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.policy import NetworkPolicy
    from tests.dialects.ends import Ending


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """The policy API of Cilium's agent and its custom resource's schema, of the release that the go.mod names."""
    with Oracle(build("ciliumpolicies", tmp_path_factory.mktemp("ciliumpolicies"))) as oracle:
        yield oracle


def identity(judge: Cilium, end: Ending, seen_by: Ending) -> list[str]:
    labels = judge.identity(end, seen_by)
    if end.kind == "outside":
        labels = {f"reserved:world-ipv{end.addresses[0].version}": ""}
    return [f"{key}={value}" for key, value in labels.items()]


@settings(max_examples=60, deadline=None)
@given(small_world.policies(names_in_egress=False, names_in_ingress=False))
def test_every_side_is_cilium_s_own_verdict(agent: Oracle, policies: list[NetworkPolicy]) -> None:
    known = {address: node.name for node in small_world.WORLD.nodes for address in node.addresses}
    documents = list(yaml.safe_load_all(to_cilium(policies, Surroundings(nodes=known)).to_yaml()))
    judge = Cilium(documents, pods(small_world.WORLD))
    flows: list[dict[str, Any]] = []
    expected: list[bool] = []
    for source, destination in pairs(small_world.WORLD, small_world.OUTSIDE):
        for way, subject, peer in (("egress", source, destination), ("ingress", destination, source)):
            # The agent lets a pod's own node in beside all rules.
            if subject.kind != "pod" or (way == "ingress" and peer.kind == "node" and peer.node == subject.node):
                continue
            for protocol in sorted(PORT_PROTOCOLS):
                expected += [judge.side(way, subject, peer, protocol, port) for port in small_world.PORTS]
                asked = {
                    "way": way,
                    "subject": identity(judge, subject, subject),
                    "peer": identity(judge, peer, subject),
                    "address": str(peer.addresses[0]) if peer.kind == "outside" else "",
                    "protocol": protocol_name(protocol),
                }
                flows += [{**asked, "port": port} for port in small_world.PORTS]
    answer = agent.ask({"policies": documents, "flows": flows})
    assert (answer["errors"], answer["schema"]) == ([], [])
    assert answer["allowed"] == expected


@pytest.mark.parametrize("name", sorted(dialect_samples.SAMPLES))
def test_every_feature_is_accepted(agent: Oracle, name: str) -> None:
    policy, around = dialect_samples.SAMPLES[name]
    documents = list(yaml.safe_load_all(to_cilium([policy], around).to_yaml()))
    answer = agent.ask({"policies": documents})
    assert (answer["errors"], answer["schema"]) == ([], [])


def test_the_labels_that_identities_hold(agent: Oracle) -> None:
    keys = ["app", "app.kubernetes.io/name", "k8s-app", "pod-template-hash", "controller-revision-hash", "etcd_node"]
    keys += [
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "kubernetes.io/os",
        "io.kubernetes/x",
    ]
    keys += ["batch.kubernetes.io/controller-uid", "beta.kubernetes.io/arch", "x.beta.kubernetes.io/y", "annotation.a"]
    keys += ["topology.kubernetes.io/zone", "topology.kubernetes.io"]
    keys += ["k8s.io/x", "k8s.iox", "controller-uid", "job-name", "team", "app.kubernetes.iox"]
    assert agent.ask({"keys": keys})["kept"] == [not leaves_out(key) for key in keys]
