from __future__ import annotations

import random
from itertools import chain, combinations
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.graph.cover import Option, cheapest_cover
from netpol.graph.labels import UNSTABLE_KEYS, tier
from netpol.graph.selectors import Naming, Selection, Selectors
from netpol.model.inventory import WorkloadRef
from netpol.model.labels import LabelSelector, Requirement
from tests.graph.world import inventory, pod, workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.inventory import Pod


def ref(name: str, kind: str = "Deployment") -> WorkloadRef:
    return WorkloadRef(namespace="shop", name=name, kind=kind)


def pairs(**labels: str) -> LabelSelector:
    return LabelSelector(
        match_labels={key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
    )


def selection(name: str, pods: list[Pod], *workloads: object, kind: str = "Deployment") -> Selection:
    return Selectors(inventory(pods, workloads)).of(ref(name, kind))  # type: ignore[arg-type]


def test_the_owners_own_selector_comes_first() -> None:
    web = workload("web", {"app": "web", "x": "y"}, selector={"x": "y"})
    found = selection("web", [pod("web-1", {"app": "web", "x": "y"}, owner="web")], web)
    assert (found.naming, found.selectors) == (Naming.OWNER, (pairs(x="y"),))


def test_an_owners_selector_that_hits_others_or_does_not_last_is_not_taken() -> None:
    pods = [
        pod("web-1", {"app": "web", "role": "a"}, owner="web"),
        pod("api-1", {"app": "web", "role": "b"}, owner="api"),
    ]
    found = selection("web", pods, workload("web", {"app": "web", "role": "a"}, selector={"app": "web"}))
    assert (found.naming, found.selectors) == (Naming.PAIRS, (pairs(role="a"),))
    labels = {"app": "web", "helm.sh/chart": "web-1.2"}
    found = selection(
        "web", [pod("web-1", labels, owner="web")], workload("web", labels, selector={"helm.sh/chart": "web-1.2"})
    )
    assert found.selectors == (pairs(app="web"),)


def test_what_a_controller_stamps_on_its_pods_is_never_used() -> None:
    pods = [
        pod(
            "db-0",
            {"app": "db", "statefulset.kubernetes.io/pod-name": "db-0", "apps.kubernetes.io/pod-index": "0"},
            owner="db",
        ),
        pod("run-1", {"job-name": "run-1", "controller-uid": "1", "task": "run"}, owner="run", kind="CronJob"),
        pod("web-1", {"pod-template-hash": "1", "app": "web"}, owner="web"),
    ]
    for name, kind in (("db", "Deployment"), ("run", "CronJob"), ("web", "Deployment")):
        for selector in selection(name, pods, kind=kind).selectors:
            assert not selector.keys & UNSTABLE_KEYS


def test_two_generations_are_named_by_what_they_share() -> None:
    pods = [
        pod("web-1", {"app": "web", "version": "1"}, owner="web"),
        pod("web-2", {"app": "web", "version": "2"}, owner="web"),
        pod("api-1", {"app": "api", "version": "1"}, owner="api"),
    ]
    assert selection("web", pods).selectors == (pairs(app="web"),)
    # `version` varied inside one controller, so it names nobody while anything else does.
    assert selection("api", pods).selectors == (pairs(app="api"),)


def test_a_template_without_pods_is_one_of_the_others() -> None:
    pods = [pod("web-1", {"app": "web", "role": "front"}, owner="web")]
    asleep = workload("asleep", {"app": "web", "role": "back"})
    assert selection("web", pods, asleep).selectors == (pairs(role="front"),)
    assert selection("web", pods).selectors == (pairs(app="web"),)


def test_better_labels_win_among_equally_few() -> None:
    labels = {"zone": "a", "app": "web", "app.kubernetes.io/name": "web", "k8s-app": "web"}
    pods = [pod("web-1", labels, owner="web"), pod("api-1", {"app": "api"}, owner="api")]
    assert selection("web", pods).selectors == (pairs(app_kubernetes_io__name="web"),)


def test_a_canary_that_only_adds_a_label_is_told_apart_by_its_absence() -> None:
    pods = [
        pod("web-1", {"app": "web"}, owner="web"),
        pod("canary-1", {"app": "web", "track": "canary"}, owner="canary"),
    ]
    found = selection("web", pods)
    expected = LabelSelector(match_labels={"app": "web"}, match_expressions=(Requirement("track", "DoesNotExist"),))  # type: ignore[arg-type]
    assert (found.naming, found.selectors) == (Naming.EXPRESSIONS, (expected,))
    assert selection("canary", pods).selectors == (pairs(track="canary"),)


def test_a_key_that_is_always_there_names_by_its_presence() -> None:
    pods = [
        pod("web-1", {"app": "x", "build": "1"}, owner="web"),
        pod("web-2", {"app": "x", "build": "2"}, owner="web"),
        pod("api-1", {"app": "x"}, owner="api"),
    ]
    (found,) = selection("web", pods).selectors
    assert found == LabelSelector(match_expressions=(Requirement("build", "Exists"),))  # type: ignore[arg-type]


def test_generations_that_share_nothing_are_a_union() -> None:
    pods = [
        pod("web-1", {"old": "web"}, owner="web"),
        pod("web-2", {"new": "web"}, owner="web"),
        pod("api-1", {"app": "api"}, owner="api"),
    ]
    found = selection("web", pods)
    assert found.naming is Naming.UNION
    assert set(found.selectors) == {pairs(old="web"), pairs(new="web")}


def test_twins_are_said_to_be_twins() -> None:
    pods = [
        pod("a-1", {"app": "x"}, owner="a"),
        pod("b-1", {"app": "x"}, owner="b"),
        pod("c-1", {"app": "c"}, owner="c"),
    ]
    found = selection("a", pods)
    assert found == Selection(naming=Naming.SHARED, selectors=(pairs(app="x"),), hits=(ref("b"),))
    assert selection("c", pods).hits == ()


def test_never_the_empty_selector_and_never_absence_alone() -> None:
    assert selection("bare", [pod("bare", {})], kind="Pod").naming is Naming.NONE
    assert selection("bare", [pod("bare", {"pod-template-hash": "1"})], kind="Pod").naming is Naming.NONE
    pods = [pod("bare", {}), pod("web-1", {"app": "web"}, owner="web")]
    assert selection("bare", pods, kind="Pod").naming is Naming.NONE
    assert selection("web", [pod("web-1", {"app": "web"}, owner="web")]).selectors == (pairs(app="web"),)


def test_a_host_network_twin_does_not_spoil_a_selector_but_is_avoided_where_possible() -> None:
    twin = pod("agent-1", {"app": "web"}, owner="agent", kind="DaemonSet", host_network=True)
    assert selection("web", [pod("web-1", {"app": "web"}, owner="web"), twin]).selectors == (pairs(app="web"),)
    avoidable = pod("web-1", {"app": "web", "role": "front"}, owner="web")
    assert selection("web", [avoidable, twin]).selectors == (pairs(role="front"),)


def test_labels_in_invalid_syntax_are_not_used() -> None:
    assert selection("web", [pod("web-1", {"app": "a\nb", "x y": "z", "ok": "1"}, owner="web")]).selectors == (
        pairs(ok="1"),
    )


LABELS = st.dictionaries(st.sampled_from(["app", "k8s-app", "a", "b", "pod-template-hash"]), st.sampled_from("123"))
CROWDS = st.lists(st.tuples(st.sampled_from("PQRS"), LABELS), min_size=1, max_size=9)


@settings(deadline=None, max_examples=120)
@given(CROWDS)
def test_selectors_match_all_of_the_workload_and_nothing_that_they_do_not_admit_to(
    crowd: list[tuple[str, dict[str, str]]],
) -> None:
    pods = [pod(f"{owner.lower()}-{index}", labels, owner=owner) for index, (owner, labels) in enumerate(crowd)]
    selectors = Selectors(inventory(pods))
    for name in {owner for owner, _ in crowd}:
        found = selectors.of(ref(name))
        if found.naming is Naming.NONE:
            own = [item for item in pods if item.workload.name == name]
            assert any(not set(item.labels) - UNSTABLE_KEYS - _varied(own) for item in own)
            continue
        hit = {item.workload for item in pods if any(selector.matches(item.labels) for selector in found.selectors)}
        assert hit == {ref(name), *found.hits}
        assert all(
            any(selector.matches(item.labels) for selector in found.selectors)
            for item in pods
            if item.workload.name == name
        )
        for selector in found.selectors:
            assert not selector.is_empty
            assert not selector.keys & UNSTABLE_KEYS


@settings(deadline=None, max_examples=120)
@given(CROWDS)
def test_pairs_are_the_fewest_and_then_the_best(crowd: list[tuple[str, dict[str, str]]]) -> None:
    pods = [pod(f"{owner.lower()}-{index}", labels, owner=owner) for index, (owner, labels) in enumerate(crowd)]
    target = [item.labels for item in pods if item.workload.name == crowd[0][0]]
    others = [item.labels for item in pods if item.workload.name != crowd[0][0]]
    found = Selectors(inventory(pods)).of(ref(crowd[0][0]))
    varied = _varied(pods)
    shared = set.intersection(*(set(labels.items()) for labels in target))
    lasting = sorted(pair for pair in shared if pair[0] not in UNSTABLE_KEYS | varied)
    exact = [
        chosen
        for chosen in chain.from_iterable(combinations(lasting, size) for size in range(1, len(lasting) + 1))
        if not any(set(chosen) <= set(labels.items()) for labels in others)
    ]
    if exact:
        best = min((len(chosen), sorted(tier(key) for key, _ in chosen)) for chosen in exact)
        assert found.naming is Naming.PAIRS
        (selector,) = found.selectors
        labels = selector.match_labels
        assert (len(labels), sorted(tier(key) for key in labels)) == best


def _varied(pods: list[Pod]) -> set[str]:
    values: dict[tuple[str, str], set[str]] = {}
    for item in pods:
        for key, value in item.labels.items():
            values.setdefault((item.workload.name, key), set()).add(value)
    return {key for (_, key), seen in values.items() if len(seen) > 1}


@given(CROWDS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_pods_does_not_matter(
    crowd: list[tuple[str, dict[str, str]]], shuffler: random.Random
) -> None:
    pods = [pod(f"{owner.lower()}-{index}", labels, owner=owner) for index, (owner, labels) in enumerate(crowd)]
    first = Selectors(inventory(pods))
    shuffler.shuffle(pods)
    second = Selectors(inventory(pods))
    for item in pods:
        assert first.of(item.workload) == second.of(item.workload)


OPTIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 255), st.booleans()), min_size=1, max_size=7)


