"""Google's Online Boutique: its real pods, traffic made from the list of its connections."""

from __future__ import annotations

import csv
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from netpol.cluster.manifests import load
from netpol.model.flow import TCP
from netpol.policy.replay import replay
from netpol.policy.tightness import tightness
from tests.graph.world import flow
from tests.policy.learning import learn

APPS = Path(__file__).parents[2] / ".." / "shared" / "data" / "apps"
PODS, CONNECTIONS = APPS / "online-boutique-live" / "pods.yaml", APPS / "online-boutique" / "connections.csv"
CLIENT = "203.0.113.7"

pytestmark = pytest.mark.skipif(
    not (PODS.exists() and CONNECTIONS.exists()), reason="the Online Boutique manifests are not beside the repository"
)


def test_policies_admit_exactly_the_connections_of_the_shop() -> None:
    inventory = load([PODS])
    pods = {pod.workload.name: pod for pod in inventory.pods}
    with CONNECTIONS.open(newline="") as file:
        wanted = {(row["src"], row["dst"], int(row["pod_port"])) for row in csv.DictReader(file)}
    ends: dict[str, Any] = {**pods, "(external)": CLIENT}
    learned = learn([flow(ends[source], ends[destination], port) for source, destination, port in wanted], inventory)

    assert not learned.admission.left_out
    assert replay(learned.admission.observations, learned.evaluator).admitted == len(wanted)
    assert learned.names() == sorted(f"default/{name}" for name in pods)
    ports = sorted({port for _, _, port in wanted} | {1, 22, 443})
    judged = {**pods, "(external)": ip_address(CLIENT), "(other)": ip_address("203.0.113.8")}
    allowed = {
        (source, destination, port)
        for source in judged
        for destination in judged
        for port in ports
        if source != destination and not (source.startswith("(") and destination.startswith("("))
        if learned.evaluator.verdict(judged[source], judged[destination], TCP, port).allowed
    }
    assert allowed == wanted
    figures = tightness(learned.graph, inventory, learned.generated.policies)
    assert figures.ratio == 1
    assert figures.observed == len(wanted) - 1
