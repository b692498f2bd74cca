from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.graph.admit import DYNAMIC_PORTS, Admission, admit
from netpol.graph.reasons import Reason
from netpol.model.endpoint import AmbiguousEnd, PodEnd, ServiceEnd, UnknownEnd
from netpol.model.flow import ICMP, TCP, UDP, Direction, Outcome
from tests.graph.world import end, flow, inventory, node, pod

if TYPE_CHECKING:
    import random

WEB = pod("web-1", {"app": "web"}, owner="web")
WEB2 = pod("web-2", {"app": "web"}, owner="web", node="n2")
API = pod("api-1", {"app": "api"}, owner="api", ports=[8080, 40000], node="n2")
API2 = pod("api-2", {"app": "api"}, owner="api", ports=[8080, 40000])
CANARY = pod("canary-1", {"app": "api", "track": "canary"}, owner="canary", ports=[8080])
HOST = pod(
    "proxy-1", {"app": "proxy"}, owner="proxy", kind="DaemonSet", host_network=True, address="192.168.0.2", node="n2"
)
CLUSTER = inventory([WEB, WEB2, API, API2, CANARY, HOST], nodes={"n1": "192.168.0.1", "n2": "192.168.0.2"})
SOMEBODY = AmbiguousEnd(WEB.addresses[0])
NOBODY = UnknownEnd(WEB.addresses[0], "free")

CASES: list[tuple[Any, Reason | None]] = [
    (flow(WEB, API, 8080), None),
    (flow(WEB, API, 8080, direction=Direction.SYNACK), None),
    (flow(WEB, "203.0.113.1", 443), None),
    (flow("203.0.113.1", WEB, 80), None),
    (flow("2001:db8::1", WEB, 80), None),
    (flow(WEB, API, 53, protocol=UDP, direction=Direction.REPLY), None),
    (flow(WEB, node("n2", "192.168.0.2"), 9100), None),
    (flow(node("n2", "192.168.0.2"), WEB, 80), None),
    (flow(WEB, HOST, 9100), None),
    (flow(WEB, WEB2, 80), None),
    (flow(WEB, "169.254.169.254", 80), None),
    (flow(WEB, API, 8080, outcome=Outcome.MIDSTREAM, direction=Direction.DECLARED), None),
    (flow(WEB, API, 8080, outcome=Outcome.MIDSTREAM, direction=Direction.CONFIRMED), None),
    (flow(WEB, API, 50051), None),
    (flow(WEB, API, None, protocol=ICMP, direction=Direction.REPLY), Reason.NO_PORTS),
    (flow(WEB, API, 0), Reason.NO_PORTS),
    (flow(WEB, "224.0.0.251", 5353, protocol=UDP), Reason.LOCAL_ADDRESS),
    (flow(WEB, "255.255.255.255", 67, protocol=UDP), Reason.LOCAL_ADDRESS),
    (flow(WEB, "fe80::1", 80), Reason.LOCAL_ADDRESS),
    (flow(WEB, "::ffff:203.0.113.1", 80), Reason.LOCAL_ADDRESS),
    (flow("127.0.0.1", WEB, 80), Reason.LOCAL_ADDRESS),
    (flow("203.0.113.1", "203.0.113.2", 80), Reason.BOTH_OUTSIDE),
    (flow(WEB, WEB, 80), Reason.SELF),
    (flow(node("n1", "192.168.0.1"), WEB, 80), Reason.OWN_NODE),
    (flow(API, HOST, 80, outcome=Outcome.REFUSED), Reason.OWN_NODE),
    (flow(node("n1", "192.168.0.1"), node("n2", "192.168.0.2"), 80), Reason.NO_SUBJECT),
    (flow(HOST, "203.0.113.1", 443), Reason.NO_SUBJECT),
    (flow(WEB, API, 8080, outcome=Outcome.REFUSED), Reason.REFUSED),
    (flow(WEB, API, 8080, outcome=Outcome.UNANSWERED), Reason.UNANSWERED),
    (flow(WEB, API, 8125, protocol=UDP, outcome=Outcome.UNANSWERED), Reason.UNANSWERED),
    (flow(WEB, API, None, outcome=Outcome.MIDSTREAM, direction=Direction.UNKNOWN), Reason.UNKNOWN_DIRECTION),
    (flow(WEB, API, 8080, outcome=Outcome.MIDSTREAM, direction=Direction.FANIN), Reason.WEAK_DIRECTION),
    (flow(WEB, API, 8080, outcome=Outcome.MIDSTREAM, direction=Direction.PORT), Reason.WEAK_DIRECTION),
    (flow(WEB, API, 53, protocol=UDP, direction=Direction.PORT), Reason.WEAK_DIRECTION),
    (
        flow(WEB, API, 8080, outcome=Outcome.MIDSTREAM, direction=Direction.DECLARED, two_way=False),
        Reason.MIDSTREAM_ONE_WAY,
    ),
    (flow(WEB, SOMEBODY), Reason.AMBIGUOUS_END),
    (flow(SOMEBODY, API), Reason.AMBIGUOUS_END),
    (flow(WEB, NOBODY), Reason.UNKNOWN_END),
    (flow(WEB, ServiceEnd("shop", "api")), Reason.UNMAPPED_SERVICE),
    (flow(WEB, API, 41000, protocol=UDP, direction=Direction.REPLY), Reason.EPHEMERAL_PORT),
    (flow(WEB, API, 40000, protocol=TCP, direction=Direction.REPLY), None),
]


