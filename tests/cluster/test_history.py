"""The history's file: what is kept of objects and what is not, for how long, and who may use it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netpol.cluster.documents import read_documents
from netpol.cluster.history import History, Keep
from netpol.cluster.history_read import MARGIN, history_documents
from netpol.cluster.history_write import Change, Writer
from netpol.cluster.kinds import CONFIG_KIND, KINDS, POLICY_KINDS
from netpol.cluster.manifests import load
from netpol.cluster.timeline import Timeline
from netpol.dialects.read import read_policies
from netpol.errors import InputError
from netpol.model.flow import AMBIGUOUS_TENANCY
from netpol.model.policy import NetworkPolicy
from tests.cluster.objects import NOON, SECOND, at, owned, pod, template, thing

KIND = {kind.resource: kind for kind in (*KINDS, *POLICY_KINDS)}
MARK = "leak-7f3a"


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


class Told:
    """A history that is told things at times of the test's choosing."""

    def __init__(self, folder: Path, keep: Keep | None = None) -> None:
        self.clock = Clock()
        self.history = History.open(folder, keep, clock=self.clock)

    @property
    def writer(self) -> Writer:
        assert self.history.writer is not None
        return self.history.writer

    def tell(self, second: int, resource: str, *items: dict[str, Any], gone: bool = False) -> int:
        self.clock.now = NOON + second * SECOND
        changes = [Change(item, gone) for item in items]
        outcome = self.writer.take(KIND[resource], changes, "1", behind=False)
        assert outcome.refused == []
        return outcome.changed

    def rows(self) -> int:
        return self.history.size().states


@pytest.fixture(name="told")
def _told(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path / "history")
    yield told
    told.history.close()


def a_pod(name: str, ip: str = "", uid: str = "", **more: Any) -> dict[str, Any]:
    return pod(name, ip, uid=uid or f"u-{name}", **more)


def slice_of(*ips: str) -> dict[str, Any]:
    endpoints = [{"addresses": [ip], "conditions": {"ready": True}} for ip in ips]
    labels = {"kubernetes.io/service-name": "web"}
    ports = [{"port": 8080}]
    metadata = {"labels": labels, "uid": "s"}
    return thing("EndpointSlice", "web-x", "discovery.k8s.io/v1", metadata=metadata, endpoints=endpoints, ports=ports)


