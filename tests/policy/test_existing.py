"""Learned policies laid against existing ones: by hand, and point by point by the judge of single connections."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.graph.admit import admit
from netpol.graph.label_graph import LabelGraph
from netpol.graph.selectors import Selectors
from netpol.model.cidr import AddressSet, IPBlock
from netpol.model.flow import SCTP, TCP, UDP, Direction, Outcome
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule
from netpol.model.ports import PortMap, PortSet
from netpol.policy import existing_beyond
from netpol.policy.classes_pods import present_pods
from netpol.policy.evaluate import Evaluator
from netpol.policy.existing import Comparison, Existing, compare
from netpol.policy.existing_beyond import area_text
from netpol.policy.existing_open import Books, Sets, allowed_unseen
from netpol.policy.existing_rules import RuleBook, RuleKey
from netpol.policy.existing_silence import sort_out
from netpol.policy.existing_watch import Contact, Watch
from netpol.policy.generate import MANAGED_BY, Generated, Options, generate
from netpol.policy.generate_statements import Topic
from netpol.policy.merge import Merged, merge
from tests.graph.world import flow, inventory, pod
from tests.policy.clusters import OUTSIDE, PORTS, clusters, policies, read
from tests.policy.clusters import inventory as read_inventory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.inventory import Inventory

WEB = pod("web-1", {"app": "web"}, owner="web", ports=[80])
API = pod("api-1", {"app": "api"}, owner="api", ports=[8080, 9090])
DB = pod("db-1", {"app": "db"}, owner="db", ports=[5432])
CLUSTER = inventory([WEB, API, DB])


def select(name: str) -> LabelSelector:
    return LabelSelector(match_labels={"app": name})


def allow(*names: str, port: int | None = None) -> Rule:
    return Rule(
        peers=tuple(PodPeer(pod_selector=select(name)) for name in names),
        ports=() if port is None else (PolicyPort(port=port),),
    )


def hand(name: str, subject: str, *ingress: Rule, **more: Any) -> NetworkPolicy:
    return NetworkPolicy(namespace="shop", name=name, pod_selector=select(subject), ingress=ingress, **more)


def lay(
    flows: Sequence[ResolvedFlow], existing: Sequence[NetworkPolicy], cluster: Inventory = CLUSTER, **options: Any
) -> tuple[Comparison, Merged, Generated]:
    today = Existing.of(existing)
    watch = Watch(Evaluator(today.everything, cluster))
    selectors = Selectors(cluster)
    admission = admit(watch.through(flows), cluster, selectable=selectors.selectable)
    graph = LabelGraph.of(admission, cluster)
    generated = generate(graph, cluster, selectors, Options(foreign=today.foreign, **options))
    merged = merge(generated.policies, today.managed, cluster)
    return compare(today, merged, watch, cluster), merged, generated


def ports(*numbers: int) -> PortMap:
    return PortMap(tcp=PortSet.of(*numbers))


def test_what_works_and_is_denied_today_is_told_with_the_outlook() -> None:
    found, _, _ = lay([flow(WEB, API, 8080), flow(WEB, DB, 5432)], [hand("api", "api"), hand("db", "db", allow("web"))])
    (denied,) = found.denied
    assert (denied.key.source, denied.key.destination, denied.key.way) == (
        str(WEB.workload),
        str(API.workload),
        "ingress",
    )
    assert denied.key.policies == ("shop/api",)
    assert denied.ports == denied.opened == ((TCP, 8080),)
    assert denied.denied_after == ()


def test_what_stays_denied_names_who_denies_it() -> None:
    wanted = LabelSelector(match_labels={"app": "web"})
    found, _, _ = lay([flow(WEB, API, 8080)], [hand("closed", "api")], selector=wanted)
    (denied,) = found.denied
    assert denied.opened == ()
    assert denied.denied_after == ("shop/closed",)


def test_attempts_are_told_apart_and_a_scan_does_not_fill_the_report() -> None:
    scan = [flow(WEB, API, port, outcome=Outcome.UNANSWERED) for port in range(1, 100)]
    for flows in (scan, scan[::-1]):
        found, _, _ = lay(flows, [hand("closed", "api")])
        (denied,) = found.denied
        assert not denied.key.worked
        assert denied.connections == 99
        assert denied.ports == tuple((TCP, port) for port in range(1, 9))
        assert denied.more_ports


def test_what_is_allowed_on_purpose_and_was_not_seen_names_the_rules() -> None:
    found, _, _ = lay([flow(WEB, API, 8080)], [hand("api", "api", allow("web", "db"))])
    from_db, from_web = found.unseen
    assert (from_db.source, from_web.source) == (str(DB.workload), str(WEB.workload))
    assert from_db.ports == PortMap.ALL
    assert from_db.declared == ports(8080, 9090)
    assert from_web.ports == PortMap.ALL - ports(8080)
    assert from_db.rules == (RuleKey("shop/api", "ingress", 0),)
    # web's own learned policy closes what it was not seen to do; db has none, and api's cannot.
    assert from_web.closed == from_web.ports
    assert from_web.kept_open == PortMap.EMPTY
    assert from_db.kept_open == from_db.ports
    (keeping,) = found.keeps_open
    assert (keeping.policy, keeping.rules) == ("shop/api", (RuleKey("shop/api", "ingress", 0),))
    assert keeping.connections == (from_db,)


def test_pairs_that_nothing_isolates_are_nobodys_intention() -> None:
    found, _, _ = lay([flow(WEB, API, 8080)], [])
    assert found == Comparison(denied=(), unseen=(), uses=(), keeps_open=(), redundant=())


def test_an_address_of_a_range_uses_the_range_on_that_port() -> None:
    outside = Rule(
        peers=(BlockPeer(IPBlock.parse("192.0.2.0/24")),), ports=(PolicyPort(port=443), PolicyPort(port=444))
    )
    leaves = NetworkPolicy(
        namespace="shop",
        name="leaves",
        pod_selector=select("web"),
        isolates_ingress=False,
        isolates_egress=True,
        egress=(outside,),
    )
    found, _, _ = lay([flow(WEB, "192.0.2.7", 443)], [leaves])
    (unseen,) = found.unseen
    assert unseen.destination == "192.0.2.0/24"
    assert unseen.ports == ports(444)


def test_of_many_ranges_the_first_are_spelled_out() -> None:
    area = AddressSet.of(*(f"192.0.2.{number}/32" for number in (1, 3, 5, 7, 9, 11)), "10.0.0.1")
    assert area_text(area) == "10.0.0.1/32, 192.0.2.1/32, 192.0.2.3/32, 192.0.2.5/32 and 3 more ranges"


def test_the_use_of_each_rule_and_of_its_parts() -> None:
    rules = (allow("web", "db", port=8080), allow("web", port=9090), allow("db", port=7))
    found, _, _ = lay(
        [flow(WEB, API, 8080), flow(WEB, API, 9090, outcome=Outcome.REFUSED)], [hand("api", "api", *rules)]
    )
    first, second, third = found.uses
    assert (first.connections, first.attempts, first.unused_peers, first.unused_ports) == (1, 0, (1,), ())
    assert (second.connections, second.attempts) == (0, 1)
    assert (third.connections, third.attempts) == (0, 0)
    assert found.never_used == (third,)


def test_datagrams_that_nobody_answers_are_a_use() -> None:
    logs = Rule(peers=(PodPeer(pod_selector=select("api")),), ports=(PolicyPort(protocol=UDP, port=514),))
    sent = flow(API, DB, 514, protocol=UDP, outcome=Outcome.UNANSWERED, direction=Direction.DECLARED)
    found, _, _ = lay([sent], [hand("db", "db", logs)])
    assert [use.connections for use in found.uses] == [1]
    assert not found.unseen


def test_policies_that_learned_ones_make_superfluous() -> None:
    existing = [hand("api", "api", allow("web", port=8080)), hand("wide", "api", allow("db", port=8080))]
    found, _, _ = lay([flow(WEB, API, 8080)], existing)
    assert [str(policy) for policy in found.redundant] == ["shop/api"]


def test_a_name_that_is_taken_is_not_used_and_an_existing_default_deny_is_enough() -> None:
    existing = [hand("api", "web", allow("db")), hand("none", "x"), hand("default-deny", "db")]
    _, merged, generated = lay([flow(WEB, API, 8080)], existing, default_deny=True)
    names = sorted(policy.name for policy in merged.policies)
    assert "api" not in names
    assert "default-deny" not in names
    assert sorted(generated.renamed.values()) == ["shop/api", "shop/default-deny"]
    assert set(generated.renamed) <= {str(policy) for policy in merged.policies}
    closes = NetworkPolicy(namespace="shop", name="shut", isolates_egress=True)
    _, merged, _ = lay([flow(WEB, API, 8080)], [closes], default_deny=True)
    assert sorted(policy.name for policy in merged.policies) == ["api", "web"]


def test_what_is_not_closed_in_the_end_is_not_said_to_be() -> None:
    existing = [hand("api", "api", allow("db", port=9090))]
    _, merged, generated = lay([flow(WEB, API, 8080)], existing)
    assert any(item.topic is Topic.SILENT_PORT and item.ports == ((TCP, 9090),) for item in generated.statements)
    true, untrue = sort_out(generated.statements, [*existing, *merged.policies], CLUSTER)
    assert [(item.topic, item.ports) for item in untrue] == [(Topic.SILENT_PORT, ((TCP, 9090),))]
    assert len(true) + len(untrue) == len(generated.statements)
    true, untrue = sort_out(generated.statements, merged.policies, CLUSTER)
    assert (true, untrue) == (generated.statements, ())


def test_silence_in_one_direction_is_broken_by_what_is_kept() -> None:
    dns = NetworkPolicy(
        namespace="shop",
        name="api",
        pod_selector=select("api"),
        isolates_egress=True,
        ingress=(allow("web", port=8080),),
        egress=(allow("db", port=53),),
        labels=MANAGED_BY,
    )
    _, merged, generated = lay([flow(WEB, API, 8080)], [dns])
    _, untrue = sort_out(generated.statements, merged.policies, CLUSTER)
    assert [(item.topic, item.workload.name) for item in untrue] == [(Topic.SILENT_EGRESS, "api")]


@settings(max_examples=40, deadline=None)
@given(clusters(), policies(), policies(), st.data())
def test_what_is_open_is_what_the_judge_allows(
    cluster: Any, manifests: list[Any], others: list[Any], data: st.DataObject
) -> None:
    here = read_inventory(cluster)
    today = read(manifests)
    result = read([{**item, "metadata": {**item["metadata"], "name": f"q{at}"}} for at, item in enumerate(others)])
    pods = [item for item in present_pods(here) if not item.host_network]
    used = data.draw(st.lists(st.tuples(st.sampled_from(pods), st.sampled_from(pods)), max_size=3)) if pods else []
    contacts = [Contact(one, other, TCP, 80, used=1) for one, other in used]
    books = Books(today=RuleBook(today, here), foreign=RuleBook(today, here), result=RuleBook(result, here))
    sets = Sets(today=today, after=(*today, *result), result=result)
    with patch.object(existing_beyond, "SHOWN", 1000):
        found = {(row.source, row.destination): row for row in allowed_unseen(sets, books, contacts, here)}
    judges = [Evaluator(some, here) for some in (today, (*today, *result), result)]
    seen = {(one.uid, other.uid) for one, other in used}
    ends = [*pods, *map(ip_address, OUTSIDE)]
    for source in ends:
        for destination in ends:
            for protocol in (TCP, UDP, SCTP):
                for port in PORTS:
                    check_point(judges, (source, destination, protocol, port), found, seen)


def check_point(judges: list[Evaluator], point: Any, found: Any, seen: set[tuple[str, str]]) -> None:
    source, destination, protocol, port = point
    if source is destination or not (hasattr(source, "uid") or hasattr(destination, "uid")):
        return
    verdicts = [judge.verdict(*point) for judge in judges]
    if any(verdict.reason for verdict in verdicts):
        return
    on_purpose = verdicts[0].egress.isolated or verdicts[0].ingress.isolated
    used = (
        (protocol, port) == (TCP, 80)
        and hasattr(source, "uid")
        and hasattr(destination, "uid")
        and (source.uid, destination.uid) in seen
    )
    row = find(found, source, destination)
    listed = row is not None and (protocol, port) in row.ports
    assert listed == (verdicts[0].allowed and on_purpose and not used)
    if listed:
        pods = hasattr(source, "uid") and hasattr(destination, "uid")
        # Of a range, what stays open or is kept open with any of its addresses counts.
        stays, kept = verdicts[1].allowed, verdicts[1].allowed and not verdicts[2].allowed
        assert (
            ((protocol, port) in row.closed) == (not stays) if pods else (protocol, port) not in row.closed or not stays
        )
        assert ((protocol, port) in row.kept_open) == kept if pods else not kept or (protocol, port) in row.kept_open
        rules = {str(key) for key in row.rules}
        for side in (verdicts[0].egress, verdicts[0].ingress):
            if side.match is not None:
                assert f"{side.match.policy}: spec.{side.way}[{side.match.rule}]" in rules
        assert bool(row.keeping) == bool(row.kept_open)


def find(found: Any, source: Any, destination: Any) -> Any:
    """The row of two pods, or of a pod and the range that has an address; a bare pod is its own workload."""
    for (one, other), row in found.items():
        if covers(one, source) and covers(other, destination):
            return row
    return None


def covers(text: str, end: Any) -> bool:
    if hasattr(end, "uid"):
        return bool(text == str(end.workload))
    if "[" in text:
        return False
    return any(end in spelled(part) for part in text.split(", "))


def spelled(text: str) -> AddressSet:
    if "/" in text:
        return AddressSet.of(text)
    first, last = map(ip_address, text.split("-"))
    return AddressSet.of((first, last))
