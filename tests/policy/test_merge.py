"""The laws of merging: exact by the engine for any rules, and by hand for what operators will see."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.dialects.kubernetes import to_yaml
from netpol.model.cidr import IPBlock
from netpol.model.flow import TCP, UDP
from netpol.model.inventory import Inventory
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.policy.classes import Side
from netpol.policy.difference import difference
from netpol.policy.generate import MANAGED_BY
from netpol.policy.merge import Terms, is_managed, merge
from netpol.policy.merge_marks import is_kept, kept_rules
from netpol.policy.merge_rules import MOST_PIECES, remaining
from tests.graph.world import inventory as world
from tests.graph.world import pod
from tests.policy.clusters import Manifest, clusters, inventory, policies, read

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY = Inventory(namespaces={})
WEB, API = LabelSelector(match_labels={"app": "web"}), LabelSelector(match_labels={"app": "api"})


def tcp(*ports: int | tuple[int, int]) -> tuple[PolicyPort, ...]:
    return tuple(
        PolicyPort(port=port) if isinstance(port, int) else PolicyPort(port=port[0], end_port=port[1]) for port in ports
    )


def block(*cidrs: str) -> tuple[BlockPeer, ...]:
    return tuple(BlockPeer(IPBlock.parse(cidr)) for cidr in cidrs)


def rule(*peers: Any, ports: tuple[PolicyPort, ...] = ()) -> Rule:
    return Rule(
        peers=tuple(PodPeer(pod_selector=item) if isinstance(item, LabelSelector) else item for item in peers),
        ports=ports,
    )


def policy(name: str = "web", selector: LabelSelector = WEB, **more: Any) -> NetworkPolicy:
    return NetworkPolicy(
        namespace="shop", name=name, pod_selector=selector, isolates_egress=True, **{"labels": MANAGED_BY, **more}
    )


def test_nothing_earlier_changes_nothing() -> None:
    new = (policy(ingress=(rule(API, ports=tcp(80)),)), policy("api", API))
    assert merge(new, (), EMPTY).policies == (new[1], new[0])


def test_a_rule_that_was_not_exercised_is_kept_behind_the_learned_ones_and_marked() -> None:
    old = policy(ingress=(rule(API, ports=tcp(80, 81)), rule(WEB, ports=tcp(80))))
    new = policy(ingress=(rule(API, ports=tcp(80)),))
    merged = merge([new], [old], EMPTY)
    (found,) = merged.policies
    assert found.ingress == (rule(API, ports=tcp(80)), rule(API, ports=tcp(81)), rule(WEB, ports=tcp(80)))
    assert kept_rules(found) == (("ingress", 1), ("ingress", 2))
    assert merged.replaced == 1
    assert merged.kept_rules == {"shop/web": (("ingress", found.ingress[1]), ("ingress", found.ingress[2]))}
    text = to_yaml([found])
    assert text.count("    # kept: not exercised in the capture\n    - from:") == 2
    assert 'netpol/kept-not-exercised: "spec.ingress[1] spec.ingress[2]"' in text


def test_a_policy_of_which_nothing_was_seen_stays_as_it_is_and_is_marked() -> None:
    old = policy(
        "api", API, ingress=(rule(WEB, ports=tcp(80)),), annotations={"team": "x"}, labels={**MANAGED_BY, "a": "b"}
    )
    merged = merge([policy()], [old], EMPTY)
    assert [str(found) for found in merged.policies] == ["shop/api", "shop/web"]
    assert merged.policies[0].ingress == old.ingress
    assert merged.policies[0].labels == MANAGED_BY
    assert is_kept(merged.policies[0])
    assert to_yaml(merged.policies[:1]).startswith("# kept: nothing of it was exercised in the capture\napiVersion")


def test_prune_gives_the_learned_ones_alone_and_says_what_goes() -> None:
    old = (policy(ingress=(rule(API, ports=tcp(81)),)), policy("api", API))
    new = (policy(ingress=(rule(API, ports=tcp(80)),)),)
    merged = merge(new, old, EMPTY, Terms(prune=True))
    assert merged.policies == new
    assert merged.removed == (old[1],)
    assert merged.dropped_rules == {"shop/web": (("ingress", rule(API, ports=tcp(81))),)}
    assert not merged.kept_rules


def test_what_was_not_asked_about_is_left_alone() -> None:
    old = policy("api", API)
    for prune in (False, True):
        merged = merge([policy()], [old], EMPTY, Terms(prune=prune, asked=lambda found: found.name != "api"))
        assert merged.untouched == (old,)
        assert [str(found) for found in merged.policies] == ["shop/web"]


def test_a_name_that_now_means_other_pods_is_given_to_the_learned_policy() -> None:
    cluster = world([pod("web-1", {"app": "web", "tier": "a"}, owner="web"), pod("old-1", {"app": "web"}, owner="old")])
    new = policy(selector=LabelSelector(match_labels={"app": "web", "tier": "a"}))
    old = policy(ingress=(rule(API, ports=tcp(80)),))
    merged = merge([new], [old], cluster)
    assert merged.policies[0] == new
    assert merged.renamed == {"shop/web": str(merged.policies[1])}
    assert merged.policies[1].pod_selector == WEB
    again = merge([new], merged.policies, cluster)
    assert again.policies == merged.policies
    assert not again.renamed


def test_another_selector_for_the_same_pods_is_the_same_policy() -> None:
    cluster = world([pod("web-1", {"app": "web", "tier": "a"}, owner="web")])
    new = policy(selector=LabelSelector(match_labels={"tier": "a"}))
    old = policy(ingress=(rule(API, ports=tcp(80)),))
    (found,) = merge([new], [old], cluster).policies
    assert found.pod_selector == new.pod_selector
    assert found.ingress == old.ingress


def test_directions_that_were_closed_stay_closed() -> None:
    old = policy(egress=(rule(API, ports=tcp(80)),))
    new = NetworkPolicy(namespace="shop", name="web", pod_selector=WEB, labels=MANAGED_BY)
    (found,) = merge([new], [old], EMPTY).policies
    assert found.policy_types == ("Ingress", "Egress")
    assert found.egress == old.egress


def test_rules_without_effect_are_not_kept() -> None:
    old = NetworkPolicy(namespace="shop", name="web", pod_selector=WEB, egress=(rule(API),), labels=MANAGED_BY)
    assert merge([policy()], [old], EMPTY).policies == (policy(),)


def test_addresses_are_compared_as_sets() -> None:
    new = [rule(*block("192.0.2.1/32"), ports=tcp(443))]
    assert remaining("shop", new, [rule(*block("192.0.2.0/31"), ports=tcp(443))]) == (
        rule(*block("192.0.2.0/32"), ports=tcp(443)),
    )
    assert remaining("shop", [rule(*block("192.0.2.0/24"))], [rule(*block("192.0.2.0/31"), ports=tcp(443))]) == ()
    wide = rule(*block("0.0.0.0/0"), ports=tcp(443))
    assert MOST_PIECES < 32
    assert remaining("shop", new, [wide]) == (wide,)


def test_a_block_with_exceptions_stays_as_it_was_written() -> None:
    peer = BlockPeer(IPBlock.parse("10.0.0.0/8", ["10.1.0.0/16"]))
    old = [rule(peer, ports=tcp(443)), rule(*block("10.2.0.0/16"), ports=tcp(443))]
    assert remaining("shop", [rule(*block("10.3.0.1/32"), ports=tcp(443))], old) == (
        rule(peer, *block("10.2.0.0/16"), ports=tcp(443)),
    )


def test_spelling_of_the_own_namespace_and_of_all_ports_does_not_matter() -> None:
    own = LabelSelector(match_labels={"kubernetes.io/metadata.name": "shop"})
    spelled = PodPeer(pod_selector=API, namespace_selector=own)
    assert remaining("shop", [rule(API, ports=tcp((1, 65535)))], [rule(spelled, ports=(PolicyPort(),))]) == ()
    assert remaining("shop", [rule(API)], [rule(spelled, ports=(PolicyPort(port="http"),))]) == ()
    assert remaining("shop", [rule(ports=tcp(80))], [rule(spelled, ports=tcp(80, 81))]) == (rule(API, ports=tcp(81)),)


def test_all_ports_of_three_protocols_are_not_every_port_of_every_protocol() -> None:
    three = tuple(PolicyPort(protocol=protocol) for protocol in (TCP, UDP, 132))
    assert remaining("shop", [rule(API, ports=three)], [rule(API)]) == (rule(API),)


def test_who_may_be_rewritten() -> None:
    assert is_managed(policy())
    assert not is_managed(policy(labels={"app.kubernetes.io/managed-by": "Helm"}))


@st.composite
def sets(draw: st.DrawFn) -> tuple[Inventory, tuple[NetworkPolicy, ...], tuple[NetworkPolicy, ...]]:
    """A cluster, and two sets of netpol's policies that share some names and selectors."""
    cluster: Manifest = draw(clusters())
    new, old = (read(_managed(draw(policies()))) for _ in range(2))
    new = tuple(
        replace(found, ingress=found.ingress * found.isolates_ingress, egress=found.egress * found.isolates_egress)
        for found in new
    )
    if draw(st.booleans()):
        old = tuple(_with_selector_of(found, new) for found in old)
    return inventory(cluster), new, old


