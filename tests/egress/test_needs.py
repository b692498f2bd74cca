from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from netpol.egress.needs import OLDER, Needs, needs_of
from netpol.egress.selection import Selection, workloads_with
from netpol.graph.admit import admit
from netpol.model.flow import SCTP, TCP, UDP, Direction, Outcome
from netpol.model.inventory import EndpointAddress, Service
from netpol.model.outside import Grade
from netpol.model.selector_text import parse_selector
from tests.egress.world import Named, candidate, found
from tests.graph.world import flow, inventory, node, pod, workload

if TYPE_CHECKING:
    import random

    from netpol.model.endpoint import ResolvedFlow

WEB = pod("web-1", {"app": "web"}, owner="web", address="10.0.0.1")
WEB2 = pod("web-2", {"app": "web"}, owner="web", address="10.0.0.2")
API = pod("api-1", {"app": "api"}, owner="api", address="10.0.0.3")
DNS = pod("coredns-1", {"k8s-app": "kube-dns"}, owner="coredns", namespace="kube-system", address="10.0.0.9")
HOST = pod("agent-1", owner="agent", kind="DaemonSet", host_network=True, address="192.168.0.1")
KUBERNETES = Service(
    namespace="default",
    name="kubernetes",
    selector=None,
    addresses=(ip_address("10.96.0.1"),),
    endpoints=(EndpointAddress(address=ip_address("203.0.113.10"), ports=((TCP, "https", 6443),)),),
)
CLUSTER = inventory([WEB, WEB2, API, DNS, HOST], nodes={"n1": "192.168.0.1"}, services=(KUBERNETES,))

WEBS = frozenset({WEB.workload})

PARTNER, OTHER = "198.51.100.20", "198.51.100.21"


EVERYONE = Selection()


def needs(flows: list[ResolvedFlow], names: Named | None = None, selection: Selection = EVERYONE) -> Needs:
    return needs_of(admit(flows, CLUSTER).observations, names or Named(), CLUSTER, selection=selection)


def rows(answer: Needs) -> list[tuple[str, str | None, int, Grade, list[str], int]]:
    return [
        (
            item.workload.name,
            item.name,
            item.port,
            item.grade,
            [str(address) for address in item.addresses],
            item.connections,
        )
        for item in answer.needs
    ]


def test_a_name_where_there_is_one_and_an_address_where_there_is_none() -> None:
    names = Named().say("10.0.0.1", PARTNER, 443, found(candidate("api.partner.example", 2)))
    answer = needs([flow(WEB, PARTNER, 443, connections=2), flow(WEB, OTHER, 443), flow(API, PARTNER, 443)], names)
    assert rows(answer) == [
        ("api", None, 443, Grade.NONE, [PARTNER], 1),
        ("web", "api.partner.example", 443, Grade.STRONG, [PARTNER], 2),
        ("web", None, 443, Grade.NONE, [OTHER], 1),
    ]


def test_the_figures_are_those_of_the_flows() -> None:
    (need,) = needs([flow(WEB, PARTNER, 443, connections=3, at=5), flow(WEB2, PARTNER, 443, at=9)]).needs
    assert (need.connections, need.bytes) == (4, 4000)
    assert (need.first_seen, need.last_seen) == (5 * 10**9, 10 * 10**9)


def test_all_addresses_of_a_name_are_one_need_and_each_port_another() -> None:
    names = Named()
    for address, port in ((PARTNER, 443), (OTHER, 443), (PARTNER, 8443)):
        names.say("10.0.0.1", address, port, found(candidate("api.partner.example", 1)))
    answer = needs([flow(WEB, OTHER, 443), flow(WEB, PARTNER, 443), flow(WEB, PARTNER, 8443)], names)
    assert [(item.port, [str(address) for address in item.addresses]) for item in answer.needs] == [
        (443, [PARTNER, OTHER]),
        (8443, [PARTNER]),
    ]


