from __future__ import annotations

from netpol.model.selector_text import parse_selector
from netpol.view.flow_graph import FlowGraph, State
from netpol.view.narrow import Wanted, narrowed
from tests.graph.world import flow, inventory, pod
from tests.view.drawn import graph_of

WEB = pod("web-1", {"app": "web"}, owner="web")
API = pod("api-1", {"app": "api"}, owner="api")
DB = pod("db-1", {"app": "db"}, owner="db", namespace="data")
CACHE = pod("cache-1", {"app": "cache"}, owner="cache", namespace="data")
GRAPH = graph_of(
    [flow(WEB, API, 80, connections=5), flow(API, DB, 5432), flow(CACHE, DB, 5432), flow(CACHE, "203.0.113.1", 443)],
    inventory([WEB, API, DB, CACHE]),
)


def pairs(graph: FlowGraph) -> set[tuple[str, str]]:
    def short(name: str) -> str:
        return name.partition("/")[2].partition("[")[0] or name

    assert {node.id for node in graph.nodes} == {end for edge in graph.edges for end in (edge.source, edge.destination)}
    return {(short(edge.source), short(edge.destination)) for edge in graph.edges}


def test_edges_are_kept_where_either_end_is_wanted() -> None:
    assert pairs(narrowed(GRAPH, Wanted(namespaces=frozenset({"shop"})))) == {("web", "api"), ("api", "db")}
    assert pairs(narrowed(GRAPH, Wanted(selector=parse_selector("app=db")))) == {("api", "db"), ("cache", "db")}
    both = Wanted(namespaces=frozenset({"shop"}), selector=parse_selector("app in (web,db)"))
    assert pairs(narrowed(GRAPH, both)) == {("web", "api")}


def test_a_selector_without_a_demand_is_about_workloads_alone() -> None:
    assert ("cache", "external 203.0.113.1") in pairs(narrowed(GRAPH, Wanted(selector=parse_selector("!none"))))
    assert pairs(narrowed(GRAPH, Wanted(selector=parse_selector("app=none")))) == set()


def test_states_and_connections() -> None:
    assert pairs(narrowed(GRAPH, Wanted(connections=2))) == {("web", "api")}
    assert pairs(narrowed(GRAPH, Wanted(states=frozenset({State.DENIED})))) == set()
    assert narrowed(GRAPH, Wanted(states=frozenset({State.USED}))) is GRAPH
    assert narrowed(GRAPH, Wanted(connections=9)).connections == GRAPH.connections
