from __future__ import annotations

import pytest

from netpol.view.drawing import LONGEST_PORTS, LOOKS, lines_of, short_ports
from netpol.view.flow_graph import State
from tests.graph.world import flow, inventory, pod
from tests.view.drawn import graph_of

WEB, API = pod("web-1", {"app": "web"}, owner="web"), pod("api-1", {"app": "api"}, owner="api")


def test_edges_that_look_alike_are_one_line() -> None:
    flows = [flow(WEB, API, 80), flow(WEB, API, 81, connections=2), flow(WEB, API, 53, protocol=17)]
    graph = graph_of(flows, inventory([WEB, API]))
    (line,) = lines_of(graph.edges)
    assert (line.ports, line.connections, line.words) == ("TCP/80-81 UDP/53", 4, "")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("TCP/80", "TCP/80"),
        ("TCP/1,3,5,7,9,11,13,15", "TCP/1,3,5,7,9,11,13,15"),
        ("TCP/1,3,5,7,9,11,13,15,17", "TCP/1,3,5,7 and 5 more"),
        ("TCP/1111-2222 UDP/3333-4444", "TCP/1111-2222 and 1 more"),
    ],
)
def test_many_ports_are_cut_short(text: str, short: str) -> None:
    assert short_ports(text) == short
    assert len(short) <= LONGEST_PORTS + 3


def test_every_state_has_a_look_of_its_own() -> None:
    assert set(LOOKS) == set(State)
    assert len({look.colour for look in LOOKS.values()}) == len(State)
