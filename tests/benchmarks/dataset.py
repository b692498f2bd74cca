"""What a dataset costs: records added, read and added up, beside a plain duckdb GROUP BY over the same Parquet files.

    python -m tests.benchmarks.dataset --records 5000000

The records are those of a made-up cluster: every connection (a handshake, data both ways, an end) is seen on the
client's node before and on the server's node after a Service's address was rewritten, as agents record it, minute by
minute; one in ten does not end in its minute. Clients come back to the same few servers, as they do, so that an hour
adds up to few rows. Each figure is from a process of its own: user and system time, and the most memory it held,
medians of `--runs` in turns. `plain` is duckdb alone, with the threads and the memory that netpol gives it:

    SELECT low, high, high_port, protocol, sum(packets), sum(bytes), min(first), max(last), bit_or(events), count(*)
    FROM connections GROUP BY ALL

which knows nothing of direction, outcome, or views of one connection.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from netpol.dataset.folder import Dataset
from netpol.dataset.layout import HOUR, MINUTE
from netpol.dataset.window import Window
from netpol.flows.records import (
    ACK,
    DATA,
    FIN,
    FROM_HIGH,
    LONG_AGO,
    NEVER,
    NO_CLIENT,
    SEEN,
    SYN,
    SYNACK,
    Records,
    empty,
    hashes,
    stacked,
)

_START: Final = 1_800_000_000_000_000_000 // HOUR * HOUR
_NODES: Final = 20
_PODS: Final = 2000
_SERVERS: Final = 150
_PEERS: Final = 4
"""Servers that one pod talks to."""
_FIRST_EVENTS: Final = SEEN | SYN | ACK | DATA | (SEEN | SYNACK | ACK | DATA) << FROM_HIGH
_LATER_EVENTS: Final = SEEN | ACK | DATA | (SEEN | ACK | DATA) << FROM_HIGH
_LAST_EVENTS: Final = SEEN | ACK | FIN | (SEEN | ACK | FIN) << FROM_HIGH
_LASTING: Final = 30
"""Minutes that a connection goes on which did not end in its first."""
_OF_TEN: Final = 1 + (_LASTING - 1) / 10
"""Records for each connection and node, where one connection in ten goes on."""

_CHILD: Final = """
import resource, sys, time
from pathlib import Path
work, folder, end = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
if work == "plain":
    import duckdb
    database = duckdb.connect(config={"threads": 2, "memory_limit": "256MB"})
    database.execute("SET enable_progress_bar = false")
    found = database.execute(
        "SELECT low, high, high_port, protocol, sum(packets), sum(bytes), min(first), max(last), bit_or(events), "
        "count(*) "
        f"FROM '{folder}/connections/**/*.parquet' GROUP BY ALL").fetchnumpy()
    print(len(found["low"]))
else:
    from netpol.capture.packets import Tally
    from netpol.dataset.folder import Dataset
    from netpol.flows.assemble import assemble
    dataset = Dataset.open(folder)
    if work == "roll up":
        print(len(dataset.roll_up(end)))
    else:
        items = dataset.read(tally=Tally())
        print(len(assemble(items)) if work == "assemble" else sum(map(len, items)))