def test_replicas_add_up_and_one_lends_its_name_to_another() -> None:
    names = Named().say("10.0.0.1", PARTNER, 443, found(candidate("api.partner.example", 1)))
    answer = needs([flow(WEB, PARTNER, 443), flow(WEB2, PARTNER, 443, connections=2)], names)
    assert rows(answer) == [("web", "api.partner.example", 443, Grade.STRONG, [PARTNER], 3)]


def test_replicas_that_mean_different_names_at_one_address_keep_them() -> None:
    names = Named().say("10.0.0.1", PARTNER, 443, found(candidate("a.example")))
    names.say("10.0.0.2", PARTNER, 443, found(candidate("b.example")))
    answer = needs([flow(WEB, PARTNER, 443), flow(WEB2, PARTNER, 443, connections=2)], names)
    assert [(item.name, item.grade, item.connections, item.sharing) for item in answer.needs] == [
        ("a.example", Grade.MEDIUM, 1, ("b.example",)),
        ("b.example", Grade.MEDIUM, 2, ("a.example",)),
    ]


def test_names_beside_are_told_but_are_no_needs() -> None:
    names = Named().say(
        "10.0.0.1", PARTNER, 443, found(candidate("a.example", 1), sharing=["b.example"], remarks=["why"])
    )
    (need,) = needs([flow(WEB, PARTNER, 443)], names).needs
    assert (need.name, need.sharing, need.remarks) == ("a.example", ("b.example",), ("why",))


def test_the_best_evidence_for_a_name_grades_it() -> None:
    names = Named().say("10.0.0.1", PARTNER, 443, found(candidate("a.example", 1)))
    names.say("10.0.0.1", OTHER, 443, found(candidate("a.example"), candidate("b.example")))
    answer = needs([flow(WEB, PARTNER, 443), flow(WEB, OTHER, 443)], names)
    assert [(item.name, item.grade) for item in answer.needs] == [
        ("a.example", Grade.STRONG),
        ("b.example", Grade.AMBIGUOUS),
    ]


def test_every_protocol_with_ports_counts_and_no_other() -> None:
    answer = needs(
        [
            flow(WEB, PARTNER, 123, protocol=UDP, direction=Direction.REPLY),
            flow(WEB, PARTNER, 3868, protocol=SCTP),
            flow(WEB, PARTNER, None, protocol=1),
        ]
    )
    assert [(item.protocol, item.port) for item in answer.needs] == [(UDP, 123), (SCTP, 3868)]


def test_peers_in_the_cluster_clients_outside_and_hosts_are_no_needs() -> None:
    answer = needs([flow(WEB, API, 80), flow(PARTNER, WEB, 80), flow(HOST, PARTNER, 443)])
    assert answer == Needs()


def test_what_did_not_work_is_no_need() -> None:
    assert needs([flow(WEB, PARTNER, 443, outcome=Outcome.UNANSWERED)]).needs == ()


def test_names_that_the_cluster_makes_are_told_as_such() -> None:
    names = Named().say(
        "10.0.0.1", PARTNER, 5432, found(candidate("db.shop.svc.cluster.local"), candidate("db.kube-system.svc.corp"))
    )
    (need,) = needs([flow(WEB, PARTNER, 5432, service="")], names).needs
    assert need.name is None
    assert need.remarks == (
        "the cluster's own name db.kube-system.svc.corp leads there",
        "the cluster's own name db.shop.svc.cluster.local leads there",
    )


def test_a_name_that_only_looks_like_one_of_the_cluster_is_one_of_the_world() -> None:
    names = Named().say("10.0.0.1", PARTNER, 443, found(candidate("a.elsewhere.svc.evil.example", 1)))
    assert [item.name for item in needs([flow(WEB, PARTNER, 443)], names).needs] == ["a.elsewhere.svc.evil.example"]


