"""Build the shop, run it, record it: `sudo python captures/shop.py`.

Makes a small two-node Kubernetes-like cluster out of network namespaces, drives real programs in it for a quarter
of a minute, records on both nodes, and writes

    captures/shop/node-a.pcap, node-b.pcapng.gz    what the recorders saw
    samples/shop/cluster.yaml                      the cluster at the end, as kubectl would print it
    samples/shop/truth.json                        who connected to what, by the word of the programs that did it

With `--policies DIR` the nodes enforce the NetworkPolicies in a folder from the start: what the programs then report is
the kernel's verdict on them.

All traffic stays inside namespaces that the run makes and removes; two runs at once do not meet.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from shoplab.enforce import Enforcer, read_policies
from shoplab.manifests import moment, snapshot
from shoplab.network import Lab
from shoplab.recording import Recording
from shoplab.scenario import Scenario, standing_pods

_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Parse the options, run the lab, write the files."""
    parser = argparse.ArgumentParser(
        description="Build the sample shop from network namespaces and record its traffic."
    )
    parser.add_argument("--captures", type=Path, default=_ROOT / "captures" / "shop", help="folder for the captures")
    parser.add_argument(
        "--samples", type=Path, default=_ROOT / "samples" / "shop", help="folder for snapshot and truth"
    )
    parser.add_argument(
        "--policies", type=Path, help="folder of NetworkPolicies to enforce; name other folders with it"
    )
    options = parser.parse_args()
    if options.policies and _ROOT in (options.captures.parents[1], options.samples.parents[1]):
        parser.error("--policies changes what happens: keep it out of the sample files with --captures and --samples")
    if os.geteuid():
        sys.exit("shop.py: network namespaces need root: run it with sudo")
    signal.signal(signal.SIGTERM, _leave)  # so that the lab is taken down before the process ends
    with Lab() as lab:
        lab.build(standing_pods())
        scenario = Scenario(lab, [Enforcer(lab, read_policies(options.policies))] if options.policies else [])
        scenario.play(Recording(lab, options.captures, standing_pods()))
    options.samples.mkdir(parents=True, exist_ok=True)
    (options.samples / "cluster.yaml").write_text(snapshot(scenario.times))
    truth = {
        "started": moment(scenario.times.started),
        "ended": moment(scenario.times.ended),
        "connections": scenario.ledger.rows(),
    }
    (options.samples / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


def _leave(*_: object) -> NoReturn:
    sys.exit("shop.py: told to stop")


if __name__ == "__main__":
    main()
