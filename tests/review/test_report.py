"""What changes and on what evidence, in a cluster small enough to be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from netpol.cluster.documents import documents_in
from netpol.cluster.manifests import inventory_of
from netpol.dialects.read import read_policies
from netpol.graph.observation import Evidence, Observation
from netpol.model.endpoint import ExternalEnd, PodEnd
from netpol.model.flow import TCP, Direction
from netpol.model.inventory import WorkloadRef
from netpol.model.ports import PortMap, PortSet
from netpol.policy.classes import Side
from netpol.policy.existing_rules import RuleBook
from netpol.policy.generate_statements import Statement, Topic
from netpol.review import report_checks as checks
from netpol.review.evidence import Sightings, seen_of
from netpol.review.report import LeftOut, RuleRef, Urgency
from netpol.review.report_changes import changes_of
from netpol.review.report_drawing import drawing
from netpol.review.trace import Tracer

if TYPE_CHECKING:
    from random import Random

    from netpol.model.inventory import Pod
    from netpol.review.report_changes import Changes

CLUSTER = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.5}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n2, containers: [{name: c, ports: [{containerPort: 5432}]}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.6}]}
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: shop, labels: {app: job}}
spec: {nodeName: n3, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.0.0.7}]}
"""

INVENTORY = inventory_of(documents_in("cluster.yaml", CLUSTER.encode(), named=True))
PODS: dict[str, Pod] = {pod.name: pod for pod in INVENTORY.pods}
SQL = PortMap.of({TCP: PortSet.of(5432)})
WEB, DB, JOB = "shop/web[Pod]", "shop/db[Pod]", "shop/job[Pod]"


def db_policy(*peers: str, port: int = 5432) -> str:
    """Only these may connect to the database."""
    listed = ", ".join(f"{{podSelector: {{matchLabels: {{app: {peer}}}}}}}" for peer in peers)
    return f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: db, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: db}}}}
  policyTypes: [Ingress]
  ingress: [{{from: [{listed}], ports: [{{port: {port}}}]}}]