def test_connections_that_are_older_than_the_capture_are_marked_where_there_are_no_others() -> None:
    old = flow(WEB, PARTNER, 443, outcome=Outcome.MIDSTREAM, direction=Direction.CONFIRMED)
    assert needs([old]).needs[0].remarks == (OLDER,)
    assert needs([old, flow(WEB2, PARTNER, 443)]).needs[0].remarks == ()


def test_an_endpoint_outside_is_reached_through_its_service() -> None:
    observations = admit([flow(WEB, PARTNER, 5432, service="shop/db")], CLUSTER).observations
    (need,) = needs_of(observations, Named(), CLUSTER).needs
    assert need.remarks == ("reached through the Service shop/db",)


def test_the_platform_is_labelled_and_no_need() -> None:
    answer = needs(
        [
            flow(WEB, "169.254.169.254", 80, connections=2),
            flow(WEB2, "169.254.169.254", 80),
            flow(WEB, "169.254.20.10", 53, protocol=UDP, direction=Direction.REPLY),
            flow(WEB, "203.0.113.10", 6443),
            flow(WEB, node("n2", "192.168.0.2"), 10250),
            flow(WEB, node("n2", "192.168.0.2"), 9100),
        ]
    )
    assert answer.needs == ()
    assert [(str(item.platform), item.port, item.connections) for item in answer.platform] == [
        ("API server", 6443, 1),
        ("cloud metadata (AWS, Azure, Google Cloud and others)", 80, 3),
        ("kubelet (n2)", 10250, 1),
        ("node (n2)", 9100, 1),
        ("node-local DNS", 53, 1),
    ]


def test_metadata_asked_for_by_name_is_metadata_wherever_the_name_led() -> None:
    names = Named().say("10.0.0.1", PARTNER, 80, found(candidate("metadata.google.internal", 1)))
    answer = needs([flow(WEB, PARTNER, 80)], names)
    assert answer.needs == ()
    assert [str(item.platform) for item in answer.platform] == ["cloud metadata (Google Cloud)"]


def test_what_the_service_of_the_api_server_leads_to_is_one() -> None:
    answer = needs([flow(WEB, "203.0.113.11", 6443, service="default/kubernetes")])
    assert answer.needs == ()
    assert [str(item.platform) for item in answer.platform] == ["API server"]


def test_an_api_server_outside_is_one_on_its_port_only() -> None:
    answer = needs([flow(WEB, "203.0.113.10", 443)])
    assert [item.port for item in answer.needs] == [443]
    assert answer.platform == ()


def test_selections_take_what_they_say() -> None:
    flows = [flow(item, PARTNER, 443) for item in (WEB, API, DNS)]

    def whose(selection: Selection) -> list[str]:
        return [item.workload.name for item in needs(flows, None, selection).needs]

    assert whose(Selection()) == ["api", "web"]
    assert whose(Selection(system=True)) == ["coredns", "api", "web"]
    assert whose(Selection(namespaces=frozenset({"kube-system"}))) == ["coredns"]
    assert whose(Selection(workloads=WEBS)) == ["web"]
    assert whose(Selection(namespaces=frozenset({"kube-system"}), workloads=WEBS)) == []


def test_a_selector_takes_workloads_of_which_a_pod_or_the_template_has_the_labels() -> None:
    template = workload("job", {"app": "job"}, kind="CronJob")
    cluster = inventory([WEB, API, pod("bare")], [template])
    assert [str(ref) for ref in workloads_with(parse_selector("app=web"), cluster)] == ["shop/web[Deployment]"]
    assert [str(ref) for ref in workloads_with(parse_selector("app=job"), cluster)] == ["shop/job[CronJob]"]
    assert len(workloads_with(parse_selector("app"), cluster)) == 3


