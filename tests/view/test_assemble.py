"""Which state every edge gets, on small worlds whose answers are worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.graph.admit import admit
from netpol.model.cidr import IPBlock
from netpol.model.endpoint import AmbiguousEnd, ServiceEnd, UnknownEnd
from netpol.model.flow import ICMP, UDP, Direction, Outcome
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.policy.verdict import Ruling
from netpol.view import assemble as module
from netpol.view.as_json import json_pieces
from netpol.view.flow_graph import RuleRef, State
from tests.graph.world import flow, inventory, node, pod
from tests.view.drawn import graph_of, only, states

if TYPE_CHECKING:
    import random

    import pytest

    from netpol.model.flow import Flow

WEB = pod("web-1", {"app": "web"}, owner="web")
WEB2 = pod("web-2", {"app": "web"}, owner="web", node="n2")
API = pod("api-1", {"app": "api"}, owner="api", node="n2", ports=[8080])
DB = pod("db-1", {"app": "db"}, owner="db", kind="StatefulSet", namespace="data", node="n2")
DNS = pod("dns-1", {"k8s-app": "kube-dns"}, owner="coredns", namespace="kube-system", node="n2")
CLUSTER = inventory([WEB, WEB2, API, DB, DNS], nodes={"n1": "192.0.2.1", "n2": "192.0.2.2"})
WEB_ID, API_ID, DB_ID = "shop/web[Deployment]", "shop/api[Deployment]", "data/db[StatefulSet]"


def app(name: str) -> LabelSelector:
    return LabelSelector(match_labels={"app": name})


def policy(name: str, subject: str, *, ingress: Any = None, egress: Any = None) -> NetworkPolicy:
    return NetworkPolicy(
        namespace="shop",
        name=name,
        pod_selector=app(subject),
        isolates_ingress=ingress is not None,
        isolates_egress=egress is not None,
        ingress=tuple(ingress or ()),
        egress=tuple(egress or ()),
    )


def to(*names: str, ports: tuple[int, ...] = (), block: str = "") -> Rule:
    peers: list[Any] = [PodPeer(pod_selector=app(name)) for name in names]
    peers += [BlockPeer(IPBlock.parse(block))] if block else []
    return Rule(peers=tuple(peers), ports=tuple(PolicyPort(port=port) for port in ports))


def test_what_the_flows_teach_is_allowed_and_used() -> None:
    flows = [flow(WEB, API, 8080, at=1), flow(WEB2, API, 8080, at=3, connections=2), flow("203.0.113.1", WEB, 80)]
    graph = graph_of(flows, CLUSTER)
    assert graph.judged_by == "learned"
    assert states(graph) == {
        (WEB_ID, API_ID, "TCP/8080", "allowed-used", ""),
        ("external 203.0.113.1", WEB_ID, "TCP/80", "allowed-used", ""),
    }
    edge = only(graph, WEB_ID, API_ID, "TCP/8080")
    assert edge.sighting is not None
    assert edge.connections == 3
    assert edge.sighting.source_pods.names == ("web-1", "web-2")
    assert edge.sighting.nodes == ("n1", "n2")
    assert edge.admitted_by == (
        RuleRef(policy="shop/api", way="ingress", rule=0),
        RuleRef(policy="shop/web", way="egress", rule=0),
    )
    assert graph.unseen == (DB_ID, "kube-system/coredns[Deployment]")


def test_what_the_named_policies_deny_is_denied_whether_or_not_it_worked() -> None:
    policies = [policy("api", "api", ingress=[to("web", ports=(8080,))])]
    flows = [
        flow(WEB, API, 8080),
        flow(WEB, API, 9090),
        flow(DB, API, 8080, outcome=Outcome.UNANSWERED),
        flow(WEB, API, 81, outcome=Outcome.REFUSED),
        flow(WEB, API, 82, outcome=Outcome.REFUSED),
        flow(WEB, DB, 81, outcome=Outcome.REFUSED),
    ]
    graph = graph_of(flows, CLUSTER, policies)
    assert states(graph) == {
        (WEB_ID, API_ID, "TCP/8080", "allowed-used", ""),
        (WEB_ID, API_ID, "TCP/9090", "denied", ""),
        (DB_ID, API_ID, "TCP/8080", "denied", "unanswered"),
        (WEB_ID, API_ID, "TCP/81-82", "denied", "refused"),
        (WEB_ID, DB_ID, "TCP/81", "quarantined", "refused"),
    }
    edge = only(graph, WEB_ID, API_ID, "TCP/9090")
    assert (edge.ruling, edge.blocked_by, edge.blocking) == (Ruling.DENIED, "ingress", ("shop/api",))


def test_a_rule_that_nobody_used_is_an_edge_and_one_that_was_used_in_part_says_so() -> None:
    rules = [to("api", ports=(8080, 9090)), to(block="198.51.100.0/24", ports=(443,))]
    policies = [policy("web", "web", ingress=[], egress=rules)]
    graph = graph_of([flow(WEB, API, 8080), flow(WEB, "198.51.100.7", 443)], CLUSTER, policies)
    assert states(graph) == {
        (WEB_ID, API_ID, "TCP/8080", "allowed-used", ""),
        (WEB_ID, API_ID, "TCP/9090", "allowed-unused", "partly-used"),
        (WEB_ID, "external 198.51.100.7", "TCP/443", "allowed-used", ""),
        (WEB_ID, "external 198.51.100.0/24", "TCP/443", "allowed-unused", "partly-used"),
    }
    assert only(graph, WEB_ID, API_ID, "TCP/9090").admitted_by == (RuleRef(policy="shop/web", way="egress", rule=0),)
    assert only(graph, WEB_ID, "external 198.51.100.0/24", "TCP/443").admitted_by == (
        RuleRef(policy="shop/web", way="egress", rule=1),
    )


def test_addresses_that_were_all_used_leave_nothing_unused() -> None:
    policies = [policy("web", "web", ingress=[], egress=[to(block="198.51.100.6/31", ports=(443,))])]
    flows = [flow(WEB, "198.51.100.6", 443), flow(WEB2, "198.51.100.7", 443)]
    assert {edge.state for edge in graph_of(flows, CLUSTER, policies).edges} == {State.USED}
    assert {edge.state for edge in graph_of(flows[:1], CLUSTER, policies).edges} == {State.USED, State.UNUSED}


def test_a_block_that_is_a_nodes_address_is_the_node() -> None:
    policies = [policy("web", "web", ingress=[], egress=[to(block="192.0.2.2/32", ports=(9100,))])]
    graph = graph_of([], CLUSTER, policies)
    assert states(graph) == {(WEB_ID, "node/n2", "TCP/9100", "allowed-unused", "")}
    (found,) = (item for item in graph.nodes if item.id == "node/n2")
    assert (found.kind, found.addresses) == ("Node", ("192.0.2.2",))


def test_between_ends_that_no_policy_restricts_there_is_nothing_unused() -> None:
    assert graph_of([], CLUSTER, []).edges == ()


def test_what_the_policies_before_did_not_allow_is_new_seen_or_not() -> None:
    old = [policy("web", "web", ingress=[], egress=[to("api", ports=(8080,))])]
    new = [policy("web", "web", ingress=[], egress=[to("api", ports=(8080, 9090, 9091))])]
    graph = graph_of([flow(WEB, API, 9090)], CLUSTER, new, old)
    assert graph.compared
    assert states(graph) == {
        (WEB_ID, API_ID, "TCP/9090", "new", ""),
        (WEB_ID, API_ID, "TCP/9091", "new", "partly-used"),
        (WEB_ID, API_ID, "TCP/8080", "allowed-unused", "partly-used"),
    }
    assert only(graph, WEB_ID, API_ID, "TCP/9090").sighting
    assert only(graph, WEB_ID, API_ID, "TCP/9091").sighting is None
    assert "new" not in {edge.state.value for edge in graph_of([flow(WEB, API, 9090)], CLUSTER, new).edges}


def test_what_was_left_out_says_why() -> None:
    somebody, nobody = AmbiguousEnd(WEB.addresses[0]), UnknownEnd(WEB.addresses[0], "free")
    flows = [
        flow(WEB, API, 8081, outcome=Outcome.REFUSED),
        flow(WEB, API, 8082, outcome=Outcome.UNANSWERED, protocol=UDP),
        flow(API, WEB, None, direction=Direction.UNKNOWN),
        flow(WEB, API, None, direction=Direction.UNKNOWN),
        flow(somebody, API, 8080),
        flow(WEB, nobody, 8080),
        flow(WEB, ServiceEnd("shop", "gone"), 80),
        flow(WEB, API, None, protocol=ICMP),
        flow(node("n1", "192.0.2.1"), WEB, 80),
        flow("203.0.113.1", "203.0.113.2", 80),
    ]
    graph = graph_of(flows, CLUSTER)
    assert states(graph) == {
        (WEB_ID, API_ID, "TCP/8081", "quarantined", "refused"),
        (WEB_ID, API_ID, "UDP/8082", "quarantined", "unanswered"),
        (API_ID, WEB_ID, "TCP", "quarantined", "unknown-direction"),
        ("ambiguous", API_ID, "TCP/8080", "quarantined", "ambiguous-end"),
        (WEB_ID, "unknown", "TCP/8080", "quarantined", "unknown-end"),
        (WEB_ID, "service/shop/gone", "TCP/80", "quarantined", "unmapped-service"),
        (WEB_ID, API_ID, "ICMP", "not-for-policies", "no-ports"),
        ("node/n1", WEB_ID, "TCP/80", "not-for-policies", "own-node"),
    }
    undirected = only(graph, API_ID, WEB_ID, "TCP")
    assert (undirected.directed, undirected.connections) == (False, 2)
    assert graph.left_out["both-outside"] == 1
    assert {item.id: item.kind for item in graph.nodes if not item.id.endswith("]")} == {
        "ambiguous": "Ambiguous",
        "unknown": "Unknown",
        "service/shop/gone": "Service",
        "node/n1": "Node",
    }


def test_replicas_that_the_policies_treat_differently_make_the_edge_denied() -> None:
    block = f"{WEB.addresses[0]}/32"
    policies = [policy("api", "api", ingress=[to(block=block, ports=(8080,))])]
    graph = graph_of([flow(WEB, API, 8080), flow(WEB2, API, 8080)], CLUSTER, policies)
    edge = only(graph, WEB_ID, API_ID, "TCP/8080")
    assert (edge.state, edge.blocking) == (State.DENIED, ("shop/api",))


def test_addresses_outside_share_a_node_only_where_the_policies_treat_them_alike() -> None:
    policies = [policy("web", "web", ingress=[to(block="203.0.113.0/31", ports=(80,))])]
    flows = [flow(f"203.0.113.{number}", WEB, 80) for number in range(4)]
    graph = graph_of(flows, CLUSTER, policies)
    assert states(graph) == {
        ("external 203.0.113.0 and 1 more", WEB_ID, "TCP/80", "allowed-used", ""),
        ("external 203.0.113.2 and 1 more", WEB_ID, "TCP/80", "denied", ""),
    }


def test_a_service_that_several_workloads_serve_is_a_node_of_its_own_when_it_failed() -> None:
    graph = graph_of([flow(WEB, [API, DB], 80, outcome=Outcome.REFUSED, service="shop/both")], CLUSTER)
    assert states(graph) == {(WEB_ID, "service/shop/both", "TCP/80", "quarantined", "refused")}


def test_there_is_a_most_of_unused_edges_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_UNUSED", 1)
    graph = graph_of([], CLUSTER, [policy("web", "web", ingress=[], egress=[to("api"), to(block="198.51.100.0/24")])])
    assert (len(graph.edges), graph.unused_dropped) == (1, 1)


KINDS = st.sampled_from(
    [
        flow(WEB, API, 8080),
        flow(WEB2, API, 8080),
        flow(WEB, API, 8080, outcome=Outcome.MIDSTREAM, direction=Direction.DECLARED),
        flow(WEB, API, 81, outcome=Outcome.REFUSED),
        flow(WEB, DB, 5432),
        flow(API, DB, None, direction=Direction.UNKNOWN),
        flow(WEB, DNS, 53, protocol=UDP, direction=Direction.REPLY),
        flow("203.0.113.1", WEB, 80),
        flow("203.0.113.2", WEB, 80),
        flow("203.0.113.2", WEB, 81, outcome=Outcome.UNANSWERED),
        flow(WEB, node("n2", "192.0.2.2"), 9100),
        flow(WEB, [API, DB], 80, service="shop/both"),
        flow(WEB, UnknownEnd(DB.addresses[0], "free"), 80),
    ]
)


@settings(deadline=None, max_examples=40)
@given(st.lists(KINDS, max_size=30), st.booleans(), st.randoms(use_true_random=False))
def test_every_connection_is_on_one_edge_and_order_does_not_matter(
    flows: list[Any],
    given_policies: bool,  # noqa: FBT001 - hypothesis passes it
    shuffler: random.Random,
) -> None:
    flows = [replace(item, flow=_numbered(item.flow, number)) for number, item in enumerate(flows)]
    policies = [policy("api", "api", ingress=[to("web", ports=(8080,))])] if given_policies else None
    graph = graph_of(flows, CLUSTER, policies)
    # A connection to one of two counts for each, as either may have answered.
    shared = sum(item.flow.connections for item in flows if item.service)
    assert sum(edge.connections for edge in graph.edges) == graph.connections + shared
    assert graph.connections == admit(flows, CLUSTER).total
    shuffled = list(flows)
    shuffler.shuffle(shuffled)
    assert "".join(json_pieces(graph_of(shuffled, CLUSTER, policies))) == "".join(json_pieces(graph))


def _numbered(row: Flow, number: int) -> Flow:
    time = number * 10**9
    return replace(row, connections=number + 1, first_seen=time, last_seen=time)
