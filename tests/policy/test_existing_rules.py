"""The rules that admit a connection, and what could be taken away, held to the judges that know one connection each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.labels import LabelSelector
from netpol.model.policy import NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.policy.classes import Partition, Side
from netpol.policy.classes_pods import present_pods
from netpol.policy.connectivity import Connectivity
from netpol.policy.evaluate import Evaluator
from netpol.policy.existing_redundant import _with_newcomers, redundant
from netpol.policy.existing_rules import RuleBook
from tests.graph.world import inventory as world
from tests.graph.world import pod
from tests.policy.clusters import OUTSIDE, PORTS, clusters, inventory, policies, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.inventory import Inventory
    from netpol.policy.verdict import Way

from ipaddress import ip_address

WAYS: tuple[Way, Way] = ("ingress", "egress")


@settings(max_examples=40, deadline=None)
@given(clusters(), policies(), st.sampled_from([TCP, UDP, SCTP]), st.sampled_from(PORTS))
def test_a_rule_admits_where_the_judge_finds_one(cluster: object, manifests: object, protocol: int, port: int) -> None:
    here, found = inventory(cluster), read(manifests)  # type: ignore[arg-type]
    judge, book = Evaluator(found, here), RuleBook(found, here)
    ends = [*present_pods(here), *map(ip_address, OUTSIDE)]
    for source in ends:
        for destination in ends:
            verdict = judge.verdict(source, destination, protocol, port)
            if verdict.reason:
                continue
            for way in WAYS:
                subject, peer = (destination, source) if way == "ingress" else (source, destination)
                side = verdict.ingress if way == "ingress" else verdict.egress
                admitting = [rule for rule in book.admitting(way, subject, peer) if (protocol, port) in rule.covered]
                assert bool(admitting) == (side.match is not None)
                if side.match is not None:
                    first = admitting[0]
                    assert (first.policy, first.key.rule) == (side.match.policy, side.match.rule)
                    assert side.match.peer in {None, *first.peers}
                    if side.match.port is not None:
                        assert (protocol, port) in first.ports[side.match.port]


def matrix(found: Sequence[NetworkPolicy], everyone: Sequence[NetworkPolicy], cluster: Inventory) -> list[list[object]]:
    """All that is allowed between the classes that all policies together tell apart."""
    partition = Partition([Side(policies=tuple(some), inventory=cluster) for some in (found, everyone)])
    connectivity = Connectivity(partition, 0)
    classes = np.arange(len(partition), dtype=np.intp)
    return [[connectivity.numbers[number] for number in row] for row in connectivity.matrix(classes, classes).tolist()]


@settings(max_examples=60, deadline=None)
@given(clusters(), policies(), policies())
def test_what_is_superfluous_is_what_the_whole_engine_does_not_miss(
    cluster: object, manifests: list[dict[str, object]], more: list[dict[str, object]]
) -> None:
    for number, item in enumerate(more):
        item["metadata"] = {**item["metadata"], "name": f"q{number}"}  # type: ignore[dict-item]
    here, found = inventory(cluster), read([*manifests, *more])  # type: ignore[arg-type]
    names = {policy.namespace for policy in found}
    wider = _with_newcomers(here, names)
    candidates = [policy for policy in found if any(matches(policy, here))]
    left = list(found)
    expected = []
    for policy in candidates:
        rest = [other for other in left if other is not policy]
        if matrix(rest, found, wider) == matrix(left, found, wider):
            left = rest
            expected.append(policy)
    assert list(redundant(found, found, here)) == expected


def matches(policy: NetworkPolicy, cluster: Inventory) -> list[bool]:
    return [
        not item.host_network and item.namespace == policy.namespace and policy.pod_selector.matches(item.labels)
        for item in present_pods(cluster)
    ]


WEB, API = LabelSelector(match_labels={"app": "web"}), LabelSelector(match_labels={"app": "api"})
CLUSTER = world([pod("web-1", {"app": "web"}, owner="web"), pod("api-1", {"app": "api"}, owner="api")])


def closed(name: str, selector: LabelSelector, *rules: Rule) -> NetworkPolicy:
    return NetworkPolicy(namespace="shop", name=name, pod_selector=selector, ingress=rules)


def test_of_two_that_say_the_same_one_can_go() -> None:
    rule = Rule(peers=(PodPeer(pod_selector=WEB),), ports=(PolicyPort(port=80),))
    one, two = closed("one", API, rule), closed("two", API, rule)
    assert redundant([one, two], [one, two], CLUSTER) == (one,)
    assert redundant([one, two], [two, one], CLUSTER) == (two,)


def test_a_default_deny_is_not_superfluous_because_each_pod_of_today_has_a_policy() -> None:
    each = [closed("web", WEB), closed("api", API)]
    deny = closed("deny", LabelSelector())
    assert redundant([*each, deny], [deny], CLUSTER) == ()
    assert redundant([*each, deny, closed("too", LabelSelector())], [deny], CLUSTER) == (deny,)


def test_a_policy_for_pods_that_are_not_there_is_not_called_superfluous() -> None:
    later = closed("later", LabelSelector(match_labels={"app": "later"}))
    assert redundant([later], [later], CLUSTER) == ()


def test_what_the_other_end_denies_anyway_is_not_missed() -> None:
    to_api = NetworkPolicy(
        namespace="shop",
        name="leaves",
        pod_selector=WEB,
        isolates_ingress=False,
        isolates_egress=True,
        egress=(Rule(peers=(PodPeer(pod_selector=API),)),),
    )
    shut = NetworkPolicy(namespace="shop", name="shut", pod_selector=WEB, isolates_ingress=False, isolates_egress=True)
    # web may leave for api, where nobody may enter: then it might as well not leave.
    assert redundant([to_api, shut, closed("api", API)], [to_api], CLUSTER) == (to_api,)
    assert redundant([to_api, shut], [to_api], CLUSTER) == ()
