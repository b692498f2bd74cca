from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.dialects.kubernetes import to_yaml
from netpol.model.flow import TCP, UDP, Direction, Outcome
from netpol.model.inventory import Service, ServicePort, WorkloadRef
from netpol.model.labels import LabelSelector, is_dns_subdomain
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.policy.generate import Directions, Options
from netpol.policy.generate_names import DEFAULT_DENY, LONGEST, policy_names
from netpol.policy.generate_rules import policy_ports
from tests.graph.world import flow, inventory, node, pod, workload
from tests.policy.learning import learn

if TYPE_CHECKING:
    import random

WEB = pod("web-1", {"app": "web", "pod-template-hash": "1"}, owner="web", ports=[80])
WEB2 = pod("web-2", {"app": "web", "pod-template-hash": "2"}, owner="web", ports=[80], node="n2")
API = pod("api-1", {"app": "api"}, owner="api", ports=[8080, 9090])
DB = pod("db-0", {"app": "db", "apps.kubernetes.io/pod-index": "0"}, owner="db", kind="StatefulSet", ports=[5432])
IDLE = pod("idle-1", {"app": "idle"}, owner="idle", ports=[80])
DNS = pod("dns-1", {"k8s-app": "kube-dns"}, owner="coredns", namespace="kube-system", node="n2")
HOST = pod(
    "agent-1", {"app": "agent"}, owner="agent", kind="DaemonSet", host_network=True, address="192.168.0.2", node="n2"
)
CLUSTER = inventory([WEB, WEB2, API, DB, IDLE, DNS, HOST], nodes={"n1": "192.168.0.1", "n2": "192.168.0.2"})
LOOKUP = {"protocol": UDP, "direction": Direction.REPLY}
FLOWS = [
    flow("203.0.113.1", WEB, 80),
    flow(WEB, API, 8080),
    flow(API, DB, 5432),
    flow(WEB, DNS, 53, protocol=UDP, direction=Direction.REPLY),
]


def labelled(**labels: str) -> LabelSelector:
    return LabelSelector(match_labels={key.replace("_", "-"): value for key, value in labels.items()})


def pods(**labels: str) -> PodPeer:
    return PodPeer(pod_selector=labelled(**labels))


def blocks(rules: tuple[Rule, ...]) -> list[str]:
    return [str(peer.block) for rule in rules for peer in rule.peers if isinstance(peer, BlockPeer)]


def test_one_policy_for_each_workload_that_was_seen_and_it_says_exactly_what_was_seen() -> None:
    learned = learn(FLOWS, CLUSTER)
    assert learned.names() == ["shop/api", "shop/db", "shop/web"]
    assert learned.policy("shop/api") == NetworkPolicy(
        namespace="shop",
        name="api",
        pod_selector=labelled(app="api"),
        isolates_ingress=True,
        isolates_egress=True,
        ingress=(Rule(peers=(pods(app="web"),), ports=(PolicyPort(port=8080),)),),
        egress=(Rule(peers=(pods(app="db"),), ports=(PolicyPort(port=5432),)),),
        labels={"app.kubernetes.io/managed-by": "netpol"},
    )
    dns = PodPeer(
        pod_selector=labelled(k8s_app="kube-dns"),
        namespace_selector=LabelSelector(match_labels={"kubernetes.io/metadata.name": "kube-system"}),
    )
    assert learned.policy("shop/web").egress[1] == Rule(peers=(dns,), ports=(PolicyPort(protocol=UDP, port=53),))
    assert blocks(learned.policy("shop/web").ingress) == ["203.0.113.1/32"]
    assert learned.policy("shop/db").egress == ()
    assert learned.policy("shop/db").isolates_egress


def test_no_policy_rests_on_traffic_that_was_not_learned() -> None:
    flows = [
        flow(WEB, IDLE, 80, outcome=Outcome.REFUSED),
        flow(node("n1", "192.168.0.1"), IDLE, 80),
        flow(IDLE, API, 8080, outcome=Outcome.UNANSWERED),
    ]
    learned = learn(flows, CLUSTER)
    assert learned.names() == []
    assert ("no-policy", "idle", "") in learned.said()


def test_what_is_closed_on_silence_is_said_first_and_declared_ports_before_all() -> None:
    service = Service(
        namespace="shop", name="api", selector={"app": "api"}, ports=(ServicePort(protocol=TCP, port=81, target=9090),)
    )
    learned = learn(FLOWS, replace(CLUSTER, services=(service,)))
    assert learned.said() == [
        ("silent-port", "api", "ingress"),
        ("silent-egress", "db", "egress"),
        ("outside-clients", "web", "ingress"),
        ("no-policy", "coredns", ""),
        ("no-policy", "agent", ""),
        ("no-policy", "idle", ""),
    ]
    first = learned.generated.statements[0]
    assert (first.ports, first.others) == (((TCP, 9090),), ("shop/api",))


