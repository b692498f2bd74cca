from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from netpol.graph.admit import admit
from netpol.graph.beyond import Beyond, OwnNode, Ping, beyond
from netpol.model.endpoint import ExternalEnd, PodEnd, ResolvedFlow, UnknownEnd
from netpol.model.flow import ICMP, TCP, UDP, Direction, Outcome
from tests.graph.world import flow, inventory, node, pod

WEB = pod("web", {"app": "web"}, address="10.0.0.1", node="n1")
DB = pod("db", {"app": "db"}, address="10.0.0.2", node="n2")
N1, N2 = node("n1", "172.16.0.1"), node("n2", "172.16.0.2")
OUTSIDE = "192.0.2.9"


def found(*flows: ResolvedFlow) -> tuple[Beyond, ...]:
    known = inventory([WEB, DB], nodes={"n1": "172.16.0.1", "n2": "172.16.0.2"})
    return beyond(flows, admit(flows, known))


def ping(source: object, destination: object, **more: object) -> ResolvedFlow:
    return flow(source, destination, None, protocol=ICMP, direction=Direction.REPLY, **more)  # type: ignore[arg-type]


def test_a_ping_that_was_answered() -> None:
    (seen,) = found(ping(WEB, DB), ping(WEB, DB, at=9))
    assert seen == Ping(source=PodEnd(WEB), destination=PodEnd(DB), protocol=ICMP)
    (seen,) = found(ping(OUTSIDE, DB))
    assert seen == Ping(source=ExternalEnd(ip_address(OUTSIDE)), destination=PodEnd(DB), protocol=ICMP)
    assert found(ping(N1, DB)) == (Ping(source=N1, destination=PodEnd(DB), protocol=ICMP),)


def test_what_did_not_work_or_needs_no_rule() -> None:
    assert found(ping(WEB, DB, outcome=Outcome.UNANSWERED)) == ()
    assert found(ping(WEB, WEB), ping(N2, DB), ping(N1, N2), ping(OUTSIDE, N1)) == ()
    unknown = flow(WEB, DB, None, protocol=ICMP, direction=Direction.UNKNOWN)
    assert found(unknown) == ()
    assert found(ping(WEB, UnknownEnd(ip_address("10.0.0.77"), "nobody"))) == ()
    assert found(flow(WEB, DB, 80), flow(WEB, N2, 9100), flow(N1, WEB, 80)) == ()


def test_what_a_pod_opens_to_its_own_node() -> None:
    own = OwnNode(pod=WEB.workload, protocol=TCP, port=9100)
    assert found(flow(WEB, N1, 9100)) == (own,)
    assert found(flow(WEB, N1, 8125, protocol=UDP, direction=Direction.REPLY)) == (
        OwnNode(pod=WEB.workload, protocol=UDP, port=8125),
    )
    assert found(ping(WEB, N1)) == (OwnNode(pod=WEB.workload, protocol=ICMP, port=None),)
    host = replace(pod("exporter", {"app": "x"}, address="172.16.0.1", node="n1"), host_network=True)
    assert found(flow(WEB, host, 9100)) == (own,)


def test_no_rule_for_the_kubelet_a_passing_port_or_what_failed() -> None:
    assert found(flow(WEB, N1, 10250), flow(WEB, N1, 10255)) == ()
    assert found(flow(WEB, N1, 40000, protocol=UDP, direction=Direction.REPLY)) == ()
    assert found(flow(WEB, N1, 9100, outcome=Outcome.REFUSED)) == ()
    assert found(flow(WEB, N1, 9100, outcome=Outcome.MIDSTREAM, direction=Direction.DECLARED, two_way=False)) == ()


def test_a_source_that_scans_gets_nothing() -> None:
    many = [pod(f"p{number}", {"app": "x"}, address=f"10.0.1.{number}") for number in range(1, 40)]
    scan = [flow(WEB, other, 23, outcome=Outcome.REFUSED, at=number) for number, other in enumerate(many)]
    known = inventory([WEB, DB, *many])
    flows = [*scan, flow(WEB, DB, 80, at=99), ping(WEB, DB, at=99)]
    admission = admit(flows, known)
    assert admission.scanners
    assert beyond(flows, admission) == ()


def test_workloads_that_no_selector_names_are_left_out() -> None:
    flows = [ping(WEB, DB)]
    admission = admit(flows, inventory([WEB, DB]))
    assert beyond(flows, admission, selectable=lambda workload: workload != DB.workload) == ()
