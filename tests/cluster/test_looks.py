from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from netpol.cluster.documents import SCOPE_ANNOTATION, TAKEN_ANNOTATION
from netpol.cluster.manifests import load
from netpol.model.inventory import Inventory
from tests.cluster.objects import NOON, SECOND, at, pod, thing

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., Inventory]


class TestLooks:
    def test_one_pod_in_several_looks_is_one_with_the_newest_labels(self, load_looks: Load) -> None:
        early = pod("a", "10.0.0.1", uid="u1", metadata={"labels": {"v": "1"}, "creationTimestamp": at(0)})
        late = pod("a", "10.0.0.1", uid="u1", metadata={"labels": {"v": "2"}, "creationTimestamp": at(0)})
        late["status"]["conditions"] = [{"lastTransitionTime": at(60)}]
        inventory = load_looks([late], [early])
        assert [(one.labels, one.started, one.ended) for one in inventory.pods] == [({"v": "2"}, NOON, None)]
        assert inventory.notes["pods whose labels changed between looks"] == 1

    def test_a_pod_that_a_second_look_at_the_same_thing_misses_is_gone(self, load_looks: Load) -> None:
        stays = pod("s", "10.0.0.1", uid="s", metadata={"creationTimestamp": at(0)})
        goes = pod("g", "10.0.0.2", uid="g", metadata={"creationTimestamp": at(10)})
        later = pod("n", "10.0.0.3", uid="n", metadata={"creationTimestamp": at(60)})
        inventory = load_looks([stays, goes], [stays, later])
        assert {one.name: one.ended for one in inventory.pods} == {"s": None, "g": NOON + 60 * SECOND, "n": None}
        assert inventory.notes["pods that a later look no longer shows"] == 1

    def test_a_list_of_other_things_ends_nothing(self, load_looks: Load) -> None:
        one = pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0)})
        other = pod("b", "10.0.0.2", uid="b", metadata={"creationTimestamp": at(60)})
        elsewhere = pod("c", "10.0.0.3", uid="c", metadata={"creationTimestamp": at(90), "namespace": "x"})
        assert [one.ended for one in load_looks([one], [other], [elsewhere]).pods] == [None] * 3

    def test_a_successor_at_the_address_ends_it_earlier(self, load_looks: Load) -> None:
        first = pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0)})
        second = pod("b", "10.0.0.1", uid="b", metadata={"creationTimestamp": at(30)})
        beside = pod("c", "10.0.0.2", uid="c", metadata={"creationTimestamp": at(0)})
        beside_later = pod("c", "10.0.0.2", uid="c", status={"conditions": [{"lastTransitionTime": at(90)}]})
        for looks in ([first], [second]), ([first, beside], [second, beside_later]):
            assert load_looks(*looks).pods[0].ended == NOON + 30 * SECOND

    def test_a_snapshot_that_holds_the_namespace_ends_what_it_misses(self, tmp_path: Path) -> None:
        gone = pod("a", "10.0.0.1", metadata={"creationTimestamp": at(0)})
        kept = pod("b", "10.0.0.2", metadata={"creationTimestamp": at(0), "namespace": "other"})
        first = {"apiVersion": "v1", "kind": "List", "items": [gone, kept]}
        for scope, ends in (("shop", [None, NOON + 100 * SECOND]), ("*", [NOON + 100 * SECOND] * 2)):
            annotations = {TAKEN_ANNOTATION: at(100), SCOPE_ANNOTATION: scope}
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
            second = {
                "apiVersion": "v1",
                "kind": "List",
                "metadata": {"annotations": annotations},
                "items": [namespace],
            }
            (tmp_path / "1.json").write_text(json.dumps(first))
            (tmp_path / "2.json").write_text(json.dumps(second))
            assert [one.ended for one in load([tmp_path]).pods] == ends

    def test_a_manifest_without_uid_means_the_newest_of_its_name(self, load_looks: Load) -> None:
        old = pod("db-0", "10.0.0.1", uid="1", metadata={"creationTimestamp": at(0), "deletionTimestamp": at(20)})
        new = pod("db-0", "10.0.0.2", uid="2", metadata={"creationTimestamp": at(30)})
        bare = pod("db-0", metadata={"labels": {"app": "db"}})
        found = load_looks([old], [new], [bare]).pods
        assert [(one.uid, one.started) for one in found] == [("1", NOON), ("2", NOON + 30 * SECOND)]


ITEMS = [
    [
        pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0), "labels": {"v": "1"}}),
        pod("b", "10.0.0.2", uid="b", metadata={"creationTimestamp": at(5)}),
    ],
    [pod("a", "10.0.0.9", uid="a", metadata={"creationTimestamp": at(0), "labels": {"v": "2"}})],
    [
        pod("a", metadata={"labels": {"v": "3"}}),
        thing("Service", "s", "v1", spec={"clusterIP": "10.96.0.1"}, metadata={"creationTimestamp": at(9)}),
    ],
    [
        pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0)}),
        pod("c", "10.0.0.2", uid="c", metadata={"creationTimestamp": at(50)}),
    ],
    [thing("Service", "s", "v1", spec={"clusterIP": "10.96.0.2"})],
]


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    paths = []
    for number, items in enumerate(ITEMS):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    expected = load(paths)
    assert all(load(list(order)) == expected for order in itertools.permutations(paths))