@given(st.integers(0, 255), OPTIONS)
def test_covers_are_as_cheap_as_brute_force_finds(universe: int, drawn: list[tuple[int, int, bool]]) -> None:
    options = [Option(rank, (str(index),), covers, positive) for index, (rank, covers, positive) in enumerate(drawn)]
    every = chain.from_iterable(combinations(options, size) for size in range(1, len(options) + 1))
    valid = [chosen for chosen in every if not universe & ~_union(chosen) and any(item.positive for item in chosen)]
    best = cheapest_cover(universe, options)
    if not valid:
        assert best is None
    else:
        assert best is not None
        assert not universe & ~_union(best)
        assert _price(best) == min(map(_price, valid))


def _union(options: tuple[Option, ...]) -> int:
    result = 0
    for option in options:
        result |= option.covers
    return result


def _price(options: tuple[Option, ...]) -> tuple[int, list[int]]:
    return len(options), sorted(option.tier for option in options)


def test_hostile_label_sets_do_not_stall_the_search() -> None:
    generator = random.Random(7)
    mine: Mapping[str, str] = {f"k{index}": "1" for index in range(60)}
    others = [
        pod(f"o-{index}", {key: "1" for key in mine if generator.random() < 0.7}, owner=f"o{index}")
        for index in range(300)
    ]
    found = selection("web", [pod("web-1", mine, owner="web"), *others])
    assert found.naming is Naming.PAIRS
    assert not any(found.selectors[0].matches(item.labels) for item in others)


def test_labels_that_the_enforcer_cannot_match_are_not_used() -> None:
    """Neither by the owner's own selector nor by one that is made."""
    labels = {"kubernetes.io/name": "web", "app": "web"}
    pods = [
        pod("web-1", labels, owner="web"),
        pod("db-1", {"kubernetes.io/name": "db", "app": "web", "role": "db"}, owner="db"),
    ]
    known = inventory(pods, [workload("web", labels, selector={"kubernetes.io/name": "web"})])
    ref = pods[0].workload
    assert str(Selectors(known).of(ref).selectors[0]) == "kubernetes.io/name=web"
    found = Selectors(known, usable=lambda key: not key.startswith("kubernetes.io/")).of(ref)
    assert [str(selector) for selector in found.selectors] == ["app=web,!role"]
