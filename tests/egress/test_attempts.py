from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.egress.attempts import MANY, Attempt, Attempts
from netpol.egress.places import Places
from netpol.egress.selection import Selection
from netpol.graph.admit import admit
from netpol.graph.reasons import Reason
from netpol.model.endpoint import UnknownEnd
from netpol.model.flow import ICMP, TCP, UDP, Direction, Outcome
from tests.egress.world import Named, candidate
from tests.egress.world import found as named
from tests.graph.world import flow, inventory, pod

if TYPE_CHECKING:
    from netpol.model.endpoint import ResolvedFlow

WEB = pod("web-1", {"app": "web"}, owner="web", address="10.0.0.1")
WEB2 = pod("web-2", {"app": "web"}, owner="web", address="10.0.0.2")
DNS = pod("coredns-1", owner="coredns", namespace="kube-system", address="10.0.0.9")
HOST = pod("agent-1", owner="agent", host_network=True, address="192.168.0.1")
CLUSTER = inventory([WEB, WEB2, DNS, HOST], nodes={"n1": "192.168.0.1"})


def attempts(*flows: ResolvedFlow) -> Attempts:
    found = Attempts(Selection().takes)
    admit(flows, CLUSTER, watch=found.watch)
    return found


def listed(found: Attempts, names: Named | None = None) -> tuple[Attempt, ...]:
    return found.listed(names or Named(), Places(CLUSTER))


def told(item: Attempt) -> tuple[str, list[str], tuple[tuple[int, int | None], ...], int]:
    return item.reason.identifier, [str(address) for address in item.addresses], item.ports, item.connections


def test_what_failed_is_listed_with_its_reason() -> None:
    found = attempts(
        flow(WEB, "198.51.100.9", 443, outcome=Outcome.UNANSWERED, at=3),
        flow(WEB2, "198.51.100.9", 443, outcome=Outcome.UNANSWERED, connections=2, at=8),
        flow(WEB, "198.51.100.8", 443, outcome=Outcome.REFUSED),
        flow(WEB, "198.51.100.7", 443),
    )
    refused, unanswered = listed(found)
    assert told(refused) == ("refused", ["198.51.100.8"], ((TCP, 443),), 1)
    assert told(unanswered) == ("unanswered", ["198.51.100.9"], ((TCP, 443),), 3)
    assert (unanswered.first_seen, unanswered.last_seen) == (3 * 10**9, 9 * 10**9)


def test_addresses_that_were_tried_alike_are_one() -> None:
    tried = [
        flow(WEB, f"198.51.100.{last}", port, outcome=Outcome.REFUSED) for last in (7, 30, 4) for port in (80, 443)
    ]
    (both,) = listed(attempts(*tried))
    assert told(both) == (
        "refused",
        ["198.51.100.4", "198.51.100.7", "198.51.100.30"],
        ((TCP, 80), (TCP, 443)),
        6,
    )


def test_a_protocol_without_ports_and_a_direction_that_nobody_knows_are_told_too() -> None:
    found = attempts(
        flow(WEB, "198.51.100.7", None, protocol=ICMP),
        flow(WEB, "2001:db8::7", None, outcome=Outcome.MIDSTREAM, direction=Direction.UNKNOWN),
        flow("8.8.8.8", WEB, None, protocol=UDP, outcome=Outcome.MIDSTREAM, direction=Direction.UNKNOWN),
    )
    assert [told(item)[:3] for item in listed(found)] == [
        ("no-ports", ["198.51.100.7"], ((ICMP, None),)),
        ("unknown-direction", ["8.8.8.8"], ((UDP, None),)),
        ("unknown-direction", ["2001:db8::7"], ((TCP, None),)),
    ]


def test_clients_outside_are_no_attempts_of_the_pod() -> None:
    assert listed(attempts(flow("203.0.113.1", WEB, 80, outcome=Outcome.REFUSED))) == ()


def test_only_those_who_were_asked_for() -> None:
    assert listed(attempts(flow(DNS, "198.51.100.7", 53, outcome=Outcome.UNANSWERED))) == ()


def test_clients_that_are_no_pods_are_counted() -> None:
    found = attempts(
        flow(HOST, "198.51.100.7", 443, connections=2),
        flow(UnknownEnd(WEB.addresses[0], "free"), "198.51.100.7", 443, connections=3),
        flow("203.0.113.1", "198.51.100.7", 443),
    )
    assert found.unattributed == 5
    assert listed(found) == ()


def test_reasons_come_in_their_order() -> None:
    found = attempts(
        flow(WEB, "198.51.100.1", 443, outcome=Outcome.UNANSWERED),
        flow(WEB, "198.51.100.2", None, protocol=ICMP),
        flow(WEB, "198.51.100.3", 443, outcome=Outcome.REFUSED),
    )
    assert [item.reason for item in listed(found)] == [Reason.NO_PORTS, Reason.REFUSED, Reason.UNANSWERED]


def test_the_names_that_led_there_are_told_and_tell_attempts_apart() -> None:
    names = Named().say("10.0.0.1", "198.51.100.1", 443, named(candidate("a.example"), sharing=["b.example"]))
    names.say("10.0.0.1", "198.51.100.2", 443, named(candidate("db.shop.svc.cluster.local")))
    tried = [flow(WEB, f"198.51.100.{last}", 443, outcome=Outcome.REFUSED) for last in (1, 2, 3)]
    assert [(item.names, len(item.addresses)) for item in listed(attempts(*tried), names)] == [
        (("a.example", "b.example"), 1),
        ((), 2),
    ]


def test_a_scan_is_not_asked_for_names() -> None:
    names = Named().say("10.0.0.1", "203.0.113.0", 443, named(candidate("a.example")))
    few = [flow(WEB, f"203.0.113.{last}", 443, outcome=Outcome.REFUSED) for last in range(MANY)]
    assert len(listed(attempts(*few), names)) == 2
    assert len(listed(attempts(*few, flow(WEB, "203.0.114.1", 443, outcome=Outcome.REFUSED)), names)) == 1


def test_connections_past_the_cluster_are_counted_apart() -> None:
    found = attempts(
        flow("203.0.113.1", "198.51.100.9", 443, connections=3),
        flow("203.0.113.1", "198.51.100.8", 443, connections=2, outcome=Outcome.REFUSED),
        flow("203.0.113.1", WEB, 443),
    )
    assert (found.elsewhere, found.unattributed, listed(found)) == (5, 0, ())
