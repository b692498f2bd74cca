from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.model.cidr import IPBlock
from netpol.model.flow import TCP, UDP
from netpol.model.inventory import ContainerPort
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.policy.connectivity import Connectivity
from netpol.policy.connectivity_figures import Figures, figures
from netpol.policy.evaluate import Evaluator
from netpol.policy.tightness import Tightness, meeting_ports, tightness
from tests.graph.world import flow, inventory, pod
from tests.policy.learning import learn

if TYPE_CHECKING:
    from netpol.model.inventory import Pod

WEBS = [pod(f"web-{index}", {"app": "web"}, owner="web", ports=[80]) for index in range(3)]
APIS = [pod(f"api-{index}", {"app": "api"}, owner="api", ports=[8080, 9090]) for index in range(2)]
HOST = pod("agent-1", {}, owner="agent", host_network=True, ports=[1])


def counts(found: Tightness) -> tuple[int, int, int]:
    return found.before[""].pod_pair_ports, found.after[""].pod_pair_ports, found.observed


def test_figures_by_hand() -> None:
    learned = learn([flow(WEBS[0], APIS[0], 8080), flow(WEBS[0], WEBS[1], 81)], inventory([*WEBS, *APIS, HOST]))
    found = tightness(learned.graph, inventory([*WEBS, *APIS, HOST]), learned.generated.policies)
    # web is met on 80 and 81: 3 pods * 4 others * 2; api on 8080 and 9090: 2 * 4 * 2.
    # Seen: 3 web to 2 api on one port, 3 web to 2 other web on one port.
    assert counts(found) == (24 + 16, 6 + 6, 6 + 6)
    assert found.ratio == 1
    # Each web reaches 2 api and 2 other web; api reaches nobody. Before, everyone reached the 4 others.
    assert (found.before[""].mean, found.before[""].worst) == (Fraction(4), 4)
    assert (found.after[""].mean, found.after[""].worst) == (Fraction(12, 5), 4)


def test_a_policy_for_half_of_the_pods_leaves_the_other_half_open() -> None:
    web, api, idle = WEBS[0], APIS[0], pod("idle-1", {"app": "idle"}, owner="idle", ports=[7])
    cluster = inventory([web, api, idle])
    learned = learn([flow(web, api, 8080)], cluster)
    found = tightness(learned.graph, cluster, learned.generated.policies, existing=learned.generated.policies[:0])
    # Nobody but web may open api, idle has no policy, but no one that has one may open it.
    assert counts(found) == (2 + 4 + 2, 1, 1)


def test_what_policies_of_others_deny_is_not_counted_as_used() -> None:
    cluster = inventory([*WEBS, *APIS])
    learned = learn([flow(WEBS[0], APIS[0], 8080), flow(WEBS[0], APIS[0], 9090), flow(WEBS[0], WEBS[1], 80)], cluster)
    one = NetworkPolicy(
        namespace=APIS[0].namespace,
        name="api",
        pod_selector=LabelSelector(match_labels={"app": "api"}),
        isolates_ingress=True,
        ingress=(Rule(ports=(PolicyPort(port=9090),)),),
    )
    # Everybody may meet the three web at 80 and both api at 9090 alone, where the three web were seen.
    found = tightness(learned.graph, cluster, [one])
    assert counts(found)[1:] == (3 * 4 + 2 * 4, 3 * 2 + 3 * 2)
    nobody = [
        replace(one, ingress=()),
        replace(one, name="web", pod_selector=LabelSelector(match_labels={"app": "web"}), ingress=()),
    ]
    assert counts(tightness(learned.graph, cluster, nobody))[1:] == (0, 0)


def test_nothing_allowed_has_no_ratio() -> None:
    nothing = {"": Figures(pods=0, pod_pair_ports=0, reached=0, worst=0)}
    assert Tightness(before=nothing, after=nothing, observed=0).ratio is None


labels = st.fixed_dictionaries({}, optional={"a": st.sampled_from("12"), "b": st.sampled_from("12")})
selectors = labels.map(lambda found: LabelSelector(match_labels=found))
blocks = st.sampled_from(["10.0.0.0/30", "10.0.0.4/30", "10.0.0.0/8", "10.0.0.5/32"]).map(IPBlock.parse)
peers = st.one_of(
    st.builds(PodPeer, pod_selector=selectors),
    st.builds(PodPeer, namespace_selector=st.just(LabelSelector(match_labels={"kubernetes.io/metadata.name": "two"}))),
    st.builds(BlockPeer, blocks),
)
ports = st.sampled_from(
    [PolicyPort(port=80), PolicyPort(port="http"), PolicyPort(port=80, end_port=90), PolicyPort(protocol=UDP)]
)
rules = st.builds(Rule, peers=st.lists(peers, max_size=2).map(tuple), ports=st.lists(ports, max_size=2).map(tuple))
policies = st.builds(
    NetworkPolicy,
    namespace=st.sampled_from(["one", "two"]),
    name=st.just("p"),
    pod_selector=selectors,
    isolates_ingress=st.booleans(),
    isolates_egress=st.booleans(),
    ingress=st.lists(rules, max_size=2).map(tuple),
    egress=st.lists(rules, max_size=2).map(tuple),
)
crowds = st.lists(st.tuples(st.sampled_from(["one", "two"]), labels, st.booleans()), min_size=1, max_size=7)


def crowd_of(drawn: list[tuple[str, dict[str, str], bool]]) -> list[Pod]:
    names = {True: "http", False: "other"}
    return [
        pod(
            f"p{index}",
            found,
            namespace=namespace,
            address=f"10.0.0.{index}",
            ports=(),
        )
        if index % 3 == 2
        else _with_ports(pod(f"p{index}", found, namespace=namespace, address=f"10.0.0.{index}"), names[named])
        for index, (namespace, found, named) in enumerate(drawn)
    ]


def _with_ports(item: Pod, name: str) -> Pod:
    declared = (ContainerPort(protocol=TCP, port=80, name=name), ContainerPort(protocol=UDP, port=53))
    return replace(item, ports=declared)


@settings(deadline=None, max_examples=120)
@given(crowds, st.lists(policies, max_size=3))
def test_counting_by_classes_agrees_with_asking_for_every_pair(
    drawn: list[tuple[str, dict[str, str], bool]], found: list[NetworkPolicy]
) -> None:
    cluster = inventory(crowd_of(drawn))
    graph = learn([], cluster).graph
    where = meeting_ports(graph, cluster)
    evaluator = Evaluator(found, cluster)
    expected = sum(
        evaluator.verdict(source, destination, *port).allowed
        for source in cluster.pods
        for destination in cluster.pods
        for port in where[destination.workload]
        if source is not destination
    )
    assert figures(Connectivity.of(found, cluster), where)[""].pod_pair_ports == expected
