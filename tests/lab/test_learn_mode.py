"""Learn mode from end to end: agents record, the hub keeps it, policies come of it, and the kernel enforces them.

One run is recorded twice, by the agents and by tcpdump and dumpcap, and written down by the programs that made it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from shoplab.description import BLACK_HOLE, NODES
from shoplab.enforce import Enforcer, read_policies
from shoplab.network import Lab
from shoplab.recording import Recording
from shoplab.scenario import Scenario, standing_pods

from tests.cluster.control_plane import control_plane
from tests.lab.attempts import Tries, never_made
from tests.lab.collectors import HUB, NET_RAW, Agents, Hub, capabilities, until
from tests.lab.conftest import cannot_build, facts
from tests.lab.deployed import Accounts
from tests.lab.live_cluster import LiveCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.namespaces

SAMPLE = "--sample=1"
"""The lab's older connections carry a handful of packets in its quarter of a minute; agents as they are deployed take
one in 256, which finds what goes on for days."""


@dataclass(kw_only=True)
class Run:
    """What one recorded run left.

    Attributes:
        folder: `by-hub`, `by-folder`, `by-spools` and `by-captures`, what netpol learned each way.
        truth: What the drivers wrote down.
        flows: What the hub's folder holds, as `netpol flows -o json` tells it.
        status: What `netpol status` said of the nodes at the end.
        capabilities: Of each process, by its node or `hub`.
        without_policies: What became of the connections that nobody had made, tried once the recorders had gone.
    """

    folder: Path
    truth: list[dict[str, Any]] = field(default_factory=list)
    flows: list[dict[str, Any]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    capabilities: dict[str, set[int]] = field(default_factory=dict)
    without_policies: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    why_not = cannot_build()
    if why_not:
        pytest.skip(why_not)
    result = Run(folder=tmp_path_factory.mktemp("learn-mode"))
    with Lab() as lab:
        lab.build(standing_pods())
        lab.add_machine("control", "192.0.2.2")
        control = lab.folder / "control"
        control.mkdir()
        with control_plane(control, namespace=lab.namespace("control"), address="192.0.2.2") as server:
            live = LiveCluster(server)
            live.apply(standing_pods())
            hub = Hub(lab, Accounts(server))
            scenario = Scenario(lab, [live])
            with hub:
                until("the hub follows the cluster", lambda: hub.knows(live.pods()))
                agents = Agents(lab, hub, SAMPLE, "--window=5s")
                trackers = Agents(lab, None, "--conntrack", name="tracker")
                look = _looked_at(result, agents, hub)
                scenario.play(Recording(lab, result.folder / "captures", standing_pods()), agents, trackers, look)
                until("the hub's history has come to the end", lambda: hub.knows(live.pods()))
                result.truth = scenario.ledger.rows()
                told = _netpol(lab, hub, "status", f"hub://{HUB}", "-o", "json", "--fail-on", "drops")
                result.status = json.loads(told)
                _netpol(lab, hub, "learn", f"hub://{HUB}", "-d", str(result.folder / "by-hub"))
            kubeconfig = f"--kubeconfig={server.kubeconfig('admin')}"
            _netpol(lab, hub, "snapshot", kubeconfig, "-o", str(result.folder / "cluster.json"))
        shutil.copytree(hub.folder, result.folder / "hub")
        for node in NODES:
            shutil.copytree(trackers.spool(node), result.folder / "spools" / node.name)
        tries = Tries(lab)
        result.without_policies = {str(attempt): tries.outcome(attempt) for attempt in never_made(result.truth)}
    netpol = [sys.executable, "-m", "netpol"]
    cluster = ["--cluster", str(result.folder / "cluster.json")]
    for words in (
        ["learn", str(result.folder / "hub"), "-d", str(result.folder / "by-folder")],
        ["learn", str(result.folder / "spools"), *cluster, "-d", str(result.folder / "by-spools")],
        ["learn", str(result.folder / "captures"), *cluster, "-d", str(result.folder / "by-captures")],
    ):
        subprocess.run([*netpol, *words], check=True, capture_output=True)
    flows = subprocess.run(
        [*netpol, "flows", str(result.folder / "hub"), "-o", "json"], check=True, capture_output=True
    )
    result.flows = [json.loads(line) for line in flows.stdout.splitlines()]
    return result


@contextmanager
def _looked_at(result: Run, agents: Agents, hub: Hub) -> Iterator[None]:
    """Notes what the processes may, while they work."""
    result.capabilities = {name: capabilities(process) for name, process in agents.processes.items()}
    assert hub.process is not None
    result.capabilities["hub"] = capabilities(hub.process)
    yield


def _netpol(lab: Lab, hub: Hub, *words: str) -> str:
    """A command of netpol in the lab, by somebody whom the hub lets read."""
    return lab.run("hub", "env", *hub.environment, sys.executable, "-m", "netpol", *words)


def _policies(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.yaml"))}


def test_an_agent_may_open_packet_sockets_and_the_hub_nothing(run: Run) -> None:
    assert run.capabilities == {"node-a": {NET_RAW}, "node-b": {NET_RAW}, "hub": set()}


def test_nothing_was_lost_on_the_way(run: Run) -> None:
    nodes = {node["node"]: node for node in run.status["nodes"]}
    assert nodes.keys() == {"node-a", "node-b"}
    for node in nodes.values():
        assert node["packets"] > 1000
        assert set(node["drops"].values()) == {0}


def test_the_hub_its_folder_and_the_captures_of_the_same_run_teach_the_same_policies(run: Run, learned: Path) -> None:
    expected = _policies(run.folder / "by-captures")
    assert len(expected) >= 7
    assert _policies(run.folder / "by-hub") == expected
    assert _policies(run.folder / "by-folder") == expected
    # And those are what the captures in the repository teach, whose enforcement other tests try.
    assert {name: text for name, text in expected.items() if name != "kustomization.yaml"} == {
        name: text for name, text in _policies(learned).items() if name != "kustomization.yaml"
    }


def test_what_the_kernel_tracked_tells_who_opened_what_is_older_than_every_packet(run: Run) -> None:
    """Agents as they are deployed, one packet in 256 of what is open, and the kernel's table of connections.

    The pools that the captures know from their many packets are there by the table alone. And it knows the direction
    of the one conversation that no packet gives away: Prometheus had dialled.
    """
    if not Path("/proc/net/nf_conntrack").exists():
        pytest.skip("this kernel shows its table of connections to NET_ADMIN only (CONFIG_NF_CONNTRACK_PROCFS)")
    found = {name: yaml.safe_load(text) for name, text in _policies(run.folder / "by-spools").items()}
    expected = {name: yaml.safe_load(text) for name, text in _policies(run.folder / "by-captures").items()}
    dialled = {"protocol": "TCP", "port": 46789}
    for name, direction in (("monitoring/prometheus.yaml", "egress"), ("shop/web.yaml", "ingress")):
        (rule,) = [rule for rule in found[name]["spec"][direction] if dialled in rule["ports"]]
        rule["ports"].remove(dialled)
    assert found == expected


def test_every_connection_is_counted_once_and_as_its_program_told(run: Run) -> None:
    seen: Counter[tuple[Any, ...]] = Counter()
    for flow in run.flows:
        ends = [
            flow[address] if flow[end] in {"external", "unknown"} else flow[end]
            for end, address in (("source", "client"), ("destination", "server"))
        ]
        if flow["protocol"] in {"TCP", "UDP"} and ends[1] != HUB:  # the agents' own windows on their way
            seen[*ends, flow["protocol"], flow["port"], flow["outcome"]] += flow["connections"]
    told: Counter[tuple[Any, ...]] = Counter()
    for row in run.truth:
        outcome = "refused" if row["outcome"] == "half-open" else row["outcome"]  # the client's own RST
        told[row["source"], row["destination"], row["protocol"], row["port"], outcome] += row["connections"]
    # Older than the recording, between two ports that nobody declared: its direction cannot be known.
    noise = ("monitoring/prometheus[StatefulSet]", "shop/web[Deployment]", "TCP", 46789, "midstream")
    assert told.pop(noise) == seen.pop((noise[1], noise[0], "TCP", None, "midstream")) == 1
    # Nobody answered: nothing shows that what left the node masqueraded is what the pod had sent.
    masqueraded = {key: seen.pop(key) for key in list(seen) if key[0].startswith("node/") and key[1] == BLACK_HOLE}
    assert {key[-1] for key in masqueraded} == {"unanswered"}
    assert seen == told


def test_under_the_learned_policies_the_shop_works_and_nothing_that_was_never_made_does(run: Run) -> None:
    attempts = never_made(run.truth)
    with Lab() as lab:
        lab.build(standing_pods())
        scenario = Scenario(lab, [Enforcer(lab, read_policies(run.folder / "by-hub"))])
        scenario.play()
        tries = Tries(lab)
        outcomes = {str(attempt): tries.outcome(attempt) for attempt in attempts}
    purposes = ("shop", "own-node", "probe")
    assert facts(scenario.ledger.rows(), *purposes) == facts(run.truth, *purposes)
    assert len(outcomes) >= 100
    assert set(run.without_policies.values()) == {"established"}, "what is refused below worked before"
    assert outcomes.keys() == run.without_policies.keys()
    assert {attempt: outcome for attempt, outcome in outcomes.items() if outcome != "refused"} == {}
