"""A real policy controller as the judge: kube-router enforces what was learned, the shop works and nobody else does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from shoplab.enforce import read_policies
from shoplab.network import Lab
from shoplab.scenario import Scenario, standing_pods

from tests.cluster.control_plane import control_plane, find
from tests.lab.attempts import Tries, never_made
from tests.lab.conftest import cannot_build, facts
from tests.lab.kube_router import KubeRouters, kube_router
from tests.lab.live_cluster import LiveCluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.conftest import Shop

pytestmark = pytest.mark.namespaces


def test_the_shop_works_and_nothing_that_was_never_made_does(shipped: Shop, learned: Path, tmp_path: Path) -> None:
    why_not = cannot_build() or ("" if shutil.which("ipset") else "not installed: ipset")
    if why_not:
        pytest.skip(why_not)
    find("kube-apiserver", "NETPOL_TEST_APISERVER")  # before minutes are spent on what is of no use without it
    program, policies = kube_router(tmp_path), read_policies(learned)
    with Lab() as lab:
        lab.build(standing_pods())
        lab.add_machine("control", "192.0.2.2")
        with control_plane(tmp_path, namespace=lab.namespace("control"), address="192.0.2.2") as server:
            live = LiveCluster(server)
            live.apply(standing_pods())
            live.policies(policies)
            routers = KubeRouters(lab, program, server.kubeconfig("admin"), policies, live)
            scenario = Scenario(lab, [routers])
            scenario.play()
            # IPv6 passes it by: see there.
            attempts = [attempt for attempt in never_made(shipped.truth) if ":" not in attempt.address]
            tries = Tries(lab)
            outcomes = {str(attempt): tries.outcome(attempt) for attempt in attempts}
    rows = scenario.ledger.rows()
    assert facts(rows, "shop", "probe") == facts(shipped.truth, "shop", "probe")
    # The API says that a pod always reaches its own node. kube-router holds the pod's egress rules against that, too.
    assert {fact[-1] for fact in facts(rows, "own-node")} == {"refused"}
    assert len(outcomes) > 100
    assert {attempt: outcome for attempt, outcome in outcomes.items() if outcome != "refused"} == {}
    through = {fact for fact in facts(rows, "scan", "noise", "failure") if fact[-1] not in {"refused", "unanswered"}}
    assert through == {("shop/web[Deployment]", "shop/api[Deployment]", "TCP", 3000, "established")}
