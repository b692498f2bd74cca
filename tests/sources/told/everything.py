"""The sample shop's captures told anew in every log that netpol reads: name of the telling to its files' text.

`python -m tests.sources.told.everything FOLDER` writes them, to be looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sources.told import calico, conntrack, hubble, inspektor, verdicts, vpc, zeek
from tests.sources.told.connections import Snapshot, connections_of, of_pods
from tests.sources.told.packets import packets_of

if TYPE_CHECKING:
    from collections.abc import Iterable

TELLINGS = (
    *("hubble", "hubble-tracked", "zeek-tsv", "zeek-json", "zeek-iso", "conntrack", "whisker", "goldmane"),
    *("goldmane-api", "enterprise", "enterprise-addresses", "vpc-default", "vpc-custom", "gke", "gke-entries"),
    *("vpc-cni", "vpc-cni-message", "vpc-cni-cloudwatch", "inspektor", "inspektor-older"),
)


def told(captures: Path, sample: Path) -> dict[str, dict[str, str]]:
    """Each telling's files by name."""
    snapshot = Snapshot(sample)
    packets = packets_of(sorted(captures.iterdir()))
    every = connections_of(packets, snapshot)
    pods = list(of_pods(every, snapshot))
    rows, names = zeek.connections(every), zeek.names(every)
    records = vpc.records(packets)
    tracked = {
        f"{node}-{kind}.txt": _text(write(every, snapshot, node))
        for node in ("node-a", "node-b")
        for kind, write in (("events", conntrack.events), ("open", conntrack.listing))
    }
    dns = {"dns.json": _text(inspektor.answers(pods, snapshot))}
    return {
        "hubble": {"flows.json": _text(hubble.lines(every, knows_the_old=False))},
        "hubble-tracked": {"flows.json": _text(hubble.lines(every))},
        "zeek-tsv": {"conn.log": zeek.tsv("conn", rows), "dns.log": zeek.tsv("dns", names)},
        "zeek-json": {"conn.log": _text(zeek.as_json("conn", rows)), "dns.log": _text(zeek.as_json("dns", names))},
        "zeek-iso": {"all.log": _text([*zeek.as_json("conn", rows, iso=True), *zeek.as_json("dns", names, iso=True)])},
        "conntrack": tracked,
        "whisker": {"flows.json": _text(calico.whisker(pods, snapshot))},
        "goldmane": {"flows.json": _text(calico.goldmane(pods, snapshot, names=False))},
        "goldmane-api": {"flows.json": _text(calico.goldmane(pods, snapshot, names=True))},
        "enterprise": {"flows.log": _text(calico.enterprise(pods, snapshot, addresses=False))},
        "enterprise-addresses": {"flows.log": _text(calico.enterprise(pods, snapshot, addresses=True))},
        "vpc-default": {"flow.log": _text(vpc.lines(records))},
        "vpc-custom": {"flow.log": _text(vpc.lines(records, vpc.CUSTOM))},
        "gke": {"policy_action.log": _text(verdicts.gke(pods, snapshot, entries=False))},
        "gke-entries": {"entries.json": _text(verdicts.gke(pods, snapshot, entries=True))},
        "vpc-cni": {"agent.log": _text(verdicts.vpc_cni(pods, "fields"))},
        "vpc-cni-message": {"agent.log": _text(verdicts.vpc_cni(pods, "message"))},
        "vpc-cni-cloudwatch": {"export.txt": _text(verdicts.vpc_cni(pods, "cloudwatch"))},
        "inspektor": {"tcp.json": _text(inspektor.connections(pods, snapshot, older=False)), **dns},
        "inspektor-older": {"tcp.json": _text(inspektor.connections(pods, snapshot, older=True)), **dns},
    }


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    for telling, files in told(Path("captures", "shop"), Path("samples", "shop")).items():
        (folder := Path(sys.argv[1], telling)).mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