def test_observed_directions_leave_the_unseen_ones_open() -> None:
    learned = learn(FLOWS, CLUSTER, Options(directions=Directions.OBSERVED))
    assert learned.policy("shop/db").policy_types == ("Ingress",)
    assert learned.evaluator.verdict(DB, WEB, TCP, 80).blocked_by == "ingress"
    assert learned.evaluator.verdict(DB, ip_address("203.0.113.9"), TCP, 443).allowed
    assert not [item for item in learned.said() if item[0] == "silent-egress"]


def test_a_default_deny_closes_the_rest_of_namespaces_that_have_policies() -> None:
    learned = learn(FLOWS, CLUSTER, Options(default_deny=True))
    assert learned.names() == ["shop/api", "shop/db", "shop/default-deny", "shop/web"]
    assert learned.policy("shop/default-deny").pod_selector.is_empty
    assert not learned.evaluator.verdict(IDLE, ip_address("203.0.113.9"), TCP, 443).allowed
    assert learned.evaluator.verdict(WEB, API, TCP, 8080).allowed


def test_system_namespaces_get_policies_when_asked_for_only() -> None:
    assert "kube-system/coredns" in learn(FLOWS, CLUSTER, Options(system=True)).names()
    only = Options(namespaces=frozenset({"kube-system"}))
    assert learn(FLOWS, CLUSTER, only).names() == ["kube-system/coredns"]


def test_outside_addresses_are_merged_without_waste_and_per_family() -> None:
    addresses = [f"203.0.113.{last}" for last in range(4, 9)] + ["2001:db8::2", "2001:db8::3"]
    learned = learn([flow(WEB, address, 443) for address in addresses], CLUSTER)
    assert blocks(learned.policy("shop/web").egress) == ["203.0.113.4/30", "203.0.113.8/32", "2001:db8::2/127"]


def test_another_node_is_an_address_of_its_own_and_the_own_one_is_nothing() -> None:
    flows = [flow(WEB, HOST, 9100), flow(WEB2, HOST, 9100), flow(WEB, node("n1", "192.168.0.1"), 22)]
    learned = learn([*flows, flow(WEB, "192.168.0.3", 9100)], CLUSTER)
    assert blocks(learned.policy("shop/web").egress) == ["192.168.0.2/32", "192.168.0.3/32"]
    assert ("node-peer", "web", "egress") in learned.said()
    assert "shop/agent" not in learned.names()


def test_twins_share_one_policy_and_what_that_permits_is_said() -> None:
    one, two = pod("a-1", {"app": "x"}, owner="a"), pod("b-1", {"app": "x"}, owner="b")
    learned = learn([flow(one, API, 8080), flow(two, DB, 5432)], inventory([one, two, API, DB]))
    assert learned.names() == ["shop/a", "shop/api", "shop/db"]
    assert learned.generated.subjects["shop/a"] == (one.workload, two.workload)
    shared = [item for item in learned.generated.statements if item.topic.identifier == "shared-selector"]
    assert [item.workload for item in shared] == [one.workload, two.workload]
    assert shared[0].remedy == "Give its pod template the label app.kubernetes.io/name: a"
    assert learned.evaluator.verdict(one, DB, TCP, 5432).allowed


def test_a_twin_that_was_never_seen_is_said_to_be_isolated_too() -> None:
    one, two = pod("a-1", {"app": "x"}, owner="a"), pod("b-1", {"app": "x"}, owner="b")
    learned = learn([flow(one, API, 8080)], inventory([one, two, API]))
    (shared,) = [item for item in learned.generated.statements if item.others == ("shop/b[Deployment]",)]
    assert shared.text.endswith("and its policy is theirs too")
    assert not learned.evaluator.verdict(two, DB, TCP, 5432).allowed
    assert not [item for item in learned.said() if item[0] == "no-policy"]


def test_a_workload_of_two_label_generations_gets_a_policy_for_each_part_of_its_union() -> None:
    old, new = pod("w-1", {"old": "w"}, owner="w"), pod("w-2", {"new": "w"}, owner="w")
    learned = learn([flow(old, API, 8080), flow(API, new, 80)], inventory([old, new, API]))
    assert learned.names() == ["shop/api", "shop/w", "shop/w-2"]
    for item in (old, new):
        assert learned.evaluator.verdict(item, API, TCP, 8080).allowed
        assert learned.evaluator.verdict(API, item, TCP, 80).allowed
        assert not learned.evaluator.verdict(item, item.addresses[0] + 1, TCP, 80).allowed


def test_edges_that_rest_on_less_than_a_handshake_are_marked() -> None:
    pool = flow(API, DB, 5432, outcome=Outcome.MIDSTREAM, direction=Direction.DECLARED)
    learned = learn([pool, flow(IDLE, [WEB, WEB2], 80, service="shop/web")], CLUSTER)
    assert {("midstream", "api", "egress"), ("midstream", "db", "ingress"), ("any-backend", "idle", "egress")} <= set(
        learned.said()
    )
    assert ("midstream", "api", "egress") not in learn([pool, flow(API, DB, 5432)], CLUSTER).said()