def test_system_workloads_that_are_left_out_are_told_unless_others_were_asked_for() -> None:
    flows = [flow(DNS, PARTNER, 53)]
    assert [str(ref) for ref in needs(flows).passed_over] == ["kube-system/coredns[Deployment]"]
    assert needs(flows, None, Selection(namespaces=frozenset({"shop"}))).passed_over == ()
    assert needs(flows, None, Selection(workloads=WEBS)).passed_over == ()


FLOWS: list[Any] = [
    flow(source, address, port)
    for source in (WEB, WEB2, API)
    for address in (PARTNER, OTHER, "2001:db8::1", "169.254.169.254")
    for port in (80, 443)
]


@given(st.lists(st.sampled_from(FLOWS), max_size=20), st.randoms(use_true_random=False))
def test_no_connection_is_lost_and_order_does_not_matter(chosen: list[Any], shuffler: random.Random) -> None:
    flows = [replace(item, flow=replace(item.flow, connections=index + 1)) for index, item in enumerate(chosen)]
    names = Named()
    for address in (PARTNER, OTHER):
        names.say("10.0.0.1", address, 443, found(candidate("a.example", 2), candidate("b.example", 1)))
        names.say("10.0.0.3", address, 80, found(candidate("c.example")))
    answer = needs(flows, names)
    shuffled = list(flows)
    shuffler.shuffle(shuffled)
    assert needs(shuffled, names) == answer
    total = sum(item.flow.connections for item in flows)
    counted = sum(item.connections for item in answer.needs) + sum(item.connections for item in answer.platform)
    # A name that was called has one connection at least: of one connection with several names, each has it.
    assert total <= counted <= total + len(flows)
    size = sum(item.bytes for item in answer.needs) + sum(item.bytes for item in answer.platform)
    assert size == sum(item.flow.bytes for item in flows)
    assert list(answer.needs) == sorted(
        answer.needs, key=lambda item: (item.workload, item.name is None, item.name or "")
    )


def zone(size: int) -> list[str]:
    return [f"n{index:05}.zone.example" for index in range(size)]


def test_more_names_than_anybody_reads_are_one_need_for_the_address() -> None:
    many = found(*(candidate(name, grade=Grade.AMBIGUOUS) for name in zone(50)))
    names = Named().say("10.0.0.1", PARTNER, 443, replace(many, more=9950))
    (need,) = needs([flow(WEB, PARTNER, 443, connections=3)], names).needs
    assert (need.name, need.grade, need.connections, need.sharing) == (None, Grade.NONE, 3, ())
    assert need.remarks == ("10,000 names lead there, too many to tell which was meant",)


def test_a_name_among_very_many_lists_few_of_them_and_says_how_many_there_are() -> None:
    listed = zone(50)
    names = Named().say("10.0.0.1", PARTNER, 443, replace(found(candidate("a.example", 1), sharing=listed), more=9950))
    (need,) = needs([flow(WEB, PARTNER, 443)], names).needs
    assert (need.name, need.sharing) == ("a.example", tuple(listed))
    assert need.remarks == ("10,001 names lead to one of its addresses: 50 of the others are listed",)


def test_connections_beyond_the_handshakes_are_not_for_each_of_very_many_names() -> None:
    names = Named().say("10.0.0.1", PARTNER, 443, replace(found(candidate("a.example", 1), sharing=zone(50)), more=1))
    answer = needs([flow(WEB, PARTNER, 443, connections=3)], names)
    assert rows(answer) == [
        ("web", "a.example", 443, Grade.STRONG, [PARTNER], 3),
        ("web", None, 443, Grade.NONE, [PARTNER], 2),
    ]


def test_what_is_listed_grows_with_the_names_and_not_with_their_square() -> None:
    every = found(*(candidate(name, 1) for name in zone(2000)))
    answer = needs([flow(WEB, PARTNER, 443, connections=2000)], Named().say("10.0.0.1", PARTNER, 443, every))
    assert len(answer.needs) == 2000
    assert sum(len(need.sharing) for need in answer.needs) == 2000 * 50
