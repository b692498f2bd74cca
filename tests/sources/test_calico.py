"""Calico's flows: names in the place of addresses, two reporters for one flow, and refusals that look like traffic."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cluster.people import PodNames
from netpol.model.inventory import Inventory, Namespace, Node, Pod, WorkloadRef
from netpol.sources.kinds import Kind, kind_of
from tests.sources.logs import flows_of, rows

if TYPE_CHECKING:
    from netpol.sources.people import People

START = 1_700_000_000


def pod(name: str, address: str, started: int | None = None, ended: int | None = None) -> Pod:
    return Pod(
        uid=name,
        namespace="shop",
        name=name,
        labels={},
        workload=WorkloadRef(namespace="shop", name=name.rsplit("-", 2)[0], kind="Deployment"),
        addresses=(ip_address(address),),
        started=started and started * 10**9,
        ended=ended and ended * 10**9,
    )


@pytest.fixture
def people() -> People:
    return PodNames(
        Inventory(
            namespaces={"shop": Namespace(name="shop", labels={})},
            pods=(
                pod("web-5d9f-aaaaa", "10.0.0.1", ended=START - 100),
                pod("web-5d9f-bbbbb", "10.0.0.2"),
                pod("web-admin-77-ccccc", "10.0.0.9"),
                pod("api-66bd-ddddd", "10.0.0.3"),
                pod("db-0", "10.0.0.4"),
                pod("job-1-eeeee", "10.0.0.7", ended=START + 3),
                pod("job-2-fffff", "10.0.0.7", started=START + 9),
            ),
            nodes=(Node(name="node-a", addresses=(ip_address("192.0.2.11"),)),),
        )
    )


def whisker(**changes: Any) -> dict[str, Any]:
    """A flow as Whisker's API gives it."""
    return {
        "start_time": "2023-11-14T22:13:20Z",
        "end_time": "2023-11-14T22:13:35Z",
        "action": "Allow",
        "source_name": "web-5d9f-*",
        "source_namespace": "shop",
        "source_labels": "app=web",
        "dest_name": "api-66bd-*",
        "dest_namespace": "shop",
        "dest_labels": "app=api",
        "protocol": "tcp",
        "dest_port": 3000,
        "reporter": "Dst",
        "policies": {"enforced": [], "pending": []},
        "packets_in": 20,
        "packets_out": 18,
        "bytes_in": 9000,
        "bytes_out": 7000,
        **changes,
    }


def enterprise(**changes: Any) -> dict[str, Any]:
    """The same as a flow log of Calico Enterprise."""
    return {
        "start_time": START,
        "end_time": START + 15,
        "source_ip": None,
        "source_name": "-",
        "source_name_aggr": "web-5d9f-*",
        "source_namespace": "shop",
        "source_type": "wep",
        "dest_ip": None,
        "dest_name": "-",
        "dest_name_aggr": "api-66bd-*",
        "dest_namespace": "shop",
        "dest_type": "wep",
        "dest_port": 3000,
        "proto": "tcp",
        "action": "allow",
        "reporter": "src",
        "num_flows_started": 4,
        "packets_in": 20,
        "packets_out": 18,
        "bytes_in": 9000,
        "bytes_out": 7000,
        **changes,
    }


UNCOUNTED = {"num_flows_started": None}


def text(*flows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in flows).encode()


@pytest.mark.parametrize("flow", [whisker(), enterprise()])
def test_names_are_of_a_pod_that_was_there(flow: dict[str, Any], people: People) -> None:
    assert kind_of(text(flow)) is Kind.CALICO
    table, tally = flows_of(text(flow), people=people)
    (found,) = table
    assert (str(found.client), str(found.server), found.port) == ("10.0.0.2", "10.0.0.3", 3000)
    assert (found.outcome.label, found.direction.label, found.two_way) == ("established", "tracked", True)
    assert (found.packets, found.bytes) == (38, 16000)
    assert "which replica" in tally.untold["Calico"]


