from __future__ import annotations

from netpol.graph.beyond import OwnNode, Ping
from netpol.graph.selectors import Selectors
from netpol.model.endpoint import PodEnd
from netpol.model.flow import ICMP, TCP, UDP
from netpol.model.labels import LabelSelector
from netpol.model.policy import PodPeer, PolicyPort
from netpol.policy.generate import Directions, Options
from netpol.policy.generate_extras import Extras, PingRule, extras_for
from tests.graph.world import flow, inventory, node, pod
from tests.policy.learning import learn

WEB = pod("web", {"app": "web"}, address="10.0.0.1")
DB = pod("db", {"app": "db"}, address="10.0.0.2", namespace="data")
N2 = node("n2", "172.16.0.2")
KNOWN = inventory([WEB, DB])
SEEN = (
    Ping(source=PodEnd(WEB), destination=PodEnd(DB), protocol=ICMP),
    Ping(source=N2, destination=PodEnd(DB), protocol=ICMP),
    OwnNode(pod=WEB.workload, protocol=UDP, port=8125),
    OwnNode(pod=WEB.workload, protocol=TCP, port=9100),
    OwnNode(pod=WEB.workload, protocol=ICMP, port=None),
)


def peer(namespace: str, app: str) -> PodPeer:
    return PodPeer(
        pod_selector=LabelSelector(match_labels={"app": app}),
        namespace_selector=LabelSelector(match_labels={"kubernetes.io/metadata.name": namespace}),
    )


def test_both_ends_of_a_ping_and_only_the_opener_of_its_own_node() -> None:
    learned = learn([flow(WEB, DB, 5432)], KNOWN)
    found = extras_for(SEEN, learned.generated, Selectors(KNOWN))
    assert found["shop/web"] == Extras(
        pings=(PingRule(way="egress", protocol=ICMP, peers=(peer("data", "db"),)),),
        own_node=(PolicyPort(port=9100), PolicyPort(protocol=UDP, port=8125)),
        own_node_pings=(ICMP,),
    )
    (rule,) = found["data/db"].pings
    assert (rule.way, [str(getattr(item, "block", item)) for item in rule.peers][1:]) == ("ingress", ["172.16.0.2/32"])
    assert rule.peers[0] == peer("shop", "web")
    assert found["data/db"].own_node == ()


def test_an_open_direction_needs_nothing() -> None:
    learned = learn([flow(WEB, DB, 5432)], KNOWN, Options(directions=Directions.OBSERVED))
    found = extras_for(
        [Ping(source=PodEnd(DB), destination=PodEnd(WEB), protocol=ICMP)], learned.generated, Selectors(KNOWN)
    )
    assert found == {}


def test_a_workload_without_a_policy_has_no_extras() -> None:
    learned = learn([], KNOWN)
    assert extras_for(SEEN, learned.generated, Selectors(KNOWN)) == {}
