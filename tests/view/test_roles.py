from __future__ import annotations

from netpol.model.flow import UDP, Direction, Outcome
from netpol.view.flow_graph import Role
from netpol.view.roles import FEWEST_FOR_A_HUB
from tests.graph.world import flow, inventory, node, pod
from tests.view.drawn import graph_of

APPS = [pod(f"app{number}-1", {"app": f"app{number}"}, owner=f"app{number}") for number in range(FEWEST_FOR_A_HUB)]
HUB = pod("hub-1", {"app": "hub"}, owner="hub", ports=[80])
DNS = pod("dns-1", {"k8s-app": "dns"}, owner="dns", namespace="kube-system")
PROMETHEUS = pod("p-0", {"app.kubernetes.io/name": "prometheus"}, owner="p", kind="StatefulSet")
CLUSTER = inventory([*APPS, HUB, DNS, PROMETHEUS], nodes={"n1": "192.0.2.1"})


def test_nodes_are_told_by_what_they_serve_who_they_are_and_how_many_they_know() -> None:
    flows = [flow(app, HUB, 80) for app in APPS]
    flows += [
        flow(HUB, DNS, 53, protocol=UDP, direction=Direction.REPLY),
        flow(PROMETHEUS, node("n2", "192.0.2.2"), 9100),
    ]
    roles = {item.name: item.roles for item in graph_of(flows, CLUSTER).nodes}
    assert roles["hub"] == (Role.HUB,)
    assert roles["dns"] == (Role.DNS, Role.SYSTEM)
    assert roles["p"] == (Role.METRICS,)
    assert roles["app0"] == roles["n2"] == ()


def test_who_scans_is_marked() -> None:
    flows = [flow(APPS[0], HUB, port, at=port, outcome=Outcome.REFUSED) for port in range(1000, 1010)]
    flows.append(flow(APPS[0], HUB, 80, at=2000))
    graph = graph_of(flows, CLUSTER)
    assert {edge.reason for edge in graph.edges} == {"refused", "scan"}
    assert {item.name: item.roles for item in graph.nodes}["app0"] == (Role.SCANNER,)