def test_both_reporters_of_a_flow_count_once_and_each_interval_for_itself(people: People) -> None:
    flows = [enterprise(), enterprise(reporter="dst"), enterprise(start_time=START + 15, end_time=START + 30)]
    table, _ = flows_of(text(*flows), people=people)
    assert [value[0] for value in rows(table).values()] == [8]


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"action": "deny"}, "unanswered"),
        # As many resets as SYNs; where nobody counts connections, they may be acknowledgements in one that is older.
        ({"packets_in": 4, "packets_out": 4, "bytes_in": 160, "bytes_out": 240}, "refused"),
        ({"packets_in": 4, "packets_out": 4, "bytes_in": 160, "bytes_out": 240, **UNCOUNTED}, "unknown"),
        # A SYN scan: SYN, SYN-ACK, reset. A connect scan, of 3 packets and 1, may be one that is slow.
        ({"packets_in": 4, "packets_out": 8, "bytes_in": 240, "bytes_out": 400}, "unknown"),
        ({"packets_in": 4, "packets_out": 12, "bytes_in": 240, "bytes_out": 660}, "unknown"),
        # Small requests and answers: packets enough for handshakes; without their number, IPv6's sizes have to be met.
        ({"packets_in": 12, "packets_out": 16, "bytes_in": 840, "bytes_out": 1080}, "established"),
        ({"packets_in": 12, "packets_out": 16, "bytes_in": 840, "bytes_out": 1080, **UNCOUNTED}, "unknown"),
        ({"packets_in": 12, "packets_out": 16, "bytes_in": 700, "bytes_out": 1080, **UNCOUNTED}, "established"),
        ({"packets_in": 12, "packets_out": 16, "bytes_in": 1080, "bytes_out": 1280, **UNCOUNTED}, "established"),
        # A connection that is older; long SYNs of MPTCP that are refused.
        ({"packets_in": 9, "packets_out": 9, "bytes_in": 900, "bytes_out": 900, "num_flows_started": 0}, "established"),
        ({"packets_in": 4, "packets_out": 4, "bytes_in": 160, "bytes_out": 288}, "refused"),
        ({"packets_in": 4, "packets_out": 4, "bytes_in": 160, "bytes_out": 288, **UNCOUNTED}, "unknown"),
        ({"packets_in": 0, "bytes_in": 0}, "unanswered"),
        ({"proto": "udp", "packets_in": 1, "packets_out": 1, "bytes_in": 60, "bytes_out": 60}, "established"),
        ({"proto": "udp", "packets_in": 0, "packets_out": 1, "bytes_in": 0, "bytes_out": 60}, "unanswered"),
    ],
)
def test_what_carried_nothing_is_not_taken_for_a_connection(
    changes: dict[str, Any], outcome: str, people: People
) -> None:
    table, _ = flows_of(text(enterprise(**changes)), people=people)
    assert [key[4] for key in rows(table)] == [outcome]


def goldmane(**changes: Any) -> dict[str, Any]:
    """The same as Goldmane's emitter posts it: Go's JSON of protobuf structs, enums as numbers, zeros left out."""
    key = {
        "source_name": "web-5d9f-*", "source_namespace": "shop", "source_type": 1,
        "dest_name": "api-66bd-*", "dest_namespace": "shop", "dest_type": 1, "dest_port": 3000, "proto": "tcp",
        "reporter": 1, "action": 1, "policies": {},
    }  # fmt: skip
    counts = {"packets_in": 20, "packets_out": 18, "bytes_in": 9000, "bytes_out": 7000, "num_connections_started": 4}
    return {"Key": {**key, **changes}, "start_time": START, "end_time": START + 15, **counts}


def api(**changes: Any) -> dict[str, Any]:
    """The same as its API answers in protobuf's JSON: names of enums, camel case, 64 bits as text."""
    key = {
        "sourceName": "web-5d9f-*", "sourceNamespace": "shop", "sourceType": "WorkloadEndpoint",
        "destName": "api-66bd-*", "destNamespace": "shop", "destType": "WorkloadEndpoint", "destPort": "3000",
        "proto": "tcp", "reporter": "Src", "action": "Allow",
    }  # fmt: skip
    flow = {
        "Key": {**key, **changes}, "startTime": str(START), "endTime": str(START + 15), "packetsIn": "20",
        "packetsOut": "18", "bytesIn": "9000", "bytesOut": "7000", "numConnectionsStarted": "4",
    }  # fmt: skip
    return {"id": "7", "flow": flow}


@pytest.mark.parametrize("flow", [goldmane(), api()])
def test_goldmanes_own_messages_say_the_same(flow: dict[str, Any], people: People) -> None:
    assert kind_of(text(flow)) is Kind.CALICO
    table, tally = flows_of(text(flow), people=people)
    assert not tally.damaged
    assert rows(table) == {("10.0.0.2", "10.0.0.3", 6, 3000, "established"): (4, "tracked")}


def test_whiskers_stream_of_events_is_read(people: People) -> None:
    stream = b"".join(b"data: " + text(each) + b"\n" for each in (whisker(), whisker(reporter="Src")))
    assert kind_of(stream) is Kind.CALICO
    table, tally = flows_of(stream, people=people)
    assert (len(table), tally.used) == (1, 2)


@pytest.mark.parametrize("flow", [goldmane(action=2), api(action="Deny"), whisker(action="Deny")])
def test_what_was_denied_never_worked(flow: dict[str, Any], people: People) -> None:
    table, _ = flows_of(text(flow), people=people)
    assert [key[4] for key in rows(table)] == ["unanswered"]


