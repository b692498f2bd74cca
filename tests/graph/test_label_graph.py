from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.graph.admit import admit
from netpol.graph.label_graph import KEPT_NAMES, LabelGraph, OutsideGroup, Replicas
from netpol.model.flow import Direction, Outcome
from tests.graph.world import flow, inventory, node, pod

if TYPE_CHECKING:
    import random

WEBS = [
    pod(f"web-{index:02}", {"app": "web", "pod-template-hash": str(index % 2)}, owner="web", node=f"n{index % 3}")
    for index in range(30)
]
API = pod("api-1", {"app": "api"}, owner="api", node="n9")
CLUSTER = inventory([*WEBS, API])


def graph(flows: list[Any]) -> LabelGraph:
    return LabelGraph.of(admit(flows, CLUSTER), CLUSTER)


def test_replicas_are_one_vertex_and_their_evidence_adds_up() -> None:
    flows = [flow(web, API, 8080, at=index, connections=2, two_way=index > 0) for index, web in enumerate(WEBS)]
    midstream = flow(
        WEBS[0], API, 8080, at=99, outcome=Outcome.MIDSTREAM, direction=Direction.DECLARED, service="shop/api"
    )
    (edge,) = graph([*flows, midstream]).edges()
    evidence = edge.evidence
    assert (edge.source, edge.destination, edge.protocol, edge.port) == (WEBS[0].workload, API.workload, 6, 8080)
    assert (evidence.connections, evidence.packets, evidence.bytes) == (61, 610, 61_000)
    assert (evidence.first_seen, evidence.last_seen) == (0, 100 * 10**9)
    assert evidence.directions == ((Direction.SYN, 60), (Direction.DECLARED, 1))
    assert (evidence.midstream, evidence.silent, evidence.services) == (1, 2, ("shop/api",))
    assert edge.source_pods == Replicas(tuple(web.name for web in WEBS[:KEPT_NAMES]), 30)
    assert edge.destination_pods == Replicas(("api-1",), 1)
    assert edge.nodes == ("n0", "n1", "n2", "n9")


def test_vertices_say_what_they_are() -> None:
    built = graph([flow(WEBS[0], API, 8080), flow(WEBS[1], API, 8080), flow(API, node("n1", "192.168.0.1"), 10250)])
    web = built.graph.nodes[WEBS[0].workload]
    assert (web["kind"], web["namespace"], web["name"], web["labels"]) == ("Deployment", "shop", "web", {"app": "web"})
    assert web["pods"].count == 2
    assert built.graph.nodes[node("n1", "192.168.0.1")]["kind"] == "Node"
    assert built.graph.edges[WEBS[0].workload, API.workload, (6, 8080)]["edge"].port == 8080
    assert built.workloads() == (API.workload, WEBS[0].workload)


def test_outside_addresses_with_the_same_edges_are_one_vertex() -> None:
    flows = [flow("203.0.113.1", WEBS[0], 80), flow("203.0.113.2", WEBS[1], 80), flow("2001:db8::1", WEBS[2], 80)]
    flows += [flow("203.0.113.3", WEBS[0], 80), flow("203.0.113.3", WEBS[0], 443)]
    groups = {vertex for vertex in graph(flows).graph if isinstance(vertex, OutsideGroup)}
    together = OutsideGroup(tuple(map(ip_address, ("203.0.113.1", "203.0.113.2", "2001:db8::1"))))
    assert groups == {together, OutsideGroup((ip_address("203.0.113.3"),))}


ENDS: list[Any] = [*WEBS[:4], API, "203.0.113.1", "203.0.113.2"]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(range(7)), st.sampled_from(range(7)), st.sampled_from([80, 443])), max_size=25),
    st.randoms(use_true_random=False),
)
def test_the_graph_is_a_function_of_the_set_of_flows(
    drawn: list[tuple[int, int, int]], shuffler: random.Random
) -> None:
    flows = [flow(ENDS[source], ENDS[destination], port, at=source) for source, destination, port in drawn]
    first = graph(flows)
    shuffler.shuffle(flows)
    second = graph(flows)
    assert list(first.graph.nodes(data=True)) == list(second.graph.nodes(data=True))
    assert list(first.edges()) == list(second.edges())
    assert len(first) == len(list(first.edges()))
    for vertex in first.graph:
        assert all(edge.source == vertex for edge in first.outgoing(vertex))
        assert all(edge.destination == vertex for edge in first.incoming(vertex))