"""


def side(text: str = "") -> Side:
    policies = read_policies(documents_in("p.yaml", text.encode(), named=True)).everything if text else ()
    return Side(policies=policies, inventory=INVENTORY)


def observed(source: str, destination: str, port: int = 5432, connections: int = 1, at: int = 0) -> Observation:
    ends = [PodEnd(PODS[name]) if name in PODS else ExternalEnd(ip_address(name)) for name in (source, destination)]
    return Observation(
        source=ends[0],
        destination=ends[1],
        protocol=TCP,
        port=port,
        evidence=Evidence(
            connections=connections,
            packets=2,
            bytes=100,
            first_seen=at,
            last_seen=at + 1,
            directions=((Direction.SYN, connections),),
        ),
    )


def changes(old: str, new: str, *observations: Observation) -> Changes:
    return changes_of(side(old), side(new), Sightings(observations))


def test_what_breaks_stands_before_what_is_opened_for_nobody() -> None:
    found = changes(db_policy("web"), db_policy("job"), observed("web", "db", connections=3, at=7))
    assert [(row.kind, row.source, row.destination) for row in found.rows] == [
        ("removed", WEB, DB),
        ("added", JOB, DB),
    ]
    lost, opened = found.rows
    assert lost.lost is not None
    assert (lost.lost.evidence.connections, lost.lost.evidence.first_seen, lost.lost.nodes) == (3, 7, ("n1", "n2"))
    assert lost.rules == (RuleRef(policy="shop/db", way="ingress", rule=None),)
    assert (opened.seen, opened.rules) == (None, (RuleRef(policy="shop/db", way="ingress", rule=0),))
    assert found.closed == 0


def test_ports_decide_whose_evidence_it_is() -> None:
    found = changes(
        db_policy("web"), db_policy("web", port=6379), observed("web", "db"), observed("web", "db", 6379, 5)
    )
    (row,) = found.rows
    assert row.kind == "changed"
    assert row.lost is not None
    assert row.seen is not None
    assert (row.lost.evidence.connections, row.seen.evidence.connections) == (1, 5)


def test_where_nothing_was_restricted_what_is_left_is_listed() -> None:
    found = changes("", db_policy("web"), observed("web", "db"))
    (row,) = found.rows
    assert (row.kind, row.before, row.after, row.source) == ("changed", PortMap.ALL, SQL, WEB)
    assert found.closed is None


def test_what_was_open_and_unused_is_counted_and_not_listed() -> None:
    other = db_policy("web").replace("name: db", "name: job").replace("{app: db}", "{app: job}")
    found = changes(other, f"{other}---{db_policy('web')}", observed("web", "db"))
    assert [(row.source, row.destination) for row in found.rows] == [(WEB, DB)]
    # From the job, and from all of IPv4 and all of IPv6.
    assert found.closed == 3


def test_an_address_outside_has_its_own_evidence() -> None:
    block = db_policy("web").replace("{podSelector: {matchLabels: {app: web}}}", "{ipBlock: {cidr: 198.51.100.0/24}}")
    found = changes(db_policy("job"), block, observed("198.51.100.9", "db", connections=2), observed("192.0.2.1", "db"))
    (row,) = [row for row in found.rows if row.kind == "added"]
    assert (row.source, row.seen is not None and row.seen.evidence.connections) == ("198.51.100.0/24", 2)


def test_nothing_differs_from_itself() -> None:
    assert changes(db_policy("web"), db_policy("web"), observed("web", "db")) == ((), 0)


def test_a_drawing_says_what_each_line_is() -> None:
    found = changes(db_policy("web"), db_policy("job"), observed("web", "db"))
    drawn = drawing(found.rows, evidence=True)
    assert '"TCP/5432 denied: it worked"' in drawn
    assert '"TCP/5432 new in this change: never seen"' in drawn
    assert "never seen" not in drawing(found.rows, evidence=False)
    assert drawing((), evidence=True) == ""
    (opened,) = (row for row in found.rows if row.kind == "added")
    assert drawing([replace(opened, source=f"198.51.100.{number}/32") for number in range(60)], evidence=True)
    assert not drawing([replace(opened, source=f"198.51.100.{number}/32") for number in range(61)], evidence=True)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 99)), min_size=1), st.randoms())
def test_evidence_adds_up_in_any_order(parts: list[tuple[int, int]], random: Random) -> None:
    items = [observed("web", "db", connections=count, at=at) for count, at in parts]
    seen = seen_of(items)
    random.shuffle(items)
    assert seen == seen_of(items)
    assert seen is not None
    assert seen.evidence.connections == sum(count for count, _ in parts)
    assert (seen.evidence.first_seen, seen.evidence.last_seen) == (
        min(at for _, at in parts),
        max(at for _, at in parts) + 1,
    )
    assert (seen.source_pods.count, seen.destination_pods.names) == (1, ("db",))


def test_a_trace_has_each_rule_once_with_what_it_admits() -> None:
    (policy,) = read_policies(documents_in("p.yaml", db_policy("web", "job").encode(), named=True)).policies
    tracer = Tracer(policy, RuleBook([policy], INVENTORY))
    (trace,) = tracer.trace([observed("web", "db", connections=4), observed("web", "db", 80), observed("job", "web")])
    assert str(trace.key) == "shop/db: spec.ingress[0]"
    (edge,) = trace.edges
    assert (edge.source, edge.destination, edge.port, edge.seen.evidence.connections) == (WEB, DB, 5432, 4)


def test_what_is_urgent_comes_first_and_nothing_is_told_twice() -> None:
    web = WorkloadRef(namespace="shop", name="web", kind="Deployment")
    statements = [
        Statement(topic=Topic.MIDSTREAM, workload=web, text="older"),
        Statement(topic=Topic.NO_POLICY, workload=web, text="why"),
        Statement(topic=Topic.METADATA, workload=web, text="it read cloud metadata", remedy="--allow-metadata"),
        Statement(topic=Topic.SILENT_PORT, workload=web, text="closed"),
    ]
    rows = [
        LeftOut(
            reason=reason, text=reason, source="a", destination="b", ports=("TCP/80",), more_ports=False,
            connections=1, first_seen=0, last_seen=0,
        )
        for reason in ("cloud-metadata", "scan", "refused")
    ]  # fmt: skip
    found = checks.ordered([*checks.from_statements(statements), *checks.from_left_out(rows, statements)])
    assert [(item.urgency, item.text) for item in found] == [
        (Urgency.HOSTILE, "it read cloud metadata"),
        (Urgency.HOSTILE, "TCP/80, once: scan"),
        (Urgency.SILENCE, "closed"),
        (Urgency.WEAK, "older"),
        (Urgency.KNOW, "shop/web[Deployment]"),
    ]