@pytest.mark.parametrize(("item", "reason"), CASES)
def test_each_flow_has_its_reason(item: Any, reason: Reason | None) -> None:
    admission = admit([item], CLUSTER)
    assert admission.left_out_connections() == ({reason: 1} if reason else {})
    assert admission.learned == (0 if reason else 1)


def test_a_host_network_pod_is_its_node() -> None:
    (observation,) = admit([flow(WEB, HOST, 9100)], CLUSTER).observations
    assert observation.destination == node("n2", "192.168.0.2")


def test_without_a_selector_there_is_nothing_to_write() -> None:
    admission = admit([flow(WEB, API)], CLUSTER, selectable=lambda workload: workload.name != "api")
    assert admission.left_out_connections() == {Reason.UNLABELLED: 1}


def test_any_pod_behind_a_service_may_have_answered_and_the_connection_counts_once() -> None:
    admission = admit([flow(WEB, [API, API2, CANARY], 8080, service="shop/api", connections=3)], CLUSTER)
    assert admission.learned == admission.total == 3
    assert {str(end.destination) for end in admission.observations} == {
        "shop/api[Deployment]",
        "shop/canary[Deployment]",
    }
    assert all(item.evidence.shared == 3 for item in admission.observations)
    assert admission.spread == {"shop/api": (API.workload, CANARY.workload)}


def test_a_pod_that_may_have_met_itself_behind_its_service_needs_a_rule_for_the_others_only() -> None:
    admission = admit([flow(API, [API, API2], 8080, service="shop/api")], CLUSTER)
    assert [item.destination for item in admission.observations] == [PodEnd(API2)]


def test_ports_chosen_anew_each_time_are_not_learned_and_declared_ones_are() -> None:
    passive = [flow(WEB, API, 50000 + index) for index in range(DYNAMIC_PORTS + 1)]
    admission = admit([*passive, flow(WEB, API, 40000), flow(WEB, API, 21)], CLUSTER)
    assert admission.left_out_connections() == {Reason.EPHEMERAL_PORT: DYNAMIC_PORTS + 1}
    assert [item.port for item in admission.observations] == [21, 40000]


def test_a_few_ports_that_met_one_connection_each_are_not_learned_and_those_that_met_more_are() -> None:
    """Three downloads over passive FTP, by two clients, and a gRPC server that declares nothing."""
    passive = [flow(WEB, API, 50000), flow(WEB, API, 50010), flow(CANARY, API, 50020)]
    lasting = [flow(WEB, API, 50051, connections=2), flow(WEB, API, 21), flow(WEB, CANARY, 50000)]
    admission = admit([*passive, *lasting], CLUSTER)
    assert admission.left_out_connections() == {Reason.EPHEMERAL_PORT: 3}
    assert sorted(item.port for item in admission.observations) == [21, 50000, 50051]
    assert admit(passive[:2], CLUSTER).learned == 2


