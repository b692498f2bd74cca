"""Calico's flows: names in the place of addresses, two reporters for one flow, and refusals that look like traffic."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cluster.people import PodNames
from netpol.model.inventory import Inventory, Namespace, Pod, WorkloadRef
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
            ),
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
        ({"packets_in": 3, "packets_out": 3, "bytes_in": 120, "bytes_out": 180}, "unknown"),
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


def test_addresses_stand_where_they_are_told(people: People) -> None:
    flow = enterprise(dest_ip="198.51.100.20", dest_name_aggr="pub", dest_type="net", dest_namespace="-")
    table, _ = flows_of(text(flow), people=people)
    assert [key[:2] for key in rows(table)] == [("10.0.0.2", "198.51.100.20")]


@pytest.mark.parametrize(
    ("flow", "reason"),
    [
        (enterprise(dest_name_aggr="pub", dest_type="net", dest_namespace="-"), "Calico: an end without address or"),
        (enterprise(source_type="ns", source_name_aggr="partners"), "Calico: an end without address or"),
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
    assert tally.passed_over == {"names of pods, and no cluster to look them up in": 1}


def test_a_name_is_of_its_own_pods_alone(people: People) -> None:
    assert not people.addresses("shop", "web-*", START * 10**9, START * 10**9)
    assert list(people.addresses("shop", "db-*", START * 10**9, START * 10**9)) == [ip_address("10.0.0.4")]
    assert list(people.addresses("shop", "db-0", START * 10**9, START * 10**9)) == [ip_address("10.0.0.4")]
    assert not people.addresses("shop", "db", START * 10**9, START * 10**9)
    assert list(people.addresses("shop", "web-5d9f-*", 5, 6)) == [ip_address("10.0.0.1")]


@pytest.mark.parametrize("broken", [{"dest_port": "many"}, {"packets_in": -1}, {"start_time": "soon"}, {"action": 7}])
def test_broken_flows_are_named(broken: dict[str, Any], people: People) -> None:
    _, tally = flows_of(text(enterprise(), enterprise(**broken)), people=people)
    assert len(tally.places) == 1
    assert tally.places[0].startswith("log: line 2: ")