class TestWhatIsKept:
    def test_heartbeats_change_nothing(self, told: Told) -> None:
        node = thing(
            "Node",
            "w1",
            "v1",
            metadata={"uid": "n"},
            status={"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
        )
        del node["metadata"]["namespace"]
        assert told.tell(0, "nodes", node) == 1
        for second in range(1, 5):
            node["status"]["conditions"] = [{"type": "Ready", "lastHeartbeatTime": at(second)}]
            assert told.tell(second, "nodes", node) == 0
            status = {
                "phase": "Running",
                "conditions": [{"type": "Ready", "lastTransitionTime": at(second)}],
                "containerStatuses": [{"restartCount": second, "state": {"terminated": {"finishedAt": at(second)}}}],
            }
            assert told.tell(second, "pods", a_pod("a", "10.0.0.1", status=status)) == (second == 1)
        assert told.rows() == 2

    def test_a_pod_that_starts_and_is_told_to_end_is_one_state(self, told: Told) -> None:
        waiting = a_pod("a", metadata={"creationTimestamp": at(0)}, status={"phase": "Pending"})
        placed = {**waiting, "spec": {**waiting["spec"], "nodeName": "w1"}}
        status = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "startTime": at(1)}
        running = {**placed, "status": status}
        ending = {**running, "metadata": {**running["metadata"], "deletionTimestamp": at(40)}}
        for second, state in enumerate((waiting, placed, running, ending)):
            assert told.tell(second, "pods", state) == 1
        told.tell(12, "pods", ending, gone=True)
        assert told.rows() == 1
        (found,) = told.history.inventory().pods
        assert (found.node, found.started, found.ended) == ("w1", NOON + SECOND, NOON + 12 * SECOND + 1000)

    def test_other_changes_are_states_of_their_own(self, told: Told) -> None:
        first = a_pod("a", "10.0.0.1", status={"phase": "Running"})
        told.tell(0, "pods", first)
        other = {**first, "metadata": {**first["metadata"], "labels": {"a": "b"}}}
        told.tell(1, "pods", other)
        told.tell(2, "pods", {**other, "status": {"podIP": "10.0.0.2", "phase": "Running"}})
        ended = [{"state": {"terminated": {"finishedAt": at(3)}}}]
        told.tell(3, "pods", {**other, "status": {"podIP": "10.0.0.2", "phase": "Failed", "containerStatuses": ended}})
        assert told.rows() == 4
        (found,) = told.history.inventory().pods
        assert [str(one) for one in found.addresses] == ["10.0.0.2", "10.0.0.1"]
        assert (found.labels, found.finished, found.ended) == ({"a": "b"}, True, NOON + 3 * SECOND)
        (before,) = told.history.inventory(until=NOON - MARGIN + SECOND // 2).pods
        assert (before.labels, before.finished) == ({}, False)

    def test_a_slice_is_kept_endpoint_by_endpoint(self, told: Told) -> None:
        ips = [f"10.0.0.{number}" for number in range(1, 101)]
        told.tell(0, "endpointslices", slice_of(*ips))
        for number in range(50):  # a rolling update
            ips[number] = f"10.0.1.{number + 1}"
            told.tell(number + 60, "endpointslices", slice_of(*reversed(ips)))
        assert told.rows() == 150
        (service,) = told.history.inventory().services
        assert len(service.endpoints) == 150
        (service,) = told.history.inventory(since=NOON + 200 * SECOND).services
        assert {str(one.address) for one in service.endpoints} == set(ips)

    def test_nothing_that_a_snapshot_leaves_out(self, told: Told, tmp_path: Path) -> None:
        container = {"env": [{"value": MARK}], "image": MARK, "command": [MARK], "ports": [{"containerPort": 80}]}
        secret = a_pod("a", "10.0.0.1", metadata={"annotations": {"netpol/gone-at": MARK, MARK: MARK}})
        secret["spec"] = {"containers": [container], "volumes": [{"name": MARK}]}
        told.tell(0, "pods", secret)
        config = {"metadata": {"name": "kube-proxy", "namespace": "kube-system", "uid": "c"}}
        config |= {"data": {"config.conf": f"clusterCIDR: 10.0.0.0/8\ntoken: {MARK}\n"}}
        other = {"metadata": {"name": "mine", "namespace": "kube-system", "uid": "d"}, "data": {"a": MARK}}
        assert told.writer.page(CONFIG_KIND, [config, other]).changed == 1
        content = b"".join(path.read_bytes() for path in (tmp_path / "history").iterdir())
        assert MARK.encode() not in content
        assert told.history.inventory().pod_cidrs == ("10.0.0.0/8",)

    def test_what_nobody_can_read_spoils_nothing(self, told: Told) -> None:
        bad = a_pod("bad", "10.0.0.300")
        outcome = told.writer.take(KIND["pods"], [Change(bad), Change(a_pod("good"))], "1", behind=False)
        assert outcome.changed == 1
        assert "Pod shop/bad" in outcome.refused[0] or "10.0.0.300" in outcome.refused[0]
        deep: dict[str, Any] = {}
        for _ in range(2000):
            deep = {"a": deep}
        policy = thing("NetworkPolicy", "p", "networking.k8s.io/v1", metadata={"uid": "p"}, spec=deep)
        assert "deeper" in told.writer.take(KIND["networkpolicies"], [Change(policy)], "1", behind=False).refused[0]
        assert [one.name for one in told.history.inventory().pods] == ["good"]


class TestWhoWasThere:
    def test_an_address_belongs_to_whoever_held_it_then(self, told: Told) -> None:
        first = a_pod("first", "10.0.0.1", metadata={"creationTimestamp": at(0)})
        told.tell(0, "pods", first)
        told.tell(600, "pods", first, gone=True)
        told.tell(610, "pods", a_pod("second", "10.0.0.1", metadata={"creationTimestamp": at(610)}))
        timeline = Timeline.of(told.history.inventory())
        (address,) = timeline.inventory.pods[0].addresses

        def holder(second: int) -> str:
            index = timeline.find(address, NOON + second * SECOND, NOON + second * SECOND)
            return timeline.tenancies_list[index].label if index >= 0 else str(index)

        assert [holder(second) for second in (100, 595, 615)] == ["pod shop/first", "pod shop/first", "pod shop/second"]
        assert holder(609) in {"pod shop/second", str(AMBIGUOUS_TENANCY)}

    def test_owners_that_are_gone_are_known(self, told: Told) -> None:
        labels = {"app": "web", "pod-template-hash": "5d4f"}
        spec = {"selector": {"matchLabels": labels}, "template": template(labels)}
        replicas = thing("ReplicaSet", "odd-name", metadata={"uid": "r", **owned("Deployment", "web")}, spec=spec)
        one = a_pod("odd-name-1", "10.0.0.1", metadata={"labels": labels, **owned("ReplicaSet", "odd-name")})
        told.tell(0, "replicasets", replicas)
        told.tell(0, "pods", one)
        told.tell(60, "pods", one, gone=True)
        told.tell(60, "replicasets", replicas, gone=True)
        (found,) = told.history.inventory().pods
        assert str(found.workload) == "shop/web[Deployment]"

    def test_a_later_snapshot_goes_on_where_the_history_ends(self, told: Told, tmp_path: Path) -> None:
        told.tell(0, "pods", a_pod("goes", metadata={"creationTimestamp": at(0)}), a_pod("stays"))
        told.tell(30, "pods", a_pod("went"))
        told.tell(60, "pods", a_pod("went"), gone=True)
        annotations = {"netpol/taken-at": at(600), "netpol/namespaces": "*"}
        snapshot = {"apiVersion": "v1", "kind": "List", "metadata": {"annotations": annotations}}
        (tmp_path / "later.json").write_text(json.dumps({**snapshot, "items": [a_pod("stays")]}))
        inventory = load([told.history.path, tmp_path / "later.json"])
        ends = {one.name: one.ended for one in inventory.pods}
        assert ends == {"goes": NOON + 600 * SECOND, "stays": None, "went": NOON + 60 * SECOND + 1000}
        assert inventory.notes["pods that a later look no longer shows"] == 1


def policy(name: str, **labels: str) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": labels}}
    return thing("NetworkPolicy", name, "networking.k8s.io/v1", metadata={"uid": f"u-{name}"}, spec=spec)


def test_policies_are_those_of_the_end(told: Told, tmp_path: Path) -> None:
    told.tell(0, "networkpolicies", policy("changed", v="1"), policy("gone"))
    told.tell(1, "networkpolicies", policy("changed", v="2"))
    told.tell(2, "networkpolicies", policy("gone"), gone=True)
    export = tmp_path / "export.json"
    with export.open("w") as stream:
        told.history.export(stream)
    for path in (told.history.path, told.history.path.parent, export):
        (found,) = read_policies(read_documents([path])).everything
        assert isinstance(found, NetworkPolicy)
        assert found.pod_selector.match_labels == {"v": "2"}
        assert len(list(read_documents([path], past=True))) == 3


class TestBounds:
    def test_what_ended_is_kept_for_a_time(self, tmp_path: Path) -> None:
        told = Told(tmp_path, Keep(seconds=3600))
        for number in range(100):
            told.tell(number * 60, "pods", a_pod(f"p{number}"))
            told.tell(number * 60 + 30, "pods", a_pod(f"p{number}"), gone=True)
        told.tell(6000, "pods", a_pod("there"))
        told.history.prune(told.clock.now)
        names = {one.name for one in told.history.inventory().pods}
        assert names == {"there", *(f"p{number}" for number in range(40, 100))}
        assert told.history.size().began == NOON + 2400 * SECOND  # of what went before, it says nothing any more
        assert told.history.size().dropped == 0
        told.history.close()

    def test_the_oldest_ends_go_first_where_there_are_too_many(self, tmp_path: Path) -> None:
        told = Told(tmp_path, Keep(states=10))
        for number in range(30):
            told.tell(number * 60, "pods", a_pod(f"p{number:02d}"))
            told.tell(number * 60 + 30, "pods", a_pod(f"p{number:02d}"), gone=number % 5 != 0)
        assert told.history.prune(told.clock.now) == 20
        names = [one.name for one in told.history.inventory().pods]
        present = [f"p{number:02d}" for number in range(0, 30, 5)]
        assert names == sorted([*present, "p26", "p27", "p28", "p29"])
        assert told.history.size().dropped == 20
        assert told.history.size().began // SECOND == NOON // SECOND + 26 * 60 + 30
        told.history.close()

    def test_room_is_given_back(self, tmp_path: Path) -> None:
        told = Told(tmp_path, Keep(seconds=1))
        for number in range(2000):
            told.tell(number, "pods", a_pod(f"p{number}", metadata={"labels": {"a": "x" * 60}}))
            told.tell(number, "pods", a_pod(f"p{number}"), gone=True)
        before = told.history.size().bytes
        told.history.prune(NOON + 10_000 * SECOND)
        told.history.close()
        assert told.history.size().states == 0
        assert told.history.size().bytes < before / 4


class TestFile:
    def test_one_process_writes(self, told: Told) -> None:
        with pytest.raises(InputError, match="another process writes"):
            History.open(told.history.path.parent)
        told.history.close()
        History.open(told.history.path.parent).close()

    def test_it_is_its_owner_s_alone(self, told: Told) -> None:
        assert told.history.path.stat().st_mode & 0o777 == 0o600

    def test_readers_see_one_moment(self, told: Told) -> None:
        told.tell(0, "pods", *(a_pod(f"p{number}") for number in range(300)))
        documents = history_documents(told.history.path)
        next(documents)
        told.tell(1, "pods", *(a_pod(f"q{number}") for number in range(300)))
        assert len(list(documents)) == 299

    def test_a_closed_one_can_be_read_where_nothing_can_be_written(self, told: Told, tmp_path: Path) -> None:
        told.tell(0, "pods", a_pod("a"))
        told.history.close()
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        (folder / "cluster.sqlite").write_bytes(told.history.path.read_bytes())
        folder.chmod(0o500)
        (folder / "cluster.sqlite").chmod(0o400)
        assert [one.name for one in load([folder]).pods] == ["a"]
        folder.chmod(0o700)

    def test_foreign_and_broken_ones(self, told: Told, tmp_path: Path) -> None:
        told.tell(0, "pods", *(a_pod(f"p{number}") for number in range(300)))
        told.history.close()
        whole = told.history.path.read_bytes()
        path = tmp_path / "x.sqlite"
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE state (a)")
        other.close()
        self.refuses(path, "no history of a cluster")
        path.write_bytes(whole[: len(whole) // 2])
        self.refuses(path, "cannot be used")
        path.write_bytes(whole[:100] + bytes(1000) + whole[1100:])
        self.refuses(path, "cannot be used")
        for statement, what in (
            ("UPDATE state SET object = '[]'", "no Kubernetes object"),
            ("UPDATE state SET object = x'00ff'", "no Kubernetes object"),
            ("UPDATE state SET since = 'x'", "holds no Kubernetes object"),
            ("UPDATE state SET until = 'x'", "no time"),
            ("PRAGMA user_version = 9", "version 9"),
        ):
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite"  # its own: logs lie beside each
            path.write_bytes(whole)
            with sqlite3.connect(path) as broken:
                broken.execute(statement)
            broken.close()
            self.refuses(path, what)

    def refuses(self, path: Path, what: str) -> None:
        with pytest.raises(InputError, match=what) as error:
            load([path])
        assert str(path) in str(error.value)

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="cannot be opened"):
            History.open(tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("annotations", "what"),
    [
        ({}, "has no time"),
        ({"netpol/since": "yesterday"}, "not a time"),
        ({"netpol/since": at(9), "netpol/gone-at": at(8)}, "later than the end"),
        ({"netpol/since": at(1), "netpol/gone-at": at(8), "netpol/changed-at": at(8)}, "beside another end"),
        ({"netpol/since": at(1), "netpol/gone-at": at(8), "netpol/last-seen": at(9)}, "later than the end"),
    ],
)
def test_exports_that_somebody_edited(tmp_path: Path, annotations: dict[str, str], what: str) -> None:
    head = {"netpol/taken-at": at(100), "netpol/history": at(0)}
    item = a_pod("a", metadata={"annotations": annotations})
    path = tmp_path / "export.json"
    path.write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"annotations": head}, "items": [item]})
    )
    with pytest.raises(InputError, match=what) as error:
        load([path])
    assert error.value.where[:3] == (str(path), "document 1", "items[0]")