def scan_of(source: Any, target: Any, *, at: float, closed: int = 30, open_ports: tuple[int, ...] = ()) -> list[Any]:
    attempts = [
        flow(source, target, 9000 + index, outcome=Outcome.REFUSED, at=at + index / 100) for index in range(closed)
    ]
    return attempts + [flow(source, target, port, at=at + 0.1, two_way=False) for port in open_ports]


def test_a_connect_scan_is_quarantined_with_the_open_ports_it_finds_and_older_edges_stay() -> None:
    flows = [flow(WEB, "203.0.113.1", 443, at=0), *scan_of(WEB, API, at=100, open_ports=(8080, 22))]
    admission = admit(flows, CLUSTER)
    assert [item.port for item in admission.observations] == [443]
    assert admission.left_out_connections() == {Reason.REFUSED: 30, Reason.SCAN: 2}
    assert admission.scanners == (("shop/web-1", 100 * 10**9),)


def test_an_edge_that_the_scanner_had_before_stays_whatever_replica_answers() -> None:
    flows = [flow(WEB, API, 8080, at=0), *scan_of(WEB, API, at=100), flow(WEB, API2, 8080, at=200)]
    admission = admit(flows, CLUSTER)
    assert admission.learned == 2
    assert not admission.scanners


def test_reaching_a_workload_through_its_service_is_the_same_contact_as_reaching_its_pod() -> None:
    before = flow(WEB, [API, API2], 8080, at=0, service="shop/api")
    admission = admit([before, *scan_of(WEB, "203.0.113.1", at=100), flow(WEB, API2, 8080, at=200)], CLUSTER)
    assert admission.learned == 2


def test_a_clean_replica_vouches_for_what_a_scanning_one_showed() -> None:
    flows = [*scan_of(WEB, API, at=100, open_ports=(8080, 22)), flow(WEB2, API, 8080, at=300)]
    (observation,) = admit(flows, CLUSTER).observations
    assert observation.source == PodEnd(WEB2)
    assert observation.port == 8080


def test_a_scan_from_outside_is_quarantined_by_address() -> None:
    flows = [*scan_of("198.51.100.9", WEB, at=1, open_ports=(80,)), flow("203.0.113.5", WEB, 80)]
    (observation,) = admit(flows, CLUSTER).observations
    assert observation.source == end("203.0.113.5")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([item for item, _ in CASES]), max_size=40), st.randoms(use_true_random=False))
def test_every_connection_is_counted_once_in_any_order(flows: list[Any], shuffler: random.Random) -> None:
    flows = [replace(item, flow=replace(item.flow, connections=index + 1)) for index, item in enumerate(flows)]
    admission = admit(flows, CLUSTER)
    total = sum(item.flow.connections for item in flows)
    assert admission.total == total == admission.learned + sum(admission.left_out_connections().values())
    shuffled = list(flows)
    shuffler.shuffle(shuffled)
    assert rendered(admit(shuffled, CLUSTER)) == rendered(admission)


def test_a_watcher_is_told_of_every_flow_once() -> None:
    flows = [item for item, _ in CASES] + [*scan_of(WEB, API, at=100, open_ports=(8080, 22))]
    heard: list[tuple[Any, Any]] = []
    admission = admit(flows, CLUSTER, watch=lambda *told: heard.append(told))
    assert sorted(id(item) for item, _ in heard) == sorted(map(id, flows))
    reasons = Counter[Reason]()
    for item, decision in heard:
        reasons.update({decision: item.flow.connections} if isinstance(decision, Reason) else {})
    assert reasons == admission.left_out_connections()


def rendered(admission: Admission) -> str:
    return repr(admission)
