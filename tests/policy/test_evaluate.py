"""One test for each rule of what a NetworkPolicy means, with the answer worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.model.endpoint import AmbiguousEnd, ExternalEnd, NodeEnd, PodEnd, ServiceEnd, UnknownEnd
from netpol.model.flow import ICMP, SCTP, TCP, UDP
from netpol.model.inventory import ContainerPort, Inventory, Namespace, Node, Pod, WorkloadRef
from netpol.policy import matching
from netpol.policy.evaluate import Evaluator, Party
from netpol.policy.verdict import Ruling, Verdict
from tests.policy import clusters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.flow import Address
    from netpol.model.policy import Peer


def _pod(namespace: str, name: str, *addresses: str, labels: dict[str, str] | None = None, **fields: Any) -> Pod:
    return Pod(
        uid=f"{namespace}/{name}",
        namespace=namespace,
        name=name,
        labels={"app": name} if labels is None else labels,
        workload=WorkloadRef(namespace=namespace, name=name, kind="Deployment"),
        addresses=tuple(map(ip_address, addresses)),
        **fields,
    )


HTTP = ContainerPort(protocol=TCP, port=8080, name="http")
WEB = _pod("shop", "web", "10.0.0.1", node="n1")
API = _pod("shop", "api", "10.0.0.2", "fd00::2", node="n2", ports=(HTTP,))
DB = _pod("data", "db", "10.0.1.1", node="n2", ports=(ContainerPort(protocol=TCP, port=5432, name="http"),))
JOB = _pod("shop", "job", "10.0.0.9", node="n1", finished=True)
PROXY = _pod("shop", "proxy", "172.16.0.1", node="n1", host_network=True)
OUTSIDE = ip_address("192.0.2.1")
NODE1, NODE2 = NodeEnd("n1", ip_address("172.16.0.1")), NodeEnd("n2", ip_address("172.16.0.2"))
CLUSTER = Inventory(
    namespaces={
        "shop": Namespace(name="shop", labels={"team": "front"}),
        "data": Namespace(name="data", labels={"team": "back"}),
    },
    pods=(WEB, API, DB, JOB, PROXY),
    nodes=(Node(name="n1", addresses=(NODE1.address,)), Node(name="n2", addresses=(NODE2.address,))),
)


def _evaluator(*specs: str, namespace: str = "shop", cluster: Inventory = CLUSTER) -> Evaluator:
    manifests = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"p{number}", "namespace": namespace},
            "spec": yaml.safe_load(spec),
        }
        for number, spec in enumerate(specs)
    ]
    return Evaluator(clusters.read(manifests), cluster)


def _allowed(
    evaluator: Evaluator, source: Party, destination: Party, port: int | None = 8080, protocol: int = TCP
) -> bool | None:
    """True, False, or None where it is undefined."""
    ruling = evaluator.verdict(source, destination, protocol, port).ruling
    return None if ruling is Ruling.UNDEFINED else ruling is Ruling.ALLOWED


DENY_INGRESS, DENY_EGRESS = "{policyTypes: [Ingress]}", "{policyTypes: [Egress]}"


def test_without_policies_everything_is_allowed() -> None:
    evaluator = Evaluator((), CLUSTER)
    assert _allowed(evaluator, WEB, API)
    assert _allowed(evaluator, OUTSIDE, WEB, None, ICMP)


@pytest.mark.parametrize(
    ("spec", "into", "out_of"),
    [
        ("{}", False, True),
        ("{egress: []}", False, True),
        ("{policyTypes: []}", False, True),
        ("{egress: [{ports: [{port: 1}]}]}", False, False),
        ("{policyTypes: [Egress]}", True, False),
        ("{policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}", False, True),
        ("{policyTypes: [Ingress, Egress]}", False, False),
    ],
)
def test_policy_types_default_to_ingress_and_egress_only_with_a_rule(spec: str, *, into: bool, out_of: bool) -> None:
    evaluator = _evaluator(spec)
    assert _allowed(evaluator, DB, WEB) is into
    assert _allowed(evaluator, WEB, DB) is out_of


def test_an_absent_pod_selector_is_every_pod_of_the_namespace_only() -> None:
    evaluator = _evaluator(DENY_INGRESS)
    assert not _allowed(evaluator, DB, WEB)
    assert not _allowed(evaluator, DB, API)
    assert _allowed(evaluator, WEB, DB)


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [("{}", False), ("{ingress: []}", False), ("{ingress: null}", False), ("{ingress: [{}]}", True)],
)
def test_an_active_type_without_rules_allows_nothing_and_an_empty_rule_everything(spec: str, *, allowed: bool) -> None:
    assert _allowed(_evaluator(spec), OUTSIDE, WEB) is allowed


@pytest.mark.parametrize("rule", ["{from: [], ports: []}", "{from: null}", "{}"])
def test_empty_peers_and_ports_are_the_same_as_missing(rule: str) -> None:
    assert _allowed(_evaluator(f"{{ingress: [{rule}]}}"), OUTSIDE, WEB, 9, SCTP)


def test_a_rule_needs_peer_and_port() -> None:
    evaluator = _evaluator("{ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]}")
    assert _allowed(evaluator, WEB, API, 8080)
    assert not _allowed(evaluator, WEB, API, 8081)
    assert not _allowed(evaluator, DB, API, 8080)


@pytest.mark.parametrize(
    ("peers", "web", "db"),
    [
        ("[{podSelector: {}}]", True, False),
        ("[{podSelector: {matchLabels: {app: db}}}]", False, False),
        ("[{namespaceSelector: {}}]", True, True),
        ("[{namespaceSelector: {matchLabels: {team: back}}}]", False, True),
        ("[{namespaceSelector: {matchLabels: {team: back}}, podSelector: {matchLabels: {app: web}}}]", False, False),
        ("[{namespaceSelector: {matchLabels: {team: back}}}, {podSelector: {matchLabels: {app: web}}}]", True, True),
        ("[{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]", False, True),
    ],
)
def test_peer_selectors(peers: str, *, web: bool, db: bool) -> None:
    evaluator = _evaluator(f"{{podSelector: {{matchLabels: {{app: api}}}}, ingress: [{{from: {peers}}}]}}")
    assert (_allowed(evaluator, WEB, API), _allowed(evaluator, DB, API)) == (web, db)
    assert not _allowed(evaluator, OUTSIDE, API)


def test_not_in_matches_where_the_key_is_absent() -> None:
    bare = replace(WEB, uid="bare", labels={})
    selector = "{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}"
    evaluator = _evaluator(f"{{ingress: [{{from: [{{podSelector: {selector}}}]}}]}}")
    assert _allowed(evaluator, bare, API)
    assert not _allowed(evaluator, WEB, API)


def test_the_namespace_name_label_is_always_there() -> None:
    evaluator = _evaluator(
        "{ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: data}}}]}]}"
    )
    assert _allowed(evaluator, DB, WEB)
    assert _allowed(_evaluator_of_unknown_namespace(), DB, WEB)


def _evaluator_of_unknown_namespace() -> Evaluator:
    spec = "{ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: data}}}]}]}"
    return _evaluator(spec, cluster=Inventory(namespaces={}))


def test_an_ip_block_matches_pod_addresses_too() -> None:
    evaluator = _evaluator("{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.1.0/24}}]}]}")
    assert _allowed(evaluator, WEB, DB)
    assert not _allowed(evaluator, WEB, API)
    assert not _allowed(evaluator, WEB, OUTSIDE)


def test_except_cuts_out_of_its_own_block_only() -> None:
    block = "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}"
    assert not _allowed(_evaluator(f"{{ingress: [{{from: [{block}]}}]}}"), DB, WEB)
    assert _allowed(_evaluator(f"{{ingress: [{{from: [{block}]}}]}}"), API, WEB)
    again = "{ipBlock: {cidr: 10.0.1.1/32}}"
    assert _allowed(_evaluator(f"{{ingress: [{{from: [{block}, {again}]}}]}}"), DB, WEB)
    assert _allowed(_evaluator(f"{{ingress: [{{from: [{block}]}}, {{from: [{again}]}}]}}"), DB, WEB)
    assert _allowed(_evaluator(f"{{ingress: [{{from: [{block}]}}]}}", f"{{ingress: [{{from: [{again}]}}]}}"), DB, WEB)


def test_a_port_without_protocol_is_tcp_and_without_number_every_port_of_its_protocol() -> None:
    evaluator = _evaluator("{ingress: [{ports: [{port: 53}, {protocol: UDP}]}]}")
    assert _allowed(evaluator, WEB, API, 53, TCP)
    assert not _allowed(evaluator, WEB, API, 54, TCP)
    assert _allowed(evaluator, WEB, API, 54, UDP)
    assert not _allowed(evaluator, WEB, API, 53, SCTP)


def test_a_named_port_is_resolved_for_each_destination_pod() -> None:
    evaluator = _evaluator("{policyTypes: [Egress], egress: [{ports: [{port: http}]}]}")
    assert _allowed(evaluator, WEB, API, 8080)
    assert not _allowed(evaluator, WEB, API, 5432)
    assert _allowed(evaluator, WEB, DB, 5432)
    assert not _allowed(evaluator, WEB, DB, 8080)
    assert not _allowed(evaluator, WEB, OUTSIDE, 8080)
    assert not _allowed(evaluator, WEB, replace(PROXY, node="n9", ports=(HTTP,)), 8080)


def test_a_named_port_needs_the_protocol_too() -> None:
    evaluator = _evaluator("{ingress: [{ports: [{port: http, protocol: UDP}]}]}")
    assert not _allowed(evaluator, WEB, API, 8080, TCP)
    assert not _allowed(evaluator, WEB, API, 8080, UDP)


def test_end_port_is_inclusive() -> None:
    evaluator = _evaluator("{ingress: [{ports: [{port: 8000, endPort: 8002}]}]}")
    found = [_allowed(evaluator, WEB, API, port) for port in (7999, 8000, 8002, 8003)]
    assert found == [False, True, True, False]


def test_an_sctp_rule_isolates_tcp() -> None:
    evaluator = _evaluator("{ingress: [{ports: [{protocol: SCTP}]}]}")
    assert _allowed(evaluator, WEB, API, 80, SCTP)
    assert not _allowed(evaluator, WEB, API, 80, TCP)


def test_other_protocols_are_undefined_once_a_policy_applies() -> None:
    evaluator = _evaluator("{ingress: [{}]}")
    verdict = evaluator.verdict(WEB, API, ICMP, None)
    assert verdict.ruling is Ruling.UNDEFINED
    assert verdict.reason == "undefined: policies are about TCP, UDP and SCTP, not ICMP"
    assert not verdict.allowed
    assert verdict.blocked_by is None
    assert verdict.blocking == ()


def test_policies_add_up() -> None:
    one, other = ("{ingress: [{ports: [{port: 80}]}]}", "{ingress: [{ports: [{port: 443}]}]}")
    for evaluator in (_evaluator(one, other), _evaluator(other, one), _evaluator(DENY_INGRESS, one, other)):
        assert [_allowed(evaluator, WEB, API, port) for port in (80, 443, 81)] == [True, True, False]


def test_both_ends_must_allow() -> None:
    egress = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}"
    ingress = "{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 443}]}]}"
    assert not _allowed(_evaluator(egress, ingress), WEB, API, 80)
    assert not _allowed(_evaluator(egress, ingress), WEB, API, 443)
    assert _allowed(_evaluator(egress), WEB, API, 80)


def test_the_answer_is_about_who_opens_the_connection() -> None:
    evaluator = _evaluator("{podSelector: {matchLabels: {app: api}}}")
    assert not _allowed(evaluator, WEB, API)
    assert _allowed(evaluator, API, WEB)


def test_a_pods_own_address_cannot_be_blocked() -> None:
    evaluator = _evaluator("{policyTypes: [Ingress, Egress]}")
    assert evaluator.verdict(WEB, WEB, TCP, 80).reason == "own address"
    assert _allowed(evaluator, WEB, replace(WEB), 80)
    assert _allowed(evaluator, WEB, WEB.addresses[0], 80)


def test_a_pod_and_its_node_cannot_be_parted() -> None:
    evaluator = _evaluator("{policyTypes: [Ingress, Egress]}")
    assert evaluator.verdict(NODE1, WEB, TCP, 80).reason == "own node"
    assert _allowed(evaluator, WEB, NODE1, 10250)
    assert _allowed(evaluator, WEB, NODE1.address, 10250)
    assert not _allowed(evaluator, NODE2, WEB)
    assert not _allowed(evaluator, WEB, NODE2)
    assert not _allowed(evaluator, NODE1, replace(WEB, node=""))


def test_a_host_network_pod_is_its_node() -> None:
    evaluator = _evaluator("{policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}]}")
    assert _allowed(evaluator, PROXY, OUTSIDE), "no policy selects it"
    assert _allowed(evaluator, DB, PROXY), "no policy selects it"
    assert not _allowed(evaluator, PROXY, API), "no selector matches it"
    assert _allowed(evaluator, PROXY, WEB), "it is the node that the pod runs on"
    assert _allowed(evaluator, replace(PROXY, node=""), WEB), "also when only its address says so"
    by_address = _evaluator("{ingress: [{from: [{ipBlock: {cidr: 172.16.0.1/32}}]}]}")
    assert _allowed(by_address, PROXY, API)
    assert by_address.isolating(PROXY, "ingress") == ()


def test_any_address_of_a_dual_stack_pod_counts_unless_one_is_known() -> None:
    evaluator = _evaluator("{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 'fd00::/64'}}]}]}")
    v4, v6 = API.addresses
    assert _allowed(evaluator, WEB, API)
    assert not evaluator.verdict(WEB, API, TCP, 80, addresses=(None, v4)).allowed
    assert evaluator.verdict(WEB, API, TCP, 80, addresses=(None, v6)).allowed
    assert not _allowed(evaluator, WEB, v4)
    assert _allowed(evaluator, WEB, v6)


def test_a_finished_pod_holds_no_address() -> None:
    evaluator = _evaluator(DENY_INGRESS, "{ingress: [{from: [{podSelector: {matchLabels: {app: job}}}]}]}")
    address = JOB.addresses[0]
    assert not _allowed(evaluator, address, WEB)
    assert evaluator.holder(address) == ExternalEnd(address)
    reused = replace(CLUSTER, pods=(JOB, replace(DB, addresses=(address,))))
    assert str(Evaluator((), reused).holder(address)) == "data/db[Deployment]"
    assert _allowed(evaluator, JOB, WEB), "a connection that was seen is judged as of then"


def test_plain_addresses_stand_for_who_holds_them() -> None:
    evaluator = _evaluator("{ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}")
    assert _allowed(evaluator, WEB.addresses[0], API.addresses[1])
    assert not _allowed(evaluator, OUTSIDE, API.addresses[0])
    assert not _allowed(evaluator, ExternalEnd(WEB.addresses[0]), API), "said to be outside"
    assert _allowed(evaluator, PodEnd(WEB), PodEnd(API))


def _unclear() -> list[Party]:
    address: Address = ip_address("10.0.0.77")
    return [ServiceEnd("shop", "api"), AmbiguousEnd(address), UnknownEnd(address, "nobody")]


@pytest.mark.parametrize("end", _unclear())
def test_unclear_ends_are_undefined(end: Party) -> None:
    evaluator = _evaluator(DENY_INGRESS)
    assert evaluator.verdict(WEB, end, TCP, 80).reason.startswith("undefined: ")
    assert _allowed(evaluator, end, WEB) is None


def test_an_address_of_two_pods_is_ambiguous() -> None:
    twice = replace(CLUSTER, pods=(WEB, replace(API, addresses=WEB.addresses)))
    evaluator = _evaluator(DENY_INGRESS, cluster=twice)
    assert _allowed(evaluator, WEB.addresses[0], API) is None


def test_an_unknown_port_is_undefined() -> None:
    assert _allowed(_evaluator("{ingress: [{}]}"), WEB, API, None) is None


def test_dns_is_no_exception() -> None:
    assert not _allowed(_evaluator(DENY_EGRESS), WEB, DB, 53, UDP)


def _shop() -> tuple[Evaluator, Verdict]:
    evaluator = _evaluator(
        DENY_EGRESS,
        "{policyTypes: [Egress], egress: [{ports: [{port: 1}]}, {to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}",
        "{ingress: [{}, {from: [{podSelector: {}}]}]}",
    )
    return evaluator, evaluator.verdict(WEB, API, TCP, 8080)


def test_a_denial_names_the_side_and_all_its_policies() -> None:
    _, verdict = _shop()
    assert verdict.blocked_by == "egress"
    assert [str(policy) for policy in verdict.blocking] == ["shop/p0", "shop/p1"]
    assert verdict.egress.isolated
    assert verdict.egress.match is None


def test_a_match_names_the_first_rule_peer_and_port() -> None:
    evaluator = _evaluator(
        DENY_INGRESS,
        "{ingress: [{ports: [{port: 1}]}, {from: [{ipBlock: {cidr: 192.0.2.0/24}}, {namespaceSelector: {}}],"
        " ports: [{port: 1}, {port: http}]}, {}]}",
    )
    match = evaluator.verdict(WEB, API, TCP, 8080).ingress.match
    assert match is not None
    assert str(match) == "shop/p1: spec.ingress[1].from[1], ports[1]"
    everyone = evaluator.verdict(ip_address("198.51.100.1"), API, TCP, 8080).ingress.match
    assert str(everyone) == "shop/p1: spec.ingress[2]"
    assert (match.rule, match.peer, match.port) == (1, 1, 1)


def test_misses_say_why_each_rule_does_not_match() -> None:
    evaluator, _ = _shop()
    assert [str(miss) for miss in evaluator.misses(WEB, API, TCP, 8080)] == [
        "shop/p1: spec.egress[0]: no port of TCP/1 does",
        "shop/p1: spec.egress[1]: no peer in `to` matches",
    ]


def test_a_missing_port_names_the_peer_that_matched() -> None:
    evaluator = _evaluator("{ingress: [{from: [{podSelector: {}}], ports: [{port: 80, endPort: 90}]}]}")
    assert [str(miss) for miss in evaluator.misses(WEB, API, TCP, 8080)] == [
        "shop/p0: spec.ingress[0]: from[0] matches, but no port of TCP/80-90 does"
    ]


def test_labels_that_no_selector_asks_for_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    really = matching.peer_selects

    def counted(peer: Peer, namespace: str, pod: Pod, labels: Mapping[str, str]) -> bool:
        asked.append(pod.name)
        return really(peer, namespace, pod, labels)

    monkeypatch.setattr(matching, "peer_selects", counted)
    replicas = [
        _pod("shop", f"web-{index}", f"10.0.2.{index}", labels={"app": "web", "of-its-own": f"{index}"})
        for index in range(9)
    ]
    evaluator = _evaluator(
        "{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        cluster=replace(CLUSTER, pods=(*CLUSTER.pods, *replicas)),
    )
    assert all(evaluator.verdict(replica, API, TCP, 8080).allowed for replica in replicas)
    assert len(asked) == 1
    assert evaluator.verdict(WEB, API, TCP, 8080).allowed
    assert not evaluator.verdict(JOB, API, TCP, 8080).allowed
