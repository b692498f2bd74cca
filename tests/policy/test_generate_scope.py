from __future__ import annotations

import pytest

from netpol.model.inventory import WorkloadRef
from netpol.model.labels import LabelSelector
from netpol.model.policy import NetworkPolicy
from netpol.model.selector_text import parse_selector
from netpol.policy.generate import Options
from netpol.policy.generate_names import LONGEST, another_name, policy_names
from netpol.policy.generate_scope import Scope, Wanted
from tests.graph.world import flow, inventory, pod, workload
from tests.policy.learning import learn

WEB = pod("web-1", {"app": "web", "tier": "front"}, owner="web")
API = pod("api-1", {"app": "api", "tier": "back"}, owner="api")
DNS = pod("dns-1", {"app": "dns"}, owner="dns", namespace="kube-system")
CLUSTER = inventory([WEB, API, DNS], [workload("nightly", {"app": "nightly", "tier": "back"}, kind="CronJob")])


def scope(text: str = "", **more: object) -> Scope:
    return Scope(Wanted(selector=parse_selector(text) if text else None, **more), CLUSTER)  # type: ignore[arg-type]


def test_labels_of_pods_and_of_templates_choose_workloads() -> None:
    assert {ref.name for ref in scope("tier=back").selected} == {"api", "nightly"}
    assert not scope("tier=back").why_not(API.workload)
    assert scope("tier=back").why_not(WEB.workload) == "policies for pods with its labels were not asked for"
    assert scope().why_not(DNS.workload) == "policies for its namespace were not asked for"
    assert not scope(system=True).why_not(DNS.workload)


@pytest.mark.parametrize(
    ("selector", "namespace", "asked"),
    [
        ({"app": "api"}, "shop", True),
        ({"tier": "back"}, "shop", True),
        ({"app": "web"}, "shop", False),  # other pods
        ({}, "shop", False),  # other pods too
        ({"app": "gone"}, "shop", False),  # no pods that are known
        ({"app": "dns"}, "kube-system", False),  # another namespace
    ],
)
def test_with_labels_only_policies_for_such_pods_alone_are_asked_about(
    selector: dict[str, str], namespace: str, *, asked: bool
) -> None:
    policy = NetworkPolicy(namespace=namespace, name="x", pod_selector=LabelSelector(match_labels=selector))
    assert scope("tier=back").asks_about(policy) == asked
    assert scope().asks_about(policy) == (namespace == "shop")


def test_only_workloads_with_the_labels_get_policies_and_the_others_are_told_why() -> None:
    learned = learn([flow(WEB, API, 80)], CLUSTER, Options(selector=parse_selector("app=web")))
    assert learned.names() == ["shop/web"]
    reasons = {item.workload.name: item.text for item in learned.generated.statements if "asked" in item.text}
    assert reasons["api"] == "policies for pods with its labels were not asked for"


def test_names_that_others_have_are_given_up_for_the_same_ones_each_time() -> None:
    refs = [WorkloadRef(namespace="shop", name=name, kind="Deployment") for name in ("web", "api")]
    names = policy_names(refs, {("shop", "web"), ("other", "api")})
    assert names[refs[1]] == "api"
    assert names[refs[0]].startswith("web-")
    again = policy_names(refs, {("shop", "web"), ("shop", names[refs[0]])})
    assert again[refs[0]] not in {"web", names[refs[0]]}
    assert again == policy_names(refs[::-1], {("shop", names[refs[0]]), ("shop", "web")})


def test_another_name_is_free_valid_and_not_too_long() -> None:
    taken: set[str] = set()
    for _ in range(5):
        name = another_name("x" * 300, "x", taken.__contains__)
        assert len(name) <= LONGEST
        assert name not in taken
        taken.add(name)


def test_a_further_policy_of_one_workload_takes_no_name_of_another() -> None:
    # Two revisions without a common label: a union of two selectors, and so two policies.
    one = pod("web-1", {"a": "1"}, owner="web")
    other = pod("web-2", {"b": "2"}, owner="web")
    namesake = pod("web-2-x", {"c": "3"}, owner="web-2")
    learned = learn([flow(one, namesake, 80), flow(other, namesake, 80)], inventory([one, other, namesake]))
    names = learned.names()
    assert len(names) == len(set(names)) == 3
    assert "shop/web-2" in names
    assert learned.policy("shop/web-2").pod_selector == LabelSelector(match_labels={"c": "3"})