def _managed(manifests: list[Manifest]) -> list[Manifest]:
    return [{**item, "metadata": {**item["metadata"], "labels": MANAGED_BY}} for item in manifests]


def _with_selector_of(old: NetworkPolicy, others: Iterable[NetworkPolicy]) -> NetworkPolicy:
    for other in others:
        if str(other) == str(old):
            return replace(old, pod_selector=other.pod_selector)
    return old


def same(one: Iterable[NetworkPolicy], other: Iterable[NetworkPolicy], cluster: Inventory) -> bool:
    return not difference(Side(policies=tuple(one), inventory=cluster), Side(policies=tuple(other), inventory=cluster))


@settings(max_examples=40, deadline=None)
@given(sets())
def test_a_merged_set_allows_what_both_sets_together_allow(
    drawn: tuple[Inventory, tuple[NetworkPolicy, ...], tuple[NetworkPolicy, ...]],
) -> None:
    cluster, new, old = drawn
    merged = merge(new, old, cluster)
    assert same(merged.policies, [*new, *old], cluster)
    assert {str(found) for found in new} <= {str(found) for found in merged.policies}
    assert len({str(found) for found in merged.policies}) == len(merged.policies)


@settings(max_examples=40, deadline=None)
@given(sets())
def test_merging_again_changes_no_byte_and_order_does_not_matter(
    drawn: tuple[Inventory, tuple[NetworkPolicy, ...], tuple[NetworkPolicy, ...]],
) -> None:
    cluster, new, old = drawn
    merged = merge(new, old, cluster)
    text = to_yaml(merged.policies)
    assert to_yaml(merge(new, merged.policies, cluster).policies) == text
    assert to_yaml(merge(new[::-1], old[::-1], cluster).policies) == text


