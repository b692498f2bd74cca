"""However many strangers there are, the picture stays small and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.model.flow import Outcome
from netpol.view import gather, outside
from netpol.view.gather import OTHERS
from tests.graph.world import flow, inventory, pod
from tests.view.drawn import graph_of

if TYPE_CHECKING:
    import pytest

WEB = pod("web-1", {"app": "web"}, owner="web", ports=[80, 81, 82, 83])
CLUSTER = inventory([WEB])


def test_groups_beyond_the_most_share_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "MOST_GROUPS", 2)
    flows = [flow(f"203.0.113.{number}", WEB, 80 + number, connections=10 - number) for number in range(4)]
    graph = graph_of(flows, CLUSTER)
    ids = {node.id: node.address_count for node in graph.nodes if node.kind == "External"}
    assert ids == {"external 203.0.113.0": 1, "external 203.0.113.1": 1, OTHERS: 2}
    assert sum(edge.connections for edge in graph.edges) == 10 + 9 + 8 + 7


def test_strangers_beyond_the_most_are_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_STRANGERS", 2)
    flows = [flow(f"203.0.113.{number}", WEB, 80, outcome=Outcome.REFUSED) for number in range(5)]
    graph = graph_of(flows, CLUSTER)
    assert {edge.source: edge.connections for edge in graph.edges} == {"external 203.0.113.0 and 1 more": 2, OTHERS: 3}


def test_a_scan_of_all_ports_is_one_edge() -> None:
    flows = [flow("203.0.113.9", WEB, port, outcome=Outcome.REFUSED) for port in range(1, 2001)]
    (edge,) = graph_of(flows, CLUSTER).edges
    assert (edge.label, edge.connections) == ("TCP/1-2000", 2000)
