"""What a change adds and removes, against two lists and by the laws of sets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.inventory import ContainerPort, Inventory, Pod, Workload, WorkloadRef
from netpol.model.policy import Rule
from netpol.model.ports import PortMap
from netpol.policy.classes import Side
from netpol.policy.classes_pods import present_pods
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_list import list_allowed
from netpol.policy.difference import Change, Difference, difference
from netpol.policy.difference_sides import with_workloads
from netpol.policy.difference_witness import witness
from netpol.policy.evaluate import Evaluator
from tests.policy import clusters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.policy import NetworkPolicy

POLICY_PAIRS = {"cluster": clusters.clusters(), "old": clusters.policies(), "new": clusters.policies()}


def compare(inventory: Inventory, old: Iterable[NetworkPolicy], new: Iterable[NetworkPolicy]) -> Difference:
    return difference(Side(policies=tuple(old), inventory=inventory), Side(policies=tuple(new), inventory=inventory))


def texts(changes: Iterable[Change], *, swapped: bool = False) -> list[tuple[str, str, str, str]]:
    found = []
    for change in changes:
        before, after = (change.after, change.before) if swapped else (change.before, change.after)
        found.append((change.source.text, change.destination.text, str(before), str(after)))
    return found


@settings(max_examples=30, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_a_set_and_itself_do_not_differ(cluster: dict[str, Any], policies: list[dict[str, Any]]) -> None:
    policy_set = clusters.read(policies)
    found = compare(clusters.inventory(cluster), policy_set, reversed(policy_set))
    assert not found
    assert not found.allows_more
    assert not found.allows_less


@settings(max_examples=30, deadline=None)
@given(**POLICY_PAIRS)
def test_swapping_the_sides_mirrors_the_difference(
    cluster: dict[str, Any], old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    inventory = clusters.inventory(cluster)
    there = compare(inventory, clusters.read(old), clusters.read(new))
    back = compare(inventory, clusters.read(new), clusters.read(old))
    assert texts(there.added) == texts(back.removed, swapped=True)
    assert texts(there.removed) == texts(back.added, swapped=True)
    assert texts(there.changed) == texts(back.changed, swapped=True)
    assert texts(there.within) == texts(back.within, swapped=True)
    assert (there.allows_more, there.allows_less) == (back.allows_less, back.allows_more)


@settings(max_examples=30, deadline=None)
@given(**POLICY_PAIRS)
def test_it_is_what_tells_the_two_lists_apart(
    cluster: dict[str, Any], old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    """Pods of their own each: between them, a list has one row per pair, and the difference is that of two mappings."""
    inventory = clusters.inventory(cluster)
    before, after = (_between_pods(policies, inventory) for policies in (old, new))
    expected = {
        ends: (before.get(ends, PortMap.EMPTY), after.get(ends, PortMap.EMPTY))
        for ends in before.keys() | after.keys()
        if before.get(ends) != after.get(ends)
    }
    found = compare(inventory, clusters.read(old), clusters.read(new))
    between = [
        change
        for change in (*found.added, *found.removed, *found.changed)
        if change.source.members and change.destination.members
    ]
    assert {
        (change.source.text, change.destination.text): (change.before, change.after) for change in between
    } == expected


def _between_pods(policies: list[dict[str, Any]], inventory: Inventory) -> dict[tuple[str, str], PortMap]:
    listing = list_allowed(Connectivity.of(clusters.read(policies), inventory))
    return {
        (row.source.text, row.destination.text): row.ports
        for row in listing.rows
        if row.source.members and row.destination.members
    }


@settings(max_examples=30, deadline=None)
@given(**POLICY_PAIRS)
def test_every_witness_is_a_connection_on_which_two_judges_disagree(
    cluster: dict[str, Any], old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    inventory = clusters.inventory(cluster)
    judges = [Evaluator(clusters.read(policies), inventory) for policies in (old, new)]
    for change in compare(inventory, *(clusters.read(policies) for policies in (old, new))).changes:
        if not (change.source.members and change.destination.members):
            continue
        found = witness(change)
        assert found is not None
        verdicts = [
            judge.verdict(found.source, found.destination, found.protocol, found.port).allowed for judge in judges
        ]
        assert verdicts == [not found.allowed, found.allowed]


@settings(max_examples=30, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies())
def test_rules_written_one_by_one_are_the_same_policies(
    cluster: dict[str, Any], policies: list[dict[str, Any]]
) -> None:
    """A rule with several peers and ports against one rule for each peer and port, each in a policy of its own."""
    old = clusters.read(policies)
    new = [part for policy in old for part in _apart(policy)]
    assert not compare(clusters.inventory(cluster), old, new)


def _apart(policy: NetworkPolicy) -> list[NetworkPolicy]:
    closed = replace(policy, ingress=(), egress=())
    parts = [closed]
    parts += [replace(closed, ingress=(rule,)) for rule in _single_rules(policy.ingress)]
    parts += [replace(closed, egress=(rule,)) for rule in _single_rules(policy.egress)]
    return [replace(part, name=f"{policy.name}-{number}") for number, part in enumerate(parts)]


def _single_rules(rules: Iterable[Rule]) -> Iterator[Rule]:
    for rule in rules:
        for peer in rule.peers or (None,):
            for port in rule.ports or (None,):
                yield Rule(peers=(peer,) if peer else (), ports=(port,) if port else ())


@settings(max_examples=20, deadline=None)
@given(cluster=clusters.clusters(), policies=clusters.policies(), gone=st.integers(0, 3))
def test_a_workload_of_one_side_is_told_as_such(
    cluster: dict[str, Any], policies: list[dict[str, Any]], gone: int
) -> None:
    inventory, policy_set = clusters.inventory(cluster), clusters.read(policies)
    kept = tuple(pod for pod in inventory.pods if pod.name != f"pod{gone}")
    found = difference(
        Side(policies=policy_set, inventory=inventory),
        Side(policies=policy_set, inventory=replace(inventory, pods=kept)),
    )
    left = {str(pod.workload) for pod in present_pods(inventory)} - {str(pod.workload) for pod in kept}
    assert {place.text for place in found.one_sided} == left
    assert not found.added
    assert not found.changed
    for change in found.removed:
        assert change.only_in == "old"
        assert {change.source.text, change.destination.text} & left


WEB = WorkloadRef(namespace="a", name="web", kind="Deployment")
DB = WorkloadRef(namespace="a", name="db", kind="StatefulSet")


def _inventory(*workloads: Workload, pods: tuple[Pod, ...] = ()) -> Inventory:
    return Inventory(namespaces={}, pods=pods, workloads={item.ref: item for item in workloads})


def _living(name: str, ref: WorkloadRef, **labels: str) -> Pod:
    return Pod(uid=name, namespace="a", name=name, labels=labels, workload=ref, node="n1")


def test_a_template_beside_the_policies_relabels_living_pods_and_keeps_what_the_controller_added() -> None:
    pod = _living("web-1", WEB, **{"app": "web", "pod-template-hash": "x"})
    cluster = _inventory(Workload(ref=WEB, template_labels={"app": "web"}), pods=(pod,))
    own = _inventory(
        Workload(ref=WEB, template_labels={"app": "shop"}, ports=(ContainerPort(protocol=6, port=80, name="http"),))
    )
    (found,) = with_workloads(cluster, own, Inventory(namespaces={})).pods
    assert found.labels == {"app": "shop", "pod-template-hash": "x"}
    assert found.ports[0].name == "http"
    assert (found.uid, found.node) == ("web-1", "n1")


def test_a_template_that_living_pods_fit_leaves_them_as_they_are() -> None:
    pod = _living("web-1", WEB, **{"app": "web", "pod-template-hash": "x"})
    cluster = _inventory(pods=(pod,))
    own = _inventory(Workload(ref=WEB, template_labels={"app": "web"}))
    assert with_workloads(cluster, own, Inventory(namespaces={})).pods == (pod,)


def test_a_side_that_has_manifests_lacks_what_the_other_alone_has() -> None:
    cluster = _inventory(pods=(_living("web-1", WEB), _living("db-0", DB)))
    both = _inventory(Workload(ref=WEB, template_labels={"app": "web"}), Workload(ref=DB))
    one = _inventory(Workload(ref=WEB, template_labels={"app": "web"}))
    assert [pod.name for pod in with_workloads(cluster, one, both).pods] == ["web-1"]
    assert [pod.name for pod in with_workloads(cluster, both, one).pods] == ["web-1", "db-0"]
    # Policies alone say nothing of workloads.
    assert with_workloads(cluster, Inventory(namespaces={}), both) is cluster


def test_a_change_between_replicas_is_no_secret() -> None:
    inventory = _inventory(pods=(_living("db-0", DB), _living("db-1", DB)))
    deny = clusters.read(
        [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": "deny", "namespace": "a"},
                "spec": {"podSelector": {}},
            }
        ]
    )
    found = compare(inventory, (), deny)
    assert texts(found.within) == [("a/db[StatefulSet]", "a/db[StatefulSet]", str(PortMap.ALL), "")]
    assert found.allows_less
    assert not found.allows_more