@settings(max_examples=20, deadline=None)
@given(sets())
def test_pruning_gives_the_learned_policies(
    drawn: tuple[Inventory, tuple[NetworkPolicy, ...], tuple[NetworkPolicy, ...]],
) -> None:
    cluster, new, old = drawn
    in_order = tuple(sorted(new, key=lambda found: (found.namespace, found.name)))
    merged = merge(new, old, cluster, Terms(prune=True))
    assert merged.policies == in_order
    assert merged.replaced + len(merged.removed) == len(old)
    assert merge(new, (), cluster).policies == in_order


addresses = st.builds("10.0.0.{}/{}".format, st.sampled_from([0, 4, 8, 12]), st.sampled_from([30, 32]))
numbers = st.one_of(
    st.integers(79, 83).map(lambda port: PolicyPort(port=port)),
    st.sampled_from([PolicyPort(port=79, end_port=81), PolicyPort(port=80, end_port=83), PolicyPort()]),
    st.sampled_from([PolicyPort(port="http"), PolicyPort(protocol=UDP, port="http"), PolicyPort(protocol=UDP)]),
)
peers = st.one_of(st.sampled_from([WEB, API, LabelSelector()]), addresses.map(lambda cidr: block(cidr)[0]))
rules = st.lists(
    st.builds(
        lambda peers, ports: rule(*peers, ports=tuple(ports)),
        st.lists(peers, max_size=3),
        st.lists(numbers, max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(rules, rules)
def test_the_remainder_is_disjoint_and_settled(new: list[Rule], old: list[Rule]) -> None:
    left = remaining("shop", new, old)
    assert remaining("shop", new, [*new, *left]) == left
    assert remaining("shop", [*new, *left], old) == ()
    assert remaining("shop", old, old) == ()
    assert remaining("shop", new, old[::-1]) == left