"""


def records(number: int, minute: int, chance: np.random.Generator) -> dict[int, Records]:
    """About so many partial connections of one minute, by node."""
    count = number // 2
    client = chance.integers(0, _PODS, count)
    server = (client * 7 + chance.integers(0, _PEERS, count)) % _SERVERS
    client_at, server_at = client % _NODES, server % _NODES
    result = empty(count)
    result["family"], result["protocol"], result["side"] = 4, 6, 0
    result["low"] = 0x0AF4_0000 + client
    result["high"] = 0x0AFF_0000 + server
    result["low_port"] = chance.integers(32768, 60999, count)
    result["high_port"] = 8080
    result["first"] = result["syn"] = result["anchor"] = (
        _START + minute * MINUTE + chance.integers(0, MINUTE // 2, count)
    )
    result["synack"] = result["anchor"] = result["syn"] + 200_000
    result["last"] = result["first"] + chance.integers(10**6, 2 * 10**10, count)
    result["packets"], result["bytes"] = 5, chance.integers(500, 9000, count)
    result["client_isn"], result["server_isn"] = (chance.integers(0, 1 << 32, count) for _ in range(2))
    ending = chance.random(count) > 0.1
    result["events"] = np.where(ending, _FIRST_EVENTS | _LAST_EVENTS, _FIRST_EVENTS)
    there = stacked([result])
    there["high"] = 0x0AF4_8000 + server
    there["synack"] -= 20_000
    by_node: dict[int, Records] = {}
    for node in range(_NODES):
        parts = [result.compress(client_at == node), there.compress(server_at == node)]
        by_node[node] = stacked(parts)
    return by_node


def later(begun: Records, minute: int, chance: np.random.Generator) -> Records:
    """What connections that go on show in a minute after their first."""
    result = stacked([begun])
    result["first"] = _START + minute * MINUTE + chance.integers(0, MINUTE // 2, len(result))
    result["last"] = result["first"] + chance.integers(10**6, 2 * 10**10, len(result))
    result["syn"] = result["synack"] = NEVER
    result["anchor"] = LONG_AGO
    result["side"] = NO_CLIENT
    result["client_isn"] = result["server_isn"] = 0
    result["events"] = _LATER_EVENTS
    return result


def fill(folder: Path, number: int, minutes: int, *, lasting: bool = False) -> float:
    """Makes a dataset, in which connections that do not end in their minute go on or not; the CPU seconds it took."""
    chance = np.random.default_rng(1)
    dataset = Dataset.create(folder)
    spent = 0.0
    going_on: dict[int, deque[Records]] = defaultdict(lambda: deque(maxlen=_LASTING - 1))
    begun_a_minute = int(number / minutes / (_OF_TEN if lasting else 1))
    for minute in range(minutes):
        windows = []
        for node, begun in records(begun_a_minute, minute, chance).items():
            parts = [begun, *(later(each, minute, chance) for each in going_on[node])]
            if lasting:
                going_on[node].append(begun.compress(begun["events"] == _FIRST_EVENTS))
            part = stacked(parts)
            part["hash"] = hashes(part)
            windows.append(
                Window(
                    observer=f"node-{node}", run=f"{node:032x}", number=minute, begin=_START + minute * MINUTE,
                    end=_START + (minute + 1) * MINUTE, packets=len(part) * 5, records=part,
                )
            )  # fmt: skip
        begin = time.process_time()
        dataset.append(windows)
        spent += time.process_time() - begin
    return spent


def run(work: str, folder: Path, end: int) -> tuple[float, float, str]:
    """CPU seconds, peak MiB, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD, work, str(folder), str(end)], stdout=subprocess.PIPE, text=True
    )
    out = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{work} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.strip()


def size(folder: Path, table: str) -> int:
    """Bytes of a table."""
    return sum(file.stat().st_size for file in (folder / table).rglob("*.parquet"))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netpol-benchmark-") as place:
        folder = Path(place, "dataset")
        spent = fill(folder, options.records, options.minutes)
        say(f"add: {options.records / spent:,.0f} records a CPU second")
        dataset = Dataset.open(folder)
        begin = time.process_time()
        dataset.compact()
        say(f"compact: {options.records / (time.process_time() - begin):,.0f} records a CPU second")
        end = dataset.hours()[-1]
        works = ("plain", "read", "assemble")
        found: dict[str, list[tuple[float, float, str]]] = {work: [] for work in works}
        for _ in range(options.runs):
            for work in works:
                found[work].append(run(work, folder, end))
        rolled = run("roll up", folder, end)
        raw = size(folder, "connections")
        base = median(cpu for cpu, _, _ in found["plain"])
        for work in works:
            report(work, found[work], base)
        report("roll up", [rolled], base)
        report("assemble from rollups", [run("assemble", folder, end) for _ in range(options.runs)], base)
        flows = size(folder, "flows")
        say(f"raw {raw / 1e6:.1f} MB, flows {flows / 1e6:.2f} MB ({raw / flows:.0f} times smaller), "
              f"carry {size(folder, 'carry') / 1e6:.2f} MB")  # fmt: skip


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def report(name: str, runs: list[tuple[float, float, str]], base: float) -> None:
    """One line."""
    cpu, peak = median(each[0] for each in runs), max(each[1] for each in runs)
    say(f"{name}: {cpu:.2f} CPU s, {cpu / base:.2f} of plain, {peak:.0f} MiB, result {runs[0][2]}")


if __name__ == "__main__":
    main()
