"""The same traffic as packets and as each kind of log gives the same policies, but for what the summary names.

The shop's real captures, read by tshark, are written as each log would tell them. What the captures themselves teach is
`samples/shop/expected` (test_learn_shop). Each rule that a log does not teach must be one that a limit of this log
takes away, by what is known of the rule's connections, and the limit must be named where the user reads it; each rule
that it teaches beyond that is named here, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.sources.told.connections import Snapshot, connections_of
from tests.sources.told.everything import TELLINGS, told
from tests.sources.told.packets import TCP, packets_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol
    from tests.sources.told.connections import Connection


class Edge(NamedTuple):
    """Half of what a connection needs."""

    side: str
    source: str
    destination: str
    protocol: str
    port: int


class World(NamedTuple):
    """What is known of the shop from packets, and all tellings of it."""

    snapshot: Snapshot
    connections: dict[tuple[str, str, str, int], list[Connection]]
    told: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def world(shop: Path, sample: Path) -> World:
    snapshot = Snapshot(sample)
    found = defaultdict(list)
    for each in connections_of(packets_of(sorted(shop.iterdir())), snapshot):
        found[_pair(each, snapshot)].append(each)
    return World(snapshot, found, told(shop, sample))


def _pair(each: Connection, snapshot: Snapshot) -> tuple[str, str, str, int]:
    ends = []
    for address in (each.client.address, each.server.address):
        pod = snapshot.pod(address, each.first)
        ends.append(pod.workload.split("[")[0] if pod else address)
    return ends[0], ends[1], "TCP" if each.protocol == TCP else "UDP", each.server.port


def edges(folder: Path, snapshot: Snapshot) -> set[Edge]:
    """What the policies in a folder say."""
    found = set()
    for path in folder.glob("*/*.yaml"):
        document = yaml.safe_load(path.read_text())
        meta, spec = document["metadata"], document["spec"]
        me = f"{meta['namespace']}/{meta['name']}"
        for side, key in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(side) or []:
                for peer in rule[key]:
                    other = snapshot.whom(peer, meta["namespace"])
                    ends = (me, other) if side == "egress" else (other, me)
                    found |= {Edge(side, *ends, port["protocol"], port["port"]) for port in rule["ports"]}
    return found


def outside(them: list[Connection], snapshot: Snapshot) -> bool:
    return any(snapshot.pod(end.address, each.first) is None for each in them for end in (each.client, each.server))


def rewritten(them: list[Connection], snapshot: Snapshot) -> bool:
    return all(each.hidden or snapshot.pod(each.server.address, each.first) is None for each in them)


def on_one_node(them: list[Connection], snapshot: Snapshot) -> bool:
    return not any(_crosses(each, snapshot) for each in them)


def _crosses(each: Connection, snapshot: Snapshot) -> bool:
    ends = [snapshot.pod(end.address, each.first) for end in (each.client, each.server)]
    return None in ends or len({pod.node for pod in ends if pod}) == 2


def old(them: list[Connection], snapshot: Snapshot) -> bool:
    del snapshot
    return all(each.outcome == "midstream" for each in them)


def without_handshakes(them: list[Connection], snapshot: Snapshot) -> bool:
    """Only a declared port tells the server, and only packets larger than a SYN that data went both ways."""
    if them[0].protocol != TCP:
        return False
    if them[0].server.port not in snapshot.declared:
        return True
    between = [each for each in them if _crosses(each, snapshot)]
    empty = 60 if "." in them[0].client.address else 80
    return all(min(size / max(count, 1) for count, size in (each.there, each.back)) <= empty for each in between)


def little(them: list[Connection], snapshot: Snapshot) -> bool:
    """No more bytes than empty packets of IPv6 may have, and no fewer: then nothing tells that they are of IPv4."""
    del snapshot
    sums: defaultdict[tuple[int, bool], Counter[str]] = defaultdict(Counter)
    for each in them:
        for back, (count, size) in enumerate((each.there, each.back)):
            sums[each.first // 10**9 // 15, bool(back)].update(count=count, size=size)
    return them[0].protocol == TCP and all(60 <= one["size"] / one["count"] <= 80 for one in sums.values())


def everything(them: list[Connection], snapshot: Snapshot) -> bool:
    del snapshot
    return bool(them)


NAMED: dict[str, Any] = {
    "addresses outside the cluster and of nodes, where they are added up": outside,
    "whether connections worked that carried little, where it counts no connections (Whisker)": little,
    "whom a node's address stands for, where the node rewrites it, and which pod a Service's address": rewritten,
    "what stays on one node": on_one_node,
    "handshakes, and whether small packets carry data, in the default format (tcp-flags tell both)": without_handshakes,
    "connections older than the trace": old,
    "whether a connection worked": everything,
}
_OUTSIDE, _LITTLE, _REWRITTEN, _ON_ONE_NODE, _HANDSHAKES, _OLD, _WORKED = NAMED
TAKEN_AWAY: dict[str, tuple[str, ...]] = {
    "whisker": (_OUTSIDE, _LITTLE),
    "goldmane": (_OUTSIDE,),
    "goldmane-api": (_OUTSIDE,),
    "enterprise": (_OUTSIDE,),
    "vpc-default": (_REWRITTEN, _ON_ONE_NODE, _HANDSHAKES),
    "vpc-custom": (_REWRITTEN, _ON_ONE_NODE),
    "inspektor": (_OLD,),
    "inspektor-older": (_OLD,),
    **dict.fromkeys(("gke", "gke-entries", "vpc-cni", "vpc-cni-message", "vpc-cni-cloudwatch"), (_WORKED,)),
}

SCRAPE = ("monitoring/prometheus", "shop/web", "TCP", 46789)
"""Older than the captures, on ports that nobody declared: who opened it is told by tables of connections alone."""
SCANNED = ("shop/web", "data/postgres", "TCP", 5432)
"""What the connect scan found open: without the ports that refused it, it is no scan."""
_TRACKING = "hubble-tracked", "conntrack", "whisker", "goldmane", "goldmane-api", "enterprise", "enterprise-addresses"
BEYOND = {**{telling: {SCRAPE} for telling in _TRACKING}, "inspektor-older": {SCANNED}}


@pytest.mark.parametrize("telling", TELLINGS)
def test_a_log_teaches_what_the_packets_teach_but_for_what_the_summary_names(
    telling: str, netpol: Netpol, world: World, sample: Path, tmp_path: Path
) -> None:
    for name, text in world.told[telling].items():
        (tmp_path / name).write_text(text)
    out = tmp_path / "out"
    files = sorted(tmp_path.iterdir())
    answer = netpol("learn", *files, "--cluster", sample / "cluster.yaml", "-d", out)
    assert answer.code == 0, answer.err
    assert "Traceback" not in answer.err
    summary = json.loads((out / "summary.json").read_text())
    assert not summary["packets"]["broken"]
    untold = [each for kind in summary["packets"]["untold"].values() for each in kind]
    for each in untold:
        assert each in answer.err
    records = summary["packets"]["log_records"]
    assert records["read"] == sum(summary["packets"]["undecoded"].values()) + records["used"]
    assert f"{records['read']:,} records of flow logs, {records['used']:,} of them used" in answer.err
    limits = TAKEN_AWAY.get(telling, ())
    assert (records["unplaced"] > 0) is (_OUTSIDE in limits)
    assert ("without saying who is at one end" in answer.err) is (_OUTSIDE in limits)
    unknown = summary["left_out"]["quarantined"].get("unknown-outcome", 0)
    assert (f"{unknown:,} connections are not learned: the log does not tell" in answer.err) is (unknown > 0)
    assert unknown or not {_WORKED, _LITTLE} & set(limits)
    assert set(limits) <= set(untold)

    wanted = edges(sample / "expected", world.snapshot)
    learned = edges(out, world.snapshot)
    taken = [{edge for edge in wanted if NAMED[name](world.connections[edge[1:]], world.snapshot)} for name in limits]
    lost = {edge for each in taken for edge in each}
    beyond = {Edge(side, *pair) for pair in BEYOND.get(telling, ()) for side in ("ingress", "egress")}
    assert learned == wanted - lost | beyond
    assert all(taken), "a limit that takes nothing away here is not shown to be one"


@pytest.mark.parametrize("telling", TELLINGS)
def test_a_dataset_of_logs_teaches_what_these_teach(
    telling: str, netpol: Netpol, world: World, sample: Path, tmp_path: Path
) -> None:
    logs, dataset = tmp_path / "logs", tmp_path / "dataset"
    logs.mkdir()
    for name, text in world.told[telling].items():
        (logs / name).write_text(text)
    known = ("--cluster", sample / "cluster.yaml")
    merged = netpol("dataset", "merge", dataset, logs, *known)
    assert merged.code == 0, merged.err
    again = netpol("dataset", "merge", dataset, logs, *known)
    assert (again.code, again.err.splitlines()[-1].split(",")[0]) == (0, "0 windows")
    assert netpol("dataset", "compact", dataset).code == 0
    answers = [netpol("learn", place, *known, "-d", tmp_path / place.stem / "out") for place in (logs, dataset)]
    assert [answer.code for answer in answers] == [0, 0], answers[1].err
    assert "record by record" not in answers[1].err
    outputs = tmp_path / "logs" / "out", tmp_path / "dataset" / "out"
    learned = [
        {str(file.relative_to(out)): file.read_text() for file in out.rglob("*") if file.is_file()} for out in outputs
    ]
    summaries = [json.loads(files.pop("summary.json")) for files in learned]
    assert learned[0] == learned[1]
    for summary in summaries:
        del summary["packets"]["captures"]
    assert summaries[0] == summaries[1]


def test_what_is_told_anew_is_what_the_programs_told(world: World, sample: Path) -> None:
    """The writers' own reading of the captures, against the word of the programs that made the traffic."""
    wanted: Counter[tuple[Any, ...]] = Counter()
    for row in json.loads((sample / "truth.json").read_text())["connections"]:
        wanted[row["source"], row["destination"], row["protocol"], row["port"], row["outcome"]] += row["connections"]
    found: Counter[tuple[Any, ...]] = Counter()
    for (_, _, protocol, port), them in world.connections.items():
        for each in them:
            ends = [world.snapshot.workload(end.address, each.first) for end in (each.client, each.server)]
            found[*ends, protocol, port, each.outcome] += 1
    assert found == wanted