def test_what_one_reporter_says_of_two_policies_is_of_other_connections(people: People) -> None:
    flows = [
        goldmane(policies={"enforced_policies": [{"name": name}]}, reporter=teller)
        for name in "ab"
        for teller in (1, 2)
    ]
    table, _ = flows_of(text(*flows), people=people)
    assert [value[0] for value in rows(table).values()] == [8]


@pytest.mark.parametrize("name", ["node-a", "node-a-auto-hep"])
@pytest.mark.parametrize("write", [whisker, enterprise, goldmane])
def test_hosts_are_nodes(name: str, write: Any, people: People) -> None:
    types: dict[Any, dict[str, Any]] = {enterprise: {"dest_type": "hep"}, goldmane: {"dest_type": 2}}
    field = "dest_name_aggr" if write is enterprise else "dest_name"
    table, tally = flows_of(
        text(write(**{field: name, "dest_namespace": "-", "dest_port": 9100}, **types.get(write, {}))), people=people
    )
    assert not tally.passed_over
    assert [key[:2] for key in rows(table)] == [("10.0.0.2", "192.0.2.11")]


def test_a_pod_that_is_named_is_meant_though_its_address_is_used_again(people: People) -> None:
    """Within the interval the address is of two pods: the name says which, and so when."""
    flows = [
        enterprise(source_name_aggr="job-1-*", source_ip=address, end_time=START + 15) for address in (None, "10.0.0.7")
    ]
    table, _ = flows_of(text(*flows), people=people)
    assert {(flow.first_seen, flow.last_seen) for flow in table} == {(START * 10**9, (START + 3) * 10**9)}


def test_addresses_stand_where_they_are_told(people: People) -> None:
    flow = enterprise(dest_ip="198.51.100.20", dest_name_aggr="pub", dest_type="net", dest_namespace="-")
    table, _ = flows_of(text(flow), people=people)
    assert [key[:2] for key in rows(table)] == [("10.0.0.2", "198.51.100.20")]


@pytest.mark.parametrize(
    ("flow", "reason"),
    [
        (
            enterprise(dest_name_aggr="pub", dest_type="net", dest_namespace="-"),
            "Calico: an end outside, whose address",
        ),
        (whisker(dest_name="PRIVATE NETWORK", dest_namespace="-"), "Calico: an end outside, whose address"),
        (whisker(dest_name="PUBLIC NETWORK", dest_namespace="Global"), "Calico: an end outside, whose address"),
        (goldmane(dest_name="pvt", dest_namespace="-", dest_type=4), "Calico: an end outside, whose address"),
        (enterprise(source_type="ns", source_name_aggr="partners"), "Calico: an end in a network set"),
        (api(sourceType="NetworkSet", sourceName="partners", sourceNamespace=""), "Calico: an end in a network set"),
        (whisker(source_name="partners", source_namespace="-"), "names of hosts that are no nodes"),
        (enterprise(source_name="-", source_name_aggr="-"), "Calico: an end without address and name"),
        (enterprise(dest_name_aggr="gone-*"), "names that no pod had at that time"),
        (enterprise(source_name_aggr="web-*"), "names that no pod had at that time"),
        (whisker(action="Pass"), "Calico: neither allowed nor denied"),
        (whisker(protocol="icmp"), "Calico: a protocol without ports"),
        (whisker(dest_port=0), "Calico: no port"),
    ],
)
def test_what_cannot_be_used_is_counted(flow: dict[str, Any], reason: str, people: People) -> None:
    table, tally = flows_of(text(flow), people=people)
    assert not len(table)
    assert [each.startswith(reason) for each in tally.passed_over] == [True]


def test_without_a_cluster_nobody_knows_whose_names_these_are() -> None:
    table, tally = flows_of(text(whisker()))
    assert not len(table)
    assert tally.passed_over == {"names of pods, and no cluster to look them up in (--cluster)": 1}


def test_a_name_is_of_its_own_pods_alone(people: People) -> None:
    def addresses(name: str, first: int, last: int) -> list[str]:
        found = people.pod("shop", name, first, last)
        return list(map(str, found.addresses)) if found is not None else []

    assert not addresses("web-*", START * 10**9, START * 10**9)
    assert addresses("db-*", START * 10**9, START * 10**9) == ["10.0.0.4"]
    assert addresses("db-0", START * 10**9, START * 10**9) == ["10.0.0.4"]
    assert not addresses("db", START * 10**9, START * 10**9)
    assert addresses("web-5d9f-*", 5, 6) == ["10.0.0.1"]


@pytest.mark.parametrize("broken", [{"dest_port": "many"}, {"packets_in": -1}, {"start_time": "soon"}, {"action": []}])
def test_broken_flows_are_named(broken: dict[str, Any], people: People) -> None:
    _, tally = flows_of(text(enterprise(), enterprise(**broken)), people=people)
    assert len(tally.places) == 1
    assert tally.places[0].startswith("log: line 2: ")
