"""What workloads asked: the shop's resolvers saw it, the captures tell it."""

from __future__ import annotations

from pathlib import Path

from netpol.capture.packets import Tally
from netpol.capture.read import read_packets
from netpol.cluster.manifests import load
from netpol.cluster.timeline import Timeline
from netpol.names.table import Names
from netpol.view.asked import questions

ROOT = Path(__file__).parents[2]


def test_names_are_of_who_held_the_address_when_they_were_asked() -> None:
    names = Names()
    for _ in read_packets([ROOT / "captures" / "shop"], Tally(), names=names):
        pass
    timeline = Timeline.of(load([ROOT / "samples" / "shop" / "cluster.yaml"]))
    found = {each.who: each for each in questions(names, timeline)}
    # sweep runs at the address that report had before it: each has the names that it asked for itself.
    assert [name for name, _ in found["shop/report[CronJob]"].names] == [
        "api.partner.example",
        "postgres.data.svc.cluster.local",
    ]
    assert [name for name, _ in found["shop/sweep[CronJob]"].names] == ["api.shop.svc.cluster.local"]
    assert found["shop/web[Deployment]"].counts == (3, 3, 0, 0, 0)
    assert sum(each.counts[0] for each in found.values()) == sum(each.asked for each in names.asked)
    assert found["shop/api[Deployment]"].to_json()["no_name"] == 12