def test_ranges_are_over_consecutive_observed_ports_only() -> None:
    ports = [(TCP, 80), (TCP, 82), (TCP, 81), (UDP, 81), (TCP, 90), (TCP, 91)]
    assert list(map(str, policy_ports(ports))) == ["TCP/80-82", "TCP/90", "TCP/91", "UDP/81"]


def ref(name: str, kind: str = "Deployment", namespace: str = "shop") -> WorkloadRef:
    return WorkloadRef(namespace=namespace, name=name, kind=kind)


def test_names_are_the_workloads_and_with_the_kind_where_two_share_it() -> None:
    names = policy_names([ref("web"), ref("db"), ref("db", "StatefulSet"), ref("db", namespace="other")])
    assert names == {
        ref("web"): "web",
        ref("db"): "db-deployment",
        ref("db", "StatefulSet"): "db-statefulset",
        ref("db", namespace="other"): "db",
    }


def test_names_that_cannot_stand_are_changed_the_same_way_every_time() -> None:
    odd = [
        ref("../../etc/passwd"),
        ref("UPPER"),
        ref("upper"),
        ref("x" * 300),
        ref(DEFAULT_DENY),
        ref(""),
        ref("\ud800.é"),
    ]
    names = policy_names(odd)
    assert names[ref("upper")] == "upper"
    assert len(set(names.values())) == len(odd)
    assert DEFAULT_DENY not in names.values()
    assert all(is_dns_subdomain(name) and len(name) <= LONGEST for name in names.values())
    assert policy_names(reversed(odd)) == names


@given(
    st.sets(st.tuples(st.sampled_from(["a", "a-job", "A", "a_b", "a.b", "-"]), st.sampled_from(["Job", "Pod", "J!"])))
)
def test_names_are_always_valid_and_unique(drawn: set[tuple[str, str]]) -> None:
    names = policy_names(ref(*item) for item in drawn)
    assert len(set(names.values())) == len(drawn)
    assert all(is_dns_subdomain(name) for name in names.values())


FLEET = [
    pod(f"{name}-{index}", {"app": name, "pod-template-hash": str(index)}, owner=name, namespace=namespace)
    for namespace, names in (("shop", "abc"), ("other", "de"))
    for name in names
    for index in range(2)
]
OUTSIDE = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "2001:db8::1"]
EVERYBODY: list[Any] = [*FLEET, *OUTSIDE]
PORTS = [(TCP, 80), (TCP, 81), (TCP, 82), (UDP, 80)]
talks = st.lists(st.tuples(*(st.integers(0, len(EVERYBODY) - 1),) * 2, st.integers(0, 3)), max_size=14)


@settings(deadline=None, max_examples=80)
@given(talks, st.sampled_from(Directions))
def test_policies_admit_exactly_what_was_learned_for_all_replicas_and_addresses(
    drawn: list[tuple[int, int, int]], directions: Directions
) -> None:
    cluster = inventory(FLEET)
    both = directions is Directions.BOTH
    flows = [flow(EVERYBODY[a], EVERYBODY[b], PORTS[c][1], protocol=PORTS[c][0]) for a, b, c in drawn]
    learned = learn(flows, cluster, Options(directions=directions))

    def who(thing: Any) -> Any:
        return thing if isinstance(thing, str) else thing.workload

    kept = [
        (EVERYBODY[a], EVERYBODY[b], PORTS[c])
        for a, b, c in drawn
        if a != b and not (isinstance(EVERYBODY[a], str) and isinstance(EVERYBODY[b], str))
    ]
    edges = {(who(a), who(b), port) for a, b, port in kept}
    clients, servers = {who(a) for a, _, _ in kept}, {who(b) for _, b, _ in kept}
    opens = (clients | servers if both else clients) - set(OUTSIDE)
    serves = (clients | servers if both else servers) - set(OUTSIDE)
    for a in EVERYBODY:
        for b in EVERYBODY:
            for port in PORTS:
                if a is b or (isinstance(a, str) and isinstance(b, str)):
                    continue
                edge = (who(a), who(b), port) in edges
                expected = (edge or who(a) not in opens) and (edge or who(b) not in serves)
                ends = [ip_address(item) if isinstance(item, str) else item for item in (a, b)]
                assert learned.evaluator.verdict(ends[0], ends[1], *port).allowed is expected


@settings(deadline=None, max_examples=30)
@given(talks, st.randoms(use_true_random=False))
def test_the_text_is_a_function_of_the_sets_of_flows_and_pods(
    drawn: list[tuple[int, int, int]], shuffler: random.Random
) -> None:
    flows = [flow(EVERYBODY[a], EVERYBODY[b], PORTS[c][1], protocol=PORTS[c][0]) for a, b, c in drawn]
    deployments = [workload(name, {"app": name}, selector={"app": name}) for name in "abc"]
    first = learn(flows, inventory(FLEET, deployments))
    fleet = list(FLEET)
    for items in (flows, fleet, deployments):
        shuffler.shuffle(items)
    second = learn(flows, inventory(fleet, deployments))
    assert to_yaml(first.generated.policies) == to_yaml(second.generated.policies)
    assert first.generated == second.generated
